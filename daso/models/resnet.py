"""Residual networks for photos (He et al. 2016), in the variant of torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torchvision.models import resnet18, resnet34, resnet50

from daso.errors import ParamsError
from daso.models.network import Encoder
from daso.models.norm import BatchNorm2d
from daso.models.weights import load_weights, read_weights

BUILDERS = {18: resnet18, 34: resnet34, 50: resnet50}


class ResNet(Encoder):
    """ResNet-depth of torchvision without its classifier: (n, 3, H, W) -> (n, 512), or (n, 2048) for depth 50.

    `weights` is a file of torchvision's weights, `sha256` its SHA-256 or at least the first 8 digits of it. Images are
    then normalised as in the training of these weights. `weights` may also be the id of a finished run, whose images
    must have been normalised as the dataset states. Without `weights` all weights are random.
    """

    layout = torch.channels_last

    def __init__(self, *, depth: Literal[18, 34, 50], weights: str | None = None, sha256: str | None = None) -> None:
        super().__init__()
        if (weights is None) != (sha256 is None):
            raise ParamsError("network 'resnet': expected weights and sha256 together; set both or neither")
        if sha256 is not None and (
            not 8 <= len(sha256) <= 64 or any(digit not in "0123456789abcdef" for digit in sha256)
        ):
            raise ParamsError(
                f"network 'resnet': sha256: expected 8 to 64 digits of 0-9 and a-f, got '{sha256}'; copy those that "
                "sha256sum prints"
            )
        self.normalisation = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]} if weights else {}
        self.weights_url = {
            18: "https://download.pytorch.org/models/resnet18-f37072fd.pth",
            34: "https://download.pytorch.org/models/resnet34-b627a593.pth",
            50: "https://download.pytorch.org/models/resnet50-0676ba61.pth",
        }[depth]
        network = BUILDERS[depth](norm_layer=BatchNorm2d)
        for name, module in network.named_children():  # under torchvision's names, so that its weights fit
            if name not in ("avgpool", "fc"):
                self.add_module(name, module)
        self.feature_dim = network.fc.in_features

    def forward(self, images: Tensor) -> Tensor:
        """Compute features: (n, 3, H, W) -> (n, D)."""
        maps: Tensor = images
        for module in self.children():
            maps = module(maps)
        return maps.mean((2, 3), dtype=torch.float32)

    def load_pretrained(self, weights: Path) -> None:
        """Load torchvision's weights without the classifier; raises DataError if they are of another network."""
        load_weights(self, weights, ("fc.",), read_weights(weights))
        self.pretrained = True
