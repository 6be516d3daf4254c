"""DebiasPL: debiased pseudo-labels and an adaptive margin (Wang et al. 2022)."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from daso.errors import ParamsError
from daso.methods.base import AddOn
from daso.ops.distributions import debiased
from daso.records import Env, Role, Step


class Debias(AddOn):
    """Take the running mean of the predictions out of the guess, put it into the loss (Wang et al. 2022).

    The mean is one of predictions as the network makes them, of all weak views of a batch, confident or not: with it a
    class that is guessed often loses pseudo-labels, and needs less of a logit in the unlabeled loss. `strength` is the
    paper's lambda, `momentum` its m. Labels are made by the mean as it was before the batch; the `margin` of the loss
    goes by the updated one, as in the authors' code, or by the previous one too.
    """

    needs = frozenset({"weak"})
    adjusts = frozenset({"guess", "consistency"})
    mean: Tensor

    def __init__(
        self, env: Env, *, strength: float, momentum: float, margin: Literal["updated", "previous"] = "updated"
    ) -> None:
        super().__init__()
        if not strength >= 0:
            raise ParamsError(f"add-on 'debias': strength is at least 0, not {strength}")
        if not 0 <= momentum < 1:
            raise ParamsError(f"add-on 'debias': momentum is from 0 to below 1, not {momentum}")
        self.strength, self.momentum, self.margin = strength, momentum, margin
        self.register_buffer("mean", torch.full((env.num_classes,), 1 / env.num_classes))  # (K,), one number a class

    def adjust(self, logits: Tensor, role: Role, step: Step) -> Tensor:
        """Logits (n, K) - lambda log mean for the guess, + lambda log mean for the loss: a margin."""
        if role is Role.GUESS:
            return debiased(logits, self.mean, self.strength)
        if role is Role.CONSISTENCY:  # fidelity: debias-order
            return debiased(logits, self.updated(step) if self.margin == "updated" else self.mean, -self.strength)
        return logits

    def commit(self, step: Step, memo: Any) -> None:
        """Keep the updated mean."""
        self.mean.copy_(self.updated(step))

    def pseudo_labels(self, step: Step, memo: Any) -> dict[str, Tensor]:
        """The weak view's predictions without the mean, by themselves."""
        return {"debiased": debiased(step.out["weak"].logits.detach(), self.mean, self.strength).softmax(-1)}

    @torch.no_grad()
    def updated(self, step: Step) -> Tensor:
        """The mean (K,) after this batch; writes nothing."""
        news = step.out["weak"].logits.softmax(-1).mean(0)
        return self.momentum * self.mean + (1 - self.momentum) * news
