"""Shots of one specimen, and other groups of photos, are never on both sides of a split."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from daso.augment.packed import pack
from daso.data.bundle import write_bundle
from daso.data.catalog import make_store
from daso.data.held_out import draw_test, evaluated_images
from daso.data.near_copies import correlations, near_copies, number_groups, perceptual_hashes
from daso.data.split import load_split, make_split
from daso.data.split_rows import Split
from daso.data.store import load_store
from daso.engine.resident import load_all
from daso.errors import DataError
from tests.data.photo_cases import base_folder
from tests.data.specimens import save_specimens

SETTING = {"name": "all", "labeled": 0.5}


def store_of(photos, folder, classes=2, share=0.2, **source):
    config = {"dataset": "own", "num_classes": classes, "image_size": 16, "fit": "pad"}
    config |= {"test_share": share} if share else {}
    return make_store({**config, "source": {"kind": "image_folder", "path": str(photos), **source}}, folder / "store")


def split_of(store, path, seed=0, share=0.2, setting=SETTING, **more):
    config = {"dataset": "own", "num_classes": len(store.classes), "holdout": 0, "class_order": "size", "seed": seed}
    config |= {"test_share": share} if share else {}
    return make_split({**config, "setting": setting, **more}, store, path / f"s{seed}.json")


@pytest.fixture(scope="session")
def shots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("specimens") / "photos"
    save_specimens(folder)
    return folder


@pytest.fixture
def specimens(shots, tmp_path):
    """Copy the folder for changes."""
    return shutil.copytree(shots, tmp_path / "photos")


def specimen_of_rows(photos):
    """Return the specimen of each row: files sorted by class and name."""
    return np.array([int(path.name[1:3]) for path in sorted(photos.glob("train/*/*.jpg"))])


def nearest_neighbour_accuracy(store, train, test):
    images, labels = (
        store.images("train")[:].reshape(len(store.labels("train")), -1).astype(float),
        store.labels("train"),
    )
    nearest = [train[((images[train] - images[row]) ** 2).sum(1).argmin()] for row in test]
    return (labels[nearest] == labels[test]).mean()


def with_table(photos):
    """Write labels.csv with the specimen of each photo as its group."""
    files = sorted(photos.glob("train/*/*.jpg"))
    rows = [f"{file.relative_to(photos)},{file.parent.name},{file.name[:3]}\n" for file in files]
    (photos / "labels.csv").write_text("path,label,group\n" + "".join(rows))
    return {}


@pytest.mark.parametrize("groups", [lambda photos: {"near_copies": 0.9}, with_table], ids=["near copies", "column"])
def test_shots_of_a_specimen_stay_on_one_side(specimens, tmp_path, lines, groups):
    """Labels are coin tosses: a nearest neighbour knows them only if a shot of the specimen is in the training part.

    Five seeds draw five test parts. Without groups, the same neighbour is right for at least 85 % of the images.
    """
    store = store_of(specimens, tmp_path, **groups(specimens))
    assert "photos: 60 groups of several images, such as shots of one specimen" in lines()
    specimen, accuracies, drawn = specimen_of_rows(specimens), [], set()
    for seed in range(5):
        split = split_of(store, tmp_path, seed).split
        train = np.concatenate([split.labeled, split.unlabeled])
        assert sorted([*train, *split.test]) == [*range(240)]
        assert not set(specimen[train]) & set(specimen[split.test])
        accuracies.append(nearest_neighbour_accuracy(store, train, split.test))
        drawn.add(tuple(split.test))
    assert len(drawn) == 5
    assert np.mean(accuracies) < 0.75
    mixed = np.random.default_rng(0).permutation(240)
    assert nearest_neighbour_accuracy(store, mixed[48:], mixed[:48]) >= 0.85


def test_test_folder_that_shares_groups_with_training_is_a_warning(specimens, tmp_path, lines):
    """One of four shots of ten specimens is moved: 30 training images are near a test image."""
    for file in sorted(specimens.glob("train/*/s0?_2.jpg")):
        target = specimens / "test" / file.relative_to(specimens / "train")
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)
    store_of(specimens, tmp_path, share=None, near_copies=0.9)
    text = "photos: 30 labeled images share a group with a test image, so accuracy is too high; move them to test/"
    assert text in lines()


def test_copies_of_test_images_leave_the_unlabeled_part(tmp_path, lines):
    """Two copies of test images and one of a training image, saved as JPEG, lie among 60 unlabeled images."""
    photos = base_folder(tmp_path / "photos")
    rng = np.random.default_rng(5)
    for name in ("test/a/00", "test/b/01", "train/c/02"):
        scene = Image.fromarray(rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)).resize((64, 64))
        scene.save(photos / f"{name}.png")
        scene.save(photos / "unlabeled" / f"{name.replace('/', '_')}.jpg")
    store = store_of(photos, tmp_path, 3, share=None, near_copies=0.9)
    assert store.parts["train"]["images"] == 38 + 63
    saved = split_of(store, tmp_path, share=None, setting={"name": "all", "labeled": "all", "unlabeled": "all"})
    assert len(saved.split.labeled) == 38
    assert len(saved.split.unlabeled) == 61
    assert "own/all: 2 unlabeled images are left out, near copies of test images" in lines()


def test_share_is_held_out_of_each_class(tmp_path):
    """20 % of 20, 12 and 6 are 4, 2 and 1 images, but at least two; 3 images of d are too few."""
    labels = np.repeat([0, 1, 2, 3, -1], [20, 12, 6, 3, 9])
    held = draw_test(labels, np.arange(50), 0.2, seed=0)
    assert np.bincount(labels[held], minlength=4).tolist() == [4, 2, 2, 0]
    assert held.tolist() == draw_test(labels, np.arange(50), 0.2, seed=0).tolist()
    assert held.tolist() != draw_test(labels, np.arange(50), 0.2, seed=1).tolist()


def test_groups_are_held_out_whole():
    """Two groups of five images: one would be half of the class. Of 5 and 6, only the one of five is at most half."""
    assert len(draw_test(np.zeros(10, int), np.repeat([0, 1], 5), 0.2, seed=0)) == 5
    for seed in range(4):
        assert draw_test(np.zeros(11, int), np.repeat([0, 1], [6, 5]), 0.2, seed).tolist() == [*range(6, 11)]


def test_class_that_is_not_measured_is_named(tmp_path, lines):
    photos = base_folder(tmp_path / "photos")
    shutil.rmtree(photos / "test")
    for i in range(3, 6):
        (photos / f"train/c/{i:02}.png").unlink()
    store = store_of(photos, tmp_path, 3)
    assert "photos: no test images of class c; recall is unknown" in lines()
    saved = split_of(store, tmp_path, setting={"name": "all", "labeled": "all", "unlabeled": "all"})
    assert saved.counts["test"] == (4, 2, 0)
    assert saved.counts["labeled"] == (16, 10, 3)
    assert load_split(tmp_path / "s0.json").split.test.tolist() == saved.split.test.tolist()
    assert "own/all: no test images of class c; it is trained, not measured" in lines()


ERRORS = {
    "outside": (
        {"setting": {**SETTING, "outside": {"classes": [2], "share": 0}}, "num_classes": 2},
        "outside: not allowed",
    ),
    "holdout": ({"holdout": 6}, "holdout: not drawn by group, and the images have groups; set holdout: 0"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_options_that_ignore_groups_are_refused(tmp_path, name):
    photos = base_folder(tmp_path / "photos")
    shutil.rmtree(photos / "test")
    store = store_of(photos, tmp_path, 3)
    changes, message = ERRORS[name]
    with pytest.raises(DataError, match=message):
        split_of(store, tmp_path, **changes)


def test_test_share_and_test_folder_are_not_allowed_together(tmp_path):
    photos = base_folder(tmp_path / "photos")
    with pytest.raises(DataError, match="has test images, but test_share holds others out; remove test_share or test/"):
        store_of(photos, tmp_path, 3)


def test_hash_of_a_gradient_has_the_signs_of_its_frequencies():
    """Of a horizontal ramp, only frequencies (0, v) are not zero: the mean, and v = 1, 3, 5, 7 alternate in sign.

    A falling ramp has the opposite signs of all but the mean. The median of 64 values is 0, so bits are the positive
    values: mean alone for the rising ramp, whose v = 1 is negative.
    """
    ramp = np.tile(np.arange(32, dtype=np.uint8) * 8, (32, 1))
    rising, falling = (f"{value:064b}" for value in perceptual_hashes(np.stack([ramp, ramp[:, ::-1]])).byteswap())
    assert rising[0] == falling[0] == "1"
    assert [rising[v] for v in (1, 3, 5, 7)] == ["0"] * 4
    assert [falling[v] for v in (1, 3, 5, 7)] == ["1"] * 4


def test_correlation_finds_a_moved_thumbnail():
    grey = np.random.default_rng(0).integers(0, 256, (34, 34), np.uint8)
    assert correlations(grey[None, :32, :32], grey[None, 2:, 1:33])[0] == pytest.approx(1)
    assert correlations(grey[None, :32, :32], grey[None, :32, :32][:, ::-1])[0] < 0.5
    flat = np.full((32, 32), 9, np.uint8)
    assert correlations(flat[None], flat[None]) == 1
    assert correlations(flat[None], flat[None] + 1) == 0


def test_pairs_and_names_form_groups():
    """Names join 0 and 3, pairs 1-2 and 2-3: 0 to 3 are one group; empty names join nothing."""
    assert number_groups(["x", "", "", "x", "", "y"], [(1, 2), (2, 3)]).tolist() == [0, 0, 0, 0, 1, 2]
    assert list(near_copies(np.empty((0, 32, 32), np.uint8), 0.9)) == []


def test_engine_evaluates_on_the_rows_that_a_split_holds_out(tmp_path):
    """Two splits of one store share its images; each has its own test pool, also in a bundle."""
    photos = base_folder(tmp_path / "photos")
    shutil.rmtree(photos / "test")
    store = store_of(photos, tmp_path, 3)
    setting = {"name": "all", "labeled": "all", "unlabeled": "all"}
    splits = [split_of(store, tmp_path, seed, setting=setting).split for seed in (0, 1)]
    for resident, split in zip(load_all(store, splits, torch.device("cpu")), splits, strict=True):
        assert len(resident.test) == 8
        assert resident.test.labels.tolist() == [0] * 4 + [1] * 2 + [2] * 2
        assert len(resident.labeled) == 30
        expected = pack(torch.from_numpy(store.images("train", split.test)))
        assert resident.test.gather(torch.arange(8)).equal(expected)


def test_evaluated_images_are_numbered_in_their_part_with_their_groups(tmp_path):
    """Held-out images are rows of the train part; images of test/ and images without groups are rows of their own."""
    photos = base_folder(tmp_path / "photos")
    grouped = store_of(photos, tmp_path, 3, share=None, near_copies=0.9)
    none = np.empty(0, np.int64)
    rows, groups = evaluated_images(Split(none, none, none), grouped)
    assert rows.tolist() == list(range(len(grouped.labels("test"))))
    assert groups.tolist() == grouped.groups("test").tolist()
    rows, groups = evaluated_images(Split(none, none, none, test=np.array([7, 2])), grouped)
    assert (rows.tolist(), groups.tolist()) == ([7, 2], grouped.groups("train")[[7, 2]].tolist())
    plain = store_of(photos, tmp_path / "plain", 3, share=None)
    rows, groups = evaluated_images(Split(none, none, none), plain)
    assert (rows == groups).all()


def test_bundle_carries_held_out_images(tmp_path):
    photos = base_folder(tmp_path / "photos")
    shutil.rmtree(photos / "test")
    store = store_of(photos, tmp_path, 3)
    (tmp_path / "data/store").mkdir(parents=True)
    (tmp_path / "store").rename(tmp_path / "data/store/own")
    store = load_store(tmp_path / "data/store/own")
    saved = split_of(store, tmp_path / "data/splits/own/all", setting={"name": "all", "labeled": 0.5})
    run = {"run": "own/all/photos/supervised/s0", "key": "0" * 16, "plan": {}, "protocol": {"network": {}}}
    run |= {"dataset": {"name": "own", "num_classes": 3}, "split_config_sha256": saved.config_sha256}
    write_bundle(tmp_path / "bundle", [run], tmp_path)
    packed = load_store(tmp_path / "bundle/data/store/own")
    assert (packed.images("train", saved.split.test) == store.images("train", saved.split.test)).all()
    assert len(packed.images("test")) == 0
    assert (packed.groups("train") == store.groups("train")).all()
