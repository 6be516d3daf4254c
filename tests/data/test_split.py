"""Splits as files: what they hold, and every way in which one may be wrong."""

import json

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
    images = np.zeros((90, 3, 2, 2), np.uint8)
    return write_store(
        tmp_path / "store", "toy", ["a", "b", "c"], {"train": (images, labels), "test": (images, labels)}, {}
    )


def test_saved_and_read_again(store, tmp_path):
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


def test_relabeling_the_classes_relabels_the_split(store, tmp_path):
    """With rank r in class order[r], a split is the native one of the data whose class order[r] is called r."""
    for seed in range(4):
        saved = make_split(config(class_order="seed", seed=seed), store, tmp_path / "s.json")
        order = np.random.RandomState(seed).permutation(3)
        assert saved.class_order == tuple(order)
        assert [saved.counts["labeled"][k] for k in order] == [9, 3, 1]
        assert [saved.counts["unlabeled"][k] for k in order] == [12, 6, 3]
        renamed = np.array([order.tolist().index(label) for label in np.arange(90) % 3])
        native = draw(renamed, setting(9, 12, 9, 4), num_classes=3, holdout=9, seed=seed)
        assert all((a == b).all() for a, b in zip(saved.split[:3], native[:3], strict=True))


def test_reversed_by_the_class_order(store, tmp_path):
    saved = make_split(config(class_order="seed", setting=setting(9, 12, 9, 4, True)), store, tmp_path / "s.json")
    assert [saved.counts["unlabeled"][k] for k in saved.class_order] == [3, 6, 12]


def test_too_few_images():
    wanted = config(dataset="cifar10-lt", setting=setting(5000, 4000, 100, 100) | {"name": "n5000-m4000-l100-u100"})
    message = (
        "cifar10-lt/n5000-m4000-l100-u100: a class wants 9003 images (3 of them held out), and class 0 (cat) has 5000, "
        "class 2 (cow) has 4000; lower n1 + m1 to at most 3997 in params/datasets/cifar10-lt.yaml, "
        "or keep the natural sizes with `labeled`"
    )
    with pytest.raises(DataError) as caught:
        check_setting(wanted, ["cat", "dog", "cow"], [5000, 9003, 4000])
    assert str(caught.value) == message
    check_setting(wanted, ["cat", "dog", "cow"], [9003, 9003, 9003])
    check_setting({**wanted, "setting": setting(2000, 1997, 1, 1)}, ["cat", "dog", "cow"], [5000, 9003, 4000])
    with pytest.raises(DataError, match=r"class 2 \(cow\) has 3; add images or lower holdout in"):
        check_setting(wanted, ["cat", "dog", "cow"], [9003, 9003, 3])


def test_a_split_of_too_few_images_is_not_drawn(store, tmp_path):
    with pytest.raises(DataError, match=r"wants 31 images .*class 0 \(a\) has 30, class 1 \(b\) has 30, class 2"):
        make_split(config(setting=setting(9, 19, 9, 4)), store, tmp_path / "s.json")
    assert not (tmp_path / "s.json").exists()


EVERY = {"name": "x", "n1": 9, "m1": "all", "gamma_l": 9, "reversed": False}


def test_a_split_with_images_without_a_label_is_saved_and_checked(tmp_path):
    labels = [*(np.arange(90) % 3), -1, -1]
    store = store_of(tmp_path / "store", labels, [0, 1, 2], ["a", "b", "c"])
    make_split(config(setting=EVERY), store, tmp_path / "s.json")
    saved = check_split(tmp_path / "s.json", store)
    assert saved.split.unlabeled.tolist() == [90, 91]
    assert saved.counts == {"labeled": (9, 3, 1), "unlabeled": (0, 0, 0), "validation": (3, 3, 3)}
    with pytest.raises(DataError, match=r"class 0 \(a\) has 30, .*; lower n1 to at most 27 in"):
        make_split(config(setting=EVERY | {"n1": 28}), store, tmp_path / "t.json")


def test_all_images_without_a_label_must_be_some(store, tmp_path):
    with pytest.raises(DataError, match=r"toy/x: m1: all is every image without a label, and .*store has none"):
        make_split(config(setting=EVERY), store, tmp_path / "s.json")


