"""Teacher: an exponential moving average (EMA) of the student (Tarvainen and Valpola 2017)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from daso.models.network import ENCODER, Network

TeacherBN = Literal["authors", "pure_average"]


def prepare_teacher(teacher: Network, bn: TeacherBN) -> None:
    """Disable gradients, and set how the teacher's own forwards in training mode change its running statistics.

    `authors`: each forward replaces a tenth of them by the batch's, as any forward in training mode does; in DASO the
    evaluated statistics therefore come from weakly augmented labeled batches. `pure_average`: forwards do not change
    them, so the statistics are only the average of the student's.
    """
    teacher.requires_grad_(False)
    if bn == "pure_average":  # fidelity: teacher-bn
        for module in teacher.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.momentum = 0.0


class MovingAverage:
    """Exponential moving average of the student's parameters and BN statistics, which is the teacher.

    Tensors that the encoder freezes are left out, since their average would differ from them in the last bits.
    """

    def __init__(self, teacher: Network, student: Network) -> None:
        self.averages, self.values = _averaged_tensors(teacher), _averaged_tensors(student)

    @torch.no_grad()
    def update(self, decay: Tensor) -> None:
        """Set teacher to decay * teacher + (1 - decay) * student in place; decay has shape ()."""
        torch._foreach_mul_(self.averages, decay)
        torch._foreach_add_(self.averages, torch._foreach_mul(self.values, 1 - decay))


def _averaged_tensors(network: Network) -> list[Tensor]:
    frozen = {f"{ENCODER}{name}" for name in network.encoder.frozen}
    buffers = ((name, buffer) for name, buffer in network.named_buffers() if buffer.is_floating_point())
    tensors = (*network.named_parameters(), *buffers)
    return [tensor.detach() for name, tensor in tensors if name not in frozen]
