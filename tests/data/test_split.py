"""Counts and draws against numbers worked out apart from this code, by the formula and by the authors' functions."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daso.data.drawing import draw, draw_natural, draw_share, order_of_classes
from daso.data.files import digest
from daso.data.split import check_setting, check_split, load_split, make_split
from daso.data.store import write_store
from daso.data.tail import class_sizes, labeled_share, long_tail
from daso.errors import DataError

# n1 or m1, gamma, every class, sum
SHORT = [
    (500, 100, "500 299 179 107 64 38 23 13 8 5", 1236),
    (1500, 100, "1500 899 539 323 193 116 69 41 25 15", 3720),
    (4000, 100, "4000 2397 1437 861 516 309 185 111 66 40", 9922),
    (3000, 100, "3000 1798 1078 646 387 232 139 83 50 30", 7443),
    (500, 150, "500 286 164 94 53 30 17 10 5 3", 1162),
    (1500, 150, "1500 859 492 282 161 92 53 30 17 10", 3496),
    (4000, 150, "4000 2292 1313 752 431 247 141 81 46 26", 9329),
    (3000, 150, "3000 1719 985 564 323 185 106 60 34 20", 6996),
    (150, 10, "150 116 89 69 53 41 32 25 19 15", 609),
    (450, 10, "450 348 269 208 161 125 96 75 58 45", 1835),
    (150, 20, "150 107 77 55 39 28 20 14 10 7", 507),
    (450, 20, "450 322 231 165 118 85 61 43 31 22", 1528),
]
# n1 or m1, gamma, classes 0..5, classes 48..51, classes 97..99, sum over 100
LONG = [
    (50, 10, "50 48 47 46 45 44", "16 15 15 15", "5 5 5", 1911),
    (150, 10, "150 146 143 139 136 133", "49 47 46 45", "15 15 15", 5835),
    (400, 10, "400 390 381 373 364 356", "130 127 125 122", "41 40 40", 15651),
    (300, 10, "300 293 286 279 273 267", "98 95 93 91", "31 30 30", 11720),
    (50, 20, "50 48 47 45 44 42", "11 11 11 10", "2 2 2", 1545),
    (150, 20, "150 145 141 136 132 128", "35 34 33 32", "7 7 7", 4741),
    (400, 20, "400 388 376 365 354 343", "93 90 88 85", "21 20 20", 12719),
    (300, 20, "300 291 282 273 265 257", "70 68 66 64", "15 15 15", 9527),
]


# gamma, tail from 5,000 on, its sum, then labeled at 10 and at 30 per cent with their sums, rounded up by hand
SHARES = [
    (
        *(100, "5000 2997 1796 1077 645 387 232 139 83 50", 12_406),
        *("500 300 180 108 65 39 24 14 9 5", 1244, "1500 900 539 324 194 117 70 42 25 15", 3726),
    ),
    (
        *(200, "5000 2775 1540 854 474 263 146 81 45 25", 11_203),
        *("500 278 154 86 48 27 15 9 5 3", 1125, "1500 833 462 257 143 79 44 25 14 8", 3365),
    ),
]


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split()]


def heads(array: np.ndarray) -> str:
    return hashlib.sha256(array.astype("<i8").tobytes()).hexdigest()[:16]


def setting(n1: int, m1: int, gamma_l: float, gamma_u: float, reverse: bool = False) -> dict:
    return {"name": "x", "n1": n1, "m1": m1, "gamma_l": gamma_l, "gamma_u": gamma_u, "reversed": reverse}


@pytest.mark.parametrize(("head", "gamma", "counts", "total"), SHORT)
def test_counts_of_ten_classes(head, gamma, counts, total):
    found = long_tail(head, gamma, 10)
    assert list(found) == numbers(counts)
    assert sum(found) == total


@pytest.mark.parametrize(("head", "gamma", "first", "middle", "last", "total"), LONG)
def test_counts_of_a_hundred_classes(head, gamma, first, middle, last, total):
    found = list(long_tail(head, gamma, 100))
    assert (found[:6], found[48:52], found[97:]) == (numbers(first), numbers(middle), numbers(last))
    assert sum(found) == total


@pytest.mark.parametrize(("head", "gamma", "k"), [(*row[:2], 10) for row in SHORT] + [(*row[:2], 100) for row in LONG])
def test_counts_are_those_of_exact_arithmetic(head, gamma, k):
    """floor(n gamma^(-r / (K - 1))) is the largest m with m^(K-1) gamma^r <= n^(K-1): integers alone, no rounding."""
    for rank, m in enumerate(long_tail(head, gamma, k)):
        assert m ** (k - 1) * gamma**rank <= head ** (k - 1) < (m + 1) ** (k - 1) * gamma**rank


def test_a_ratio_of_one_or_less_keeps_every_image():
    assert long_tail(7, 1, 3) == (7, 7, 7)
    assert long_tail(7, 0.5, 3) == (7, 7, 7)


@pytest.mark.parametrize(("gamma", "tail", "total", "tenth", "few", "third", "many"), SHARES)
def test_counts_of_a_tail_of_which_a_share_is_labeled(gamma, tail, total, tenth, few, third, many):
    """Totals as printed by Wang et al. 2022: 1,244 and 3,726 labels with gamma 100, 1,125 and 3,365 with 200."""
    whole = numbers(tail)
    assert sum(whole) == total
    for share, counts, n in ((0.1, numbers(tenth), few), (0.3, numbers(third), many)):
        labeled, unlabeled = class_sizes({"n": 5000, "gamma": gamma, "share": share}, 10)
        assert list(labeled) == counts
        assert sum(labeled) == n
        assert [x + u for x, u in zip(labeled, unlabeled, strict=True)] == whole


def test_a_share_is_the_decimal_that_is_written():
    """0.07 of 100 images are 7; in float64 the product is 7.000000000000001, which would be rounded up to 8."""
    assert labeled_share((100, 101, 200, 1), 0.07) == (7, 8, 14, 1)
    assert labeled_share((70, 71, 30, 1), 0.1) == (7, 8, 3, 1)


LABELED = "3 87 63 51 27 0 54 72 69 10 85 64 38"


@pytest.mark.parametrize(
    ("reverse", "unlabeled"),
    [
        (False, "48 15 36 24 78 33 12 66 57 42 21 45 55 28 31 40 67 37 35 2 5"),
        (True, "35 41 14 5 86 26 2 8 23 44 80 32 55 28 31 40 67 37 48 12 24"),
    ],
)
def test_draw_of_ninety_rows(reverse, unlabeled):
    split = draw(np.arange(90) % 3, setting(9, 12, 9, 4, reverse), num_classes=3, holdout=9, seed=0)
    assert split.validation.tolist() == numbers("6 84 39 16 49 61 74 83 65")
    assert split.labeled.tolist() == numbers(LABELED)
    assert split.unlabeled.tolist() == numbers(unlabeled)


def test_draw_of_fifty_thousand_rows():
    split = draw(np.arange(50_000) % 10, setting(500, 4000, 100, 100), num_classes=10, holdout=5000, seed=0)
    assert [len(rows) for rows in split.parts.values()] == [1236, 9922, 5000]
    assert split.labeled[:5].tolist() == numbers("7650 5430 6420 22280 37810")
    assert split.labeled[-5:].tolist() == numbers("4059 36489 11649 45869 7599")
    assert split.unlabeled[:5].tolist() == numbers("34170 34790 23960 24200 20410")
    assert split.validation[:5].tolist() == numbers("3980 38330 48360 45720 6360")
    assert heads(split.labeled) == "87834ecc012af03b"
    assert heads(split.unlabeled) == "54958526fb641d03"
    assert heads(split.validation) == "320aac3d5e2a2d33"


def test_draw_of_fifty_thousand_rows_reversed_and_uniform():
    for other, head, n in (((100, True), "39c54c7b90af5cfe", 9922), ((1, False), "a84ccf2829788762", 40_000)):
        split = draw(np.arange(50_000) % 10, setting(500, 4000, 100, *other), num_classes=10, holdout=5000, seed=0)
        assert heads(split.labeled) == "87834ecc012af03b"
        assert len(split.unlabeled) == n
        assert heads(split.unlabeled) == head


def test_labeled_tail_of_the_whole_rest_where_all_others_are_unlabeled():
    """The hold-out is that of ninety rows without the others; the tail (9, 3, 1) is cut out of what it leaves.

    Worked out with lists alone: of each class the rest in the order that the first shuffle gave it, shuffled anew.
    """
    ranks = np.full(97, -1)
    ranks[3:93] = np.arange(90) % 3
    first, again = np.random.RandomState(0), np.random.RandomState(0)
    held, labeled = [], []
    for k, n in enumerate((9, 3, 1)):
        mine = [row for row in range(97) if ranks[row] == k]
        first.shuffle(mine)
        held += mine[:3]
        mine = mine[3:]
        again.shuffle(mine)
        labeled += mine[:n]
    split = draw(ranks, {"n1": 9, "m1": "all", "gamma_l": 9}, num_classes=3, holdout=9, seed=0)
    assert split.validation.tolist() == [3 + row for row in numbers("6 84 39 16 49 61 74 83 65")] == held
    assert split.labeled.tolist() == labeled
    assert split.unlabeled.tolist() == [0, 1, 2, 93, 94, 95, 96]


@pytest.mark.parametrize(("n1", "gamma", "counts", "total"), [row for row in SHORT if row[1] < 100])
def test_settings_of_stl10(n1, gamma, counts, total):
    """500 labeled images of each class and others after them; fifty of each class are held out."""
    ranks = np.concatenate([np.arange(5000) % 10, np.full(300, -1)])
    split = draw(ranks, {"n1": n1, "m1": "all", "gamma_l": gamma}, num_classes=10, holdout=500, seed=2)
    assert np.bincount(ranks[split.labeled]).tolist() == numbers(counts)
    assert [len(rows) for rows in split.parts.values()] == [total, 300, 500]
    assert np.bincount(ranks[split.validation]).tolist() == [50] * 10
    assert split.unlabeled.tolist() == list(range(5000, 5300))
    assert not set(split.labeled.tolist()) & set(split.validation.tolist())


def test_a_labeled_ratio_of_one_keeps_as_many_as_n1_says():
    split = draw(np.array([0, 1] * 8 + [-1]), {"n1": 3, "m1": "all", "gamma_l": 1}, num_classes=2, holdout=2, seed=0)
    assert [len(rows) for rows in split.parts.values()] == [6, 1, 2]


def test_a_share_of_one_tail():
    """Three held out of each class; of the other 27 the tail (20, 10, 5), a fifth of which, 4, 2 and 1, is labeled.

    Worked out with lists alone: each class shuffled once, then cut into what is held out, labeled and unlabeled.
    """
    random, held, labeled, unlabeled = np.random.RandomState(0), [], [], []
    for k, n, few in ((0, 20, 4), (1, 10, 2), (2, 5, 1)):
        mine = list(range(k, 90, 3))
        random.shuffle(mine)
        held, labeled, unlabeled = held + mine[:3], labeled + mine[3 : 3 + few], unlabeled + mine[3 + few : 3 + n]
    setting = {"n": 20, "gamma": 4, "share": 0.2}
    split = draw_share(np.arange(90) % 3, setting, num_classes=3, holdout=9, seed=0)
    assert split.validation.tolist() == numbers("6 84 39 16 49 61 74 83 65") == held
    assert (split.labeled.tolist(), split.unlabeled.tolist()) == (labeled, unlabeled)
    assert (len(labeled), len(unlabeled)) == (7, 28)
    whole = draw_share(np.arange(90) % 3, {**setting, "n": 30}, num_classes=3, holdout=0, seed=0)
    assert [len(rows) for rows in whole.parts.values()] == [6 + 3 + 2, 24 + 12 + 5, 0]  # of 30, 15 and 7


@pytest.mark.parametrize(("gamma", "share", "head", "labels", "others"), [
    (100, 0.1, "500 300 180", 1244, 11_162),
    (200, 0.3, "1500 833 462", 3365, 7838),
])  # fmt: skip
def test_a_share_of_all_that_cifar_has(gamma, share, head, labels, others):
    """5,000 images of the first class: nothing is left to be held out; no image is used twice."""
    ranks, setting = np.arange(50_000) % 10, {"n": 5000, "gamma": gamma, "share": share}
    split = draw_share(ranks, setting, num_classes=10, holdout=0, seed=1)
    assert [len(rows) for rows in split.parts.values()] == [labels, others, 0]
    assert np.bincount(ranks[split.labeled])[:3].tolist() == numbers(head)
    assert len(set(split.rows.tolist())) == labels + others


@pytest.mark.parametrize(("k", "n"), [(10, 4), (10, 8), (10, 25), (10, 400), (100, 4), (100, 25), (100, 100)])
def test_balanced_labels_among_all_images(k, n):
    """FixMatch's settings: n labels a class of 50,000 images, all of which are unlabeled."""
    ranks = np.arange(50_000) % k
    setting = {"n1": n, "m1": "train", "gamma_l": 1}
    split = draw(ranks, setting, num_classes=k, holdout=0, seed=1)
    assert np.bincount(ranks[split.labeled]).tolist() == [n] * k
    assert len(set(split.labeled.tolist())) == n * k
    assert split.unlabeled.tolist() == list(range(50_000))
    assert len(split.validation) == 0
    assert draw(ranks, setting, num_classes=k, holdout=0, seed=1).labeled.tolist() == split.labeled.tolist()
    assert draw(ranks, setting, num_classes=k, holdout=0, seed=2).labeled.tolist() != split.labeled.tolist()


