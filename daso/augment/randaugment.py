"""Operations of RandAugment and their parameters, as in the code of Sohn et al. 2020 and Oh et al. 2022.

A level is l = 1..9 and a = l / 10 (not the continuous levels of Cubuk et al. 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from daso.augment import geometry, photometric
from daso.augment.geometry import Matrix, WarpMaps
from daso.errors import ParamsError, close_match
from daso.ops.rows import write_rows

LEVELS = tuple(level / 10 for level in range(1, 10))  # the values of a, part of the definition of an operation
SIGNS = (1, -1)
Apply = Callable[[Tensor, Tensor], Tensor]  # packed images (m, H, W), values (m,) -> images


class ColorOp(NamedTuple):
    """Color operation, and its parameter at level a."""

    apply: Apply | None
    value: Callable[[float], float]


class GeometricOp(NamedTuple):
    """Geometric operation, and its amount at level a in an image of `side` pixels; its sign is drawn."""

    matrix: Callable[[float, int], Matrix]
    amount: Callable[[float, int], float]


def _none(a: float) -> float:
    return 0


def _factor(a: float) -> float:
    return 0.9 * a + 0.05  # below 1: these operations only reduce


COLOR_OPS = {
    "autocontrast": ColorOp(photometric.autocontrast, _none),
    "brightness": ColorOp(photometric.brightness, _factor),
    "color": ColorOp(photometric.color, _factor),
    "contrast": ColorOp(photometric.contrast, _factor),
    "equalize": ColorOp(photometric.equalize, _none),
    "identity": ColorOp(None, _none),
    "posterize": ColorOp(photometric.posterize, lambda a: int(4 * a) + 4),  # bits kept
    "sharpness": ColorOp(photometric.sharpness, _factor),
    "solarize": ColorOp(photometric.solarize, lambda a: 256 - int(256 * a)),  # threshold
}
GEOMETRIC_OPS = {
    "rotate": GeometricOp(geometry.rotation, lambda a, side: int(30 * a)),  # degrees
    "shear_x": GeometricOp(geometry.shear_x, lambda a, side: 0.3 * a),
    "shear_y": GeometricOp(geometry.shear_y, lambda a, side: 0.3 * a),
    "translate_x": GeometricOp(geometry.translate_x, lambda a, side: int(0.3 * a * side)),  # pixels
    "translate_y": GeometricOp(geometry.translate_y, lambda a, side: int(0.3 * a * side)),
}


class RandAugment:
    """Pool of operations for images of one size, applied to batches with one operation per image.

    `kernel` (num_ops,) int64 is the index of an operation's kernel: 0 does nothing, 1 is every geometric operation, the
    others are color operations. `value` (num_ops, 9, 2) float32 is its argument, by operation, level and sign: the
    parameter of a color operation, the index of a geometric operation's warp map. Both are on the CPU. Raises
    ParamsError for an unknown operation.
    """

    def __init__(self, ops: Sequence[str], size: int) -> None:
        indices, values, matrices = list[int](), list[list[list[float]]](), list[Matrix]()
        self.kernels: list[Apply | None] = [None, self.warp]
        for name in ops:
            _check_known(name)
            if name in COLOR_OPS:
                op = COLOR_OPS[name]
                indices.append(len(self.kernels) if op.apply else 0)
                self.kernels.append(op.apply)
                values.append([[op.value(a)] * len(SIGNS) for a in LEVELS])
            else:
                geometric, first = GEOMETRIC_OPS[name], len(matrices)
                indices.append(1)
                matrices += [geometric.matrix(sign * geometric.amount(a, size), size) for a in LEVELS for sign in SIGNS]
                values.append([[float(first + 2 * level + sign) for sign in (0, 1)] for level in range(len(LEVELS))])
        self.kernel = torch.tensor(indices, dtype=torch.int64)
        self.value = torch.tensor(values, dtype=torch.float32)
        self.maps = {torch.device("cpu"): geometry.warp_maps(matrices, size)}

    def __len__(self) -> int:
        return len(self.kernel)

    def warp(self, images: Tensor, index: Tensor) -> Tensor:
        """Warp each image by the map of its index."""
        return geometry.warp(images, index.to(torch.int32), self._maps(images.device))

    def apply(self, images: Tensor, kernel: Tensor, value: Tensor) -> None:
        """Apply one operation to each image (n, H, W), in place; `kernel` and `value` (n,) are on the CPU."""
        apply_kernels(self.kernels, images, kernel, value)

    def _maps(self, device: torch.device) -> WarpMaps:
        """Return the warp maps on a device, copied at the first call."""
        if device not in self.maps:
            self.maps[device] = self.maps[torch.device("cpu")].to(device)
        return self.maps[device]


def apply_kernels(kernels: Sequence[Apply | None], images: Tensor, kernel: Tensor, value: Tensor) -> None:
    """Apply kernel number `kernel` with its `value`, both (n,) on the CPU, to each image (n, H, W), in place.

    Images with the same kernel are processed together. No host-device synchronization.
    """
    order = kernel.argsort(stable=True)
    counts = kernel.bincount(minlength=len(kernels)).tolist()
    groups = torch.split(copy_async(order, images.device), counts)
    values = torch.split(copy_async(value[order], images.device), counts)
    for run_kernel, rows, own_values in zip(kernels, groups, values, strict=True):
        if run_kernel is not None and len(rows):
            write_rows(images, rows, run_kernel(images.index_select(0, rows), own_values))


def _check_known(name: str) -> None:
    known = [*COLOR_OPS, *GEOMETRIC_OPS]
    if name not in known:
        hint = close_match(name, known) or f"; choose one of {', '.join(known)}"
        raise ParamsError(f"augment.ops: unknown operation '{name}'{hint}")


def copy_async(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy to the device without synchronization; only pinned memory is copied asynchronously."""
    return tensor if device.type == "cpu" else tensor.contiguous().pin_memory().to(device, non_blocking=True)
