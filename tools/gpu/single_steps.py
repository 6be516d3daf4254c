"""Compare single steps of two runs in different modes, each taken from equal states."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from daso.engine.train import Trainer

# A compiled step in fp32 is this close to an eager one. Rounding alone moves gradients by some 1e-6 of their norm,
# but by up to 1.3e-3 in small networks where it takes the input of a LeakyReLU across zero.
CLOSE = {"losses": 1e-4, "gradients": 1e-2, "weights": 1e-4}


def differences(eager: Trainer, other: Trainer, steps: Iterable[int]) -> dict[str, float]:
    """Return how far single steps of another mode are from eager ones, each taken from the eager run's state.

    Differences would grow from step to step, so `other` gets the eager state before every compared step. The largest
    over the steps: "losses", relative to each loss (or 1e-3); "gradients", the norm of the difference by that of
    the gradients of all weights, weight decay included; "weights", the same for the updated weights of the student.
    """
    found = {"losses": 0.0, "gradients": 0.0, "weights": 0.0}
    keep = eager.config["optimizer"]["momentum"]
    for t in steps:
        eager.advance(t)
        eager.monitor.drain()
        copy_state(eager, other)
        before = {name: tensor.clone() for name, tensor in eager.momentum.items()}
        one, two = (_step(run) for run in (eager, other))
        found["losses"] = max([found["losses"], *(abs(one[n] - two[n]) / max(abs(one[n]), 1e-3) for n in one)])
        error = _norm([tensor - other.momentum[name] for name, tensor in eager.momentum.items()])
        total = _norm([tensor - keep * before[name] for name, tensor in eager.momentum.items()])
        found["gradients"] = max(found["gradients"], error / total)
        ours, theirs = (list(run.models.student.parameters()) for run in (eager, other))
        error, total = _norm([a - b for a, b in zip(ours, theirs, strict=True)]), _norm(ours)
        found["weights"] = max(found["weights"], error / total)
    return found


def copy_state(source: Trainer, target: Trainer) -> None:
    """Give a run the step and the state of another one, in place, as its graphs read the same addresses."""
    target.monitor.restore(source.monitor.state(), source.monitor.record())
    state = source.written()
    with torch.no_grad():
        for name, tensor in target.written().items():
            tensor.copy_(state[name])
    target.t = source.t


def _norm(tensors: Iterable[Tensor]) -> float:
    return float(torch.stack([tensor.detach().norm() for tensor in tensors]).norm())


def _step(run: Trainer) -> dict[str, float]:
    """Take one step; return its losses."""
    run.advance(run.t + 1)
    return {name: value for name, value in run.monitor.drain().items() if name.startswith("loss_")}
