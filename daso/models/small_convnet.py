"""Small convolutional encoder for small images and short runs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from daso.errors import ParamsError
from daso.models.network import Encoder
from daso.models.norm import BatchNorm2d
from daso.schema import PositiveInt


class SmallConvNet(Encoder):
    """3x3 convolutions with BN and LeakyReLU(0.1), then mean pooling: (n, 3, H, W) -> (n, channels[-1])."""

    def __init__(self, *, channels: Sequence[PositiveInt], strides: Sequence[PositiveInt]) -> None:
        super().__init__()
        if not channels or len(channels) != len(strides):
            raise ParamsError(
                f"network 'small_convnet': {len(channels)} channels, {len(strides)} strides; give as many, at least 1"
            )
        layers: list[nn.Module] = []
        for inputs, outputs, stride in zip([3, *channels[:-1]], channels, strides, strict=True):
            layers += [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), BatchNorm2d(outputs), nn.LeakyReLU(0.1)]
        self.layers = nn.Sequential(*layers)
        self.feature_dim = channels[-1]

    def forward(self, images: Tensor) -> Tensor:
        """Compute features: (n, 3, H, W) -> (n, D)."""
        maps: Tensor = self.layers(images)
        return maps.mean((2, 3), dtype=torch.float32)
