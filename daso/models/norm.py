"""Batch normalisation (Ioffe and Szegedy 2015) without the batch counter."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class BatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` with a given momentum that leaves `num_batches_tracked` at zero: (n, C, H, W) -> same.

    Nothing reads the counter where the momentum is given, and on CUDA each one costs a kernel per forward. It stays in
    the state dict, so that weights load into `nn.BatchNorm2d` and back.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise by the batch in training, which moves the running statistics, else by the running statistics."""
        momentum = 0.0 if self.momentum is None else self.momentum
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training, momentum, self.eps
        )
