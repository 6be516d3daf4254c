"""Adapters of a frozen vision transformer: AdaptFormer (Chen et al. 2022) in the variant of Shi et al. 2024."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daso.draw import stream_key


class Adapter(nn.Module):  # fidelity: adapter
    """Adapter beside the MLP of a block, layer norm, down, ReLU, up, times a trained scale: (n, L, D) -> (n, L, D).

    `down` has `width` outputs, and its weights are drawn. Those of `up` are zero, so that training starts with the
    frozen network.
    """

    def __init__(self, dim: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.down, self.up = nn.Linear(dim, width), nn.Linear(width, dim)
        self.scale = nn.Parameter(torch.ones(1))
        nn.init.uniform_(self.down.weight, -(dim**-0.5), dim**-0.5, generator=generator)
        for parameter in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(parameter)

    def forward(self, tokens: Tensor) -> Tensor:
        """Compute what is added to the output of the block."""
        added: Tensor = self.up(F.relu(self.down(self.norm(tokens))))
        return self.scale * added


def adapter_width(num_classes: int, blocks: int) -> int:
    """Return the width of adapters, 2^floor(log2(K / (2 blocks))) and at least 1 (code of Huang et al. 2025)."""
    return int(max(1, 2 ** math.floor(math.log2(num_classes / (2 * blocks)))))


def make_adapters(network: Any, num_classes: int, seed: int) -> nn.ModuleList:
    """Return one adapter for each block of a vision transformer of timm."""
    width = adapter_width(num_classes, len(network.blocks))
    generator = torch.Generator().manual_seed(stream_key(seed, "init/adapters") % 2**63)
    return nn.ModuleList(Adapter(network.embed_dim, width, generator) for _ in network.blocks)


def adapted_features(network: Any, adapters: nn.ModuleList, images: Tensor) -> Tensor:
    """Compute features with an adapter in each block of timm's class `Block`: (n, 3, S, S) -> (n, D)."""
    x = network.norm_pre(network.patch_drop(network._pos_embed(network.patch_embed(images))))
    for block, adapter in zip(network.blocks, adapters, strict=True):
        x = x + block.drop_path1(block.ls1(block.attn(block.norm1(x))))
        x = x + block.drop_path2(block.ls2(block.mlp(block.norm2(x)))) + adapter(x)
    features: Tensor = network.forward_head(network.norm(x))
    return features
