import numpy as np
import pytest

from daso.ops.confusion import confusion, precision, recall, top1

# Four, three and three images of the classes 0, 1, 2; class 2 is guessed once, wrongly.
TRUTH = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2])
GUESS = np.array([0, 0, 0, 1, 0, 1, 1, 0, 0, 1])


def test_recall_and_precision():
    """Class 0: 3 of 4 found, 3 of 6 guesses right; class 1: 2 of 3 and 2 of 4; class 2 is never guessed."""
    counts = confusion(TRUTH, GUESS, 3)
    assert counts.tolist() == [[3, 1, 0], [1, 2, 0], [2, 1, 0]]
    assert recall(counts).tolist() == pytest.approx([0.75, 2 / 3, 0])
    assert precision(counts)[:2].tolist() == pytest.approx([0.5, 0.5])
    assert np.isnan(precision(counts)[2])
    assert top1(counts) == pytest.approx(0.5)
