"""Random resized crop (Szegedy et al. 2015) with flip, batched, bit-identical to Pillow on every device."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from daso.augment.resize import BITS, Taps, taps
from daso.draw import Draw
from daso.errors import ParamsError

ATTEMPTS = 10  # boxes drawn for an image before the fallback


class RandomResizedCrop:
    """Random boxes of packed images int32 (n, S, S), resized to (n, T, T) and flipped.

    Equal to Pillow's `image.crop(box).resize((T, T), BILINEAR)`, or BICUBIC, then a flip. Width is resized before
    height, as in every version of Pillow before 13; Pillow 13 begins with the height where it shrinks by more than
    twice as many pixels as the width, which changes a value by 1 at most. The distribution of the boxes is
    torchvision's: an area of S^2 times a number in `scale`, width over height log-uniform in `ratio`, then a position.
    """

    def __init__(
        self,
        source: int,
        target: int,
        scale: Sequence[float],
        ratio: Sequence[float],
        *,
        flip: bool,
        interpolation: str = "bilinear",
    ) -> None:
        self.source, self.target, self.scale, self.ratio, self.flip = source, target, scale, ratio, flip
        self.taps = {torch.device("cpu"): _taps_by_length(source, target, interpolation)}

    def draw(self, draw: Draw, batch: int) -> Tensor:
        """Draw flip, top, left, height and width of the boxes: int32 (5, T * B)."""
        flip = draw("flip").integers(2, batch, 1) * self.flip
        shape = (batch, ATTEMPTS)
        boxes = self.boxes(draw("area").uniform(*shape), draw("ratio").uniform(*shape), draw("crop").uniform(batch, 2))
        return torch.cat([flip, boxes], dim=-1).view(-1, 5).t().to(torch.int32)

    def boxes(self, area: Tensor, ratio: Tensor, corner: Tensor) -> Tensor:
        """Return boxes int64 (..., 4), top, left, height and width, from uniform numbers.

        Each of the ATTEMPTS numbers in `area` and `ratio` (..., ATTEMPTS) gives a height and a width; the first pair
        that fits into the image counts. `corner` (..., 2) gives top and left.
        """
        (low, high), (narrow, wide) = self.scale, (math.log(bound) for bound in self.ratio)
        pixels = self.source**2 * (low + area.double() * (high - low))
        aspect = (narrow + ratio.double() * (wide - narrow)).exp()
        sides = torch.stack([(pixels / aspect).sqrt(), (pixels * aspect).sqrt()], dim=-1).round().long()
        fits = ((sides > 0) & (sides <= self.source)).all(-1)  # (..., ATTEMPTS)
        first = fits.int().argmax(-1)[..., None, None].expand(*fits.shape[:-1], 1, 2)
        side = sides.gather(-2, first).squeeze(-2)
        position = (corner.double() * (self.source - side + 1)).long()
        fallback = torch.tensor(self.fallback())
        return torch.where(fits.any(-1, keepdim=True), torch.cat([position, side], dim=-1), fallback)

    def fallback(self) -> tuple[int, int, int, int]:
        """Return the largest box in the image's center whose ratio is allowed."""
        size = self.source
        height, width = round(size / max(1.0, self.ratio[0])), round(size * min(1.0, self.ratio[1]))
        return (size - height) // 2, (size - width) // 2, height, width

    def __call__(self, images: Tensor, placement: Tensor) -> Tensor:
        """Crop, resize and flip: int32 (n, S, S) and (5, n) of `draw` -> (n, T, T)."""
        flip, top, left, height, width = placement
        # Pillow sums along rows first. Transposed, whole rows of pixels are summed, which are faster to gather.
        columns = self._weighted_rows(images.transpose(1, 2), left, width, flip)
        return self._weighted_rows(columns.transpose(1, 2), top, height, torch.zeros_like(flip))

    def _weighted_rows(self, images: Tensor, first: Tensor, length: Tensor, flip: Tensor) -> Tensor:
        """Resize `length` rows (n,) of each image (n, S, W), from row `first` (n,) on, to T rows, in reverse if `flip`.

        The absolute weights of a pixel sum to less than 2^23, so int32 holds a sum.
        """
        n, size, width = images.shape
        positions, weights = (table.index_select(0, length - 1) for table in self._taps(images.device))  # (n, taps, T)
        starts = torch.arange(0, n * size, size, dtype=torch.int32, device=images.device) + first
        backwards, rows = (flip == 1)[:, None, None], images.reshape(n * size, width)
        positions = torch.where(backwards, positions.flip(-1), positions) + starts[:, None, None]
        weights = torch.where(backwards, weights.flip(-1), weights)
        total = torch.full((n, self.target, 4 * width), 1 << (BITS - 1), dtype=torch.int32, device=images.device)
        for position, weight in zip(positions.unbind(1), weights.unbind(1), strict=True):
            pixels = rows.index_select(0, position.reshape(-1)).view(torch.uint8).view_as(total)
            total.addcmul_(pixels.to(torch.int32), weight[:, :, None])
        return total.bitwise_right_shift_(BITS).clamp_(0, 255).to(torch.uint8).view(torch.int32)

    def _taps(self, device: torch.device) -> Taps:
        """Return the taps on a device, copied at the first call."""
        if device not in self.taps:
            positions, weights = self.taps[torch.device("cpu")]
            self.taps[device] = positions.to(device), weights.to(device)
        return self.taps[device]


class CenterCrop:
    """Square of T x T pixels in the center of packed images int32 (n, S, S) -> (n, T, T), as torchvision cuts it.

    The constructor raises ParamsError if the square is larger than the images.
    """

    def __init__(self, source: int, target: int) -> None:
        if target > source:
            raise ParamsError(
                f"augment.crop.size: {target} is above image_size {source}, so test images cannot be cropped to it; "
                "lower it or set test: resize"
            )
        self.start, self.target = round((source - target) / 2), target

    def __call__(self, images: Tensor) -> Tensor:
        """Crop images."""
        return images.narrow(1, self.start, self.target).narrow(2, self.start, self.target)


def _taps_by_length(source: int, target: int, interpolation: str) -> Taps:
    """Return the taps of each length 1..source resized to `target`, int32 (source, taps, target); unused ones are 0."""
    tables = [taps(length, target, interpolation) for length in range(1, source + 1)]
    used = max(len(positions) for positions, _ in tables)
    result = torch.zeros(2, source, used, target, dtype=torch.int32)
    for row, table in enumerate(tables):
        for part, values in zip(result, table, strict=True):
            part[row, : len(values)] = values
    return result[0], result[1]