def test_balanced_labels_where_images_are_held_out():
    """The hold-out is that of ninety rows; all 81 others are unlabeled, in their order, but those without a label."""
    ranks = np.concatenate([np.arange(90) % 3, [-1, -1]])
    split = draw(ranks, {"n1": 2, "m1": "train", "gamma_l": 1}, num_classes=3, holdout=9, seed=0)
    held = numbers("6 84 39 16 49 61 74 83 65")
    assert split.validation.tolist() == held
    assert split.unlabeled.tolist() == [row for row in range(90) if row not in held]
    assert np.isin(split.labeled, split.unlabeled).all()
    assert np.bincount(ranks[split.labeled]).tolist() == [2, 2, 2]


def test_the_order_of_classes():
    assert order_of_classes("native", [7, 9, 7, 8], 3).tolist() == [0, 1, 2, 3]
    assert order_of_classes("seed", [7, 9, 7, 8], 3).tolist() == np.random.RandomState(3).permutation(4).tolist()
    assert order_of_classes("size", [7, 9, 7, 8], 3).tolist() == [1, 3, 0, 2]
    with pytest.raises(DataError, match="class_order is 'sede' and should be native, seed or size"):
        order_of_classes("sede", [7, 9, 7, 8], 3)


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


def test_the_natural_draw():
    """One shuffle of every class in its turn; the first are held out, the next are labeled."""
    random, first, second = np.random.RandomState(3), np.arange(7), np.arange(7, 10)
    random.shuffle(first)
    random.shuffle(second)
    split = draw_natural(np.repeat([0, 1, -1], [7, 3, 4]), 0.5, num_classes=2, holdout=4, seed=3)
    assert split.validation.tolist() == [*first[:2], *second[:1]]
    assert split.labeled.tolist() == [*first[2:4], *second[1:2]]  # 2.5 is rounded to even
    assert split.unlabeled.tolist() == [*first[4:], *second[2:]]


