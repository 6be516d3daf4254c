"""The teacher: an exponential moving average of the student (Tarvainen and Valpola 2017)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from daso.models.network import Network

TeacherBN = Literal["authors", "pure_average"]


def prepare(teacher: Network, bn: TeacherBN) -> None:
    """Stop gradients, and decide what the teacher's own training forwards do to its running statistics.

    `authors`: they overwrite a tenth of them, as any forward in train mode does; in DASO this makes the evaluated
    statistics those of weakly augmented labeled batches. `pure_average`: they leave them, so that the statistics are
    the average of the student's and nothing else.
    """
    teacher.requires_grad_(False)
    if bn == "pure_average":  # fidelity: teacher-bn
        for module in teacher.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.0


def _averaged(network: Network) -> list[Tensor]:
    return [*network.parameters(), *(b for b in network.buffers() if b.is_floating_point())]


@torch.no_grad()
def follow(teacher: Network, student: Network, decay: Tensor) -> None:
    """Teacher <- decay * teacher + (1 - decay) * student, parameters and BN statistics alike; decay is ()."""
    mine, theirs = _averaged(teacher), [tensor.detach() for tensor in _averaged(student)]
    torch._foreach_mul_(mine, decay)
    torch._foreach_add_(mine, torch._foreach_mul(theirs, 1 - decay))
