"""Compare single steps of two runs in different modes, each from equal states."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from daso.engine.trainer import Trainer

# Tolerances between a compiled and an eager step in fp32. Rounding moves gradients by about 1e-6 of their norm, but by
# up to 1.3e-3 in small networks if it changes the sign of a LeakyReLU's input.
CLOSE = {"losses": 1e-4, "gradients": 1e-2, "weights": 1e-4}


def differences(eager: Trainer, other: Trainer, steps: Iterable[int]) -> dict[str, float]:
    """Return the largest differences between single steps of a different mode and eager steps.

    Differences would grow from step to step, so the eager state is copied to `other` before each compared step.
    "losses" are relative to each loss, or to 1e-3 if that is larger; "gradients" is the norm of the difference relative
    to the norm of all gradients, with weight decay; "weights" is the same for the student's updated weights.
    """
    largest = {"losses": 0.0, "gradients": 0.0, "weights": 0.0}
    optimizer = eager.config["optimizer"]
    decay = optimizer["betas"][0] if "betas" in optimizer else optimizer["momentum"]
    for t in steps:
        eager.advance(t)
        eager.monitor.drain()
        copy_state(eager, other)
        before = {name: tensor.clone() for name, tensor in _momentum(eager).items()}
        one, two = (_step(run) for run in (eager, other))
        largest["losses"] = max([largest["losses"], *(abs(one[n] - two[n]) / max(abs(one[n]), 1e-3) for n in one)])
        error = _norm([tensor - _momentum(other)[name] for name, tensor in _momentum(eager).items()])
        total = _norm([tensor - decay * before[name] for name, tensor in _momentum(eager).items()])
        largest["gradients"] = max(largest["gradients"], error / total)
        expected, weights = (list(run.models.student.parameters()) for run in (eager, other))
        error, total = _norm([a - b for a, b in zip(expected, weights, strict=True)]), _norm(expected)
        largest["weights"] = max(largest["weights"], error / total)
    return largest


def copy_state(source: Trainer, target: Trainer) -> None:
    """Copy step and state of one run to another, in place because the target's graphs use fixed addresses."""
    target.monitor.restore(source.monitor.state(), source.monitor.record())
    state = source.written_tensors()
    with torch.no_grad():
        for name, tensor in target.written_tensors().items():
            tensor.copy_(state[name])
    target.t = source.t


def _norm(tensors: Iterable[Tensor]) -> float:
    return float(torch.stack([tensor.detach().norm() for tensor in tensors]).norm())


def _momentum(run: Trainer) -> dict[str, Tensor]:
    """Return the running sums of the gradients, or their means, by weight."""
    return next(iter(run.optimizer.state.values()))


def _step(run: Trainer) -> dict[str, float]:
    """Take one step; return its losses."""
    run.advance(run.t + 1)
    return {name: value for name, value in run.monitor.drain().items() if name.startswith("loss_")}
