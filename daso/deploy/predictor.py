"""Predictors: from decoded squares to probabilities, by this package or by another runtime."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch

from daso.aliases import FloatArray, ImageArray
from daso.augment.packed import pack, unpack
from daso.augment.views import Augmentation
from daso.deploy.model import Model, classifier_of

FORWARD_BATCH = (
    16  # images of a forward pass, the last one filled up: no prediction depends on how many others there are
)


class Predictor(Protocol):
    """Source of predictions; `record` is that of `Model`."""

    @property
    def record(self) -> Mapping[str, Any]:
        """Return the record of the model."""

    def probabilities(self, images: ImageArray) -> tuple[FloatArray, FloatArray]:
        """Return probabilities (n, K) and `unlike` (n,) of uint8 (n, 3, T, T)."""


class TorchPredictor:
    """Predictor of a model, on one device."""

    def __init__(self, model: Model, device: torch.device) -> None:
        self.record, self.model, self.device = model.record, model, device

    @cached_property
    def network(self) -> torch.nn.Module:
        """Return the network on the device, built at the first use."""
        return classifier_of(self.model).to(self.device)

    @torch.inference_mode()
    def probabilities(self, images: ImageArray) -> tuple[FloatArray, FloatArray]:
        """Return probabilities (n, K) and `unlike` (n,) of uint8 (n, 3, T, T)."""
        pixels, count = torch.from_numpy(np.ascontiguousarray(images)), len(images)
        parts = []
        for first in range(0, count, FORWARD_BATCH):
            part = pixels[first : first + FORWARD_BATCH]
            filled = torch.cat([part, part[-1:].expand(FORWARD_BATCH - len(part), -1, -1, -1)])
            parts.append([each[: len(part)].cpu() for each in self.network(filled.to(self.device))])
        probabilities, unlike = (torch.cat(each).numpy() for each in zip(*parts, strict=True))
        return probabilities, unlike


def network_images(view: Augmentation, squares: ImageArray) -> ImageArray:
    """Bring decoded squares uint8 (n, 3, S, S) to the size of the network's images, uint8 (n, 3, T, T)."""
    return np.asarray(unpack(view.plain(pack(torch.from_numpy(squares)))).numpy())
