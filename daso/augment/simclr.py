"""Colors and blur of SimCLR's view (Chen et al. 2020), batched; packed images int32 (n, S, S)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from daso.augment import photometric
from daso.augment.packed import pack, unpack
from daso.augment.randaugment import Apply, apply_kernels
from daso.augment.resized_crop import RandomResizedCrop
from daso.draw import Draw

SCALE, RATIO = (0.2, 1.0), (3 / 4, 4 / 3)  # of the crop
JITTER = (0.4, 0.4, 0.4, 0.1)  # largest change of brightness, contrast, saturation and hue
JITTERED_SHARE, GREY_SHARE, BLURRED_SHARE = 0.8, 0.2, 0.5  # probabilities
SIGMA = (0.1, 2.0)  # of the blur, in pixels
RADIUS = 6  # of its kernel: three times the largest sigma


class SimCLR:
    """View of SimCLR (Chen et al. 2020): random resized crop and flip, color jitter, grey, Gaussian blur.

    Brightness, contrast, saturation and hue change in a random order, each by a random amount.
    """

    def __init__(self, source: int, target: int, *, flip: bool, interpolation: str = "bilinear") -> None:
        self.crop = RandomResizedCrop(source, target, SCALE, RATIO, flip=flip, interpolation=interpolation)

    def draw(self, draw: Draw, batch: int) -> list[tuple[Tensor, Tensor]]:
        """Draw six operations in their order: numbers in KERNELS int64 (T * B,), and values float32 (T * B,)."""
        order = draw("order").bits(batch, len(JITTER)).argsort(dim=-1, stable=True)  # (T, B, 4)
        amounts = (2 * draw("jitter").uniform(batch, len(JITTER)) - 1) * torch.tensor(JITTER)
        values = amounts + torch.tensor([1.0, 1.0, 1.0, 0.0])  # the hue is shifted, the others are multiplied
        jittered = draw("jittered").uniform(batch) < JITTERED_SHARE
        slots = [((1 + op) * jittered, values.gather(-1, op[..., None]).squeeze(-1)) for op in order.unbind(-1)]
        grey = 5 * (draw("grey").uniform(batch) < GREY_SHARE)
        slots.append((grey, torch.zeros(grey.shape)))  # no saturation
        low, high = SIGMA
        blurred = 6 * (draw("blurred").uniform(batch) < BLURRED_SHARE)
        slots.append((blurred, low + (high - low) * draw("sigma").uniform(batch)))
        return [(kernel.flatten(), value.flatten()) for kernel, value in slots]

    def apply(self, images: Tensor, kernel: Tensor, value: Tensor) -> None:
        """Apply one operation to each image, in place."""
        apply_kernels(KERNELS, images, kernel, value)


def hue(images: Tensor, value: Tensor) -> Tensor:
    """Shift the hue of each image by `value` (n,) of a turn; lightness and saturation of a pixel stay unchanged."""
    colors = unpack(images).float()  # (n, 3, H, W)
    red, green, blue = colors.unbind(1)
    largest, spread = colors.amax(1), colors.amax(1) - colors.amin(1)
    sixth = spread.clamp(min=1)
    angle = torch.where(  # in sixths of a turn, from red over green to blue
        largest == red,
        (green - blue) / sixth,
        torch.where(largest == green, (blue - red) / sixth + 2, (red - green) / sixth + 4),
    )
    angle = angle + 6 * value[:, None, None]
    distances = torch.stack([angle + start for start in (5, 3, 1)], 1) % 6
    shifted = largest[:, None] - spread[:, None] * torch.minimum(distances, 4 - distances).clamp(0, 1)
    return pack(shifted.round().to(torch.uint8))


def blur(images: Tensor, value: Tensor) -> Tensor:
    """Convolve each image with a Gaussian of its standard deviation `value` (n,) > 0; edge pixels are repeated."""
    offsets = torch.arange(-RADIUS, RADIUS + 1, device=images.device)
    weights = (-((offsets / value[:, None]) ** 2) / 2).exp()
    weights = (weights / weights.sum(1, keepdim=True))[:, :, None, None, None]  # (n, taps, 1, 1, 1)
    colors = unpack(images).float()
    for axis in (-1, -2):
        size, sides = colors.shape[axis], (RADIUS, RADIUS, 0, 0) if axis == -1 else (0, 0, RADIUS, RADIUS)
        padded = F.pad(colors, sides, mode="replicate")
        colors = torch.zeros_like(colors)
        for tap, weight in enumerate(weights.unbind(1)):
            colors += weight * padded.narrow(axis, tap, size)
    return pack(colors.round().to(torch.uint8))


KERNELS: list[Apply | None] = [
    None,
    photometric.brightness,
    photometric.contrast,
    photometric.color,
    hue,
    photometric.color,
    blur,
]
