"""Images below unlabeled/: rows of the train part without a label, ordered by content."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from daso.data import photo_digests
from daso.data.catalog import make_store
from daso.data.folder_digest import digest_folder
from daso.data.image_folder import read_image_folder
from daso.data.split import make_split
from daso.errors import DataError

CONFIG = {"dataset": "own", "num_classes": 3, "image_size": 8, "fit": "pad"}


def config(photos, **source):
    return {**CONFIG, "source": {"kind": "image_folder", "path": str(photos), **source}}


@pytest.fixture
def unlabeled(photos):
    """Save five unlabeled images, two of them in a folder of a folder."""
    draw = np.random.default_rng(1)
    for name in ("0.png", "1.png", "x.JPG", "a/deep/0.png", "a/deep/1.png"):
        (photos / "unlabeled" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 255, (12, 9, 3), np.uint8)).save(photos / "unlabeled" / name)
    return photos / "unlabeled"


def test_unlabeled_images_follow_the_labeled_ones(photos, unlabeled, lines):
    read = read_image_folder(photos, 8)
    images, labels = read.parts["train"]
    assert labels.tolist() == [0] * 4 + [1] * 3 + [2] * 2 + [-1] * 5
    assert images.shape == (14, 3, 8, 8)
    assert "photos: train: 14 images: a 4, b 3, c 2, unlabeled 5" in lines()
    assert read.parts["test"][1].tolist() == [0, 1, 2]
    assert {row.name for row in read.rows["train"][9:]} == {
        "unlabeled/0.png",
        "unlabeled/1.png",
        "unlabeled/x.JPG",
        "unlabeled/a/deep/0.png",
        "unlabeled/a/deep/1.png",
    }


def test_names_of_unlabeled_images_do_not_matter(photos, unlabeled):
    key, before = digest_folder(photos), read_image_folder(photos, 8)
    (unlabeled / "0.png").rename(unlabeled / "a/9.png")
    (unlabeled / "a/deep").rename(unlabeled / "z")
    assert digest_folder(photos) == key
    after = read_image_folder(photos, 8)
    assert (after.parts["train"][0] == before.parts["train"][0]).all()
    shutil.make_archive(str(photos), "zip", photos)
    zipped = read_image_folder(photos.with_suffix(".zip"), 8)
    assert (zipped.parts["train"][0] == before.parts["train"][0]).all()
    (unlabeled / "1.png").unlink()
    assert digest_folder(photos) != key


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_content_of_equal_size_changes_the_key(photos, unlabeled, kind):
    """One byte of an image changes; names and sizes of all files stay the same."""

    def key():
        if kind == "folder":
            return digest_folder(photos)
        shutil.make_archive(str(photos), "zip", photos)
        return digest_folder(photos.with_suffix(".zip"))

    before = key()
    path = photos / "train/a/00.png"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert key() != before


def test_digests_are_cached_in_a_working_copy(photos, unlabeled, tmp_path, monkeypatch):
    """Files older than two seconds are read once; a file with another time is read again."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Snakefile").touch()
    monkeypatch.setattr(photo_digests, "SETTLED_SECONDS", -60)
    read = []
    digest = photo_digests.file_digest
    monkeypatch.setattr(photo_digests, "file_digest", lambda path, kind: read.append(path.name) or digest(path, kind))
    key = digest_folder(photos)
    assert len(read) == 9 + 3 + 5
    assert digest_folder(photos) == key
    assert len(read) == 17
    os.utime(unlabeled / "x.JPG", (1, 1))
    assert digest_folder(photos) == key
    assert read[17:] == ["x.JPG"]


def test_split_uses_all_labeled_and_all_unlabeled_images(photos, unlabeled, tmp_path):
    store = make_store(config(photos), tmp_path / "store")
    setting = {"name": "all", "labeled": "all", "unlabeled": "all"}
    options = {"seed": 0, "num_classes": 3, "holdout": 0, "class_order": "size"}
    saved = make_split({"dataset": "own", "setting": setting, **options}, store, tmp_path / "s0.json")
    assert saved.split.labeled.tolist() == [*range(9)]
    assert saved.split.unlabeled.tolist() == [*range(9, 14)]
    assert saved.counts["labeled"] == (4, 3, 2)


@pytest.mark.parametrize(
    "setting", [{"labeled": "all", "unlabeled": "all"}, {"n1": 2, "m1": "all", "gamma_l": 1}], ids=["lists", "m1"]
)
def test_missing_unlabeled_images_are_an_error_of_one_line(photos, tmp_path, setting):
    store = make_store(config(photos), tmp_path / "store")
    split = {"dataset": "own", "setting": {"name": "all", **setting}, "seed": 0, "num_classes": 3}
    with pytest.raises(DataError) as raised:
        make_split({**split, "holdout": 0, "class_order": "size"}, store, tmp_path / "s0.json")
    assert "all selects the images without a label" in str(raised.value)
    assert "\n" not in str(raised.value)
