"""Hold out test images by group, so that no group has images on both sides of a split."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from daso.aliases import IntArray
from daso.data.split_rows import Split
from daso.data.store import Store
from daso.errors import DataError

SMALLEST_CLASS = 4  # labeled images of the smallest class of which some are held out
FEWEST_HELD_OUT = 2  # images of such a class, at least


class HeldOutRows(NamedTuple):
    """Rows of a train part that a split neither trains on nor has as unlabeled images."""

    test: IntArray  # (T,) test images; empty if the store has a test part
    copies: IntArray  # (C,) unlabeled images that share a group with a test image


def hold_out_test(config: Mapping[str, Any], store: Store) -> HeldOutRows:
    """Draw the test images of a split if its store has none, and find unlabeled copies of test images.

    Raises DataError if the store does not fit the configuration.
    """
    where, none = f"{config['dataset']}/{config['setting']['name']}", np.empty(0, np.int64)
    if not store.has_groups:
        return HeldOutRows(none, none)
    if "outside" in config["setting"]:
        raise DataError(f"{where}: outside: not allowed with groups of images; remove near_copies and test_share")
    if config["holdout"]:
        raise DataError(f"{where}: holdout: not drawn by group, and the images have groups; set holdout: 0")
    labels, groups, test = store.labels("train"), store.groups("train"), none
    if "test_share" in config:
        test = draw_test(labels, groups, config["test_share"], config["seed"])
        if not len(test):
            raise DataError(f"{where}: test_share: each class has too few images or groups; add images to test/")
        counts = np.bincount(labels[test], minlength=len(store.classes))
        if missing := [name for name, count in zip(store.classes, counts, strict=True) if not count]:
            logging.warning("%s: no test images of class %s; it is trained, not measured", where, ", ".join(missing))
    of_test = groups[test] if len(test) else store.groups("test")
    copies = np.flatnonzero((labels < 0) & np.isin(groups, of_test))
    if len(copies):
        logging.info("%s: %d unlabeled images are left out, near copies of test images", where, len(copies))
    return HeldOutRows(test, copies)


def evaluated_images(split: Split, store: Store) -> tuple[IntArray, IntArray]:
    """Return the rows of a split's test images (n,) and their groups (n,), each image its own where none are known.

    The rows are those of the store's train part if the split holds test images out, else those of its test part.
    """
    part = "train" if len(split.test) else "test"
    rows = split.test if len(split.test) else np.arange(len(store.labels("test")), dtype=np.int64)
    return rows, store.groups(part)[rows] if store.has_groups else rows


def draw_test(labels: IntArray, groups: IntArray, share: float, seed: int) -> IntArray:
    """Draw the test rows of a train part: whole groups, about a `share` of each class and at least two images.

    `labels` (n,) are -1 for unlabeled images, which are never drawn. Classes are visited from the smallest to the
    largest; a group is taken if its class needs it and if each of its classes keeps at least half of its images. A
    class of fewer than four images has no test images unless a group that it shares is drawn.
    """
    sizes = np.bincount(labels[labels >= 0])
    targets = np.where(sizes < SMALLEST_CLASS, 0, np.maximum(FEWEST_HELD_OUT, np.rint(share * sizes))).astype(np.int64)
    held = np.zeros(len(sizes), np.int64)
    members: dict[int, list[int]] = {}
    for row in np.flatnonzero(labels >= 0).tolist():
        members.setdefault(int(groups[row]), []).append(row)
    order = np.random.RandomState(seed).permutation(sorted(members))
    counts = {group: np.bincount(labels[rows], minlength=len(sizes)) for group, rows in members.items()}
    taken: dict[int, None] = {}
    for k in np.argsort(sizes, kind="stable"):
        for group in order.tolist():
            count = counts[group]
            keeps_half = (2 * (held + count) <= sizes)[count > 0].all()
            if count[k] and held[k] < targets[k] and group not in taken and keeps_half:
                taken[group] = None
                held += count
    return np.array(sorted(row for group in taken for row in members[group]), dtype=np.int64)
