"""Split files: content, and detection of every kind of error."""

import numpy as np
import pytest

from daso.data.draw_split import draw
from daso.data.files import digest
from daso.data.split import check_setting, check_split, load_split, make_split
from daso.data.store import write_store
from daso.errors import DataError
from tests.data.draws import LABELED, numbers, setting


def config(**changes) -> dict:
    base = {"dataset": "toy", "setting": setting(9, 12, 9, 4), "seed": 0, "num_classes": 3, "holdout": 9}
    return {**base, "class_order": "native", **changes}


@pytest.fixture
def store(tmp_path):
    labels = np.arange(90) % 3
    return store_of(tmp_path / "store", labels, labels, ["a", "b", "c"])


def test_saved_split_is_loaded_unchanged(store, tmp_path):
    saved = make_split(config(), store, tmp_path / "splits/s0.json")
    assert saved.split.labeled.tolist() == numbers(LABELED)
    assert saved.counts == {"labeled": (9, 3, 1), "unlabeled": (12, 6, 3), "validation": (3, 3, 3)}
    assert (saved.dataset, saved.setting, saved.seed, saved.class_order) == ("toy", "x", 0, (0, 1, 2))
    assert saved.source_sha256 == store.sha256
    again = check_split(tmp_path / "splits/s0.json", store)
    assert again.sha256 == saved.sha256
    content = (tmp_path / "splits/s0.json").read_bytes()
    make_split(config(), store, tmp_path / "splits/s0.json")
    assert (tmp_path / "splits/s0.json").read_bytes() == content
    assert [path.name for path in (tmp_path / "splits").iterdir()] == ["s0.json"]


def test_class_order_permutes_the_native_split(store, tmp_path):
    """If class order[r] has rank r, the split equals the native split of data in which class order[r] is renamed r."""
    for seed in range(4):
        saved = make_split(config(class_order="seed", seed=seed), store, tmp_path / "s.json")
        order = np.random.RandomState(seed).permutation(3)
        assert saved.class_order == tuple(order)
        assert [saved.counts["labeled"][k] for k in order] == [9, 3, 1]
        assert [saved.counts["unlabeled"][k] for k in order] == [12, 6, 3]
        renamed = np.array([order.tolist().index(label) for label in np.arange(90) % 3])
        native = draw(renamed, setting(9, 12, 9, 4), num_classes=3, holdout=9, seed=seed)
        assert all((a == b).all() for a, b in zip(saved.split[:3], native[:3], strict=True))


def test_reversed_tail_follows_the_class_order(store, tmp_path):
    saved = make_split(config(class_order="seed", setting=setting(9, 12, 9, 4, True)), store, tmp_path / "s.json")
    assert [saved.counts["unlabeled"][k] for k in saved.class_order] == [3, 6, 12]


def test_error_names_all_classes_with_too_few_images():
    cifar = config(dataset="cifar10-lt", setting=setting(5000, 4000, 100, 100) | {"name": "n5000-m4000-l100-u100"})
    message = (
        "cifar10-lt/n5000-m4000-l100-u100: each class needs 9003 images (3 of them held out), but class 0 "
        "(cat) has 5000, class 2 (cow) has 4000; lower n1 + m1 to at most 3997 in params/datasets/cifar10-lt.yaml, "
        "or keep the natural sizes with `labeled`"
    )
    with pytest.raises(DataError) as caught:
        check_setting(cifar, ["cat", "dog", "cow"], [5000, 9003, 4000])
    assert str(caught.value) == message
    check_setting(cifar, ["cat", "dog", "cow"], [9003, 9003, 9003])
    check_setting({**cifar, "setting": setting(2000, 1997, 1, 1)}, ["cat", "dog", "cow"], [5000, 9003, 4000])
    with pytest.raises(DataError, match=r"class 2 \(cow\) has 3; add images or lower holdout in"):
        check_setting(cifar, ["cat", "dog", "cow"], [9003, 9003, 3])


