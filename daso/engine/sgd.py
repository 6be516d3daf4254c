"""Stochastic gradient descent with momentum, in torch's functional form and one fused kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd


def head_factors(factor: float) -> dict[str, float]:
    """Return the factors of the learning rate by name: `factor` for all weights after the encoder."""
    return {"classifier.": factor, "heads.": factor}  # fidelity: classifier-rate


class SGD:
    """SGD as `torch.optim.SGD`, bit for bit.

    `factors` multiply the learning rate of the weights whose names begin with their key; the longest such key counts,
    and other weights have the factor 1. Without `decay_biases`, biases have no weight decay.
    `torch.optim.SGD` would import torch's compiler, which takes as long as importing torch itself, even if nothing is
    compiled.
    """

    def __init__(
        self,
        weights: Mapping[str, nn.Parameter],
        rate: Tensor,
        factors: Mapping[str, float] | None = None,
        *,
        decay_biases: bool = True,
        **options: Any,
    ) -> None:
        self.weights, self.rate, self.options = weights, rate, options
        # Zeros give the same first step as a missing buffer.
        self.momentum = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        self.groups = dict[tuple[float, bool], list[str]]()  # names of the weights by factor, and if they are decayed
        for name in weights:
            prefix = max((each for each in factors or {} if name.startswith(each)), key=len, default=None)
            factor = 1 if factors is None or prefix is None else factors[prefix]
            decayed = decay_biases or name.rpartition(".")[2] != "bias"
            self.groups.setdefault((factor, decayed), []).append(name)

    def zero_grad(self) -> None:
        """Delete all gradients."""
        for weight in self.weights.values():
            weight.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Update the weights that have a gradient, and their momentum, in place."""
        options = {"dampening": 0.0, "maximize": False, "fused": True, **self.options}
        for (factor, decayed), names in self.groups.items():
            updated = {name: self.weights[name] for name in names if self.weights[name].grad is not None}
            gradients = [weight.grad for weight in updated.values()]
            momenta = [self.momentum[name] for name in updated]
            rate = self.rate if factor == 1 else self.rate * factor
            decay = options["weight_decay"] if decayed else 0.0
            sgd([*updated.values()], gradients, momenta, **{**options, "lr": rate, "weight_decay": decay})  # type: ignore[arg-type]
