"""Class sizes of a long-tailed setting, computed from its numbers without data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

Counts = tuple[int, ...]
GAUSSIAN_SHAPES = ("gaussian", "inverse-gaussian")  # the only shapes without gamma_u
# Printed for settings whose unlabeled images may be of any class.
UNKNOWN_CLASSES_NOTE = "classes of the unlabeled images unknown: no pseudo-label recall or precision"


def long_tail(n_head: int, gamma: float, num_classes: int) -> Counts:
    """Return the images of every rank, floor(n_head * gamma^(-r / (K - 1))), r = 0..K-1 (Oh et al. 2022, section 4.1).

    Computed in float64, as in the authors' code; if gamma <= 1, every class has n_head images.
    """
    if gamma <= 1:
        return (n_head,) * num_classes
    return tuple(int(n_head * (1 / gamma) ** (rank / (num_classes - 1))) for rank in range(num_classes))


def gaussian_sizes(largest: int, num_classes: int) -> Counts:
    """Return the images of every rank, proportional to a Gaussian over the ranks (Tian et al. 2026).

    Its mean is (K - 1) / 2 and its deviation K / 6; the largest class has `largest` images, others are rounded down.
    """
    squares = [(rank - (num_classes - 1) / 2) ** 2 for rank in range(num_classes)]
    variance = (num_classes / 6) ** 2
    return tuple(int(largest * math.exp((min(squares) - square) / (2 * variance))) for square in squares)


def labeled_share(whole: Counts, share: float) -> Counts:
    """Return the labeled images of every class, ceil(share * N_k), at least one (Wei et al. 2021, section 4.1).

    `share` is the exact decimal: 0.07 of 100 images are 7 (in float64 they would be 8).
    """
    return tuple(math.ceil(Fraction(str(share)) * n) for n in whole)


def setting_kind(setting: Mapping[str, Any]) -> str:
    """Return the kind of draw that a setting needs.

    `natural`: classes keep their natural sizes; `lists`: all labeled images and all or named images without a label;
    `share`: a share of one long tail is labeled; `others`: the unlabeled images are all images without a label;
    `whole`: they are all images that are not held out, including the labeled ones; `tails`: one long tail of labeled
    and one of unlabeled images.
    """
    if "labeled" in setting:
        return "lists" if setting["labeled"] == "all" else "natural"
    if "share" in setting:
        return "share"
    return {"all": "others", "train": "whole"}.get(str(setting.get("m1")), "tails")


def has_natural_sizes(setting: Mapping[str, Any]) -> bool:
    """Return True if the classes of a setting's labeled images keep their natural sizes."""
    return "labeled" in setting


def unlabeled_without_labels(setting: Mapping[str, Any]) -> bool:
    """Return True if a setting's unlabeled images are images without a label, so that their classes are unknown."""
    return setting_kind(setting) in ("others", "lists")


def unlabeled_shape(setting: Mapping[str, Any]) -> str:
    """Return the distribution of a setting's unlabeled classes, as in the column `shape` of results.csv.

    A value of `shape`, `reversed`, `long-tailed`, `uniform`, or `natural` for the images of a dataset without labels or
    with natural class sizes. If all images that are not held out are unlabeled, it is `uniform`, as on CIFAR.
    """
    match setting_kind(setting):
        case "whole":
            return "uniform"
        case "share":
            return "long-tailed" if setting["gamma"] > 1 else "uniform"
        case "tails" if "shape" in setting:
            return str(setting["shape"])
        case "tails" if setting["gamma_u"] > 1:
            return "reversed" if setting.get("reversed") else "long-tailed"
        case "tails":
            return "uniform"
    return "natural"


def has_matched_classes(setting: Mapping[str, Any]) -> bool:
    """Return True if a setting draws labeled and unlabeled classes from the same distribution.

    It draws both from one long tail (`share`), or from two of the same imbalance ratio in the same order of classes.
    """
    kind, shape = setting_kind(setting), unlabeled_shape(setting)
    in_order = kind == "tails" and shape in ("long-tailed", "uniform")
    return kind == "share" or (in_order and bool(setting["gamma_l"] == setting["gamma_u"]))


