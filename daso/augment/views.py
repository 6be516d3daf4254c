"""Views of images, as functions of (seed, stream, step, position in the batch).

The strong view follows the code of Sohn et al. 2020 and Oh et al. 2022: flip and crop, then operations drawn from a
pool with replacement, each applied with a probability at its own random level, then always Cutout. The crop is that of
a padded image or, for photos, a random resized crop. The view of SimCLR is the same for all datasets: `augment.simclr`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from daso.augment import geometry
from daso.augment.randaugment import LEVELS, SIGNS, RandAugment, copy_async
from daso.augment.resize import Resize
from daso.augment.resized_crop import CenterCrop, RandomResizedCrop
from daso.augment.simclr import SimCLR
from daso.draw import Draw
from daso.errors import ParamsError

Transform = Callable[[Tensor], Tensor]
# Pixels in one call: as many as fit in a CPU's cache; on a GPU, as many as need a few GB of temporary memory.
CHUNK = {"cpu": 1 << 19, "cuda": 1 << 25}


class PaddedCrop:
    """Flip and crop of images that are padded by `pad` reflected pixels; see `geometry.flip_crop`."""

    def __init__(self, source: int, pad: int, *, flip: bool) -> None:
        if not 0 <= pad < source:
            raise ParamsError(
                f"augment.pad: {pad} pixels cannot be reflected in images of {source} pixels; "
                f"set it from 0 to {source - 1}"
            )
        self.pad, self.flip = pad, flip

    def draw(self, draw: Draw, batch: int) -> Tensor:
        """Draw flip, top and left of the crop: int32 (3, T * B)."""
        flip = draw("flip").integers(2, batch, 1) * self.flip
        corner = draw("crop").integers(2 * self.pad + 1, batch, 2)
        return torch.cat([flip, corner], dim=-1).view(-1, 3).t().to(torch.int32)

    def __call__(self, images: Tensor, placement: Tensor) -> Tensor:
        """Flip and crop: int32 (n, H, W) and (3, n) of `draw` -> (n, H, W)."""
        return geometry.flip_crop(images, placement, self.pad)


class Augmentation:
    """Views of packed images int32 (T, B, H, W), drawn by a `Draw` whose `t` has shape (T,).

    Random numbers are drawn on the CPU, so that images are grouped by operation without host-device synchronization; a
    `t` on the device costs one synchronization. `num_ops` operations are drawn from `ops`, each applied with
    probability `op_probability`. `cutout` is the side of the square in pixels, 0 for none.

    Either `pad` or `crop` is given. With `pad`, `resize` is the side S of the views, 0 to keep the images' size; flip
    and crop always precede it, the operations and Cutout come `before` or `after` it. `crop` are the options of a
    RandomResizedCrop, whose `size` is S; the operations and Cutout always come after it, and `test` names how images
    get that size without augmentation. The constructor raises ParamsError for an unknown operation, no `ops` to draw
    from, a negative cutout, a pad that is not below the size, or a center crop that is larger than the images.
    `interpolation` is the filter of resizing: bilinear, or bicubic if pretrained weights state it.
    """

    def __init__(
        self,
        *,
        size: int,
        flip: bool,
        ops: Sequence[str],
        num_ops: int,
        op_probability: float,
        cutout: int,
        pad: int | None = None,
        resize: int = 0,
        crop: Mapping[str, Any] | None = None,
        test: Literal["crop", "resize"] = "crop",
        operations: Literal["before", "after"] = "before",
        interpolation: str = "bilinear",
    ) -> None:
        if (pad is None) == (crop is None):
            raise ParamsError("augment: expected exactly one of pad and crop; set one of them")
        if cutout < 0:
            raise ParamsError(f"augment.cutout: {cutout} is below the minimum 0; set it to 0 for no square")
        if num_ops and not ops:
            raise ParamsError(f"augment.num_ops: {num_ops} is not allowed without ops; list some or set num_ops to 0")
        self.size, self.cutout = size, cutout
        self.crop: PaddedCrop | RandomResizedCrop
        self.resize: Transform = Resize(size, resize, interpolation) if resize else _identity
        self.plain_transform = self.resize
        if crop is None:
            self.crop = PaddedCrop(size, pad or 0, flip=flip)
            self.view_size = resize or size
        else:  # fidelity: resized-crop
            self.crop = RandomResizedCrop(
                size, crop["size"], crop["scale"], crop["ratio"], flip=flip, interpolation=interpolation
            )
            self.view_size = crop["size"]
            # fidelity: test-resize
            self.plain_transform = (
                CenterCrop(size, self.view_size) if test == "crop" else Resize(size, self.view_size, interpolation)
            )
        after = operations == "after"  # fidelity: resize
        self.resize_first, self.resize_last = (self.resize, _identity) if after else (_identity, self.resize)
        self.side = self.view_size if after or crop else size  # side of the images that the operations receive
        self.randaugment = RandAugment(ops, self.side)
        self.num_ops, self.op_probability = num_ops, op_probability
        self.flip, self.interpolation = flip, interpolation

    def plain(self, images: Tensor) -> Tensor:
        """Bring images to the size of the views, without augmentation: int32 (..., H, W) -> (..., S, S)."""
        if self.view_size == self.size:
            return images
        result = torch.cat([self.plain_transform(part) for _, part in _parts(images)])
        return result.view(*images.shape[:-2], self.view_size, self.view_size)

    def weak(self, images: Tensor, draw: Draw) -> Tensor:
        """Flip with probability 1/2 and crop: int32 (T, B, H, W) -> (T, B, S, S)."""
        placement = self.crop.draw(_on_cpu(draw), self._batch(images))
        parts = [
            self.resize(self.crop(part, copy_async(placement[:, rows], images.device))) for rows, part in _parts(images)
        ]
        return torch.cat(parts).view(*images.shape[:2], self.view_size, self.view_size)

    def strong(self, images: Tensor, draw: Draw) -> Tensor:
        """Apply the flip and crop of `weak`, `num_ops` operations and Cutout: int32 (T, B, H, W) -> (T, B, S, S)."""
        draw, batch = _on_cpu(draw), self._batch(images)
        placement, boxes = self.crop.draw(draw, batch), self._boxes(draw, batch)
        slots = [self._slot(draw, slot, batch) for slot in range(self.num_ops)]
        parts = []
        for rows, original in _parts(images):
            part = self.resize_first(self.crop(original, copy_async(placement[:, rows], images.device)))
            for kernel, value in slots:
                self.randaugment.apply(part, kernel[rows], value[rows])
            if self.cutout:
                part = geometry.cutout(part, copy_async(boxes[:, rows], images.device))
            parts.append(self.resize_last(part))
        return torch.cat(parts).view(*images.shape[:2], self.view_size, self.view_size)

    def simclr(self, images: Tensor, draw: Draw) -> Tensor:
        """Return the view of SimCLR, which flips only if all views do: int32 (T, B, H, W) -> (T, B, S, S)."""
        draw, batch = _on_cpu(draw), self._batch(images)
        placement, slots = self._simclr.crop.draw(draw, batch), self._simclr.draw(draw, batch)
        parts = []
        for rows, original in _parts(images):
            part = self._simclr.crop(original, copy_async(placement[:, rows], images.device))
            for kernel, value in slots:
                self._simclr.apply(part, kernel[rows], value[rows])
            parts.append(part)
        return torch.cat(parts).view(*images.shape[:2], self.view_size, self.view_size)

    @cached_property
    def _simclr(self) -> SimCLR:
        """Make the tables of its crop at the first view; most methods have none."""
        return SimCLR(self.size, self.view_size, flip=self.flip, interpolation=self.interpolation)

    def _batch(self, images: Tensor) -> int:
        """Return B after checking the size of the images."""
        if images.shape[-2:] != (self.size, self.size):
            height, width = images.shape[-2:]
            raise ParamsError(f"image_size: {self.size}, but the images have {height} x {width} pixels; correct it")
        return images.shape[1]

    def _boxes(self, draw: Draw, batch: int) -> Tensor:
        """Draw the boxes of Cutout: int32 (4, T * B)."""
        centres = draw("cutout").uniform(batch, 2).double().view(-1, 2) * self.side  # float32 could round up to side
        return geometry.cutout_boxes(centres, self.side, self.cutout)

    def _slot(self, draw: Draw, slot: int, batch: int) -> tuple[Tensor, Tensor]:
        """Draw kernels int64 (T * B,), 0 where no operation is applied, and their values float32 (T * B,)."""
        op = draw(f"op{slot}").integers(len(self.randaugment), batch).view(-1)
        level = draw(f"level{slot}").integers(len(LEVELS), batch).view(-1)
        sign = draw(f"sign{slot}").integers(len(SIGNS), batch).view(-1)
        apply = draw(f"apply{slot}").uniform(batch).view(-1) < self.op_probability
        return self.randaugment.kernel[op] * apply, self.randaugment.value[op, level, sign]


def _identity(images: Tensor) -> Tensor:
    return images


def _on_cpu(draw: Draw) -> Draw:
    return draw._replace(t=draw.t.cpu())


def _parts(images: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield all images as (n, H, W), part by part."""
    flat = images.reshape(-1, *images.shape[-2:])
    step = max(1, CHUNK[images.device.type] // flat[0].numel())
    for start in range(0, len(flat), step):
        yield slice(start, start + step), flat[start : start + step]
