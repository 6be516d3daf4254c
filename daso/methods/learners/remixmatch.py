"""ReMixMatch (Berthelot et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from daso.draw import Draw
from daso.errors import ParamsError
from daso.methods.base import AddOn, Learner, Views, forward_jointly
from daso.methods.mixed import mixed_logits
from daso.models.network import Models
from daso.ops.distributions import one_hot
from daso.ops.losses import cross_entropy, masked_mean, soft_cross_entropy
from daso.ops.mixing import mixing_weights, mixup, rotate
from daso.ops.schedules import at, ramp
from daso.records import Batch, Env, Losses, Output, Role, Step


class ReMixMatch(Learner):
    """Anchor the guess on a weak view, mix it all with strong ones, tell how images are turned (Berthelot et al. 2020).

    Its distribution alignment and sharpening are the add-ons of these names. The losses of `weight`, on the mixed
    images, and of `premix_weight`, on the first strong view as it is, count fully after the share `ramp_up` of the run;
    that of `rotation_weight` always.
    """

    views = Views(x=("weak",), u=("weak", "strong", "strong2"), operations="after")
    makes = frozenset({"weak", "strong"})
    heads = {"rotation": 4}
    mix: Tensor
    ramp: Tensor

    def __init__(
        self,
        env: Env,
        addons: Sequence[AddOn] = (),
        *,
        alpha: float,
        weight: float,
        premix_weight: float,
        rotation_weight: float,
        ramp_up: float,
        mixed_batches: Literal["interleave", "joint"] = "interleave",
    ) -> None:
        super().__init__(addons)
        if alpha <= 0:
            raise ParamsError(f"learner 'remixmatch': alpha is above 0, not {alpha}")
        if min(weight, premix_weight, rotation_weight) < 0:
            raise ParamsError(
                "learner 'remixmatch': weight, premix_weight and rotation_weight are at least 0, "
                f"not {weight}, {premix_weight} and {rotation_weight}"
            )
        if not 0 < ramp_up <= 1:
            raise ParamsError(
                f"learner 'remixmatch': ramp_up is a share of the run, above 0 and at most 1, not {ramp_up}"
            )
        self.weight, self.premix_weight, self.rotation_weight = weight, premix_weight, rotation_weight
        self.mixed_batches = mixed_batches
        mix = mixing_weights(alpha, Draw(env.seed, "mix", torch.arange(env.steps)))
        self.register_buffer("mix", mix, persistent=False)  # (S,)
        self.register_buffer("ramp", ramp(env.steps, ramp_up * env.steps, "linear"), persistent=False)  # (S,)

    def step(self, batch: Batch, models: Models) -> tuple[Losses, Step]:
        """One forward that guesses, one for each part of the mixed batch, one of a strong view and one of it turned."""
        x, u, student, b = batch.x["weak"], batch.u, models.student, len(batch.y)
        step = self.begin(batch, models, self.anchors(batch, models))
        p = self.adjust(step.out["weak"].logits.detach(), Role.GUESS, step).softmax(-1)
        step = self.refine(p, step)
        q = step.targets
        images = torch.cat([x, u["weak"], u["strong"], u["strong2"]])
        labels = torch.cat([one_hot(batch.y, q.shape[1]), q, q, q])
        images, labels = mixup(images, labels, at(self.mix, batch.t), batch.draw("mixup"))
        logits, share = mixed_logits(student, images, b, self.mixed_batches), at(self.ramp, batch.t)
        if "strong" not in step.out:
            step = step._replace(out=step.out | {"strong": student(u["strong"])})
        weights = self.weigh(torch.ones_like(q[:, 0]), Role.CONSISTENCY, step)
        losses = {"supervised": self.supervised(logits[:b], step, labels[:b])}
        unlabeled = soft_cross_entropy(self.adjust(logits[b:], Role.CONSISTENCY, step), labels[b:])
        losses["consistency"] = self.weight * share * masked_mean(unlabeled, weights.repeat(3))
        premix = soft_cross_entropy(self.adjust(step.out["strong"].logits, Role.CONSISTENCY, step), q)
        losses["premix"] = self.premix_weight * share * masked_mean(premix, weights)
        turned, turns = rotate(u["strong"], batch.draw("rotation"))
        rotation = cross_entropy(student(turned).heads["rotation"], turns)
        losses["rotation"] = self.rotation_weight * rotation.mean()
        return losses | self.addon_losses(step), step

    def anchors(self, batch: Batch, models: Models) -> dict[str, Output]:
        """The weak view that guesses; with gradient and beside the strong one where an add-on compares the two."""
        if "strong" in self.needs:  # fidelity: shared-views
            return forward_jointly(models.student, weak=batch.u["weak"], strong=batch.u["strong"])
        with torch.no_grad():
            return {"weak": models.student(batch.u["weak"])}
