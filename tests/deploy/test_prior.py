"""Shift of probabilities to another class distribution."""

import numpy as np
import pytest

from daso.deploy.prior import ratios, shifted
from daso.errors import DasoError

RECORD = {"classes": ["a", "b"], "prior": {"implied": "uniform", "train": [0.8, 0.2]}}


def test_shift_multiplies_by_the_ratio_of_the_shares():
    """From 1/2 each to 0.8 and 0.2: (0.6 x 1.6, 0.4 x 0.4) = (0.96, 0.16), normalised (6/7, 1/7)."""
    ratio = ratios(RECORD, "train")
    assert ratio.tolist() == pytest.approx([1.6, 0.4])
    assert shifted(np.array([[0.6, 0.4]]), ratio)[0].tolist() == pytest.approx([6 / 7, 1 / 7])


def test_model_without_logit_adjustment_shifts_from_the_training_shares():
    record = {**RECORD, "prior": {**RECORD["prior"], "implied": "train"}}
    assert ratios(record, "train").tolist() == [1, 1]
    assert ratios(record, "uniform").tolist() == pytest.approx([0.625, 2.5])


def test_no_prior_changes_no_bit():
    probabilities = np.array([[0.3, 0.7]], dtype=np.float32)
    assert shifted(probabilities, ratios(RECORD, None)) is probabilities


def test_shares_of_a_file_are_normalised(tmp_path):
    """30 and 10 are 3/4 and 1/4; the byte order mark of spreadsheets is accepted."""
    path = tmp_path / "shares.csv"
    path.write_bytes("\ufeffclass,share\nb,10\na,30\n".encode())
    assert ratios(RECORD, str(path)).tolist() == pytest.approx([1.5, 0.5])


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("class,share\na,1\n", "missing class 'b'; give the share of each of the 2 classes"),
        ("class,share\na,1\nc,1\n", "unknown class 'c'; choose one of a, b"),
        ("class,share\na,1\na,2\nb,1\n", "duplicate class 'a'; keep one of its rows"),
        ("class,share\na,0\nb,1\n", "share of 'a': expected a positive number, got '0'; correct it"),
        ("class,share\na,inf\nb,1\n", "share of 'a': expected a positive number, got 'inf'; correct it"),
        ("name,share\na,1\n", "expected the columns class,share; correct its first line"),
    ],
)
def test_unusable_file_is_one_error(tmp_path, text, error):
    path = tmp_path / "shares.csv"
    path.write_text(text)
    with pytest.raises(DasoError, match="shares.csv: ") as caught:
        ratios(RECORD, str(path))
    assert str(caught.value) == f"{path}: {error}"