def test_setting_with_too_few_images_is_refused(store, tmp_path):
    with pytest.raises(DataError, match=r"needs 31 images .*class 0 \(a\) has 30, class 1 \(b\) has 30, class 2"):
        make_split(config(setting=setting(9, 19, 9, 4)), store, tmp_path / "s.json")
    assert not (tmp_path / "s.json").exists()


M1_ALL = {"name": "x", "n1": 9, "m1": "all", "gamma_l": 9, "reversed": False}


def test_split_with_unlabeled_images_without_labels(tmp_path):
    labels = [*(np.arange(90) % 3), -1, -1]
    store = store_of(tmp_path / "store", labels, [0, 1, 2], ["a", "b", "c"])
    make_split(config(setting=M1_ALL), store, tmp_path / "s.json")
    saved = check_split(tmp_path / "s.json", store)
    assert saved.split.unlabeled.tolist() == [90, 91]
    assert saved.counts == {"labeled": (9, 3, 1), "unlabeled": (0, 0, 0), "validation": (3, 3, 3)}
    with pytest.raises(DataError, match=r"class 0 \(a\) has 30, .*; lower n1 to at most 27 in"):
        make_split(config(setting=M1_ALL | {"n1": 28}), store, tmp_path / "t.json")


def test_m1_all_needs_images_without_a_label(store, tmp_path):
    with pytest.raises(DataError, match=r"toy/x: m1: all selects the images without a label, and .*store has none"):
        make_split(config(setting=M1_ALL), store, tmp_path / "s.json")


M1_TRAIN = {"name": "x", "n1": 2, "m1": "train", "gamma_l": 1, "reversed": False}

SHARE = {"name": "x", "n": 30, "gamma": 4, "share": 0.2, "reversed": False}


def test_labeled_images_may_be_unlabeled_images_too(store, tmp_path):
    saved = make_split(config(setting=M1_TRAIN, holdout=0), store, tmp_path / "s.json")
    assert check_split(tmp_path / "s.json", store).sha256 == saved.sha256
    assert saved.counts == {"labeled": (2, 2, 2), "unlabeled": (30, 30, 30), "validation": (0, 0, 0)}


def test_share_of_the_images_of_a_store(store, tmp_path):
    """The tail of 30 images per class is (30, 15, 7); a fifth of it is 6, 3 and 1.4, rounded up."""
    saved = make_split(config(setting=SHARE, holdout=0), store, tmp_path / "s.json")
    assert saved.counts == {"labeled": (6, 3, 2), "unlabeled": (24, 12, 5), "validation": (0, 0, 0)}
    content = (tmp_path / "s.json").read_bytes()
    make_split(config(setting=SHARE, holdout=0), store, tmp_path / "s.json")
    assert (tmp_path / "s.json").read_bytes() == content
    with pytest.raises(
        DataError, match=r"each class needs 33 images \(3 of them held out\), .*; lower n to at most 27 in"
    ):
        make_split(config(setting=SHARE), store, tmp_path / "s.json")
    with pytest.raises(DataError, match=r"each class needs 31 images .*; lower n1 to at most 30 in"):
        make_split(config(setting=M1_TRAIN | {"n1": 31}, holdout=0), store, tmp_path / "s.json")


def test_store_with_a_different_number_of_classes_is_refused(store, tmp_path):
    with pytest.raises(DataError, match="expected the store of toy with 4 classes, got the store of toy with 3"):
        make_split(config(num_classes=4), store, tmp_path / "s.json")


def store_of(folder, labels, test, classes):
    """Write a store of blank images with these labels in its two parts."""
    parts = {
        name: (np.zeros((len(k), 3, 2, 2), np.uint8), np.array(k)) for name, k in (("train", labels), ("test", test))
    }
    return write_store(folder, "toy", classes, parts, {})


PHOTOS = [30, 120, 10, 60, 18]


