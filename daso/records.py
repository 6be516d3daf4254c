"""What every floor shares: records of tensors and tuples, no behaviour."""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from daso.draw import Draw

IntArray = NDArray[np.int64]
ImageArray = NDArray[np.uint8]
Losses = dict[str, Tensor]
NOTHING = torch.empty(0)


class Split(NamedTuple):
    """Rows of a store's train part, never pixels."""

    labeled: IntArray  # (N,), the images as drawn before those that a plan has added
    unlabeled: IntArray  # (M,)
    validation: IntArray  # (V,)
    pseudo_labeled: IntArray = np.empty(0, np.int64)  # (G,) guesses, which are the labels of the last G labeled images

    @property
    def parts(self) -> dict[str, IntArray]:
        """The rows of every part, by its name."""
        return {"labeled": self.labeled, "unlabeled": self.unlabeled, "validation": self.validation}

    @property
    def rows(self) -> IntArray:
        """The rows of all parts; what a plan has added is there twice, as it goes on being unlabeled too."""
        return np.concatenate(list(self.parts.values()))


class Output(NamedTuple):
    """A network's answer for n images."""

    features: Tensor  # (n, D)
    logits: Tensor  # (n, K)
    heads: dict[str, Tensor]  # extra heads by name, (n, .)


class Batch(NamedTuple):
    """The images of one step."""

    t: Tensor  # () step number, on the device
    x: dict[str, Tensor]  # labeled views by name, (B, 3, H, W)
    y: Tensor  # (B,) labels
    x_index: Tensor  # (B,) rows of the labeled set
    u: dict[str, Tensor]  # unlabeled views by name, (U, 3, H, W)
    u_index: Tensor  # (U,) rows of the unlabeled set
    draw: Draw  # this step's random numbers: draw("name").uniform(n), the same on every device


class Step(NamedTuple):
    """What a step knows so far; it grows, it is never edited."""

    batch: Batch
    out: dict[str, Output]  # by view: "labeled", "weak", "strong"; on request "key"
    targets: Tensor = NOTHING  # (U, K), rows sum to one; empty where nothing is guessed
    mask: Tensor = NOTHING  # (U,) bool, the images whose pseudo-label is taken
    memos: tuple[Any, ...] = ()  # what each add-on worked out while refining


class Role(Enum):
    """Who is about to read these logits."""

    SUPERVISED = "supervised"
    GUESS = "guess"
    CONSISTENCY = "consistency"
    EVAL = "eval"


class Env(NamedTuple):
    """What a method may know of its run before it starts."""

    num_classes: int  # K
    feature_dim: int  # D
    counts: tuple[int, ...]  # N_k, labeled images of each class
    labeled: int  # N
    unlabeled: int  # M
    batch_size: int  # B
    steps: int
    seed: int = 0
    unlabeled_counts: tuple[int, ...] = ()  # true M_k, empty where unknown: for oracles alone
    drawn_counts: tuple[int, ...] = ()  # N_k without the images that a plan has added
    labels: tuple[int, ...] = ()  # (N,) of the labeled images, row by row: those of `Batch.x_index`
