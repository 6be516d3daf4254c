"""DebiasPL: debiased pseudo-labels and an adaptive margin (Wang et al. 2022)."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from daso.methods.base import AddOn
from daso.methods.memory import RunningPrior
from daso.ops.distributions import debiased
from daso.records import Env, Role, Step
from daso.schema import NonNegative, ShareBelowOne


class Debias(AddOn):
    """DebiasPL: debiased pseudo-labels and adaptive margin, by the running mean prediction (Wang et al. 2022).

    The running mean is over the network's own predictions on all weak views, above the threshold or not. Its log is
    subtracted from the logits of the pseudo-labels, so that a class predicted often gets fewer of them, and added to
    the logits of the unlabeled loss, where it is a margin. `strength` is the paper's lambda, `momentum` its m.
    Pseudo-labels use the mean before the batch; `margin` selects the mean of the loss: `updated` by the batch, as in
    the authors' code, or `previous`.
    """

    needs = frozenset({"weak"})
    adjusts = frozenset({"pseudo_label", "consistency"})

    def __init__(
        self,
        env: Env,
        *,
        strength: NonNegative,
        momentum: ShareBelowOne,
        margin: Literal["updated", "previous"],
    ) -> None:
        super().__init__()
        self.strength, self.margin = strength, margin
        self.mean = RunningPrior(env.num_classes, momentum)

    def adjust(self, logits: Tensor, role: Role, step: Step) -> Tensor:
        """Return logits (n, K) - lambda log mean for pseudo-labels, + lambda log mean for the unlabeled loss."""
        if role is Role.PSEUDO_LABEL:
            return debiased(logits, self.mean.shares, self.strength)
        if role is Role.CONSISTENCY:  # fidelity: debias-order
            mean = self.updated(step) if self.margin == "updated" else self.mean.shares
            return debiased(logits, mean, -self.strength)
        return logits

    def commit(self, step: Step, memo: Any) -> None:
        """Write the updated mean."""
        self.mean.commit(self.updated(step))

    def pseudo_labels(self, step: Step, memo: Any) -> dict[str, Tensor]:
        """Return the debiased predictions on the weak view, unaffected by other add-ons."""
        return {"debiased": debiased(step.out["weak"].logits.detach(), self.mean.shares, self.strength).softmax(-1)}

    @torch.no_grad()
    def updated(self, step: Step) -> Tensor:
        """Return the running mean (K,) after this batch; writes no state."""
        return self.mean.updated(step.out["weak"].logits.softmax(-1).sum(0))
