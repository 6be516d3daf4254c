"""Batch normalisation (Ioffe and Szegedy 2015) without the batch counter."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class _Uncounted(_BatchNorm):
    """Batch norm with a given momentum that leaves `num_batches_tracked` at zero.

    With a given momentum the counter is unused, and on CUDA it costs one kernel per layer and forward. It stays in the
    state dict, so that weights load into the batch norms of `nn` and back.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise by the batch in training and update the running statistics; in evaluation normalise by these."""
        momentum = 0.0 if self.momentum is None else self.momentum
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training, momentum, self.eps
        )


class BatchNorm1d(_Uncounted, nn.BatchNorm1d):
    """`nn.BatchNorm1d` without the batch counter: (n, C) -> same shape."""


class BatchNorm2d(_Uncounted, nn.BatchNorm2d):
    """`nn.BatchNorm2d` without the batch counter: (n, C, H, W) -> same shape."""
