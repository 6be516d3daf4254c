"""The splits of plans' stages, on thirty images of three classes: image i is of class i % 3."""

import io
import json

import numpy as np
import pytest

from daso.data.derive import derive, expand, hold_out
from daso.data.files import digest
from daso.data.split import check_split, make_split
from daso.data.store import load_store, write_store
from daso.errors import DataError
from daso.records import Split
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
    """Labeled 4, 2 and 1 images, unlabeled 4 of each class, held out 2 of each."""
    make_split(CONFIG, store, tmp_path / "drawn.json")
    return tmp_path / "drawn.json"


def finished(folder, logits, key="k1", name="unlabeled"):
    answers, content = {"logits": np.zeros((30, 3), np.float32), name: np.asarray(logits, np.float32)}, io.BytesIO()
    np.savez(content, **answers)
    return finish(folder, {"predictions.npz": content.getvalue()}, key=key)


def test_guesses_are_added_and_stay_unlabeled():
    """Counts 4, 2, 1 and exponent 1: shares 1/4, 1/2, 1. Guesses 0 0 0 0 1 1 2 by seven images: 1, 1 and 1 are trusted.

    Of class 0 the surest is the third image, of class 1 the sixth.
    """
    split = Split(np.array([0, 3, 6, 9, 1, 4, 2]), np.array([12, 15, 18, 21, 13, 16, 14]), np.array([27, 28, 29]))
    logits = np.array([[1, 0, 0], [1, 0, 0], [9, 0, 0], [2, 0, 0], [0, 3, 0], [0, 5, 0], [0, 0, 1]], np.float32)
    made = expand(split, (4, 2, 1), logits, 1.0)
    assert made.labeled.tolist() == [0, 3, 6, 9, 1, 4, 2, 18, 16, 14]
    assert made.pseudo_labeled.tolist() == [0, 1, 2]
    assert made.unlabeled.tolist() == split.unlabeled.tolist()
    with pytest.raises(DataError, match="6 guesses for 7 unlabeled images"):
        expand(split, (4, 2, 1), logits[:6], 1.0)


def test_images_are_held_out_of_the_labeled_ones():
    """Two of each class where the rarest has three; the first of each class in the order of the part."""
    split = Split(np.array([9, 0, 3, 6, 1, 4, 7, 2, 5, 8]), np.array([10]), np.array([27, 28, 29]))
    made = hold_out(split, LABELS, 3, 2)
    assert made.validation.tolist() == [9, 0, 1, 4, 2, 5]
    assert made.labeled.tolist() == [3, 6, 7, 8]
    assert made.unlabeled.tolist() == [10]


def test_where_too_few_are_labeled_the_validation_part_gives_them():
    """The rarest class has just two: none of it would be left."""
    split = Split(np.array([0, 3, 6, 1, 4, 7, 2, 5]), np.array([10]), np.array([27, 28, 29, 24, 25, 26, 21]))
    made = hold_out(split, LABELS, 3, 2)
    assert made.validation.tolist() == [27, 24, 28, 25, 29, 26]
    assert made.labeled.tolist() == split.labeled.tolist()
    with pytest.raises(DataError, match="neither the labeled nor the validation part has as many of class 1, 2"):
        hold_out(split, LABELS, 3, 3)


def test_a_saved_expansion_is_checked_like_any_split(store, drawn, tmp_path):
    base = check_split(drawn, store)
    assert base.counts == {"labeled": (4, 2, 1), "unlabeled": (4, 4, 4), "validation": (2, 2, 2)}
    wrong = np.roll(np.eye(3), 1, axis=1)[LABELS[base.split.unlabeled]]  # 0 is taken for 1, 1 for 2, 2 for 0
    run = finished(tmp_path / "g1", wrong)
    way = {"of": "d/s/p/m.g1/s0", "key": "k1", "exponent": 1.0}
    made = derive(way, drawn, store, tmp_path / "split.json", run)
    # shares 1/4, 1/2, 1 of four guesses each: 1, 2 and 4 images, whose labels are the guesses
    assert made.counts["labeled"] == (5, 4, 5)
    assert made.split.pseudo_labeled.tolist() == [0, 1, 1, 2, 2, 2, 2]
    assert (made.derivation, base.derivation) == (way, None)
    assert made.config_sha256 == base.config_sha256 == digest(CONFIG)
    assert (made.dataset, made.setting, made.seed, made.class_order) == ("rest", "s", 0, (0, 1, 2))
    assert check_split(tmp_path / "split.json", store).sha256 == made.sha256 != base.sha256
    again = derive(way, drawn, store, tmp_path / "again.json", run)
    assert again.sha256 == made.sha256

    tree = json.loads((tmp_path / "split.json").read_text())
    assert tree["drawn_sha256"] == base.sha256
    tree["labeled"][-1] = tree["validation"][0]  # no unlabeled image any more, and held out as well
    tree["sha256"] = digest({name: value for name, value in tree.items() if name != "sha256"})
    (tmp_path / "split.json").write_text(json.dumps(tree))
    with pytest.raises(DataError, match=rf"row {tree['validation'][0]} is used more than once \(labeled, validation\)"):
        check_split(tmp_path / "split.json", store)


def test_a_saved_hold_out(store, drawn, tmp_path):
    made = derive({"held_out": 2}, drawn, store, tmp_path / "split.json")
    assert made.counts["validation"] == (2, 2, 2)
    assert len(made.split.pseudo_labeled) == 0
    with pytest.raises(DataError, match=r"split\.json: 9 images of each class are to be held out"):
        derive({"held_out": 9}, drawn, store, tmp_path / "split.json")


def test_a_way_that_is_none_is_refused(store, drawn, tmp_path):
    with pytest.raises(DataError, match=r"split\.json: \['held'\] says no way to a split; give of, key and exponent"):
        derive({"held": 2}, drawn, store, tmp_path / "split.json")


@pytest.mark.parametrize("held", [0, -1, 1.5, "a", True])
def test_a_number_of_images_that_is_none_is_refused(store, drawn, tmp_path, held):
    with pytest.raises(
        DataError, match=f"held_out is {held} and should be a number of images of each class, at least 1"
    ):
        derive({"held_out": held}, drawn, store, tmp_path / "split.json")


def test_a_derived_split_is_not_taken_for_the_one_that_was_drawn(store, drawn, tmp_path):
    derive({"held_out": 1}, drawn, store, tmp_path / "split.json")
    with pytest.raises(DataError, match=r"split\.json: was itself made of another split; give the one that was drawn"):
        derive({"held_out": 1}, tmp_path / "split.json", store, tmp_path / "again.json")


def test_guesses_of_another_run_are_refused(store, drawn, tmp_path):
    way = {"of": "d/s/p/m.g1/s0", "key": "k1", "exponent": 1.0}
    with pytest.raises(DataError, match=r"is the run k2, not k1"):
        derive(way, drawn, store, tmp_path / "split.json", finished(tmp_path / "other", np.eye(3), key="k2"))
    with pytest.raises(DataError, match=r"predictions\.npz: does not hold unlabeled .*; delete it and make it again"):
        derive(way, drawn, store, tmp_path / "split.json", finished(tmp_path / "bare", np.eye(3), name="logits"))
    with pytest.raises(DataError, match=r"made from the guesses of d/s/p/m.g1/s0; name its folder by --run"):
        derive(way, drawn, store, tmp_path / "split.json")
