"""Open sets: target classes, images of another store, splits, bundles."""

import zipfile

import numpy as np
import pytest
import torch

from daso.data.bundle import read_bundle, write_bundle
from daso.data.derive import derive
from daso.data.files import digest
from daso.data.open_set import open_store, rows_by_store
from daso.data.split import check_split, load_split, make_split
from daso.data.store import load_store, write_store
from daso.engine.resident import load_resident
from daso.errors import DataError
from tests.data.test_verified import flip_bit

CPU = torch.device("cpu")
LABELS = np.array([0, 1, 2, 3] * 10)  # of the train part
CLASSES = {"classes": [1], "share": 0.5}
OTHER = {"dataset": "other", "share": 0.25}


def config(outside: dict, classes: int, **sizes) -> dict:
    setting = {"name": "open", "n1": 2, "m1": 3, "gamma_l": 2, "gamma_u": 1, "reversed": False, **sizes}
    base = {"dataset": "toy", "seed": 3, "num_classes": classes, "holdout": 0, "class_order": "native"}
    return {**base, "setting": {**setting, "outside": outside}}


RUN = {  # configuration of a run with images of the other store
    **{"run": "toy/open/smoke/fixmatch/s3", "key": "0" * 16, "dataset": {"name": "toy", "num_classes": 4}},
    **{"setting": config(OTHER, 4)["setting"], "split_config_sha256": digest(config(OTHER, 4))},
    **{"protocol": {"network": {}}, "plan": {}, "seed": 3},
}


def pixels(first: int, n: int, size: int = 4) -> np.ndarray:
    """Return images whose pixels are first, first + 1, ..."""
    return np.broadcast_to(np.arange(first, first + n, dtype=np.uint8)[:, None, None, None], (n, 3, size, size))


@pytest.fixture
def store(tmp_path):
    """Write a store of four classes with 40 training and 8 test images, and beside it `other` with 6 and 1."""
    parts = {"train": (pixels(0, 40), LABELS), "test": (pixels(100, 8), LABELS[:8])}
    others = {"train": (pixels(200, 6), np.array([0, 1, 0, 1, 0, -1])), "test": (pixels(250, 1), np.array([0]))}
    write_store(tmp_path / "data/store/other", "other", ["x", "y"], others, {"kind": "noise"})
    return write_store(tmp_path / "data/store/toy", "toy", ["a", "b", "c", "d"], parts, {"kind": "noise"})


def test_target_classes_are_renumbered_and_other_classes_have_no_test_image(store):
    """Without class 1, the classes 0, 2 and 3 become 0, 1 and 2; training images of class 1 have label 3."""
    view = open_store(store, CLASSES)
    assert view.classes == ("a", "c", "d")
    assert view.labels("train").tolist() == [0, 3, 1, 2] * 10
    assert view.labels("test").tolist() == [0, 1, 2] * 2
    assert view.images("test")[:, 0, 0, 0].tolist() == [100, 102, 103, 104, 106, 107]
    assert view.images("train", [5, 2])[:, 0, 0, 0].tolist() == [5, 2]
    assert view.sha256 == store.sha256


def test_images_without_a_label_stay_of_unknown_class(tmp_path):
    parts = {"train": (pixels(0, 4), np.array([0, -1, 2, 1])), "test": (pixels(9, 1), np.array([0]))}
    store = write_store(tmp_path / "store", "toy", ["a", "b", "c"], parts, {})
    assert open_store(store, {"classes": [1], "share": 0.5}).labels("train").tolist() == [0, -1, 1, 2]


def test_images_of_another_store_follow_with_a_label_of_no_class(store):
    view = open_store(store, OTHER)
    assert view.labels("train").tolist() == [*LABELS.tolist(), *[4] * 6]
    assert view.images("train", [41, 0, 45])[:, 0, 0, 0].tolist() == [201, 0, 205]
    assert len(view.images("train")) == 46
    assert view.labels("test").tolist() == LABELS[:8].tolist()
    assert view.sha256 not in (store.sha256, view.other.sha256)
    (_, own), (_, other) = rows_by_store(view, np.array([41, 0, 45, 39]))
    assert (own.tolist(), other.tolist()) == ([0, 39], [1, 5])


