import math

import numpy as np
import pytest

from daso.ops.bias import (
    class_means,
    concentration,
    divergence,
    evenness,
    imbalance,
    most_and_least_predicted,
    neighbours,
    similarity,
)
from daso.ops.confusion import confusion, precision, recall, top1

# Six, four, four and two images of four classes, and their predictions.
TRUTH = np.repeat([0, 1, 2, 3], [6, 4, 4, 2])
PREDICTED = np.array([0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 2, 2, 0, 1, 3, 0])
COUNTS = confusion(TRUTH, PREDICTED, 4)


def test_measures_of_predictions_biased_to_the_first_class():
    """Counts 9, 4, 2 and 1 of 16: entropy 1.103434 of log 4 = 1.386294, so the divergence is 0.282861."""
    assert COUNTS.tolist() == [[5, 1, 0, 0], [2, 2, 0, 0], [1, 1, 2, 0], [1, 0, 0, 1]]
    assert recall(COUNTS).tolist() == pytest.approx([5 / 6, 0.5, 0.5, 0.5])
    assert precision(COUNTS).tolist() == pytest.approx([5 / 9, 0.5, 1, 1])
    assert top1(COUNTS) == 0.625
    counts = COUNTS.sum(0)
    assert counts.tolist() == [9, 4, 2, 1]
    assert imbalance(counts) == 9
    assert divergence(counts) == pytest.approx(0.282861, abs=1e-6)
    assert evenness(counts) == pytest.approx(0.795959, abs=1e-6)


def test_concentration_of_errors():
    """Class 2 is predicted once as 0 and once as 1; the other classes have one wrong class each."""
    assert concentration(COUNTS, 1).tolist() == [1, 1, 0.5, 1]
    assert concentration(COUNTS, 2).tolist() == [1, 1, 1, 1]


def test_nan_for_class_without_errors_or_without_images():
    counts = np.array([[3, 0, 0], [2, 0, 1], [0, 0, 0]])
    shares = concentration(counts, 1)
    assert np.isnan(shares[[0, 2]]).all()
    assert shares[1] == pytest.approx(2 / 3)


def test_measures_of_equal_one_sided_and_zero_counts():
    assert (imbalance(np.array([4, 4])), evenness(np.array([4, 4]))) == (1, 1)
    assert divergence(np.array([4, 4])) == pytest.approx(0, abs=1e-12)
    assert imbalance(np.array([4, 0])) == math.inf
    assert divergence(np.array([4, 0])) == pytest.approx(math.log(2))
    assert evenness(np.array([4, 0])) == 0
    zero = np.array([0, 0])
    assert imbalance(zero) == 1
    assert math.isnan(divergence(zero))
    assert math.isnan(evenness(zero))


def test_divergence_from_true_classes():
    """Shares 3/4 and 1/4 against 1/2 and 1/2 of three classes: 3/4 log 3/2 + 1/4 log 1/2 = 0.130812."""
    counts = np.array([3, 1, 0])
    assert divergence(counts, np.array([2, 2, 0])) == pytest.approx(0.130812, abs=1e-6)
    assert divergence(counts, np.array([4, 0, 4])) == math.inf


def test_class_means_and_their_cosines():
    """Means (.9, .3) and (.3, .9): .54 / .9; images of unknown class are ignored, a class without images gives NaN."""
    features = np.array([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8], [9, 9]])
    means = class_means(features, np.array([0, 0, 1, 1, -1]), 3)
    assert means[:2].ravel().tolist() == pytest.approx([0.9, 0.3, 0.3, 0.9])
    cosines = similarity(means)
    assert cosines[0, 1] == pytest.approx(0.6)
    assert cosines[0, 0] == pytest.approx(1)
    assert np.isnan(cosines[2]).all()


def test_neighbours_of_the_most_and_least_predicted_classes():
    most, least = most_and_least_predicted(np.array([9, 4, 2, 1, 4]), 2)
    assert most.tolist() == [0, 1]
    assert least.tolist() == [3, 2]
    most, least = most_and_least_predicted(np.array([2, 1, 1, 2]), 3)
    assert (most.tolist(), least.tolist()) == ([0, 3, 1], [1, 2, 0])
    similarities = np.array([[1, 0.2, 0.9, np.nan], [0.2, 1, 0.5, np.nan], [0.9, 0.5, 1, np.nan], [np.nan] * 4])
    nearest, cosines = neighbours(similarities, np.array([1, 0]), 2)
    assert nearest.tolist() == [[2, 0], [2, 1]]
    assert cosines.tolist() == [[0.5, 0.2], [0.9, 0.2]]
    nearest, cosines = neighbours(similarities, np.array([0]), 9)
    assert nearest.tolist() == [[2, 1, 3]]
    assert cosines[0, :2].tolist() == [0.9, 0.2]
    assert np.isnan(cosines[0, 2])
