"""Rows of a split, without torch; records of tensors are in `daso.records`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daso.aliases import IntArray


class Split(NamedTuple):
    """Row numbers of a store's train part; no pixels."""

    labeled: IntArray  # (N,); images that a plan added come last
    unlabeled: IntArray  # (M,)
    validation: IntArray  # (V,)
    pseudo_labeled: IntArray = np.empty(0, np.int64)  # (G,) pseudo-labels of the last G labeled images
    test: IntArray = np.empty(0, np.int64)  # (T,) rows that are evaluated instead of the store's test part

    @property
    def parts(self) -> dict[str, IntArray]:
        """The rows of each part by name; `test` only if the split holds test images out."""
        parts = {"labeled": self.labeled, "unlabeled": self.unlabeled, "validation": self.validation}
        return {**parts, "test": self.test} if len(self.test) else parts

    @property
    def rows(self) -> IntArray:
        """The rows of all parts; images that a plan added occur twice, as they remain unlabeled images too."""
        return np.concatenate(list(self.parts.values()))
