"""Suite of photographs whose methods have controls, with invented predictions for its test images."""

import numpy as np

from daso.ops.confusion import confusion, precision, recall
from daso.report.results.collect import MeanStd
from daso.report.results.controls import Recommendation, UnlabeledVerdict
from tests.report.conftest import run_metrics

CLASSES = ("barn owl", "dunnock", "robin, adult", "wren")
SETTING = {"name": "all", "labeled": "all", "unlabeled": "all", "reversed": False}
SIZES = {"n1": 50, "m1": 1000, "gamma_l": 10, "gamma_u": 10}
TITLES = {
    "supervised": "Supervised",
    "supervised_la": "Supervised + LA",
    "self_training_la": "Self-training + LA",
    "fixmatch_la": "FixMatch + LA",
    "supervised_la_neck": "Supervised + LA, neck",
    "fixmatch_la_daso_neck": "FixMatch + LA + DASO, neck",
}
CONTROLS = {
    "self_training_la": "supervised_la",
    "fixmatch_la": "supervised_la",
    "fixmatch_la_daso_neck": "supervised_la_neck",
}
PROTOCOL = {"name": "photos", "title": "features", "comparable": False, "note": "features of a frozen network"}


def photo_suite(methods=tuple(TITLES), controls=CONTROLS, seeds=(0, 1, 2)):
    """Return an expanded suite with one table and setting."""
    parts = {name: {"name": "fixmatch" if "fixmatch" in name else "supervised"} for name in methods}
    protocol = {**PROTOCOL, "steps": 1000, "evaluation": {"median_of": 5}}
    table = {
        "protocol": protocol,
        **{"name": "birds", "title": "Birds", "settings": [SETTING], "controls": dict(controls)},
        "dataset": {"name": "birds", "title": "Images of birds", "num_classes": len(CLASSES)},
        "methods": [{"name": name, "title": TITLES[name], "learner": parts[name], "addons": []} for name in methods],
    }
    return {
        "name": "birds",
        "title": "Birds",
        "note": "",
        "seeds": list(seeds),
        "tables": [table],
    }


def photo_metrics(method, seed, labels, predicted, groups=None, images=None, temperature=None, **others):
    """Return the metrics of a run with these predictions of its test images, each with the confidence .8.

    `temperature` calibrates them to .6.
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    counts = confusion(labels, predicted, len(CLASSES))
    images = np.arange(len(labels)) if images is None else np.asarray(images)
    recalls, precisions = ([None if np.isnan(x) else float(x) for x in part(counts)] for part in (recall, precision))
    tested = {
        "labels": labels,
        "predicted": predicted,
        "groups": images if groups is None else groups,
        "images": images,
        "confidence": np.full(len(labels), 0.6 if temperature else 0.8),
    }
    before, after = (calibration(p, labels == predicted) for p in (0.8, 0.6))
    metrics = run_metrics(
        f"birds/all/photos/{method}/s{seed}", counts.trace() / counts.sum(), seed, len(CLASSES), SIZES
    )
    return {
        **metrics,
        **{"classes": list(CLASSES), "confusion": counts.tolist(), "recall": recalls, "precision": precisions},
        "balanced_accuracy": float(np.nanmean(np.array(recalls, dtype=float))),
        "test_predictions": {name: np.asarray(values).tolist() for name, values in tested.items()},
        "calibration": {"temperature": temperature, "before": before, "after": after if temperature else None},
        **others,
    }


def verdict_on(method, setting="all", not_measured=()):
    """Return the verdict of a setting without comparisons whose recommended model is a method."""
    accuracy = MeanStd(70.0, 1.0, 3)
    model = Recommendation(method, ("s0",), accuracy, None)
    return UnlabeledVerdict("birds", setting, [], model, method, list(not_measured))


def calibration(confidence, right):
    """Return a reliability with all images in one bin."""
    accuracy = float(np.mean(right))
    bins = {"images": [len(right)], "confidence": [confidence], "accuracy": [accuracy]}
    return {"error": abs(accuracy - confidence), "chance": 0.01, "log_loss": 0.5, **bins}


def invented_predictions(labels, accuracy, seed):
    """Return predictions that are correct with this probability; images have the same difficulty for every method.

    With each seed, a tenth of the images change their difficulty.
    """
    difficulty = np.random.RandomState(0).rand(len(labels))
    own = np.random.RandomState(1 + seed)
    difficulty = np.where(own.rand(len(labels)) < 0.1, own.rand(len(labels)), difficulty)
    return np.where(difficulty < accuracy, labels, (labels + 1 + (difficulty > 0.95)) % len(CLASSES))
