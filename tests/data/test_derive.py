"""Splits of plans' stages, on thirty images of three classes; image i has class i % 3."""

import io

import numpy as np
import pytest

from daso.data.derive import derive, expand, hold_out
from daso.data.files import digest
from daso.data.split import check_split, make_split
from daso.data.split_rows import Split
from daso.data.store import load_store, write_store
from daso.errors import DataError
from tests.finished import finish

LABELS = np.arange(30) % 3
CONFIG = {
    "dataset": "rest",
    "setting": {"name": "s", "n1": 4, "m1": 4, "gamma_l": 4, "gamma_u": 1, "reversed": False},
    "seed": 0,
    "num_classes": 3,
    "holdout": 6,
    "class_order": "native",
}


@pytest.fixture
def store(tmp_path):
    images = np.zeros((30, 3, 4, 4), np.uint8)
    write_store(tmp_path / "store", "rest", ["a", "b", "c"], {"train": (images, LABELS), "test": (images, LABELS)}, {})
    return load_store(tmp_path / "store")


@pytest.fixture
def drawn(store, tmp_path):
    """Draw a split with 4, 2 and 1 labeled images, 4 unlabeled and 2 held-out images per class."""
    make_split(CONFIG, store, tmp_path / "drawn.json")
    return tmp_path / "drawn.json"


def finished_run(folder, logits, key="k1", name="unlabeled"):
    arrays, content = {"logits": np.zeros((30, 3), np.float32), name: np.asarray(logits, np.float32)}, io.BytesIO()
    np.savez(content, **arrays)
    return finish(folder, {"predictions.npz": content.getvalue()}, key=key)


def test_pseudo_labels_are_added_and_their_images_stay_unlabeled():
    """Counts 4, 2, 1 and exponent 1: rates 1/4, 1/2, 1. Of seven pseudo-labels 0 0 0 0 1 1 2, 1, 1 and 1 are added.

    The most confident image of class 0 is the third, that of class 1 the sixth.
    """
    split = Split(np.array([0, 3, 6, 9, 1, 4, 2]), np.array([12, 15, 18, 21, 13, 16, 14]), np.array([27, 28, 29]))
    logits = np.array([[1, 0, 0], [1, 0, 0], [9, 0, 0], [2, 0, 0], [0, 3, 0], [0, 5, 0], [0, 0, 1]], np.float32)
    derived = expand(split, (4, 2, 1), logits, 1.0)
    assert derived.labeled.tolist() == [0, 3, 6, 9, 1, 4, 2, 18, 16, 14]
    assert derived.pseudo_labeled.tolist() == [0, 1, 2]
    assert derived.unlabeled.tolist() == split.unlabeled.tolist()
    with pytest.raises(DataError, match="6 predictions for 7 unlabeled images"):
        expand(split, (4, 2, 1), logits[:6], 1.0)


def test_exponent_0_adds_all_pseudo_labels():
    """Every rate is 1: all four unlabeled images become labeled, class by class, the most confident first."""
    split = Split(np.array([0, 3, 1, 2]), np.array([6, 9, 4, 5]), np.array([27, 28, 29]))
    logits = np.array([[0, 0, 9], [2, 0, 0], [0, 3, 0], [3, 0, 0]], np.float32)
    derived = expand(split, (2, 1, 1), logits, 0.0)
    assert derived.labeled.tolist() == [0, 3, 1, 2, 5, 9, 4, 6]
    assert derived.pseudo_labeled.tolist() == [0, 0, 1, 2]


def test_hold_out_takes_the_first_labeled_images_of_each_class():
    """Two images per class are held out; the rarest class has three."""
    split = Split(np.array([9, 0, 3, 6, 1, 4, 7, 2, 5, 8]), np.array([10]), np.array([27, 28, 29]))
    derived = hold_out(split, LABELS, 3, 2)
    assert derived.validation.tolist() == [9, 0, 1, 4, 2, 5]
    assert derived.labeled.tolist() == [3, 6, 7, 8]
    assert derived.unlabeled.tolist() == [10]


