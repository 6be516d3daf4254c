"""MixMatch (Berthelot et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from daso.draw import Draw
from daso.methods.base import AddOn, Learner, Views
from daso.methods.mixed import mixed_logits
from daso.models.network import Models
from daso.ops.distributions import one_hot
from daso.ops.losses import masked_mean
from daso.ops.mixing import mixing_weights, mixup
from daso.ops.schedules import at, ramp
from daso.records import Batch, Env, Losses, Role, Step
from daso.schema import NonNegative, Positive, PositiveShare


class MixMatch(Learner):
    """MixMatch: mixup of all images with averaged pseudo-labels of two weak views (Berthelot et al. 2019, algorithm 1).

    The pseudo-label of an image is the mean of its predictions on both weak views; mixup mixes labels too. The
    sharpening is the add-on `sharpen`. The weight of the unlabeled loss rises linearly from 0 to `weight` over the
    share `ramp_up` of the run.
    """

    on_features = "refused"  # mixed features are not the features of mixed images
    views = Views(x=("weak",), u=("weak", "weak2"))
    provides = frozenset({"weak"})
    mix: Tensor
    ramp: Tensor

    def __init__(
        self,
        env: Env,
        addons: Sequence[AddOn] = (),
        *,
        alpha: Positive,
        weight: NonNegative,
        ramp_up: PositiveShare,
        mixed_batches: Literal["interleave", "joint"],
    ) -> None:
        super().__init__(addons)
        self.weight, self.mixed_batches = weight, mixed_batches
        mix = mixing_weights(alpha, Draw(env.seed, "mix", torch.arange(env.steps)))
        self.register_buffer("mix", mix, persistent=False)  # (S,)
        self.register_buffer("ramp", ramp(env.steps, ramp_up * env.steps, "linear"), persistent=False)  # (S,)

    def step(self, batch: Batch, models: Models) -> tuple[Losses, Step]:
        """Compute the losses: one forward pass of each weak view without gradient, then passes of the mixed batch."""
        x, u, student, b = batch.x["weak"], batch.u, models.student, len(batch.y)
        with torch.no_grad():
            out = {view: student(u[view]) for view in self.views.u}
        step = self.begin(batch, models, out)
        probs = [self.adjust(view.logits, Role.PSEUDO_LABEL, step).softmax(-1) for view in out.values()]
        step = self.refine(torch.stack(probs).mean(0), step)
        q = step.targets
        images, labels = torch.cat([x, u["weak"], u["weak2"]]), torch.cat([one_hot(batch.y, q.shape[1]), q, q])
        images, labels = mixup(images, labels, at(self.mix, batch.t), batch.draw("mixup"))
        logits = mixed_logits(student, images, b, self.mixed_batches)
        losses = {"supervised": self.supervised(logits[:b], step, labels[:b])}
        z = self.adjust(logits[b:], Role.CONSISTENCY, step)
        squared_errors = (z.softmax(-1) - labels[b:]).square().mean(-1)
        weights = self.weigh(torch.ones_like(q[:, 0]), Role.CONSISTENCY, step)
        losses["consistency"] = self.weight * at(self.ramp, batch.t) * masked_mean(squared_errors, weights.repeat(2))
        return losses | self.addon_losses(step), step
