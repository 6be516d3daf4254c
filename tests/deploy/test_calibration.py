"""Calibration of a model by the out-of-fold predictions of its seeds."""

import numpy as np
import pytest
import torch

from daso.deploy.calibration import OutOfFold, averaged, calibrate, least_confidence
from daso.ops.calibration import TEMPERATURES


def test_image_counts_with_the_mean_of_the_seeds_that_have_it():
    """Image 3 has the logits (2, 0) and (4, 0), mean (3, 0); 5 and 7 have one prediction; 9 was only trained on."""
    nan = [np.nan, np.nan]
    one = OutOfFold(np.array([3, 5, 9]), np.array([0, 1, 1]), np.array([[2.0, 0.0], [0.0, 1.0], nan]))
    two = OutOfFold(np.array([7, 3]), np.array([1, 0]), np.array([[0.0, 5.0], [4.0, 0.0]]))
    logits, labels = averaged([one, two])
    assert logits.tolist() == [[3, 0], [0, 1], [0, 5]]
    assert labels.tolist() == [0, 1, 1]


def test_least_confidence_has_the_accuracy():
    """From the most confident on, right, right, wrong, right, wrong: accuracies 1, 1, 2/3, 3/4, 3/5."""
    confidence = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5])
    correct = torch.tensor([True, True, False, True, False])
    weights = torch.full((5,), 0.2)
    assert least_confidence(confidence, correct, weights, 0.9) == pytest.approx(0.8)
    assert least_confidence(confidence, correct, weights, 0.7) == pytest.approx(0.6)
    assert least_confidence(confidence, correct, weights, 0.6) == 0  # nothing is abstained from
    assert least_confidence(confidence, ~correct, weights, 0.5) == 1  # 0, 0, 1/3, 1/4, 2/5


def test_equal_confidences_count_together():
    """0.9 right and 0.9 wrong: half of both are right, so no confidence reaches 0.9."""
    assert least_confidence(torch.tensor([0.9, 0.9]), torch.tensor([True, False]), torch.ones(2), 0.9) == 1


def test_images_weigh_by_class():
    """Right with weight 3/4, wrong with weight 1/4: 0.75."""
    confidence, correct = torch.tensor([0.9, 0.8]), torch.tensor([False, True])
    assert least_confidence(confidence, correct, torch.tensor([0.25, 0.75]), 0.75) == 0


def seeds(labels, logits):
    return [OutOfFold(np.arange(len(labels)), np.array(labels), np.array(logits, dtype=np.float64))]


def test_temperature_stays_within_its_limits():
    """All predictions right: the least temperature; all wrong: the largest, and no prediction is trusted."""
    labels = [0, 0, 1, 1, 2, 2]
    right = np.eye(3)[labels]
    low, high = TEMPERATURES
    assert calibrate(seeds(labels, right))[:2] == (pytest.approx(low, rel=1e-3), 0)
    assert calibrate(seeds(labels, np.roll(right, 1, axis=1)))[:2] == (pytest.approx(high, rel=1e-3), 1)


def test_model_without_predictions_is_not_calibrated():
    assert calibrate(["too few labels"]) == (1.0, 0.0, "not calibrated: too few labels")
