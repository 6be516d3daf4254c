"""Stochastic gradient descent with momentum, in torch's functional form and one fused kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd


class SGD:
    """SGD as `torch.optim.SGD`, bit for bit.

    That class imports torch's compiler even if nothing is compiled, which takes as long as importing torch itself.
    """

    def __init__(self, weights: Mapping[str, nn.Parameter], rate: Tensor, **options: Any) -> None:
        self.weights, self.rate, self.options = weights, rate, options
        # Zeros give the same first step as a missing buffer.
        self.momentum = {name: torch.zeros_like(weight) for name, weight in weights.items()}

    def zero_grad(self) -> None:
        """Delete all gradients."""
        for weight in self.weights.values():
            weight.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Update the weights that have a gradient, and their momentum, in place."""
        updated = {name: weight for name, weight in self.weights.items() if weight.grad is not None}
        gradients = [weight.grad for weight in updated.values()]
        momenta = [self.momentum[name] for name in updated]
        options = {"dampening": 0.0, "maximize": False, "fused": True, **self.options}
        sgd([*updated.values()], gradients, momenta, lr=self.rate, **options)  # type: ignore[arg-type]
