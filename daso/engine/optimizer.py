"""Optimizers in torch's functional form, each with one fused kernel for a group of weights.

The classes of `torch.optim` would import torch's compiler, which takes as long as importing torch itself, even if
nothing is compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from daso.models.network import ENCODER, Network
from daso.ops.schedules import learning_rate

SCHEDULE = ("lr", "warmup", "milestones", "factor", "anneal", "staircase")


def head_factors(factor: float) -> dict[str, float]:
    """Return the factors of the learning rate by name: `factor` for all weights after the encoder."""
    return {"classifier.": factor, "heads.": factor}  # fidelity: classifier-rate


def layer_factors(groups: Mapping[str, int], decay: float) -> dict[str, float]:
    """Return the factors of the learning rate of an encoder's weights, given the group of layers of each.

    That of group g of G is decay^(G - g), so that the heads' factor, 1, continues the sequence (Bao et al. 2022).
    """
    number = max(groups.values()) + 1
    return {f"{ENCODER}{name}": decay ** (number - group) for name, group in groups.items()}


class FusedOptimizer:
    """Groups of weights that share a learning rate and a weight decay, and their state by kind and name.

    `factors` multiply the learning rate of the weights whose names begin with their key; the longest such key counts,
    and other weights have the factor 1. Without `decay_biases`, biases and the weights of normalisation layers, which
    have one dimension, have no weight decay. A step updates weights and state in place, without host-device
    synchronization.
    """

    def __init__(
        self,
        weights: Mapping[str, nn.Parameter],
        rate: Tensor,
        factors: Mapping[str, float] | None = None,
        *,
        weight_decay: float,
        decay_biases: bool = True,
    ) -> None:
        self.weights, self.rate, self.weight_decay = weights, rate, weight_decay
        self.state: dict[str, dict[str, Tensor]] = {}
        self.groups = dict[tuple[float, bool], list[str]]()  # names of the weights by factor, and if they are decayed
        for name, weight in weights.items():
            prefix = max((each for each in factors or {} if name.startswith(each)), key=len, default=None)
            factor = 1 if factors is None or prefix is None else factors[prefix]
            decayed = decay_biases or not (name.rpartition(".")[2] == "bias" or weight.ndim == 1)
            self.groups.setdefault((factor, decayed), []).append(name)

    def zero_grad(self) -> None:
        """Delete all gradients."""
        for weight in self.weights.values():
            weight.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Update the weights that have a gradient, and their state."""
        for (factor, decayed), names in self.groups.items():
            updated = [name for name in names if self.weights[name].grad is not None]
            rate = self.rate if factor == 1 else self.rate * factor
            self.update(updated, rate, self.weight_decay if decayed else 0.0)

    def update(self, names: Sequence[str], rate: Tensor, weight_decay: float) -> None:
        """Update the named weights, all of which have a gradient, and their state."""
        raise NotImplementedError

    def _weights_and_gradients(self, names: Sequence[str]) -> tuple[list[Any], list[Any]]:
        weights = [self.weights[name] for name in names]
        return weights, [weight.grad for weight in weights]

    def _zeros(self) -> dict[str, Tensor]:
        return {name: torch.zeros_like(weight) for name, weight in self.weights.items()}


class SGD(FusedOptimizer):
    """SGD with momentum as `torch.optim.SGD`, bit for bit."""

    def __init__(self, *args: Any, momentum: float, nesterov: bool, **options: Any) -> None:
        super().__init__(*args, **options)
        self.update_options = {"momentum": momentum, "nesterov": nesterov, "dampening": 0.0, "maximize": False}
        self.state = {"momentum": self._zeros()}  # zeros give the same first step as a missing buffer

    def update(self, names: Sequence[str], rate: Tensor, weight_decay: float) -> None:
        """See the base class."""
        momenta: list[Any] = [self.state["momentum"][name] for name in names]
        options: dict[str, Any] = {**self.update_options, "lr": rate, "weight_decay": weight_decay, "fused": True}
        sgd(*self._weights_and_gradients(names), momenta, **options)


class Adam(FusedOptimizer):
    """Adam (Kingma and Ba 2015), with weight decay in the gradient, as `torch.optim.Adam`, bit for bit."""

    functional: ClassVar[Callable[..., None]] = staticmethod(adam)

    def __init__(self, *args: Any, betas: Sequence[float], eps: float, **options: Any) -> None:
        super().__init__(*args, **options)
        first, second = betas
        self.update_options = {"beta1": first, "beta2": second, "eps": eps, "amsgrad": False, "maximize": False}
        steps = {name: weight.new_zeros((), dtype=torch.float32) for name, weight in self.weights.items()}
        self.state = {"exp_avg": self._zeros(), "exp_avg_sq": self._zeros(), "updates": steps}

    def update(self, names: Sequence[str], rate: Tensor, weight_decay: float) -> None:
        """See the base class."""
        means, squares, steps = ([tensors[name] for name in names] for tensors in self.state.values())
        options: dict[str, Any] = {**self.update_options, "lr": rate, "weight_decay": weight_decay, "fused": True}
        self.functional(*self._weights_and_gradients(names), means, squares, [], steps, **options)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019) as `torch.optim.AdamW`, bit for bit."""

    functional = staticmethod(adamw)


class StateDecay:
    """Decay of a network's whole state after a step, weights and running statistics (code of Berthelot et al. 2019).

    It follows the update of the EMA model. The tensors that the encoder freezes are left out, and all of an encoder
    without a trained weight.
    """

    def __init__(self, network: Network, strength: float) -> None:
        self.strength = strength
        encoder = network.encoder
        trained = any(weight.requires_grad for weight in encoder.parameters())
        frozen = {f"{ENCODER}{name}" for name in (encoder.frozen if trained else encoder.state_dict())}
        state = network.state_dict().items()  # tensors of it share the memory of the network's
        self.tensors = [value for name, value in state if value.is_floating_point() and name not in frozen]

    def apply(self, rate: Tensor) -> None:
        """Multiply all tensors by 1 - rate * strength in place, given the learning rate () of the step."""
        torch._foreach_mul_(self.tensors, 1 - rate * self.strength)


OPTIMIZERS: dict[str, type[FusedOptimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}
UPDATE = ("momentum", "nesterov", "betas", "eps", "weight_decay", "decay_biases")


def rate_table(steps: int, options: Mapping[str, Any]) -> Tensor:
    """Return the learning rates (S,) of a configuration's optimizer."""
    return learning_rate(steps, **{name: options[name] for name in SCHEDULE if name in options})


def make_optimizer(
    weights: Mapping[str, nn.Parameter], rate: Tensor, options: Mapping[str, Any], groups: Mapping[str, int]
) -> FusedOptimizer:
    """Return a configuration's optimizer of these weights; `groups` are the encoder's groups of layers by weight."""
    factors = head_factors(options["classifier_rate"]) if "classifier_rate" in options else {}
    factors |= layer_factors(groups, options["layer_decay"]) if "layer_decay" in options else {}
    own = {name: options[name] for name in UPDATE if name in options}
    return OPTIMIZERS[options.get("algorithm", "sgd")](weights, rate, factors, **own)
