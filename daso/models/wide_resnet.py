"""Wide residual networks for 32 x 32 images (Zagoruyko and Komodakis 2016), in the variant of FixMatch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daso.errors import ParamsError
from daso.models.network import Encoder
from daso.models.norm import BatchNorm2d
from daso.schema import PositiveInt, PositiveShare

SLOPE = 0.1  # negative slope of LeakyReLU


def _activate(norm: BatchNorm2d, x: Tensor) -> Tensor:
    return F.leaky_relu(norm(x), SLOPE)


class Block(nn.Module):
    """BN - LReLU - conv3x3(stride) - BN - LReLU - conv3x3, plus a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, activate_shortcut: bool) -> None:
        super().__init__()
        self.norm1 = BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm2 = BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        project = inputs != outputs or stride != 1
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if project else nn.Identity()
        self.activate_shortcut = activate_shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block: (n, inputs, H, W) -> (n, outputs, H / stride, W / stride)."""
        activated = _activate(self.norm1, x)
        shortcut: Tensor = self.shortcut(activated if self.activate_shortcut else x)
        residual: Tensor = self.conv2(_activate(self.norm2, self.conv1(activated)))
        return residual + shortcut


class WideResNet(Encoder):
    """WRN-depth-width without dropout: (n, 3, H, W) -> (n, 64 * width), the mean of the last activated map.

    Only the first block of the first stage activates its input before the shortcut branches off, as in the code that
    FixMatch, ReMixMatch and DASO share. `norm_momentum` is the batch's share in the new running statistics, .001 in the
    code of Wei and Gan 2023.
    """

    layout = torch.channels_last

    def __init__(self, *, depth: int, width: PositiveInt, norm_momentum: PositiveShare = 0.1) -> None:
        super().__init__()
        if depth < 10 or (depth - 4) % 6:
            raise ParamsError(f"network 'wide_resnet': depth: expected 6 n + 4, got {depth}; choose 10, 16, 22, ...")
        widths = [16 * width, 32 * width, 64 * width]
        self.stem = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        blocks, inputs = [], 16
        for stage, outputs in enumerate(widths):
            for index in range((depth - 4) // 6):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(Block(inputs, outputs, stride, activate_shortcut=stage == 0 and index == 0))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.norm = BatchNorm2d(inputs)
        self.feature_dim = inputs
        for module in self.modules():
            if isinstance(module, BatchNorm2d):
                module.momentum = norm_momentum

    def forward(self, images: Tensor) -> Tensor:
        """Compute features: (n, 3, H, W) -> (n, D)."""
        return _activate(self.norm, self.blocks(self.stem(images))).mean((2, 3), dtype=torch.float32)
