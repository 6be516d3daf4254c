"""How many images the classes of a long-tailed setting have: arithmetic on its numbers alone, without data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

Counts = tuple[int, ...]
# Said where an unlabeled image may be of any class.
UNKNOWN = "classes of the unlabeled images unknown: no pseudo-label recall or precision"


def long_tail(n_head: int, gamma: float, num_classes: int) -> Counts:
    """Images of every rank: floor(n_head * gamma^(-r / (K - 1))), r = 0..K-1 (Oh et al. 2022, section 4.1).

    In float64, as the authors count; gamma <= 1 leaves n_head of every class.
    """
    if gamma <= 1:
        return (n_head,) * num_classes
    return tuple(int(n_head * (1 / gamma) ** (rank / (num_classes - 1))) for rank in range(num_classes))


def labeled_share(whole: Counts, share: float) -> Counts:
    """How many of each class are labeled, ceil(share * N_k), so that no class has none (Wei et al. 2021, section 4.1).

    `share` counts as the decimal that is written: 0.07 of 100 images are 7, and not the 8 of float64.
    """
    return tuple(math.ceil(Fraction(str(share)) * n) for n in whole)


def setting_kind(setting: Mapping[str, Any]) -> str:
    """How a setting's split is drawn.

    `natural`, from classes as large as they are; `share`, a share of one long tail is labeled; `others`, all images
    without a label are unlabeled; `whole`, all that are not held out are, the labeled ones too; else `tails`, two.
    """
    if "labeled" in setting or "share" in setting:
        return "natural" if "labeled" in setting else "share"
    return {"all": "others", "train": "whole"}.get(str(setting.get("m1")), "tails")


def class_sizes(setting: Mapping[str, Any], num_classes: int) -> tuple[Counts | None, Counts | None]:
    """Labeled and unlabeled images of every rank, by the numbers of a setting; None where only the data tells."""
    match setting_kind(setting):
        case "natural":
            return None, None
        case "share":
            whole = long_tail(setting["n"], setting["gamma"], num_classes)
            labeled = labeled_share(whole, setting["share"])
            return labeled, tuple(n - mine for n, mine in zip(whole, labeled, strict=True))
        case "tails":
            tail = long_tail(setting["m1"], setting["gamma_u"], num_classes)
            unlabeled = tail[::-1] if setting.get("reversed") else tail
            return long_tail(setting["n1"], setting["gamma_l"], num_classes), unlabeled
    return long_tail(setting["n1"], setting["gamma_l"], num_classes), None


def required_images(setting: Mapping[str, Any]) -> int:
    """Images that every class must have besides those held out, rare ones too: tails are cut out of full pools."""
    match setting_kind(setting):
        case "natural":
            return 1
        case "share":
            return int(setting["n"])
        case "tails":
            return int(setting["n1"] + setting["m1"])
    return int(setting["n1"])
