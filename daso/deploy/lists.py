"""Lists of a dataset's images: pseudo-labels, suspect labels, and images that are unlike the labeled ones."""

from __future__ import annotations

import numpy as np

from daso.aliases import IntArray
from daso.deploy.list_inputs import ListInputs, calibrated
from daso.deploy.predict_files import format_probability
from daso.errors import DasoError

PSEUDO_LABEL_COLUMNS = ("path", "predicted", "probability", "agreement", "unlike", "is_unlike")
SUSPECT_COLUMNS = ("path", "label", "predicted", "probability_of_label", "probability")
OUTLIER_COLUMNS = ("path", "predicted", "probability", "unlike", "is_unlike")
ListRows = list[list[str]]


def pseudo_label_rows(inputs: ListInputs) -> ListRows:
    """Return a row for each unlabeled image, sorted by path."""
    images = inputs.unlabeled
    cells = zip(_prediction_cells(inputs), images.agreement, unlike_cells(inputs), strict=True)
    return sorted([*predicted, f"{agreement:.2f}", *unlike] for predicted, agreement, unlike in cells)


def outlier_rows(inputs: ListInputs) -> ListRows:
    """Return a row for each unlabeled image, those that are most unlike the labeled ones first.

    Raises DasoError if it was not measured how unlike they are.
    """
    distances = inputs.unlabeled.unlike
    if np.isnan(distances).any():
        raise DasoError(
            "outliers: unlabeled and labeled images were not compared; that needs a protocol with `fit`, such as photos"
        )
    rows = [
        [*predicted, *unlike] for predicted, unlike in zip(_prediction_cells(inputs), unlike_cells(inputs), strict=True)
    ]
    return [rows[i] for i in np.argsort(-distances, kind="stable")]


def suspect_rows(inputs: ListInputs) -> ListRows:
    """Return a row for each suspect label, in the order of `rank_suspects`."""
    rows, labels, _, logits, _ = inputs.labeled
    probabilities = calibrated(logits, inputs.temperature)
    return [
        [
            *(inputs.files[rows[i]], inputs.classes[labels[i]], inputs.classes[logits[i].argmax()]),
            *map(format_probability, (probabilities[i, labels[i]], probabilities[i].max())),
        ]
        for i in rank_suspects(inputs)
    ]


def rank_suspects(inputs: ListInputs) -> IntArray:
    """Return the positions of labeled images whose out-of-fold prediction contradicts the label, most suspect first.

    They are ranked by the logarithm of the ratio of both probabilities, a difference of logits. Raises DasoError if
    there are no out-of-fold predictions.
    """
    labels, logits = inputs.labeled.labels, inputs.labeled.logits
    if np.isnan(logits).all():
        raise DasoError(
            "suspects: no out-of-fold predictions of labeled images; they need a protocol with `fit`, such as photos, "
            "and as many labels as its fit.least_labels; label more images"
        )
    differences = logits.max(1) - np.take_along_axis(logits, labels[:, None], 1)[:, 0]
    order = np.argsort(-differences, kind="stable")
    positions: IntArray = order[differences[order] > 0]
    return positions


def _prediction_cells(inputs: ListInputs) -> ListRows:
    """Return path, predicted class and probability of each unlabeled image."""
    images, probabilities = inputs.unlabeled, inputs.probabilities
    return [
        [inputs.files[row], inputs.classes[each.argmax()], format_probability(each.max())]
        for row, each in zip(images.rows, probabilities, strict=True)
    ]


def unlike_cells(inputs: ListInputs) -> ListRows:
    """Return how unlike the labeled images each unlabeled image is, and whether it is above the threshold.

    Both are empty if it was not measured.
    """
    above = inputs.unlike_above
    return [
        ["", ""]
        if np.isnan(distance)
        else [f"{distance:.4f}", "" if above is None else "yes" if distance > above else "no"]
        for distance in inputs.unlabeled.unlike
    ]
