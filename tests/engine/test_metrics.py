import numpy as np
import pytest

from daso.engine.metrics import groups, summary


def test_groups_follow_the_ranks():
    """Ten classes: the mean of the first three ranks, of the four between, of the last three."""
    order = [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    recalls = np.arange(10) / 10  # class k has recall k / 10, so rank r has (9 - r) / 10
    assert groups(recalls, order) == pytest.approx({"many": 0.8, "medium": 0.45, "few": 0.1})


def test_summary():
    """The best is the test accuracy where validation was highest first, not the highest test accuracy."""
    series, validation = [0.1, 0.9, 0.5, 0.7, 0.6], [0.2, 0.3, 0.8, 0.8, 0.1]
    assert summary(series, validation, 3) == {"last": 0.6, "best": 0.5, "median": 0.6, "median_of": 3}
    assert summary(series, [], 20) == {"last": 0.6, "best": None, "median": 0.6, "median_of": 5}


def test_groups_of_few_classes_and_of_untested_ones():
    """Two classes leave nothing in the middle; of five, two, one and two, a class without test images is left out."""
    assert groups(np.array([0.8, 0.4]), [0, 1]) == {"many": 0.8, "medium": None, "few": 0.4}
    recalls = np.array([0.9, 0.7, np.nan, 0.2, 0.4])
    assert groups(recalls, [0, 1, 2, 3, 4]) == pytest.approx({"many": 0.8, "medium": None, "few": 0.3})