def test_hold_out_falls_back_to_the_validation_part():
    """The rarest class has only two labeled images and would keep none."""
    split = Split(np.array([0, 3, 6, 1, 4, 7, 2, 5]), np.array([10]), np.array([27, 28, 29, 24, 25, 26, 21]))
    derived = hold_out(split, LABELS, 3, 2)
    assert derived.validation.tolist() == [27, 24, 28, 25, 29, 26]
    assert derived.labeled.tolist() == split.labeled.tolist()
    with pytest.raises(
        DataError, match="3 images .* too many for class 1, 2 in both the labeled and the validation part"
    ):
        hold_out(split, LABELS, 3, 3)


def test_expansion_is_saved_with_its_derivation(store, drawn, tmp_path):
    base = check_split(drawn, store)
    assert base.counts == {"labeled": (4, 2, 1), "unlabeled": (4, 4, 4), "validation": (2, 2, 2)}
    logits = np.roll(np.eye(3), 1, axis=1)[LABELS[base.split.unlabeled]]  # class 0 is predicted as 1, 1 as 2, 2 as 0
    run = finished_run(tmp_path / "g1", logits)
    options = {"of": "d/s/p/m.g1/s0", "key": "k1", "exponent": 1.0}
    derived = derive(options, drawn, store, tmp_path / "split.json", run)
    # Rates 1/4, 1/2, 1 of four pseudo-labels each: 1, 2 and 4 images are added.
    assert derived.counts["labeled"] == (5, 4, 5)
    assert derived.split.pseudo_labeled.tolist() == [0, 1, 1, 2, 2, 2, 2]
    assert (derived.derivation, base.derivation) == (options, None)
    assert derived.config_sha256 == base.config_sha256 == digest(CONFIG)
    assert (derived.dataset, derived.setting, derived.seed, derived.class_order) == ("rest", "s", 0, (0, 1, 2))
    assert check_split(tmp_path / "split.json", store).sha256 == derived.sha256 != base.sha256
    again = derive(options, drawn, store, tmp_path / "again.json", run)
    assert again.sha256 == derived.sha256

    assert derived.drawn_sha256 == base.sha256


def test_hold_out_is_saved_as_validation_part(store, drawn, tmp_path):
    derived = derive({"held_out": 2}, drawn, store, tmp_path / "split.json")
    assert derived.counts["validation"] == (2, 2, 2)
    assert len(derived.split.pseudo_labeled) == 0
    with pytest.raises(DataError, match=r"split\.json: held_out: 9 images per class are too many"):
        derive({"held_out": 9}, drawn, store, tmp_path / "split.json")


def test_unknown_options_are_refused(store, drawn, tmp_path):
    with pytest.raises(DataError, match=r"split\.json: unknown key 'held'; did you mean 'held_out'"):
        derive({"held": 2}, drawn, store, tmp_path / "split.json")


@pytest.mark.parametrize("held", [0, -1, 1.5, "a", True])
def test_invalid_held_out_is_refused(store, drawn, tmp_path, held):
    with pytest.raises(DataError, match="held_out: (expected an integer, got|.* is below the minimum 1)"):
        derive({"held_out": held}, drawn, store, tmp_path / "split.json")


def test_derived_split_is_refused_as_drawn_split(store, drawn, tmp_path):
    derive({"held_out": 1}, drawn, store, tmp_path / "split.json")
    with pytest.raises(DataError, match=r"split\.json: already derived from a drawn split; pass that split instead"):
        derive({"held_out": 1}, tmp_path / "split.json", store, tmp_path / "again.json")


def test_predictions_of_a_different_run_are_refused(store, drawn, tmp_path):
    options = {"of": "d/s/p/m.g1/s0", "key": "k1", "exponent": 1.0}
    with pytest.raises(DataError, match=r"its key is k2, but params/ and the code now give k1"):
        derive(options, drawn, store, tmp_path / "split.json", finished_run(tmp_path / "other", np.eye(3), key="k2"))
    with pytest.raises(DataError, match=r"requires the pseudo-labels of d/s/p/m.g1/s0; pass its folder with --run"):
        derive(options, drawn, store, tmp_path / "split.json")
