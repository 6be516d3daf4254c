"""Supervised learning, on the labeled images alone."""

from __future__ import annotations

from collections.abc import Sequence

from daso.methods.base import AddOn, Learner, Views
from daso.models.network import Models
from daso.records import Batch, Env, Losses, Step


class Supervised(Learner):
    """Cross-entropy on the labeled images; the evaluation model is the student, unless the protocol sets one."""

    views = Views(x=("weak",), u=())
    provides = frozenset({"labeled"})
    evaluation_model = "student"

    def __init__(self, env: Env, addons: Sequence[AddOn] = ()) -> None:
        super().__init__(addons)

    def step(self, batch: Batch, models: Models) -> tuple[Losses, Step]:
        """Compute the loss of one labeled batch."""
        step = self.begin(batch, models, {"labeled": models.student(batch.x["weak"])})
        return {"supervised": self.supervised(step.out["labeled"].logits, step)}, step
