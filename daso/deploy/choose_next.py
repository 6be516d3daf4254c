"""Choice of the unlabeled images to label next: uncertain, of rare classes, and different from each other."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from daso.aliases import FloatArray, IntArray
from daso.deploy.list_inputs import ListInputs
from daso.deploy.predict_files import format_probability
from daso.ops.novelty import unlike
from daso.ops.similarity import cosine

NEXT_COLUMNS = ("path", "predicted", "probability", "label")
CANDIDATES = 10  # for each image that is chosen
RARITY = 0.5  # exponent of the number of labels of a class


def next_rows(inputs: ListInputs, count: int) -> list[list[str]]:
    """Return a row for each image of `choose_next`, with an empty label."""
    rows, probabilities = inputs.unlabeled.rows, inputs.probabilities
    return [
        [
            *(inputs.files[rows[i]], inputs.classes[probabilities[i].argmax()]),
            *(format_probability(probabilities[i].max()), ""),
        ]
        for i in choose_next(inputs, count)
    ]


def choose_next(inputs: ListInputs, count: int) -> IntArray:
    """Return the positions of `count` unlabeled images, or of fewer if no more are possible, the first choice first.

    Images that are unlike the labeled ones are left out, and so are near copies of labeled images and of each other.
    """
    images, above = inputs.unlabeled, inputs.unlike_above
    counts = np.bincount(inputs.labeled.labels, minlength=len(inputs.classes))
    values = label_values(inputs.probabilities, counts)
    possible = ~np.isin(images.groups, inputs.labeled.groups)
    if above is not None:
        possible &= images.unlike <= above
    candidates = np.flatnonzero(possible)
    candidates = candidates[np.argsort(-values[candidates], kind="stable")][: CANDIDATES * count]
    features, distances = _features(inputs, images.rows[candidates])
    chosen = choose_spread(values[candidates], images.groups[candidates], features, distances, count)
    positions: IntArray = candidates[chosen]
    return positions


def label_values(probabilities: FloatArray, counts: IntArray) -> FloatArray:
    """Return how much the label of each image (n,) is worth, by probabilities (n, K) and labels so far (K,).

    It is 1 - the margin between the two most probable classes (Scheffer et al. 2001), times the square root of the mean
    number of labels of a class over that of the predicted class.
    """
    second, first = np.sort(probabilities, 1)[:, -2:].T
    weights = (counts.mean() / np.maximum(counts, 1)) ** RARITY
    result: FloatArray = (1 - (first - second)) * weights[probabilities.argmax(1)]
    return result


def choose_spread(values: FloatArray, groups: IntArray, features: Tensor, distances: Tensor, count: int) -> IntArray:
    """Choose `count` images of different groups (n,) one by one, each with the largest product of value and distance.

    The distance is to the nearest image that is labeled (`distances`, (n,)) or chosen before, 1 - cosine of features
    (n, D), as in the farthest-first traversal (Gonzalez 1985). Returns their positions in the order of the choice.
    """
    worth, chosen = torch.from_numpy(values), list[int]()
    possible, of_group = torch.ones(len(values), dtype=torch.bool), torch.from_numpy(groups)
    while len(chosen) < count and possible.any():
        i = int((worth * distances).masked_fill(~possible, -1).argmax())
        chosen.append(i)
        possible &= of_group != of_group[i]
        distances = torch.minimum(distances, 1 - cosine(features, features[i : i + 1])[:, 0])
    return np.array(chosen, dtype=np.int64)


def _features(inputs: ListInputs, rows: IntArray) -> tuple[Tensor, Tensor]:
    """Return the features (n, D) of images and their distance (n,) to the nearest labeled image.

    Without features of a frozen network all distances are 1, before and after each choice.
    """
    if inputs.features is None:
        return torch.zeros(len(rows), 1), torch.ones(len(rows))
    features = inputs.features(rows)
    return features, unlike(features, inputs.features(inputs.labeled.rows))