WHOLE = {"name": "x", "n1": 2, "m1": "train", "gamma_l": 1, "reversed": False}

SHARE = {"name": "x", "n": 30, "gamma": 4, "share": 0.2, "reversed": False}


def test_labeled_images_among_the_unlabeled_ones(store, tmp_path):
    saved = make_split(config(setting=WHOLE, holdout=0), store, tmp_path / "s.json")
    assert check_split(tmp_path / "s.json", store).sha256 == saved.sha256
    assert saved.counts == {"labeled": (2, 2, 2), "unlabeled": (30, 30, 30), "validation": (0, 0, 0)}


@pytest.mark.parametrize(("part", "take"), [("unlabeled", 1), ("validation", 6), ("labeled", 1)])
def test_all_labeled_images_may_be_unlabeled_too_but_nothing_else_twice(store, tmp_path, part, take):
    """One labeled row without the others among the unlabeled, all among those held out, or one of them twice."""
    make_split(config(setting=SHARE, holdout=0), store, tmp_path / "s.json")
    tree = json.loads((tmp_path / "s.json").read_text())
    tree.pop("sha256")
    tree[part] += tree["labeled"][:take]
    tree["sha256"] = digest(tree)
    (tmp_path / "s.json").write_text(json.dumps(tree))
    with pytest.raises(DataError, match="is used more than once"):
        check_split(tmp_path / "s.json", store)


def test_a_share_of_the_images_of_a_store(store, tmp_path):
    """Of 30 images of each class the tail (30, 15, 7); a fifth of it is 6, 3 and 1.4, which is rounded up."""
    saved = make_split(config(setting=SHARE, holdout=0), store, tmp_path / "s.json")
    assert saved.counts == {"labeled": (6, 3, 2), "unlabeled": (24, 12, 5), "validation": (0, 0, 0)}
    content = (tmp_path / "s.json").read_bytes()
    make_split(config(setting=SHARE, holdout=0), store, tmp_path / "s.json")
    assert (tmp_path / "s.json").read_bytes() == content
    with pytest.raises(
        DataError, match=r"a class wants 33 images \(3 of them held out\), .*; lower n to at most 27 in"
    ):
        make_split(config(setting=SHARE), store, tmp_path / "s.json")
    with pytest.raises(DataError, match=r"a class wants 31 images .*; lower n1 to at most 30 in"):
        make_split(config(setting=WHOLE | {"n1": 31}, holdout=0), store, tmp_path / "s.json")


def test_a_store_of_another_dataset(store, tmp_path):
    with pytest.raises(DataError, match="the store of toy with 3 classes, and the split is of toy with 4"):
        make_split(config(num_classes=4), store, tmp_path / "s.json")


def store_of(folder, labels, test, classes):
    """A store of blank images with these labels in its two parts."""
    parts = {
        name: (np.zeros((len(k), 3, 2, 2), np.uint8), np.array(k)) for name, k in (("train", labels), ("test", test))
    }
    return write_store(folder, "toy", classes, parts, {})


PHOTOS = [30, 120, 10, 60, 18]