@pytest.fixture
def photos(tmp_path):
    """Return a store of five classes with a natural long tail; class 2 has no test images."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(5), PHOTOS))
    return store_of(tmp_path / "photos", labels, [0, 1, 3, 4], ["daisy", "fern", "lily", "rose", "tulip"])


def natural(fraction: float = 0.2, **changes) -> dict:
    base = {"setting": {"name": "x", "reversed": False, "labeled": fraction}, "num_classes": 5, "holdout": 50}
    return config(**{**base, "class_order": "size", **changes})


def test_natural_setting_keeps_class_sizes_and_labels_a_share(photos, tmp_path):
    """10 per class are held out, but less than half: 9 // 2 of 10 and 17 // 2 of 18. Of the other 20, 110, 6, 50 and
    10 images a fifth is labeled: 4, 22, 1.2, 10 and 2."""
    saved = make_split(natural(), photos, tmp_path / "s.json")
    assert saved.class_order == (1, 3, 0, 4, 2)
    assert saved.counts == {
        "labeled": (4, 22, 1, 10, 2),
        "unlabeled": (16, 88, 5, 40, 8),
        "validation": (10, 10, 4, 10, 8),
    }
    assert sorted(np.concatenate(saved.split)) == list(range(238))
    assert check_split(tmp_path / "s.json", photos).sha256 == saved.sha256
    assert make_split(natural(), photos, tmp_path / "s.json").sha256 == saved.sha256
    assert make_split(natural(seed=1), photos, tmp_path / "s.json").sha256 != saved.sha256


def test_long_tail_with_classes_ranked_by_size(photos, tmp_path):
    """With class_order: size, the head is the largest class, 4 and 3 images; the others have floor(4 / 4^(r/4))."""
    saved = make_split(natural(setting=setting(4, 3, 4, 1), holdout=10), photos, tmp_path / "s.json")
    assert [saved.counts["labeled"][k] for k in (1, 3, 0, 4, 2)] == [4, 2, 2, 1, 1]
    assert saved.counts["unlabeled"] == (3, 3, 3, 3, 3)


def test_natural_class_sizes_need_class_order_size(photos, tmp_path):
    with pytest.raises(
        DataError, match=r"toy/x: `labeled` keeps .*; set class_order: size in params/datasets/toy.yaml"
    ):
        make_split(natural(class_order="native"), photos, tmp_path / "s.json")


def test_class_without_an_image_is_refused(tmp_path):
    store = store_of(tmp_path / "s", [0, 0, 2, -1], [0], ["daisy", "fern", "lily"])
    with pytest.raises(
        DataError, match=r"toy/x: each class needs at least one training image, but class 1 \(fern\) has 0"
    ):
        make_split(natural(num_classes=3), store, tmp_path / "s.json")


def test_images_without_a_label_are_never_drawn(tmp_path):
    labels = np.arange(90) % 3
    labels[::9] = -1  # all images of class 0
    store = store_of(tmp_path / "s", labels, labels, list("abc"))
    saved = make_split(config(setting=setting(5, 8, 1, 1)), store, tmp_path / "s.json")
    assert (labels[np.concatenate(saved.split)] >= 0).all()


def test_damaged_or_missing_file_is_refused(store, tmp_path):
    path = tmp_path / "s.json"
    make_split(config(), store, path)
    path.write_text(path.read_text().replace("87,", "88,"))
    with pytest.raises(DataError, match="checksum mismatch, .*; delete it and create it again"):
        load_split(path)
    path.write_text("{")
    with pytest.raises(DataError, match="not a readable split"):
        load_split(path)
    with pytest.raises(DataError, match=r"absent\.json: missing split"):
        load_split(tmp_path / "absent.json")


def test_split_of_different_data_or_configuration_is_refused(store, tmp_path):
    path = tmp_path / "s.json"
    make_split(config(), store, path)
    other = store_of(tmp_path / "other", np.arange(90) % 3, [0], "abc")
    with pytest.raises(DataError, match=f"drawn from data with SHA-256 {store.sha256[:16]}, but .*other has"):
        check_split(path, other)
    check_split(path, store, digest(config()))
    with pytest.raises(DataError, match=r"drawn with a different configuration \(setting x, seed 0\) than expected"):
        check_split(path, store, digest(config(seed=1)))