def unlabeled_tail(setting: Mapping[str, Any], num_classes: int) -> Counts:
    """Return the images of every rank that a setting of the kind `tails` draws as unlabeled ones.

    With the long tail M_0 >= ... >= M_(K-1): `reversed`: M_(K-1), ..., M_0; `middle`: the even positions descending,
    then the odd ones ascending; `head-tail`: the odd positions ascending, then the even ones descending (Du et al.
    2024); `arbitrary`: the long tail itself, which the split's seed shuffles (Hou et al. 2025). `gaussian`:
    `gaussian_sizes`; `inverse-gaussian`: largest + smallest - size for each of these sizes (Tian et al. 2026).
    """
    shape = unlabeled_shape(setting)
    if shape in GAUSSIAN_SHAPES:
        sizes = gaussian_sizes(setting["m1"], num_classes)
        return sizes if shape == "gaussian" else tuple(max(sizes) + min(sizes) - n for n in sizes)
    tail = long_tail(setting["m1"], setting["gamma_u"], num_classes)
    match shape:
        case "reversed":
            return tail[::-1]
        case "middle":
            return tail[::2][::-1] + tail[1::2]
        case "head-tail":
            return tail[1::2] + tail[::2][::-1]
    return tail


def copied_images(setting: Mapping[str, Any], num_classes: int) -> int:
    """Return the number of labeled images that a setting adds to all images without a label; 0 for other settings."""
    if not (setting_kind(setting) == "others" and setting.get("unlabeled_includes_labeled")):
        return 0
    return sum(long_tail(setting["n1"], setting["gamma_l"], num_classes))


def class_sizes(setting: Mapping[str, Any], num_classes: int) -> tuple[Counts | None, Counts | None]:
    """Return the labeled and the unlabeled images of every rank of a setting; None if they depend on the data.

    The seed of a split shuffles the unlabeled sizes of the shape `arbitrary`, which are in descending order here.
    """
    match setting_kind(setting):
        case "natural" | "lists":
            return None, None
        case "share":
            whole = long_tail(setting["n"], setting["gamma"], num_classes)
            labeled = labeled_share(whole, setting["share"])
            return labeled, tuple(n - n_labeled for n, n_labeled in zip(whole, labeled, strict=True))
        case "tails":
            labeled = long_tail(setting["n1"], setting["gamma_l"], num_classes)
            unlabeled = unlabeled_tail(setting, num_classes)
            if setting.get("unlabeled_includes_labeled"):
                unlabeled = tuple(n + m for n, m in zip(labeled, unlabeled, strict=True))
            return labeled, unlabeled
    return long_tail(setting["n1"], setting["gamma_l"], num_classes), None


def target_classes(setting: Mapping[str, Any], num_classes: int) -> Counts:
    """Return the classes of a dataset that a setting labels, ascending: all but the `classes` of its `outside`."""
    outside = setting.get("outside", {}).get("classes", ())
    return tuple(k for k in range(num_classes) if k not in outside)


def outside_images(setting: Mapping[str, Any], inside: int) -> int:
    """Return the images of no class that make up the `share` of `outside` of a setting's unlabeled images.

    `inside` is the number of all other unlabeled images. 0 without `outside`.
    """
    share = Fraction(str(setting["outside"]["share"])) if "outside" in setting else Fraction(0)
    return round(share / (1 - share) * inside)


def required_images(setting: Mapping[str, Any]) -> int:
    """Return the images that each class, even a rare one, needs besides the hold-out: tails are cut from full pools."""
    match setting_kind(setting):
        case "natural" | "lists":
            return 1
        case "share":
            return int(setting["n"])
        case "tails":
            return int(setting["n1"] + setting["m1"])
    return int(setting["n1"])
