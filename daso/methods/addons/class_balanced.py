"""Class-balanced weights of the labeled loss (Cui et al. 2019), deferred (Cao et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from daso.errors import ParamsError
from daso.methods.base import AddOn
from daso.ops.distributions import class_weights
from daso.records import Env, Role, Step


class ClassBalanced(AddOn):
    """Labeled images count by the inverse effective number of their class (Cui et al. 2019, section 4).

    The weights of the classes are one on average; the loss of a batch is the sum over its images divided by their
    number, not by their weights. Before `start`, a share of the run's steps, every image counts one; 0 weighs from the
    first step on. With `beta` 1 the weights are inverse to the labeled counts.
    """

    weights: Tensor

    def __init__(self, env: Env, *, beta: float, start: float) -> None:
        super().__init__()
        if not 0 <= beta <= 1:
            raise ParamsError(f"add-on 'class_balanced': beta is a number from 0 to 1, not {beta}")
        if not 0 <= start < 1:
            raise ParamsError(f"add-on 'class_balanced': start is a share of the run, from 0 to below 1, not {start}")
        self.start = round(start * env.steps)
        self.register_buffer("weights", class_weights(torch.tensor(env.counts), beta), persistent=False)

    def weigh(self, weights: Tensor, role: Role, step: Step) -> Tensor:
        """Weights (B,) of the labeled loss, each times that of its class once `start` steps are under way or done."""
        if role is not Role.SUPERVISED:
            return weights
        started = step.batch.t + 1 >= self.start  # fidelity: cb-start
        return torch.where(started, weights * self.weights[step.batch.y], weights)
