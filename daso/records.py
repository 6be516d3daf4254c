"""Records of tensors and numbers that all folders share, without behaviour; torch is imported."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple

import torch
from torch import Tensor

from daso.draw import Draw

Losses = dict[str, Tensor]
NOTHING = torch.empty(0)


class Output(NamedTuple):
    """Outputs of a network for n images."""

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
    draw: Draw  # random numbers of this step: draw("name").uniform(n)


class Step(NamedTuple):
    """Intermediate results of one step; later results are added by `_replace`, nothing is changed in place."""

    batch: Batch
    out: dict[str, Output]  # by view: "labeled", "weak", "strong"; "labeled_teacher", "blank" for add-ons that read it
    targets: Tensor = NOTHING  # (U, K) pseudo-labels, rows sum to one; empty without pseudo-labels
    mask: Tensor = NOTHING  # (U,) bool, True where the pseudo-label is above the threshold
    memos: tuple[Any, ...] = ()  # results of each add-on's `refine`, for its later hooks


class Role(Enum):
    """Purpose for which logits are adjusted."""

    SUPERVISED = "supervised"
    PSEUDO_LABEL = "pseudo_label"
    CONSISTENCY = "consistency"
    EVAL = "eval"


class Env(NamedTuple):
    """Properties of a run that components may use in their constructors."""

    num_classes: int  # K
    feature_dim: int  # D
    counts: tuple[int, ...]  # N_k, labeled images of each class
    labeled: int  # N
    unlabeled: int  # M
    batch_size: int  # B
    steps: int
    seed: int = 0
    unlabeled_counts: tuple[int, ...] = ()  # true M_k, for oracle methods only; empty if unknown
    drawn_counts: tuple[int, ...] = ()  # N_k without the images that a plan added
    labels: tuple[int, ...] = ()  # (N,) labels of the labeled set, indexed by `Batch.x_index`
    unlabeled_ratio: int = 0  # unlabeled over labeled images of a batch
    labeled_copies: tuple[int, ...] = ()  # rows of the unlabeled set that are labeled images too, see `Batch.u_index`
    super_classes: tuple[int, ...] = ()  # super-class of each class (K,); empty if the dataset has none
    learner: str = ""  # name of the learner
    make_learner: Callable[[Env], Any] | None = None  # returns a learner with the run's options, without add-ons
