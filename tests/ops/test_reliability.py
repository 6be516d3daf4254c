"""Expected calibration error and bins of a reliability curve, by hand."""

import math

import numpy as np
import pytest

from daso.ops.reliability import MAX_CONFIDENCE, confidences, log_softmax, reliability


def predictions(*groups):
    """Return log-probabilities (n, 2) and labels for groups of (images, confidence, number of right ones)."""
    confidence = np.concatenate([np.full(images, p) for images, p, _ in groups])
    labels = np.concatenate([np.arange(images) >= right for images, _, right in groups]).astype(int)
    return np.log(np.stack([confidence, 1 - confidence], 1)), labels


def test_error_is_the_mean_difference_of_accuracy_and_confidence_over_bins():
    """Ten images at .6, of which 5 are right, and ten at .9, of which 7 are: (10 * .1 + 10 * .2) / 20 = .15.

    By chance: sqrt(2 / pi) (sqrt(10 * .24) + sqrt(10 * .09)) / 20. Log loss: 5 of .6, 5 of .4, 7 of .9, 3 of .1.
    """
    result = reliability(*predictions((10, 0.9, 7), (10, 0.6, 5)))
    assert result.error == pytest.approx(0.15)
    assert result.images.tolist() == [10, 10]
    assert result.confidence.tolist() == pytest.approx([0.6, 0.9])
    assert result.accuracy.tolist() == pytest.approx([0.5, 0.7])
    assert result.chance == pytest.approx(math.sqrt(2 / math.pi) * (math.sqrt(2.4) + math.sqrt(0.9)) / 20)
    expected = 5 * math.log(0.6) + 5 * math.log(0.4) + 7 * math.log(0.9) + 3 * math.log(0.1)
    assert result.log_loss == pytest.approx(-expected / 20)


def test_bins_have_ten_images_or_more_and_are_at_most_fifteen():
    """Of 19 images there is one bin: 10 at .6 with 5 right, 9 at .9 with 9 right; |14 - 14.1| / 19."""
    few = reliability(*predictions((10, 0.6, 5), (9, 0.9, 9)))
    assert few.images.tolist() == [19]
    assert few.error == pytest.approx(0.1 / 19)
    assert reliability(*predictions((3, 0.6, 3))).images.tolist() == [3]
    many = reliability(np.log(np.stack([x := np.linspace(0.5, 0.99, 331), 1 - x], 1)), np.zeros(331, int))
    assert many.images.tolist() == [23] + [22] * 14


def test_order_of_images_does_not_matter():
    """All 20 have one confidence: in both bins .8, with the accuracy of all, .7, whichever images are right."""
    logits, labels = predictions((20, 0.8, 14))
    for order in (np.arange(20), np.arange(20)[::-1]):
        result = reliability(logits[order], labels[order])
        assert result.accuracy.tolist() == pytest.approx([0.7, 0.7])
        assert result.error == pytest.approx(0.1)


def test_temperature_divides_logits():
    """Logits (log 9, 0) have the confidence 9/10, and 3/4 at the temperature 2."""
    logits = np.array([[math.log(9), 0.0], [0.0, math.log(9)]])
    assert confidences(log_softmax(logits)).tolist() == pytest.approx([0.9, 0.9])
    assert confidences(log_softmax(logits, 2.0)).tolist() == pytest.approx([0.75, 0.75])


def test_confidence_is_neither_zero_nor_one_nor_nan():
    """A difference of 1,000 is a probability of 1 in double precision; equal logits of K classes have 1 / K."""
    extreme = log_softmax(np.array([[1e3, 0.0], [0.0, 0.0]], dtype=np.float32))
    assert confidences(extreme).tolist() == pytest.approx([MAX_CONFIDENCE, 0.5])
    result = reliability(extreme, np.array([1, 0]))
    assert result.log_loss == pytest.approx((1000 + math.log(2)) / 2)
    assert 0 < result.confidence[0] < 1
