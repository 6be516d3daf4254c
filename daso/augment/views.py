"""The weak and the strong view of images, as functions of (seed, stream, step, position in the batch).

Strong is the practice of Sohn et al. 2020 and Oh et al. 2022: flip and crop, then two operations drawn from a pool with
replacement, each carried out with probability 1/2 at a level of its own, then always Cutout.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from daso.augment import geometry
from daso.augment.randaugment import LEVELS, SIGNS, RandAugment, ship
from daso.draw import Draw
from daso.errors import ParamsError

CHUNK = 1 << 19  # pixels in one call on a CPU: what still lies in its cache


class Augmentation:
    """Views of packed images int32 (T, B, H, W), drawn by a `Draw` whose `t` has shape (T,).

    Draws are made on the CPU, so that images can be grouped by operation without asking the device; `t` may lie on
    either, but one on the device has to be waited for. `cutout` is the side of the square in pixels, 0 for none.
    Raises ParamsError when built with an operation nobody knows or a size that does not fit.
    """

    def __init__(
        self,
        *,
        size: int,
        flip: bool,
        pad: int,
        ops: Sequence[str],
        cutout: int,
        num_ops: int = 2,
        op_probability: float = 0.5,
    ) -> None:
        if not 0 <= pad < size:
            raise ParamsError(f"augment.pad: {pad} pixels cannot be reflected in images of {size}; lower it")
        if cutout < 0:
            raise ParamsError(f"augment.cutout: {cutout} is no side of a square; 0 leaves it out")
        self.size, self.flip, self.pad, self.cutout = size, flip, pad, cutout
        self.randaugment = RandAugment(ops, size)
        self.num_ops, self.op_probability = num_ops if ops else 0, op_probability

    def weak(self, images: Tensor, draw: Draw) -> Tensor:
        """Flip with probability 1/2, reflect-pad, crop: int32 (T, B, H, W) -> same."""
        placement = self._placement(_on_cpu(draw), self._batch(images))
        parts = [
            geometry.flip_crop(part, ship(placement[:, rows], images.device), self.pad) for rows, part in _parts(images)
        ]
        return torch.cat(parts).view(images.shape)

    def strong(self, images: Tensor, draw: Draw) -> Tensor:
        """The geometry of `weak`, `num_ops` operations, Cutout: int32 (T, B, H, W) -> same."""
        draw, batch = _on_cpu(draw), self._batch(images)
        placement, boxes = self._placement(draw, batch), self._boxes(draw, batch)
        slots = [self._slot(draw, slot, batch) for slot in range(self.num_ops)]
        parts = []
        for rows, original in _parts(images):
            part = geometry.flip_crop(original, ship(placement[:, rows], images.device), self.pad)
            for kernel, value in slots:
                self.randaugment.operate(part, kernel[rows], value[rows])
            if self.cutout:
                part = geometry.cutout(part, ship(boxes[:, rows], images.device))
            parts.append(part)
        return torch.cat(parts).view(images.shape)

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
        centres = draw("cutout").uniform(batch, 2).double().view(-1, 2) * self.size  # in float32 it could reach size
        return geometry.cutout_boxes(centres, self.size, self.cutout)

    def _slot(self, draw: Draw, slot: int, batch: int) -> tuple[Tensor, Tensor]:
        """Program int64 (T * B,), 0 where nothing is done, and its value float32 (T * B,)."""
        op = draw(f"op{slot}").integers(len(self.randaugment), batch).view(-1)
        level = draw(f"level{slot}").integers(len(LEVELS), batch).view(-1)
        sign = draw(f"sign{slot}").integers(len(SIGNS), batch).view(-1)
        apply = draw(f"apply{slot}").uniform(batch).view(-1) < self.op_probability
        return self.randaugment.kernel[op] * apply, self.randaugment.value[op, level, sign]


def _on_cpu(draw: Draw) -> Draw:
    return draw._replace(t=draw.t.cpu())


def _parts(images: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """All images as (n, H, W), part by part: on a CPU as many as its cache holds, elsewhere all at once."""
    flat = images.reshape(-1, *images.shape[-2:])
    step = max(1, CHUNK // flat[0].numel()) if images.device.type == "cpu" else len(flat)
    for start in range(0, len(flat), step):
        yield slice(start, start + step), flat[start : start + step]
