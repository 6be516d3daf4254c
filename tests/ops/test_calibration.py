"""Class-balanced log loss and temperature, by hand."""

import math

import pytest
import torch

from daso.ops.calibration import TEMPERATURES, balanced_log_loss, balanced_weights, fit_temperature


def test_classes_have_the_same_weight():
    assert balanced_weights(torch.tensor([2, 0, 2, 2])).tolist() == pytest.approx([1 / 6, 1 / 2, 1 / 6, 1 / 6])


def test_balanced_log_loss_of_two_classes():
    """Probabilities 1/2 of class 0's image, 1/4 and 1/2 of class 1's: (log 2 + (log 4 + log 2) / 2) / 2 = 5/4 log 2."""
    logits = torch.tensor([[0.0, 0.0], [math.log(3), 0.0], [1.0, 1.0]])
    assert balanced_log_loss(logits, torch.tensor([0, 1, 1])) == pytest.approx(1.25 * math.log(2))


def test_temperature_makes_confidence_the_accuracy():
    """Three of four images of each class are right, with a logit of log 9: 3 = 9^(1 / T) at T = 2."""
    right, wrong = [math.log(9), 0.0], [0.0, math.log(9)]
    logits = torch.tensor([right, right, right, wrong, wrong, wrong, wrong, right])
    assert fit_temperature(logits, torch.tensor([0] * 4 + [1] * 4)) == pytest.approx(2, abs=1e-3)


def test_temperature_stays_in_its_range():
    logits = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert fit_temperature(logits, torch.tensor([0, 1])) == pytest.approx(TEMPERATURES[0], abs=1e-3)
    assert fit_temperature(logits, torch.tensor([1, 0])) == pytest.approx(TEMPERATURES[1], abs=1e-2)
