"""The weak and the strong view of images, as functions of (seed, stream, step, position in the batch).

Strong is the practice of Sohn et al. 2020 and Oh et al. 2022: flip and crop, then two operations drawn from a pool with
replacement, each carried out with probability 1/2 at a level of its own, then always Cutout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from daso.augment import geometry
from daso.augment.randaugment import LEVELS, SIGNS, RandAugment, ship
from daso.augment.resize import Resize
from daso.draw import Draw
from daso.errors import ParamsError

Change = Callable[[Tensor], Tensor]
# Pixels in one call: what still lies in a CPU's cache, what takes some GB of a GPU while it is worked on.
CHUNK = {"cpu": 1 << 19, "cuda": 1 << 25}


class Augmentation:
    """Views of packed images int32 (T, B, H, W), drawn by a `Draw` whose `t` has shape (T,).

    Draws are made on the CPU, so that images can be grouped by operation without asking the device; `t` may lie on
    either, but one on the device has to be waited for. `cutout` is the side of the square in pixels, 0 for none.
    `resize` is the side S of the views, 0 for that of the images; flip and crop always come before, the operations and
    Cutout `before` or `after`. Raises ParamsError when built with an operation nobody knows or a size that does not
    fit.
    """

    def __init__(
        self,
        *,
        size: int,
        flip: bool,
        pad: int,
        ops: Sequence[str],
        cutout: int,
        resize: int = 0,
        operations: Literal["before", "after"] = "before",
        num_ops: int = 2,
        op_probability: float = 0.5,
    ) -> None:
        if not 0 <= pad < size:
            raise ParamsError(f"augment.pad: {pad} pixels cannot be reflected in images of {size}; lower it")
        if cutout < 0:
            raise ParamsError(f"augment.cutout: {cutout} is no side of a square; 0 leaves it out")
        self.size, self.flip, self.pad, self.cutout = size, flip, pad, cutout
        self.seen = resize or size
        self.small: Change = Resize(size, resize) if resize else _as_it_is
        after = operations == "after"
        self.ready, self.done = (self.small, _as_it_is) if after else (_as_it_is, self.small)  # around the operations
        self.side = self.seen if after else size  # of the images that are operated on
        self.randaugment = RandAugment(ops, self.side)
        self.num_ops, self.op_probability = num_ops if ops else 0, op_probability

    def plain(self, images: Tensor) -> Tensor:
        """The images themselves, at the size of the views: int32 (..., H, W) -> (..., S, S)."""
        if self.seen == self.size:
            return images
        small = torch.cat([self.small(part) for _, part in _parts(images)])
        return small.view(*images.shape[:-2], self.seen, self.seen)

    def weak(self, images: Tensor, draw: Draw) -> Tensor:
        """Flip with probability 1/2, reflect-pad, crop: int32 (T, B, H, W) -> (T, B, S, S)."""
        placement = self._placement(_on_cpu(draw), self._batch(images))
        parts = [
            self.small(geometry.flip_crop(part, ship(placement[:, rows], images.device), self.pad))
            for rows, part in _parts(images)
        ]
        return torch.cat(parts).view(*images.shape[:2], self.seen, self.seen)

    def strong(self, images: Tensor, draw: Draw) -> Tensor:
        """The geometry of `weak`, `num_ops` operations, Cutout: int32 (T, B, H, W) -> (T, B, S, S)."""
        draw, batch = _on_cpu(draw), self._batch(images)
        placement, boxes = self._placement(draw, batch), self._boxes(draw, batch)
        slots = [self._slot(draw, slot, batch) for slot in range(self.num_ops)]
        parts = []
        for rows, original in _parts(images):
            part = self.ready(geometry.flip_crop(original, ship(placement[:, rows], images.device), self.pad))
            for kernel, value in slots:
                self.randaugment.operate(part, kernel[rows], value[rows])
            if self.cutout:
                part = geometry.cutout(part, ship(boxes[:, rows], images.device))
            parts.append(self.done(part))
        return torch.cat(parts).view(*images.shape[:2], self.seen, self.seen)

    def _batch(self, images: Tensor) -> int:
        """B, once the images are seen to be those that the tables were made for."""
        if images.shape[-2:] != (self.size, self.size):
            height, width = images.shape[-2:]
            raise ParamsError(f"image_size: {self.size}, but the images have {height} x {width} pixels; correct it")
        return images.shape[1]

    def _placement(self, draw: Draw, batch: int) -> Tensor:
        """Flip, top and left of the crop: int32 (3, T * B)."""
        flip = draw("flip").integers(2, batch, 1) * self.flip
        corner = draw("crop").integers(2 * self.pad + 1, batch, 2)
        return torch.cat([flip, corner], dim=-1).view(-1, 3).t().to(torch.int32)

    def _boxes(self, draw: Draw, batch: int) -> Tensor:
        """Boxes of Cutout: int32 (4, T * B)."""
        centres = draw("cutout").uniform(batch, 2).double().view(-1, 2) * self.side  # in float32 it could reach side
        return geometry.cutout_boxes(centres, self.side, self.cutout)

    def _slot(self, draw: Draw, slot: int, batch: int) -> tuple[Tensor, Tensor]:
        """Program int64 (T * B,), 0 where nothing is done, and its value float32 (T * B,)."""
        op = draw(f"op{slot}").integers(len(self.randaugment), batch).view(-1)
        level = draw(f"level{slot}").integers(len(LEVELS), batch).view(-1)
        sign = draw(f"sign{slot}").integers(len(SIGNS), batch).view(-1)
        apply = draw(f"apply{slot}").uniform(batch).view(-1) < self.op_probability
        return self.randaugment.kernel[op] * apply, self.randaugment.value[op, level, sign]


def _as_it_is(images: Tensor) -> Tensor:
    return images


def _on_cpu(draw: Draw) -> Draw:
    return draw._replace(t=draw.t.cpu())


def _parts(images: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """All images as (n, H, W), part by part."""
    flat = images.reshape(-1, *images.shape[-2:])
    step = max(1, CHUNK[images.device.type] // flat[0].numel())
    for start in range(0, len(flat), step):
        yield slice(start, start + step), flat[start : start + step]
