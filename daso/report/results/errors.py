"""Test images that the recommended models predict wrongly, as examples of the errors of each class."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from daso.report.results.collect import Cell, MeanStd, mean_std
from daso.report.results.controls import UnlabeledVerdict

ERRORS_OF_CLASS, ERRORS_IN_ALL = 6, 600  # of a class, and of a section


class ErrorExample(NamedTuple):
    """Test image with a wrong prediction. Values are those of the seeds that predict this class for it."""

    image: int  # row of the store's part with the test images
    label: str  # name of the true class
    predicted: str  # the most frequent wrong prediction, of equally frequent ones the one with the highest confidence
    confidence: float  # of these predictions, mean over the seeds
    wrong: int  # seeds with any wrong prediction
    seeds: int  # seeds that test the image


class ClassErrors(NamedTuple):
    """Examples of the errors of a class; a class without errors has none."""

    name: str
    recall: MeanStd | None  # None if it is not measured
    examples: list[ErrorExample]


class SettingErrors(NamedTuple):
    """Errors of the recommended model of a setting by class, the lowest recall first."""

    setting: str
    method: str
    classes: list[ClassErrors]
    images_sha256: str  # digest of the images that were tested


def error_examples(cells: Sequence[Cell], verdicts: Sequence[UnlabeledVerdict]) -> list[SettingErrors]:
    """Return errors of the recommended model of each setting: at most six of a class, and 600 in all.

    Images that are wrong for most seeds come first, of these the predictions with the highest confidence.
    """
    by_name, result = {(cell.setting, cell.method): cell for cell in cells}, []
    for verdict in verdicts:
        cell = by_name[verdict.setting, verdict.recommendation.method]
        classes = _classes(cell, verdict.not_measured, ERRORS_IN_ALL // len(verdicts))
        images = next(iter(cell.done.values()))["provenance"]["data_sha256"]
        result.append(SettingErrors(cell.setting, cell.method, classes, images))
    return result


def _classes(cell: Cell, not_measured: Sequence[str], most: int) -> list[ClassErrors]:
    """Return the classes with at most ERRORS_OF_CLASS errors each, and `most` of all."""
    runs = list(cell.done.values())
    recalls = {
        name: mean_std([100 * run["recall"][k] for run in runs if run["recall"][k] is not None])
        for k, name in enumerate(runs[0]["classes"])
    }
    classes = [ClassErrors(name, None if name in not_measured else each, []) for name, each in recalls.items()]
    classes.sort(key=lambda each: each.recall.mean if each.recall else math.inf)
    shown = {each.name: each.examples for each in classes[:most]}
    limit = min(ERRORS_OF_CLASS, max(1, most // len(classes)))
    for error in sorted(_errors(cell), key=lambda each: (-each.wrong, -each.confidence, each.image)):
        if error.label in shown and len(shown[error.label]) < limit:
            shown[error.label].append(error)
    return classes[:most]


def _errors(cell: Cell) -> Iterator[ErrorExample]:
    """Yield each test image that a seed predicts wrongly."""
    tested: dict[int, int] = defaultdict(int)
    wrong: dict[int, list[tuple[int, float]]] = defaultdict(list)  # image -> prediction and confidence of each seed
    labels: dict[int, int] = {}
    for run in cell.done.values():
        saved = run["test_predictions"]
        for image, label, predicted, confidence in zip(
            *(saved[name] for name in ("images", "labels", "predicted", "confidence")), strict=True
        ):
            tested[image] += 1
            if predicted != label:
                wrong[image].append((predicted, confidence))
                labels[image] = label
    names = next(iter(cell.done.values()))["classes"]
    for image, predictions in wrong.items():
        by_class: dict[int, list[float]] = defaultdict(list)
        for predicted, confidence in predictions:
            by_class[predicted].append(confidence)
        predicted, values = max(by_class.items(), key=lambda item: (len(item[1]), np.mean(item[1]), -item[0]))
        mean = float(np.mean(values))
        yield ErrorExample(image, names[labels[image]], names[predicted], mean, len(predictions), tested[image])
