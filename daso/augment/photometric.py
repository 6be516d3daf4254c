"""Color operations of RandAugment, batched, bit-identical to Pillow.

Images are packed int32 (n, H, W); `value` is float32 (n,), one parameter per image, ignored by operations without one.
Most operations work on the bytes of the pixels (n, H, 4 W), red green blue 0 on a little-endian machine: this avoids
unpacking the channels, and processing the fourth byte costs nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

COLOR_MASK = 0xFFFFFF  # the three color bytes of a packed pixel


def autocontrast(images: Tensor, value: Tensor) -> Tensor:
    """Stretch each channel so that its darkest pixel becomes 0 and its brightest 255."""
    n, _, width = images.shape
    pixels = _bytes(images)
    channels = pixels.reshape(n, -1, 4)
    low, high = channels.amin(1).double(), channels.amax(1).double()
    flat = high == low
    # As in Pillow: float64, true division (a plain 255.0 / tensor may multiply by the reciprocal), truncation.
    scale = torch.full_like(low, 255.0) / torch.where(flat, 255.0, high - low)
    offset = torch.where(flat, 0.0, -low * scale)
    stretched = pixels.double().mul_(_periodic(scale, width)).add_(_periodic(offset, width))
    return _words(stretched.clamp_(0, 255).to(torch.uint8))


def brightness(images: Tensor, value: Tensor) -> Tensor:
    """Blend with black: 1 keeps the image, 0 is black, above 1 is brighter."""
    return _words(_bytes(images).float().mul_(_column(value)).clamp_(max=255).to(torch.uint8))


def color(images: Tensor, value: Tensor) -> Tensor:
    """Blend with the grey image: 1 keeps the image, 0 removes all color."""
    return _blend(_grey(images) * 0x010101, images, value)


def contrast(images: Tensor, value: Tensor) -> Tensor:
    """Blend with the image's rounded mean grey: 1 keeps the image, 0 gives a flat image."""
    area = images[0].numel()
    mean = (2 * _grey(images).sum((1, 2)) + area) // (2 * area)
    return _blend((mean.to(torch.int32) * 0x010101)[:, None, None].expand_as(images), images, value)


def equalize(images: Tensor, value: Tensor) -> Tensor:
    """Equalize the histogram of each channel."""
    n, height, width = images.shape
    starts = torch.arange(0, n * 1024, 256, dtype=torch.int32, device=images.device).view(n, 4)
    index = _bytes(images) + _periodic(starts, width)
    counts = torch.zeros(n * 1024, dtype=torch.int32, device=images.device)
    ones = torch.ones(1, dtype=torch.int32, device=images.device).expand(index.numel())
    counts = counts.scatter_add_(0, index.view(-1).long(), ones).view(n, 4, 256)
    brightest = _bytes(images).reshape(n, -1, 4).amax(1).long()
    step = (height * width - counts.gather(2, brightest[:, :, None])) // 255
    below = counts.cumsum(2, dtype=torch.int32) - counts
    table = ((step // 2 + below) // step.clamp(min=1)).clamp_(max=255)
    identity = torch.arange(256, dtype=torch.int32, device=images.device)
    table = torch.where(step == 0, identity, table).to(torch.uint8)  # Pillow keeps a channel with few values
    return _words(table.view(-1).index_select(0, index.view(-1)).view(n, height, 4 * width))


def posterize(images: Tensor, value: Tensor) -> Tensor:
    """Keep the `value` highest bits of each channel."""
    low = (1 << (8 - value.to(torch.int32))) - 1
    return images & (COLOR_MASK - low * 0x010101)[:, None, None]


def sharpness(images: Tensor, value: Tensor) -> Tensor:
    """Blend with the image smoothed by 1 1 1 / 1 5 1 / 1 1 1 over 13: 1 keeps the image; the border is kept."""
    pixels = _bytes(images).to(torch.int16)
    rows = pixels[:, :-2] + pixels[:, 1:-1] + pixels[:, 2:]
    total = rows[:, :, :-8] + rows[:, :, 4:-4] + rows[:, :, 8:] + 4 * pixels[:, 1:-1, 4:-4]
    smooth = total.float().add_(6.5).div_(13).to(torch.uint8)  # an odd number / 26, so never near an integer
    result = _bytes(images).clone()
    result[:, 1:-1, 4:-4] = smooth
    return _blend(_words(result), images, value)


def solarize(images: Tensor, value: Tensor) -> Tensor:
    """Invert values of at least `value`, which must be positive."""
    pixels = _bytes(images)
    bright = pixels >= value.to(torch.uint8)[:, None, None]
    return _words(pixels ^ bright.to(torch.uint8).neg_())  # 255 - x is x with all bits flipped


def _bytes(images: Tensor) -> Tensor:
    """View packed int32 (n, H, W) as uint8 (n, H, 4 W)."""
    return images.view(torch.uint8)


def _words(pixels: Tensor) -> Tensor:
    """View bytes as packed pixels, the inverse of `_bytes`."""
    return pixels.view(torch.int32)


def _periodic(channels: Tensor, width: int) -> Tensor:
    """Repeat the values of the four bytes of a pixel (n, 4) for a row of pixels: (n, 1, 4 W)."""
    return channels.repeat(1, width).unsqueeze(1)


def _column(value: Tensor) -> Tensor:
    return value[:, None, None]


def _grey(images: Tensor) -> Tensor:
    """Return the luma of packed images, in Pillow's fixed-point arithmetic."""
    red, green, blue = images & 0xFF, images >> 8 & 0xFF, images >> 16 & 0xFF
    luma: Tensor = (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16
    return luma


def _blend(degenerate: Tensor, images: Tensor, value: Tensor) -> Tensor:
    """Blend in float32: degenerate + value (image - degenerate), truncated; each operation is rounded separately.

    Values above 1 extrapolate, limited to 0..255.
    """
    base = _bytes(degenerate.contiguous()).float()
    mixed = _bytes(images).float().sub_(base).mul_(_column(value)).add_(base)
    return _words(mixed.clamp_(0, 255).to(torch.uint8))