@pytest.fixture
def photos(tmp_path):
    """Five classes with a long tail of their own, and a test part that lacks class 2."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(5), PHOTOS))
    return store_of(tmp_path / "photos", labels, [0, 1, 3, 4], ["daisy", "fern", "lily", "rose", "tulip"])


def natural(fraction: float = 0.2, **changes) -> dict:
    base = {"setting": {"name": "x", "reversed": False, "labeled": fraction}, "num_classes": 5, "holdout": 50}
    return config(**{**base, "class_order": "size", **changes})


def test_the_natural_sizes(photos, tmp_path):
    """10 of each class are held out but less than half: 9 // 2 of 10 and 17 // 2 of 18. Of the 20, 110, 6, 50 and 10
    images left a fifth is labeled: 4, 22, 1.2, 10 and 2."""
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


def test_the_authors_tail_by_size(photos, tmp_path):
    """With class_order: size the largest class is the head: 4 and 3 images of it, floor(4 / 4^(r/4)) of the others."""
    saved = make_split(natural(setting=setting(4, 3, 4, 1), holdout=10), photos, tmp_path / "s.json")
    assert [saved.counts["labeled"][k] for k in (1, 3, 0, 4, 2)] == [4, 2, 2, 1, 1]
    assert saved.counts["unlabeled"] == (3, 3, 3, 3, 3)


def test_natural_sizes_are_ranked_by_size(photos, tmp_path):
    with pytest.raises(
        DataError, match=r"toy/x: `labeled` keeps .*; say class_order: size in params/datasets/toy.yaml"
    ):
        make_split(natural(class_order="native"), photos, tmp_path / "s.json")


def test_a_class_without_an_image(tmp_path):
    store = store_of(tmp_path / "s", [0, 0, 2, -1], [0], ["daisy", "fern", "lily"])
    with pytest.raises(DataError, match=r"toy/x: class 1 \(fern\) has 0; every class wants an image in the train part"):
        make_split(natural(num_classes=3), store, tmp_path / "s.json")


@pytest.mark.parametrize(
    ("k", "tails"),
    [(2, ((8, 2), (9, 3))), (3, ((8, 4, 2), (9, 5, 3)))],  # 8 / 4^(r/(K-1)) and 9 / 3^(r/(K-1)); 9 / sqrt(3) = 5.2
)
def test_two_and_three_classes(tmp_path, k, tails):
    store = store_of(tmp_path / "s", np.arange(20 * k) % k, [0], "abc"[:k])
    wanted = config(setting=setting(8, 9, 4, 3), num_classes=k, holdout=3 * k)
    saved = make_split(wanted, store, tmp_path / "s.json")
    assert saved.counts == {"labeled": tails[0], "unlabeled": tails[1], "validation": (3,) * k}
    check_split(tmp_path / "s.json", store)


def test_unknown_labels_are_never_drawn(tmp_path):
    labels = np.arange(90) % 3
    labels[::9] = -1  # all of class 0
    images = np.zeros((90, 3, 2, 2), np.uint8)
    store = write_store(tmp_path / "s", "toy", list("abc"), {"train": (images, labels), "test": (images, labels)}, {})
    saved = make_split(config(setting=setting(5, 8, 1, 1)), store, tmp_path / "s.json")
    assert (labels[np.concatenate(saved.split)] >= 0).all()


def change(path, **changes):
    """Edit a split and give it the digest of its new content."""
    tree = {**json.loads(path.read_text()), **changes}
    tree["sha256"] = digest({name: value for name, value in tree.items() if name != "sha256"})
    path.write_text(json.dumps(tree))


def test_every_violation_is_found(store, tmp_path):
    path = tmp_path / "s.json"

    def refused(match: str, **changes) -> None:
        make_split(config(), store, path)
        change(path, **changes)
        with pytest.raises(DataError, match=match):
            check_split(path, store)

    split = make_split(config(), store, path).split
    labeled, validation = split.labeled.tolist(), split.validation.tolist()
    refused("drawn from data with SHA-256 000", source_sha256="0" * 64)
    refused("there is no row 90, the train part has 90 images", labeled=[90, *labeled[1:]])
    refused("there is no row -1", labeled=[-1, *labeled[1:]])
    refused(r"row 6 is used more than once \(labeled, validation\)", labeled=[6, *labeled[1:]])
    refused(r"row 84 is used more than once \(validation, validation\)", validation=[84, *validation[1:]])
    refused(r"labeled images by class are \(8, 4, 1\), the file says \(9, 3, 1\)", labeled=[1, *labeled[1:]])
    refused("class_order does not name each of the 3 classes once", class_order=[0, 1, 1])
    refused("not a split", labeled="none")


def test_a_damaged_file(store, tmp_path):
    path = tmp_path / "s.json"
    make_split(config(), store, path)
    path.write_text(path.read_text().replace("87,", "88,"))
    with pytest.raises(DataError, match="does not have the digest it names; delete it and make it again"):
        load_split(path)
    path.write_text("{")
    with pytest.raises(DataError, match="not a readable split"):
        load_split(path)
    with pytest.raises(DataError, match=r"absent\.json: not a readable split"):
        load_split(tmp_path / "absent.json")