def test_images_of_another_size_are_refused(store, tmp_path):
    parts = {part: (pixels(0, 2, size=8), np.array([0, 1])) for part in ("train", "test")}
    write_store(tmp_path / "data/store/large", "large", ["x", "y"], parts, {})
    with pytest.raises(
        DataError, match=r"large: outside: expected images of 4 pixels as in .*toy, got 8; name a dataset"
    ):
        open_store(store, {"dataset": "large", "share": 0.5})


def test_half_of_the_unlabeled_images_are_of_the_other_class(store, tmp_path):
    """Three unlabeled images of each of three classes, so nine of class 1, which is in no other part."""
    saved = make_split(config(CLASSES, 3), store, tmp_path / "s.json")
    assert saved.counts == {"labeled": (2, 1, 1), "unlabeled": (3, 3, 3), "validation": (0, 0, 0)}
    classes = LABELS[saved.split.unlabeled]
    assert np.bincount(classes).tolist() == [3, 9, 3, 3]
    assert (classes[9:] == 1).all()
    assert 1 not in LABELS[saved.split.labeled]
    assert len(set(saved.split.rows.tolist())) == 4 + 18
    assert saved.outside == CLASSES
    assert check_split(tmp_path / "s.json", store, digest(config(CLASSES, 3))).sha256 == saved.sha256


def test_images_of_the_classes_do_not_depend_on_those_of_no_class(store, tmp_path):
    """With a share of 0, the same setting is the closed set of the target classes."""
    with_outside, without = (
        make_split(config({"classes": [1], "share": share}, 3), store, tmp_path / "s.json").split for share in (0.5, 0)
    )
    assert without.unlabeled.tolist() == with_outside.unlabeled[:9].tolist()
    assert without.labeled.tolist() == with_outside.labeled.tolist()


def test_other_draws_have_images_of_no_class(store, tmp_path):
    """A share of 0.25 adds one image to three: 4 to 12, 3 to 8, and 10 to all 30 of the classes."""
    unlabeled = make_split(config(OTHER, 4), store, tmp_path / "s.json").split.unlabeled
    assert (len(unlabeled), (unlabeled >= 40).sum()) == (16, 4)
    share = {"name": "open", "n": 3, "gamma": 1, "share": 0.3, "outside": OTHER}
    unlabeled = make_split({**config(OTHER, 4), "setting": share}, store, tmp_path / "s.json").split.unlabeled
    assert (len(unlabeled), (unlabeled >= 40).sum()) == (8 + 3, 3)  # of the three images of each class, one is labeled
    whole = config({"classes": [1], "share": 0.25}, 3, m1="train")
    unlabeled = make_split(whole, store, tmp_path / "s.json").split.unlabeled
    assert (len(unlabeled), (LABELS[unlabeled] == 1).sum()) == (40, 10)


def test_images_of_unknown_class_stay_among_the_unlabeled_ones(tmp_path, store):
    labels = np.array([0, 0, 1, 1, *[-1] * 6])
    parts = {"train": (pixels(0, 10), labels), "test": (pixels(0, 2), labels[1:3])}
    others = write_store(tmp_path / "data/store/stl", "toy", ["a", "b"], parts, {})
    saved = make_split(config(OTHER, 2, m1="all", gamma_u=None, n1=1), others, tmp_path / "s.json")
    assert saved.split.unlabeled[:6].tolist() == [4, 5, 6, 7, 8, 9]
    assert saved.split.unlabeled[6:].min() >= 10
    pool = load_resident(open_store(others, saved.outside), saved.split, CPU).unlabeled
    assert pool.labels.tolist() == [-1] * 6 + [2] * 2


