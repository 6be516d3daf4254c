"""Class-balanced weights of the labeled loss (Cui et al. 2019), deferred (Cao et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from daso.methods.base import AddOn
from daso.ops.distributions import class_weights
from daso.records import Env, Role, Step
from daso.schema import Probability, ShareBelowOne


class ClassBalanced(AddOn):
    """Class-balanced weights, inverse to the effective number of labeled images (Cui et al. 2019, section 4).

    The mean weight of the classes is one; the loss of a batch is the weighted sum divided by the number of images, not
    by the sum of weights. Before `start`, a share of the run's steps, all weights are one; with 0 the weights apply
    from the first step on. With `beta` 1 they are inverse to the labeled counts.
    """

    weighs_classes = True
    weights: Tensor

    def __init__(self, env: Env, *, beta: Probability, start: ShareBelowOne) -> None:
        super().__init__()
        self.start = round(start * env.steps)
        self.register_buffer("weights", class_weights(torch.tensor(env.counts), beta), persistent=False)

    def weigh(self, weights: Tensor, role: Role, step: Step) -> Tensor:
        """Return the weights (B,) of the labeled loss, times the weights of the classes from the `start`-th step on."""
        if role is not Role.SUPERVISED:
            return weights
        started = step.batch.t + 1 >= self.start  # fidelity: cb-start
        return torch.where(started, weights * self.weights[step.batch.y], weights)
