"""LDAM-DRW: margins that depend on the label distribution, and deferred re-weighting (Cao et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from daso.methods.base import AddOn
from daso.ops.distributions import class_weights
from daso.records import Env, Role, Step
from daso.schema import NonNegative, Positive, Probability, ShareBelowOne


class LDAM(AddOn):
    """LDAM-DRW: larger margins and weights for rare classes in the labeled loss (Cao et al. 2019, section 3).

    The logit of the true class is lowered by a margin proportional to N_k^(-1/4), `margin` for the rarest class, and
    all logits are multiplied by `scale`; the weights are class-balanced. Before `start`, a share of the run's steps,
    the labeled loss is plain cross-entropy.
    """

    weighs_classes = True
    adjusts = frozenset({"supervised"})
    margins: Tensor
    weights: Tensor

    def __init__(
        self, env: Env, *, margin: NonNegative, scale: Positive, beta: Probability, start: ShareBelowOne
    ) -> None:
        super().__init__()
        self.scale, self.start = scale, round(start * env.steps)
        counts = torch.tensor(env.counts, dtype=torch.float64)
        margins = counts**-0.25
        self.register_buffer("margins", torch.diag(margin * margins / margins.max()).float(), persistent=False)
        self.register_buffer("weights", class_weights(counts, beta), persistent=False)

    def adjust(self, logits: Tensor, role: Role, step: Step) -> Tensor:
        """Return the logits (B, K) of the labeled loss: scale * (z - Delta_y e_y)."""
        if role is not Role.SUPERVISED:
            return logits
        return torch.where(self.started(step), self.scale * (logits - self.margins[step.batch.y]), logits)

    def weigh(self, weights: Tensor, role: Role, step: Step) -> Tensor:
        """Return the weights (B,) of the labeled loss, scaled to a mean of one: the loss is the weighted mean."""
        if role is not Role.SUPERVISED:
            return weights
        balanced = self.weights[step.batch.y]
        return torch.where(self.started(step), weights * balanced / balanced.mean(), weights)

    def started(self, step: Step) -> Tensor:
        """Return True () once margins and weights apply."""
        return step.batch.t + 1 >= self.start  # fidelity: ldam-start
