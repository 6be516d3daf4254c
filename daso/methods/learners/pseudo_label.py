"""Pseudo-Label (Lee 2013)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from daso.methods.base import AddOn, Learner, Views, forward_jointly
from daso.models.network import Models
from daso.ops.losses import cross_entropy, masked_mean
from daso.ops.schedules import at, ramp
from daso.records import Batch, Env, Losses, Role, Step
from daso.schema import NonNegative, PositiveShare


class PseudoLabel(Learner):
    """Pseudo-Label: confident pseudo-labels of a weak view as targets of the same view (Lee 2013, Eq. 15).

    The threshold follows Oh et al. 2022, supplement. The weight of the unlabeled loss rises linearly from 0 to
    `weight` over the share `ramp_up` of the run.
    """

    views = Views(x=("weak",), u=("weak",))
    provides = frozenset({"labeled", "weak"})
    ramp: Tensor

    def __init__(
        self,
        env: Env,
        addons: Sequence[AddOn] = (),
        *,
        threshold: PositiveShare,
        weight: NonNegative,
        ramp_up: PositiveShare,
    ) -> None:
        super().__init__(addons)
        self.threshold, self.weight = threshold, weight
        self.register_buffer("ramp", ramp(env.steps, ramp_up * env.steps, "linear"), persistent=False)  # (S,)

    def step(self, batch: Batch, models: Models) -> tuple[Losses, Step]:
        """Compute the losses with one forward pass of labeled images and weak views."""
        out = forward_jointly(models.student, labeled=batch.x["weak"], weak=batch.u["weak"])
        step = self.begin(batch, models, out)
        losses = {"supervised": self.supervised(out["labeled"].logits, step)}
        p = self.adjust(out["weak"].logits.detach(), Role.PSEUDO_LABEL, step).softmax(-1)
        step = self.refine(p, step)
        weights = self.weigh((step.targets.amax(-1) >= self.threshold).float(), Role.CONSISTENCY, step)
        step = step._replace(mask=weights > 0)
        z = self.adjust(out["weak"].logits, Role.CONSISTENCY, step)  # same logits, with gradient
        unlabeled = masked_mean(cross_entropy(z, step.targets.argmax(-1)), weights)
        losses["consistency"] = self.weight * at(self.ramp, batch.t) * unlabeled
        return losses | self.addon_losses(step), step
