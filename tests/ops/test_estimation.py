import numpy as np
import pytest

from daso.errors import EstimateError
from daso.ops.estimation import mean_sizes, scaled_columns, soft_confusion, solve_class_sizes

CONFUSION = scaled_columns(np.array([[16.0, 3, 2], [3, 12, 2], [1, 5, 6]]))  # columns are true classes
MASS = np.array([545.0, 290, 165])


def test_class_sizes_solve_the_confusion_matrix():
    """(600, 300, 100) give a mass of .8 * 600 + .15 * 300 + .2 * 100 = 545 for the first class, and so on."""
    assert np.linalg.cond(CONFUSION) == pytest.approx(2.674276, abs=1e-6)
    assert CONFUSION[:, 0].tolist() == pytest.approx([0.8, 0.15, 0.05])
    assert solve_class_sizes(CONFUSION, MASS) == pytest.approx([600, 300, 100])
    sizes = solve_class_sizes(CONFUSION, np.array([700.0, 200, 100]))
    assert sizes == pytest.approx([842.105263, 105.263158, 52.631579])
    assert sizes.sum() == pytest.approx(1000)


def test_soft_confusion_averages_predictions_by_class():
    """Predictions (.9, .1) and (.5, .5) for two images of class 0, (.2, .8) for one of class 1."""
    probs = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]], dtype=np.float32)
    assert soft_confusion(probs, np.array([0, 1, 0])) == pytest.approx(np.array([[0.7, 0.2], [0.3, 0.8]]))
    with pytest.raises(EstimateError, match="no held-out images of class 1"):
        soft_confusion(probs, np.array([0, 0, 0]))


def test_unreliable_estimates_are_none():
    """First case: a twentieth of the mass of class 0 belongs to class 2, whose mass is zero."""
    assert solve_class_sizes(CONFUSION, np.array([95.0, 5, 0])) is None
    rejected = np.array([[0.5, 0.5 + 1e-2], [0.5, 0.5 - 1e-2]])  # condition number 100
    accepted = np.array([[0.5, 0.5 + 1.1e-2], [0.5, 0.5 - 1.1e-2]])  # condition number 91
    assert np.linalg.cond(rejected) > 100 > np.linalg.cond(accepted) > 90
    assert solve_class_sizes(rejected, np.array([10.0, 9.9])) is None
    assert solve_class_sizes(accepted, np.array([10.0, 9.9])) is not None
    assert solve_class_sizes(np.full((2, 2), 0.5), np.array([1.0, 1.0])) is None  # singular matrix
    assert solve_class_sizes(CONFUSION, np.array([0.0, 0, 0])).tolist() == [0, 0, 0]  # a size may be zero


def test_unreliable_estimates_are_left_out_of_the_mean():
    """(600, 300, 100) and (842.105263, 105.263158, 52.631579); a third estimate has a size below zero."""
    masses = [MASS, np.array([95.0, 5, 0]), np.array([700.0, 200, 100])]
    mean = mean_sizes([solve_class_sizes(CONFUSION, mass) for mass in masses])
    assert mean == pytest.approx([721.052632, 202.631579, 76.315789])
    three = [np.array(sizes) for sizes in ([1.0, 2], [2.0, 2], [9.0, 2])]  # 12 / 3, and a median of 2
    assert mean_sizes(three).tolist() == [4, 2]
    with pytest.raises(EstimateError, match="none of 1 estimates .* is reliable"):
        mean_sizes([solve_class_sizes(CONFUSION, masses[1])])
    with pytest.raises(EstimateError, match="none of 0 estimates"):
        mean_sizes([])
