import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from daso.engine.metrics import _test_predictions, geometric_mean, summarise


def test_best_accuracy_is_selected_by_validation():
    """`best` is the test accuracy at the first maximum of the validation accuracy, not the highest test accuracy."""
    series, validation = [0.1, 0.9, 0.5, 0.7, 0.6], [0.2, 0.3, 0.8, 0.8, 0.1]
    assert summarise(series, validation, 3)["best"] == 0.5
    assert summarise(series, [], 20)["best"] is None


def test_last_evaluation_median_and_mean_of_the_last_twenty():
    """The last 20 of 22 evaluations are 52, ..., 60; in order, their 10th and 11th are both 53; their sum is 1066."""
    history = [50, 51, 52, 53, 54, 55, 54, 53, 52, 51, 50, 52, 54, 56, 58, 57, 55, 53, 51, 49, 47, 60]
    assert summarise(history, [], 20) == {"best": None, "best_on_test": 60} | {
        "last": 60,
        "median": 53.0,
        "mean": 53.3,
        "median_of": 20,
    }
    assert summarise([40, 41, 45], [], 20) == {"best": None, "best_on_test": 45} | {
        "last": 45,
        "median": 41.0,
        "mean": 42.0,
        "median_of": 3,
    }


def test_highest_test_accuracy_is_that_of_all_evaluations():
    """The last three of 90, 50, 70, 60 have the mean 60; the first one is the highest."""
    summary = summarise([90.0, 50.0, 70.0, 60.0], [], 3)
    assert (summary["best_on_test"], summary["mean"], summary["median"]) == (90.0, 60.0, 60.0)


@pytest.mark.parametrize(
    ("recalls", "mean", "balanced"),
    [
        ([0.9, 0.8, 0.7], 0.795811, 0.8),  # 0.504 ^ (1/3)
        ([0.9, 0.8, 0.0], 0.133887, 0.566667),  # (0.72 / 300) ^ (1/3): three classes
        ([0.9, math.nan, 0.4], 0.6, 0.65),  # a class without test images
        ([0.0, math.nan, 0.5], 0.05, 0.25),  # (0.5 / 200) ^ (1/2): two classes with test images
        ([0.0, 0.0], 0.005, 0.0),
    ],
)
def test_geometric_mean_of_recalls(recalls, mean, balanced):
    assert geometric_mean(np.array(recalls)) == pytest.approx(mean, abs=1e-6)
    assert np.nanmean(recalls) == pytest.approx(balanced, abs=1e-6)


def test_calibration_is_that_of_the_test_predictions_before_and_after_the_temperature():
    """Logits (log 9, 0) and (0, log 9), the second wrong: confidence .9, and .75 at the temperature 2.

    Accuracy is .5, so the errors are .4 and .25; log losses are (-log .9 - log .1) / 2 and (-log .75 - log .25) / 2.
    """
    logits, labels = np.array([[math.log(9), 0.0], [0.0, math.log(9)]], dtype=np.float32), np.array([0, 0])
    kept = _test_predictions(finished_run(temperature=2.0), labels, logits)
    calibration = kept["calibration"]
    assert calibration["temperature"] == 2.0
    errors = [calibration[when]["error"] for when in ("before", "after")]
    assert errors == pytest.approx([0.4, 0.25])
    losses = [calibration[when]["log_loss"] for when in ("before", "after")]
    assert losses == pytest.approx([-math.log(0.9 * 0.1) / 2, -math.log(0.75 * 0.25) / 2])
    assert calibration["after"]["images"] == [2]
    assert kept["test_predictions"]["confidence"] == [0.75, 0.75]
    assert kept["test_predictions"]["images"] == [7, 9]
    json.dumps(kept, allow_nan=False)


def test_method_without_a_temperature_is_not_calibrated():
    logits = np.array([[1e4, 0.0], [0.0, 0.0]], dtype=np.float32)
    kept = _test_predictions(finished_run(temperature=None), np.array([0, 0]), logits)
    assert (kept["calibration"]["temperature"], kept["calibration"]["after"]) == (None, None)
    assert kept["test_predictions"]["confidence"] == [0.9999, 0.5]


def finished_run(temperature):
    """Return a run that keeps predictions, with the fit of this temperature."""
    return SimpleNamespace(
        config={"protocol": {"evaluation": {"predictions": True}}},
        result={"provenance": {"fit": {"temperature": temperature}}},
        arrays=lambda *names: [np.array([7, 9])] * len(names),
    )
