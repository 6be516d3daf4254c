"""ReMixMatch (Berthelot et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from daso.draw import Draw
from daso.methods.base import AddOn, Learner, Views, forward_jointly
from daso.methods.mixed import mixed_logits
from daso.models.network import Models
from daso.ops.distributions import one_hot
from daso.ops.losses import cross_entropy, masked_mean, soft_cross_entropy
from daso.ops.mixing import mixing_weights, mixup, rotate
from daso.ops.schedules import at, ramp
from daso.records import Batch, Env, Losses, Output, Role, Step
from daso.schema import NonNegative, Positive, PositiveShare


class ReMixMatch(Learner):
    """ReMixMatch: augmentation anchoring, mixup and rotation prediction (Berthelot et al. 2020).

    The pseudo-label of a weak view, the anchor, is the target of two strong views. The distribution alignment and the
    sharpening are the add-ons of these names. The weights of the loss on the mixed images (`weight`) and of the loss
    on the unmixed first strong view (`premix_weight`) rise linearly from 0 over the share `ramp_up` of the run; the
    weight of the rotation loss (`rotation_weight`) is constant.
    """

    on_features = "refused"  # it rotates images
    views = Views(x=("weak",), u=("weak", "strong", "strong2"), operations="after")
    provides = frozenset({"weak", "strong"})
    heads = {"rotation": 4}
    mix: Tensor
    ramp: Tensor

    def __init__(
        self,
        env: Env,
        addons: Sequence[AddOn] = (),
        *,
        alpha: Positive,
        weight: NonNegative,
        premix_weight: NonNegative,
        rotation_weight: NonNegative,
        ramp_up: PositiveShare,
        mixed_batches: Literal["interleave", "joint"],
    ) -> None:
        super().__init__(addons)
        self.weight, self.premix_weight, self.rotation_weight = weight, premix_weight, rotation_weight
        self.mixed_batches = mixed_batches
        mix = mixing_weights(alpha, Draw(env.seed, "mix", torch.arange(env.steps)))
        self.register_buffer("mix", mix, persistent=False)  # (S,)
        self.register_buffer("ramp", ramp(env.steps, ramp_up * env.steps, "linear"), persistent=False)  # (S,)

    def step(self, batch: Batch, models: Models) -> tuple[Losses, Step]:
        """Compute the losses: forward passes of the anchor, of the mixed batch, of a strong view and of it rotated."""
        x, u, student, b = batch.x["weak"], batch.u, models.student, len(batch.y)
        step = self.begin(batch, models, self.anchors(batch, models))
        p = self.adjust(step.out["weak"].logits.detach(), Role.PSEUDO_LABEL, step).softmax(-1)
        step = self.refine(p, step)
        q = step.targets
        images = torch.cat([x, u["weak"], u["strong"], u["strong2"]])
        labels = torch.cat([one_hot(batch.y, q.shape[1]), q, q, q])
        images, labels = mixup(images, labels, at(self.mix, batch.t), batch.draw("mixup"))
        logits, ramp_factor = mixed_logits(student, images, b, self.mixed_batches), at(self.ramp, batch.t)
        if "strong" not in step.out:
            step = step._replace(out=step.out | {"strong": student(u["strong"])})
        weights = self.weigh(torch.ones_like(q[:, 0]), Role.CONSISTENCY, step)
        losses = {"supervised": self.supervised(logits[:b], step, labels[:b])}
        unlabeled = soft_cross_entropy(self.adjust(logits[b:], Role.CONSISTENCY, step), labels[b:])
        losses["consistency"] = self.weight * ramp_factor * masked_mean(unlabeled, weights.repeat(3))
        premix = soft_cross_entropy(self.adjust(step.out["strong"].logits, Role.CONSISTENCY, step), q)
        losses["premix"] = self.premix_weight * ramp_factor * masked_mean(premix, weights)
        rotated, rotations = rotate(u["strong"], batch.draw("rotation"))
        rotation = cross_entropy(student(rotated).heads["rotation"], rotations)
        losses["rotation"] = self.rotation_weight * rotation.mean()
        return losses | self.addon_losses(step), step

    def anchors(self, batch: Batch, models: Models) -> dict[str, Output]:
        """Return the output of the weak view, without gradient.

        If an add-on reads the strong view, both views share one forward pass with gradient.
        """
        if "strong" in self.needs:  # fidelity: shared-views
            return forward_jointly(models.student, weak=batch.u["weak"], strong=batch.u["strong"])
        with torch.no_grad():
            return {"weak": models.student(batch.u["weak"])}
