"""LDAM-DRW: margins that depend on the label distribution, and deferred re-weighting (Cao et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from daso.errors import ParamsError
from daso.methods.base import AddOn
from daso.ops.distributions import class_weights
from daso.records import Env, Role, Step


class LDAM(AddOn):
    """The labeled loss asks more of rare classes, and later weighs them more (Cao et al. 2019, section 3).

    The logit of the true class is lowered by a margin proportional to N_k^(-1/4), `margin` for the rarest class, before
    all are multiplied by `scale`; the weights are class-balanced ones. Before `start`, a share of the run's steps, the
    labeled loss is plain cross-entropy.
    """

    adjusts = frozenset({"supervised"})
    margins: Tensor
    weights: Tensor

    def __init__(self, env: Env, *, margin: float, scale: float, beta: float, start: float) -> None:
        super().__init__()
        if not (margin >= 0 and scale > 0):
            raise ParamsError(f"add-on 'ldam': margin is at least 0 and scale above 0, not {margin} and {scale}")
        if not 0 <= beta <= 1:
            raise ParamsError(f"add-on 'ldam': beta is a number from 0 to 1, not {beta}")
        if not 0 <= start < 1:
            raise ParamsError(f"add-on 'ldam': start is a share of the run, from 0 to below 1, not {start}")
        self.scale, self.start = scale, round(start * env.steps)
        counts = torch.tensor(env.counts, dtype=torch.float64)
        margins = counts**-0.25
        self.register_buffer("margins", torch.diag(margin * margins / margins.max()).float(), persistent=False)
        self.register_buffer("weights", class_weights(counts, beta), persistent=False)

    def adjust(self, logits: Tensor, role: Role, step: Step) -> Tensor:
        """Logits (B, K) of the labeled loss: scale * (z - Delta_y e_y)."""
        if role is not Role.SUPERVISED:
            return logits
        return torch.where(self.started(step), self.scale * (logits - self.margins[step.batch.y]), logits)

    def weigh(self, weights: Tensor, role: Role, step: Step) -> Tensor:
        """Weights (B,) of the labeled loss, so that its mean is the weighted mean: divided by their own sum."""
        if role is not Role.SUPERVISED:
            return weights
        own = self.weights[step.batch.y]
        return torch.where(self.started(step), weights * own / own.mean(), weights)

    def started(self, step: Step) -> Tensor:
        """Whether () margins and weights hold by now."""
        return step.batch.t + 1 >= self.start  # fidelity: ldam-start
