"""Views of images: augmented on the device and normalised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from daso.aliases import Colour
from daso.augment.packed import Normalize
from daso.augment.views import Augmentation
from daso.draw import Draw
from daso.engine.resident import Pool
from daso.models.network import Encoder


class ImageViews:
    """Views of packed images for an encoder, whose weights may state how images are prepared: `Preprocessing`.

    Views are float32 (T, n, 3, H, W), or (T, n, H, W, 3) for an encoder with the memory format channels last.
    """

    def __init__(
        self,
        dataset: Mapping[str, Any],
        operations: Literal["before", "after"],
        encoder: type[Encoder] | Encoder,
        device: torch.device,
    ) -> None:
        stated = encoder.preprocessing
        options = dataset["augment"] | ({"interpolation": stated.interpolation} if stated else {})
        self.augmentation = Augmentation(size=dataset["image_size"], operations=operations, **options)
        self.bytes_per_view = 4 * 3 * self.augmentation.side**2
        channels_last = encoder.layout == torch.channels_last
        self.channel_axis = -1 if channels_last else -3  # axis of the channels in memory
        mean, std = (stated.mean, stated.std) if stated else (dataset["mean"], dataset["std"])
        self.normalize = Normalize(mean, std, channels_last=channels_last).to(device)

    def render(self, pool: Pool, rows: Tensor, views: Sequence[str], draw: Draw) -> dict[str, Tensor]:
        """Return normalised images by view of rows (T, n) of a pool."""
        images = pool.gather(rows)
        render = {
            "plain": lambda images, draw: self.augmentation.plain(images),
            "weak": self.augmentation.weak,
            "strong": self.augmentation.strong,
            "simclr": self.augmentation.simclr,
        }
        packed = ((view, render[view.rstrip("2")](images, draw(view))) for view in views)
        return {view: self.normalize(images).movedim(-3, self.channel_axis) for view, images in packed}

    def select(self, views: Tensor, step_index: Tensor) -> Tensor:
        """Return the images (n, 3, H, W) of one step of a view of a chunk."""
        return views.index_select(0, step_index).squeeze(0).movedim(self.channel_axis, -3)

    def prepare_for_evaluation(self, images: Tensor) -> Tensor:
        """Prepare packed images (n, H, W) for evaluation: bring them to the size of the views, and normalise."""
        return self.normalize(self.augmentation.plain(images))

    def blank(self, colour: Colour) -> Tensor:
        """Return an image (1, 3, H, W) of one colour."""
        return self.normalize.blank(colour, self.augmentation.view_size)