def test_too_few_images_of_no_class_are_refused(store, tmp_path):
    with pytest.raises(DataError, match=r"open: outside: a share of 0\.6 needs 14 images of no class, got 10; lower"):
        make_split(config({"classes": [1], "share": 0.6}, 3), store, tmp_path / "s.json")


@pytest.mark.parametrize("memory", [None, 0], ids=["resident", "streamed"])
def test_pools_have_the_images_and_labels_of_an_open_set(store, tmp_path, memory):
    for outside, classes in ((CLASSES, 3), (OTHER, 4)):
        saved = make_split(config(outside, classes), store, tmp_path / "s.json")
        view = open_store(store, saved.outside)
        data = load_resident(view, saved.split, CPU, memory)
        red = torch.cat(list(data.unlabeled.batches(5)))[:, 0, 0] & 255
        expected = [row if row < 40 else 160 + row for row in saved.split.unlabeled.tolist()]
        assert red.tolist() == expected
        assert data.unlabeled.counts(classes) == (3,) * classes
        assert (data.unlabeled.labels == classes).sum() == len(expected) - 3 * classes
        assert data.test.counts(classes) == (2,) * classes


def test_derived_split_keeps_the_open_set(store, tmp_path):
    """One image of each class is held out; too few are labeled to hold out others."""
    drawn = make_split({**config(CLASSES, 3), "holdout": 3}, store, tmp_path / "s.json")
    derived = derive({"held_out": 1}, tmp_path / "s.json", store, tmp_path / "derived.json")
    assert derived.outside == CLASSES
    assert derived.counts == {"labeled": (2, 1, 1), "unlabeled": (3, 3, 3), "validation": (1, 1, 1)}
    assert derived.split.unlabeled.tolist() == drawn.split.unlabeled.tolist()
    assert check_split(tmp_path / "derived.json", store).drawn_sha256 == drawn.sha256


def test_split_of_a_changed_other_store_is_refused(store, tmp_path):
    make_split(config(OTHER, 4), store, tmp_path / "s.json")
    parts = {"train": (pixels(1, 6), np.zeros(6, np.int64)), "test": (pixels(0, 1), np.array([0]))}
    write_store(tmp_path / "data/store/other", "other", ["x", "y"], parts, {})
    with pytest.raises(DataError, match=r"s\.json: drawn from data with SHA-256"):
        check_split(tmp_path / "s.json", store)


def test_bundle_carries_the_images_of_both_stores(store, tmp_path):
    """Of the other store, only the drawn images of its train part."""
    split = tmp_path / "data/splits/toy/open/s3.json"
    saved = make_split(config(OTHER, 4), store, split)
    write_bundle(tmp_path / "bundle", [RUN], tmp_path)
    (packed,) = read_bundle(tmp_path / "bundle")
    other = load_store(packed.store.with_name("other"))
    names = {part: zipfile.ZipFile(other.folder / f"{part}.zip").namelist() for part in ("train", "test")}
    assert names == {"train": [f"{row}.webp" for row in sorted(saved.split.unlabeled[12:] - 40)], "test": []}
    view = open_store(load_store(packed.store), load_split(packed.drawn_split).outside)
    assert (view.images("train", saved.split.rows) == open_store(store, OTHER).images("train", saved.split.rows)).all()


def test_bundle_reads_all_images_of_both_stores_again(store, tmp_path):
    """The other store's record of its verification still holds, as size, time and inode of its file are the same."""
    make_split(config(OTHER, 4), store, tmp_path / "data/splits/toy/open/s3.json")
    flip_bit(tmp_path / "data/store/other/train_images.npy", keep_time=True)
    with pytest.raises(DataError, match=r"other/train_images\.npy: SHA-256 of the images: expected"):
        write_bundle(tmp_path / "bundle", [RUN], tmp_path)
