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
CANDIDATES = 3  # images of the largest values, for each one that is chosen
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

    Of the images with the largest values, those that are far from the labeled images and from each other are chosen.
    Images unlike the labeled ones are left out, and so are near copies of labeled images and of each other.
    """
    images, above = inputs.unlabeled, inputs.unlike_above
    counts = np.bincount(inputs.labeled.labels, minlength=len(inputs.classes))
    values = label_values(inputs.probabilities, counts)
    possible = ~np.isin(images.groups, inputs.labeled.groups)
    if above is not None:
        possible &= images.unlike <= above
    order = np.flatnonzero(possible)
    order = order[np.argsort(-values[order], kind="stable")]
    _, best_of_groups = np.unique(images.groups[order], return_index=True)
    candidates = order[np.sort(best_of_groups)][: CANDIDATES * count]
    positions: IntArray = candidates[farthest_first(*_features(inputs, images.rows[candidates]), count)]
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


def farthest_first(features: Tensor, distances: Tensor, count: int) -> IntArray:
    """Choose `count` images one by one, each the farthest from all labeled and chosen ones (Gonzalez 1985).

    The distance to the nearest labeled image is `distances` (n,), that to a chosen one 1 - cosine of features (n, D);
    of equally far images the first one counts. Returns their positions in the order of the choice.
    """
    chosen = list[int]()
    while len(chosen) < min(count, len(distances)):
        chosen.append(int(distances.argmax()))
        last = features[chosen[-1:]]
        distances = torch.minimum(distances, 1 - cosine(features, last)[:, 0])
        distances[chosen] = -1  # never chosen again
    return np.array(chosen, dtype=np.int64)


def _features(inputs: ListInputs, rows: IntArray) -> tuple[Tensor, Tensor]:
    """Return the features (n, D) of images and their distance (n,) to the nearest labeled image.

    Without features of a frozen network all distances are 1, before and after each choice.
    """
    if inputs.features is None:
        return torch.zeros(len(rows), 1), torch.ones(len(rows))
    features = inputs.features(rows)
    return features, unlike(features, inputs.features(inputs.labeled.rows))
