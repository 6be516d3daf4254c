import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from daso.engine.metrics import _test_predictions, summarise


def test_best_accuracy_is_selected_by_validation():
    """`best` is the test accuracy at the first maximum of the validation accuracy, not the highest test accuracy."""
    series, validation = [0.1, 0.9, 0.5, 0.7, 0.6], [0.2, 0.3, 0.8, 0.8, 0.1]
    assert summarise(series, validation, 3) == {"last": 0.6, "best": 0.5, "median": 0.6, "median_of": 3}
    assert summarise(series, [], 20) == {"last": 0.6, "best": None, "median": 0.6, "median_of": 5}


def test_last_evaluation_and_median_of_the_last_twenty():
    """The last 20 of 22 evaluations are 52, ..., 60; in order, their 10th and 11th are both 53. Never the maximum."""
    history = [50, 51, 52, 53, 54, 55, 54, 53, 52, 51, 50, 52, 54, 56, 58, 57, 55, 53, 51, 49, 47, 60]
    assert summarise(history, [], 20) == {"last": 60, "best": None, "median": 53.0, "median_of": 20}
    assert summarise([40, 41, 42], [], 20) == {"last": 42, "best": None, "median": 41.0, "median_of": 3}


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
