"""Camera raw files, and files that programs leave beside photos, are skipped by rule and counted."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from daso.data.catalog import make_store
from daso.data.image_folder import read_image_folder
from tests.data.photo_cases import base_folder

CONFIG = {"dataset": "own", "num_classes": 3, "image_size": 8, "fit": "pad"}


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    return base_folder(tmp_path_factory.mktemp("base") / "photos")


@pytest.fixture
def own(base, tmp_path):
    """Copy the base folder for changes."""
    return shutil.copytree(base, tmp_path / "photos")


def manifest(store):
    return json.loads((store.folder / "manifest.json").read_text())


def test_files_left_by_programs_are_no_class_and_no_photos(own, tmp_path, lines):
    photo = own / "train/a/00.png"
    for name in ("train/.ipynb_checkpoints/00-checkpoint.png", "train/a/.ipynb_checkpoints/00-checkpoint.png"):
        (own / name).parent.mkdir()
        shutil.copy(photo, own / name)
    (own / "train/a/._00.png").write_bytes(bytes([0, 5, 0x16, 7]) + bytes(4092))
    thumbnail = own / "train/a/@eaDir/00.png/SYNOPHOTO_THUMB_M.jpg"
    thumbnail.parent.mkdir(parents=True)
    Image.open(photo).resize((16, 16)).save(thumbnail)
    (own / "train/a/notes.txt").write_text("text")
    (own / "train/a/clip.mp4").write_bytes(bytes(100))
    source = {"kind": "image_folder", "path": str(own)}
    store = make_store({**CONFIG, "source": source}, tmp_path / "store")
    assert store.classes == ("a", "b", "c")
    assert np.bincount(store.labels("train") + 1).tolist() == [60, 20, 12, 6]  # 38 photos with a label
    assert manifest(store)["reading"]["skipped"] == {
        "train": {"hidden": 1},
        "train/a": {"hidden": 2, "not an image": 2, "thumbnail folder": 1},
    }
    assert "photos: train/a: skipped 2 hidden, 2 not an image, 1 thumbnail folder" in lines()
    assert "photos: train: 98 images: a 20, b 12, c 6, unlabeled 60" in lines()


@pytest.mark.parametrize("name", ["x.NEF", "x.tif"])
def test_preview_in_a_camera_raw_file_is_never_used(own, tmp_path, lines, name):
    """The preview is white and the photo beside it black; a raw file is known by its suffix or by its first page."""
    scene = {"format": "TIFF", "tiffinfo": {254: 1, 271: "CAMERA"}}
    Image.new("RGB", (160, 120), "white").save(own / "train/a" / name, **scene)
    Image.new("RGB", (3000, 2000)).save(own / "train/a/x.JPG")
    Image.new("RGB", (160, 120), "white").save(own / "train/b/y.DNG", **scene)
    source = {"kind": "image_folder", "path": str(own)}
    store = make_store({**CONFIG, "source": source}, tmp_path / "store")
    assert np.bincount(store.labels("train") + 1).tolist() == [60, 21, 12, 6]
    photo = store.images("train", [20])[0]
    assert (photo[:, 4] == 0).all()  # black between borders of 128: 8 x 5 pixels
    assert manifest(store)["reading"]["skipped"] == {"train/a": {"camera raw": 1}, "train/b": {"camera raw": 1}}
    assert "photos: train/b: skipped 1 camera raw; convert camera raw files to JPEG" in lines()


def test_all_unreadable_photos_are_named_at_once(own):
    (own / "train/a/00.png").write_bytes((own / "train/a/00.png").read_bytes()[:150])
    (own / "unlabeled/03.png").write_bytes(b"")
    with pytest.raises(Exception, match="2 of 110 images cannot be read") as raised:
        read_image_folder(own, 8)
    assert [line.split(": ")[1] for line in str(raised.value).splitlines()[:2]] == [
        "train/a/00.png",
        "unlabeled/03.png",
    ]
    read = read_image_folder(own, 8, skip_unreadable=True)
    assert np.bincount(read.parts["train"][1] + 1).tolist() == [59, 19, 12, 6]
    assert {row.name for row in read.rows["train"]}.isdisjoint({"train/a/00.png", "unlabeled/03.png"})
