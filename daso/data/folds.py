"""Folds of labeled images, by group: no group has images in two folds."""

from __future__ import annotations

import warnings

import numpy as np

from daso.aliases import IntArray


def draw_folds(labels: IntArray, groups: IntArray, most: int, seed: int) -> IntArray:
    """Draw the fold of each image (N,), stratified by class; -1 for images that are in no fold and only train.

    There are at most `most` folds, and at most as many as some class has groups. If one fold had all images of a class,
    nothing would be left to train it; such a class, for example of a single image, only trains, with all groups that
    it is in. All folds are -1 if fewer than two classes can be in folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    folds, only_train = np.full(len(labels), -1), np.zeros(len(labels), bool)
    while True:
        rows = np.flatnonzero(~np.isin(groups, groups[only_train]))
        classes = np.unique(labels[rows])
        number = min(most, max((len(np.unique(groups[rows][labels[rows] == k])) for k in classes), default=0))
        folds[:] = -1
        if number < 2 or len(classes) < 2:
            return folds
        splitter = StratifiedGroupKFold(number, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a class has fewer images than there are folds
            for fold, (_, held) in enumerate(splitter.split(rows, labels[rows], groups[rows])):
                folds[rows[held]] = fold
        whole = [k for k in classes if len(np.unique(folds[labels == k])) == 1]
        if not whole:
            folds[rows] = np.unique(folds[rows], return_inverse=True)[1]  # without empty folds
            return folds
        only_train |= np.isin(labels, whole)
