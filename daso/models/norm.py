"""Batch normalisation (Ioffe and Szegedy 2015) without the batch counter."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class BatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` with a given momentum that leaves `num_batches_tracked` at zero: (n, C, H, W) -> same shape.

    With a given momentum the counter is unused, and on CUDA it costs one kernel per layer and forward. It stays in the
    state dict, so that weights load into `nn.BatchNorm2d` and back.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise by the batch in training and update the running statistics; in evaluation normalise by these."""
        momentum = 0.0 if self.momentum is None else self.momentum
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training, momentum, self.eps
        )