@pytest.mark.parametrize(("size", "counts"), [(1, (1, 0, 0)), (2, (1, 1, 0)), (3, (1, 1, 1)), (5, (1, 2, 2))])
def test_a_rare_class_keeps_an_image_labeled_and_one_unlabeled(size, counts):
    split = draw_natural(np.repeat([0, 1], [40, size]), 0.1, num_classes=2, holdout=20, seed=0)
    assert tuple(int((rows >= 40).sum()) for rows in split.parts.values()) == counts


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


@settings(max_examples=60, deadline=None)
@given(
    k=st.integers(2, 7),
    n1=st.integers(1, 12),
    m1=st.integers(0, 15),
    held=st.integers(0, 4),
    spare=st.integers(0, 5),
    gammas=st.tuples(st.floats(0.5, 50), st.floats(0.5, 50)),
    reverse=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_disjoint_and_of_the_right_sizes(k, n1, m1, held, spare, gammas, reverse, seed):
    """Whatever the setting and wherever the rows of a class lie."""
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(k), n1 + m1 + held + spare))
    split = draw(labels, setting(n1, m1, *gammas, reverse), num_classes=k, holdout=held * k + k - 1, seed=seed)
    rows = np.concatenate(split)
    assert len(np.unique(rows)) == len(rows)
    assert rows.size == 0 or (rows.min() >= 0 and rows.max() < len(labels))

    def tail(head: int, gamma: float) -> list[int]:
        return [int(head * (1 / gamma) ** (r / (k - 1))) if gamma > 1 else head for r in range(k)]

    assert np.bincount(labels[split.labeled], minlength=k).tolist() == tail(n1, gammas[0])
    assert np.bincount(labels[split.validation], minlength=k).tolist() == [held] * k
    wanted = tail(m1, gammas[1])[:: -1 if reverse else 1]
    assert np.bincount(labels[split.unlabeled], minlength=k).tolist() == wanted
