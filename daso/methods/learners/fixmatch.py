"""FixMatch (Sohn et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from daso.methods.base import AddOn, Learner, Views, forward_jointly
from daso.models.network import Models
from daso.ops.losses import consistency
from daso.records import Batch, Env, Losses, Role, Step
from daso.schema import NonNegative, PositiveShare


class FixMatch(Learner):
    """FixMatch: pseudo-labels of the weak view as targets of the strong view (Sohn et al. 2020, Eq. 3 and 4).

    `confidence` selects the probabilities that are compared with the threshold: `refined`, the pseudo-label after the
    add-ons' `refine`, as in DASO's reference implementation, or `raw`, the network's own (Oh et al. 2022, Eq. 1).
    `targets` of the unlabeled loss are the classes of the pseudo-labels, or with `soft` their probabilities. With two
    `strong_views` the unlabeled loss is the mean of both; add-ons read the first as "strong".
    """

    provides = frozenset({"labeled", "weak", "strong"})

    def __init__(
        self,
        env: Env,
        addons: Sequence[AddOn] = (),
        *,
        threshold: PositiveShare,
        weight: NonNegative,
        confidence: Literal["refined", "raw"],
        strong_views: Literal[1, 2] = 1,
        targets: Literal["hard", "soft"] = "hard",
    ) -> None:
        super().__init__(addons)
        self.views = Views(x=("weak",), u=("weak", "strong") if strong_views == 1 else ("weak", "strong", "strong2"))
        self.threshold, self.weight, self.confidence = threshold, weight, confidence
        self.targets = targets

    def step(self, batch: Batch, models: Models) -> tuple[Losses, Step]:
        """Compute the losses with one forward pass of labeled images, weak and strong views."""
        out = forward_jointly(models.student, labeled=batch.x["weak"], **{view: batch.u[view] for view in self.views.u})
        step = self.begin(batch, models, out)
        losses = {"supervised": self.supervised(out["labeled"].logits, step)}
        p = self.adjust(out["weak"].logits.detach(), Role.PSEUDO_LABEL, step).softmax(-1)
        step = self.refine(p, step)
        thresholded = step.targets if self.confidence == "refined" else p  # fidelity: confidence
        weights = self.weigh((thresholded.amax(-1) >= self.threshold).float(), Role.CONSISTENCY, step)
        step = step._replace(mask=weights > 0)
        strong = [self.adjust(out[view].logits, Role.CONSISTENCY, step) for view in self.views.u[1:]]
        losses["consistency"] = self.weight * consistency(strong, self.labels(step.targets), weights)
        return losses | self.addon_losses(step), step

    def labels(self, probs: Tensor) -> Tensor:
        """Return the targets of the unlabeled loss: the classes (U,) of pseudo-labels (U, K), or these if soft."""
        return probs if self.targets == "soft" else probs.argmax(-1)
