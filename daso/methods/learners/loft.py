"""LoFT and LoFT-OW (Huang et al. 2025)."""

from __future__ import annotations

from collections.abc import Sequence

from daso.errors import ParamsError
from daso.methods.base import AddOn, Learner, Views, forward_jointly
from daso.models.network import Models
from daso.ops.losses import cross_entropy, masked_mean, soft_cross_entropy
from daso.records import Batch, Env, Losses, Role, Step
from daso.schema import NonNegative, PositiveShare, Probability


class LoFT(Learner):
    """LoFT: hard and soft pseudo-labels of a fine-tuned pretrained network (Huang et al. 2025).

    The pseudo-label of an unlabeled image is the prediction on its weak view. With a confidence, its largest
    probability, of at least `threshold` it is hard: the strong view is compared with its class. Below it is soft: the
    strong view is compared with all its probabilities, unless the confidence is at most `open_threshold`, as of images
    that may show no class. `hard_weight` and `soft_weight` are the weights of both losses, each a mean over all
    unlabeled images. The mask has the hard pseudo-labels. The labeled loss is adjusted by the add-on
    `logit_adjustment`.
    """

    # fidelity: loft-start
    # fidelity: loft-rate
    views = Views(x=("weak",), u=("weak", "strong"))
    provides = frozenset({"labeled", "weak", "strong"})
    evaluation_model = "student"  # fidelity: loft-evaluation

    def __init__(
        self,
        env: Env,
        addons: Sequence[AddOn] = (),
        *,
        threshold: PositiveShare,
        open_threshold: Probability,
        hard_weight: NonNegative,
        soft_weight: NonNegative,
    ) -> None:
        super().__init__(addons)
        if open_threshold > threshold:
            raise ParamsError(
                f"learner 'loft': open_threshold: {open_threshold} is above threshold {threshold}; set it to "
                f"{threshold} or less"
            )
        self.threshold, self.open_threshold = threshold, open_threshold
        self.hard_weight, self.soft_weight = hard_weight, soft_weight  # fidelity: loft-soft

    def step(self, batch: Batch, models: Models) -> tuple[Losses, Step]:
        """Compute the losses with one forward pass of labeled images, weak and strong views."""
        out = forward_jointly(models.student, labeled=batch.x["weak"], weak=batch.u["weak"], strong=batch.u["strong"])
        step = self.begin(batch, models, out)
        weak = self.adjust(out["weak"].logits.detach(), Role.PSEUDO_LABEL, step)
        step = self.refine(weak.softmax(-1), step)
        confidence, label = step.targets.max(-1)
        is_hard = confidence >= self.threshold
        is_soft = ~is_hard & (confidence > self.open_threshold)  # fidelity: loft-filter
        hard, soft = (self.weigh(part.float(), Role.CONSISTENCY, step) for part in (is_hard, is_soft))
        step = step._replace(mask=hard > 0)
        strong = self.adjust(out["strong"].logits, Role.CONSISTENCY, step)
        losses = {
            "supervised": self.supervised(out["labeled"].logits, step),  # fidelity: loft-tau
            "consistency": self.hard_weight * masked_mean(cross_entropy(strong, label), hard),
            "consistency_soft": self.soft_weight * masked_mean(soft_cross_entropy(strong, step.targets), soft),
        }
        return losses | self.addon_losses(step), step
