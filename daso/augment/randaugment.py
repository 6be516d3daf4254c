"""The operations of RandAugment and their parameters, as practised by Sohn et al. 2020 and Oh et al. 2022.

A level is l = 1..9 and a = l / 10 (not the continuous levels of Cubuk et al. 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import NamedTuple

import torch
from torch import Tensor

from daso.augment import geometry, photometric
from daso.augment.geometry import Maps, Matrix
from daso.errors import ParamsError
from daso.ops.rows import write_rows

LEVELS = tuple(level / 10 for level in range(1, 10))  # a
SIGNS = (1, -1)
Apply = Callable[[Tensor, Tensor], Tensor]  # packed images (m, H, W), values (m,) -> images


class Colour(NamedTuple):
    """An operation on values, and its parameter at level a."""

    apply: Apply | None
    value: Callable[[float], float]


class Move(NamedTuple):
    """An operation on places, and how far it goes at level a in an image of `side` pixels; its sign is drawn."""

    matrix: Callable[[float, int], Matrix]
    amount: Callable[[float, int], float]


def _none(a: float) -> float:
    return 0


def _factor(a: float) -> float:
    return 0.9 * a + 0.05  # never above 1: these operations only weaken


COLOURS = {
    "autocontrast": Colour(photometric.autocontrast, _none),
    "brightness": Colour(photometric.brightness, _factor),
    "color": Colour(photometric.color, _factor),
    "contrast": Colour(photometric.contrast, _factor),
    "equalize": Colour(photometric.equalize, _none),
    "identity": Colour(None, _none),
    "posterize": Colour(photometric.posterize, lambda a: int(4 * a) + 4),  # bits kept
    "sharpness": Colour(photometric.sharpness, _factor),
    "solarize": Colour(photometric.solarize, lambda a: 256 - int(256 * a)),  # threshold
}
MOVES = {
    "rotate": Move(geometry.rotation, lambda a, side: int(30 * a)),  # degrees
    "shear_x": Move(geometry.shear_x, lambda a, side: 0.3 * a),
    "shear_y": Move(geometry.shear_y, lambda a, side: 0.3 * a),
    "translate_x": Move(geometry.translate_x, lambda a, side: int(0.3 * a * side)),  # pixels
    "translate_y": Move(geometry.translate_y, lambda a, side: int(0.3 * a * side)),
}


class RandAugment:
    """Some of these operations for images of one size, to be carried out on batches of which each image has its own.

    `kernel` (num_ops,) int64 is the program that an operation runs: 0 does nothing, 1 is any move, the others are the
    colours. `value` (num_ops, 9, 2) float32 is what it is told, by operation, level and sign: the parameter of a
    colour, the number of a move's map. Both lie on the CPU. Raises ParamsError for an operation nobody knows.
    """

    def __init__(self, ops: Sequence[str], size: int) -> None:
        kernels, values, matrices = list[int](), list[list[list[float]]](), list[Matrix]()
        self.programs: list[Apply | None] = [None, self.move]
        for name in ops:
            _check(name)
            if name in COLOURS:
                colour = COLOURS[name]
                kernels.append(len(self.programs) if colour.apply else 0)
                self.programs.append(colour.apply)
                values.append([[colour.value(a)] * len(SIGNS) for a in LEVELS])
            else:
                move, first = MOVES[name], len(matrices)
                kernels.append(1)
                matrices += [move.matrix(sign * move.amount(a, size), size) for a in LEVELS for sign in SIGNS]
                values.append([[float(first + 2 * level + sign) for sign in (0, 1)] for level in range(len(LEVELS))])
        self.kernel = torch.tensor(kernels, dtype=torch.int64)
        self.value = torch.tensor(values, dtype=torch.float32)
        self.maps = {torch.device("cpu"): geometry.maps(matrices, size)}

    def __len__(self) -> int:
        return len(self.kernel)

    def move(self, images: Tensor, number: Tensor) -> Tensor:
        """Move the pixels of each image by the map of its number."""
        return geometry.warp(images, number.to(torch.int32), self._maps(images.device))

    def operate(self, images: Tensor, kernel: Tensor, value: Tensor) -> None:
        """One operation for each image (n, H, W), in place; `kernel` and `value` (n,) lie on the CPU.

        The images of one program are taken out, worked on together, and put back. Nothing waits for the device.
        """
        order = kernel.argsort(stable=True)
        counts = kernel.bincount(minlength=len(self.programs)).tolist()
        groups = torch.split(ship(order, images.device), counts)
        values = torch.split(ship(value[order], images.device), counts)
        for program, rows, own in zip(self.programs, groups, values, strict=True):
            if program is not None and len(rows):
                write_rows(images, rows, program(images.index_select(0, rows), own))

    def _maps(self, device: torch.device) -> Maps:
        """The maps on a device; the first call for it copies them there."""
        if device not in self.maps:
            self.maps[device] = self.maps[torch.device("cpu")].to(device)
        return self.maps[device]


def _check(name: str) -> None:
    known = [*COLOURS, *MOVES]
    if name not in known:
        close = get_close_matches(name, known, n=1, cutoff=0)[0]
        raise ParamsError(f"augment.ops: there is no operation '{name}'; did you mean '{close}'?")


def ship(tensor: Tensor, device: torch.device) -> Tensor:
    """To the device without waiting: only pinned memory is copied behind the host's back."""
    return tensor if device.type == "cpu" else tensor.contiguous().pin_memory().to(device, non_blocking=True)
