"""Facts of the real lists of Semi-Aves, which the repository does not have."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import entropy

FOLDER = Path(os.environ.get("DASO_SEMI_AVES") or Path(__file__).resolve().parents[2] / "data/raw/semi_aves")
NAMES = ("l_train", "l_train_val", "u_train_in_oracle")


@pytest.fixture(scope="module")
def counts():
    """Return the images of each class by list."""
    if missing := [name for name in NAMES if not (FOLDER / f"{name}.txt").exists()]:
        pytest.skip(f"{FOLDER}: missing the authors' lists {', '.join(missing)} (docs/semi_aves.md)")
    lists = {name: (FOLDER / f"{name}.txt").read_text().splitlines() for name in NAMES}
    by_class = {name: Counter(int(line.rpartition(" ")[2]) for line in lines) for name, lines in lists.items()}
    return {name: np.array([each[k] for k in range(200)]) for name, each in by_class.items()}


def test_first_and_last_classes(counts):
    assert counts["l_train"][:10].tolist() == [30, 25, 32, 25, 34, 37, 27, 31, 31, 28]
    assert counts["l_train"][-10:].tolist() == [8, 7, 9, 6, 7, 8, 7, 7, 8, 6]
    assert counts["u_train_in_oracle"][:10].tolist() == [220, 225, 218, 225, 216, 213, 223, 219, 219, 222]
    assert counts["u_train_in_oracle"][-10:].tolist() == [26, 24, 21, 22, 21, 19, 19, 18, 16, 17]


def test_entropies_of_the_class_distributions(counts):
    """In nats; 5.298317 is log 200."""
    assert entropy(counts["l_train"]) == pytest.approx(5.214491, abs=5e-7)
    assert entropy(counts["l_train_val"]) == pytest.approx(5.262298, abs=5e-7)
    assert entropy(counts["u_train_in_oracle"]) == pytest.approx(5.164805, abs=5e-7)


def test_divergences_of_labeled_and_unlabeled_classes(counts):
    unlabeled = counts["u_train_in_oracle"]
    assert entropy(unlabeled, np.ones(200)) == pytest.approx(0.133512, abs=5e-7)
    assert entropy(unlabeled, counts["l_train"]) == pytest.approx(0.033035, abs=5e-7)
    assert entropy(unlabeled, counts["l_train_val"]) == pytest.approx(0.052431, abs=5e-7)
    assert entropy(counts["l_train"], unlabeled) == pytest.approx(0.035576, abs=5e-7)
    assert entropy(counts["l_train_val"], unlabeled) == pytest.approx(0.063628, abs=5e-7)
