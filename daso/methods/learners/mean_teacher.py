"""Mean Teacher (Tarvainen and Valpola 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from daso.methods.base import AddOn, Learner, Views, forward_jointly
from daso.models.network import Models
from daso.ops.losses import masked_mean
from daso.ops.schedules import at, ramp
from daso.records import Batch, Env, Losses, Output, Role, Step
from daso.schema import NonNegative, PositiveShare


class MeanTeacher(Learner):
    """Mean Teacher: consistency with the teacher on a second weak view (Tarvainen and Valpola 2017, section 2).

    The weight of the unlabeled loss rises linearly from 0 to `weight` over the share `ramp_up` of the run.
    """

    views = Views(x=("weak",), u=("weak", "weak2"))
    provides = frozenset({"labeled", "weak"})  # "weak" is the teacher's output on the second view
    ramp: Tensor

    def __init__(self, env: Env, addons: Sequence[AddOn] = (), *, weight: NonNegative, ramp_up: PositiveShare) -> None:
        super().__init__(addons)
        self.weight = weight
        self.register_buffer("ramp", ramp(env.steps, ramp_up * env.steps, "linear"), persistent=False)  # (S,)

    def step(self, batch: Batch, models: Models) -> tuple[Losses, Step]:
        """Compute the losses with one forward pass of the student and one of the teacher."""
        out = forward_jointly(models.student, labeled=batch.x["weak"], weak=batch.u["weak"])
        step = self.begin(batch, models, {"labeled": out["labeled"]} | self.teacher_outputs(batch, models))
        losses = {"supervised": self.supervised(out["labeled"].logits, step)}
        p = self.adjust(step.out["weak"].logits, Role.PSEUDO_LABEL, step).softmax(-1)
        step = self.refine(p, step)
        z = self.adjust(out["weak"].logits, Role.CONSISTENCY, step)
        squared_errors = (z.softmax(-1) - step.targets).square().mean(-1)  # fidelity: mean-squares
        weights = self.weigh(torch.ones_like(squared_errors), Role.CONSISTENCY, step)
        losses["consistency"] = self.weight * at(self.ramp, batch.t) * masked_mean(squared_errors, weights)
        return losses | self.addon_losses(step), step

    @torch.no_grad()
    def teacher_outputs(self, batch: Batch, models: Models) -> dict[str, Output]:
        """Return the teacher's outputs from one pass, including the labeled images if an add-on reads that output."""
        views = {"labeled_teacher": batch.x["weak"]} if "labeled_teacher" in self.needs else {}
        return forward_jointly(models.teacher, **views, weak=batch.u["weak2"])  # fidelity: teacher-bn
