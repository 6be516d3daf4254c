"""Official images are recognised in folders and zips by their pixels, in any order, and other images are not."""

import hashlib
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from daso.data.catalog import OFFICIAL, load_source, pixel_digest

PARAMS = Path(__file__).resolve().parents[2] / "params"


@pytest.fixture
def tiny_files(tiny_cifar, tmp_path):
    """Write the images of the tiny archive as files by class, with names that sort in a different order."""
    for i, (image, label) in enumerate(zip(tiny_cifar.images, tiny_cifar.labels, strict=True)):
        part = "train" if i < 20 else "test"
        path = tmp_path / f"files/{part}/{OFFICIAL['cifar10'].classes[label]}/{99 - i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).save(path)
    return tmp_path / "files"


@pytest.fixture
def load(tiny_cifar, tmp_path, monkeypatch):
    """Return `load(path)`, which loads CIFAR-10 with this path in the environment variable."""
    source = {"kind": "cifar10", "md5": tiny_cifar.md5, "urls": [], "override": "DASO_CIFAR10"}
    config = {"dataset": "cifar10-lt", "source": source, "num_classes": 10, "image_size": 32}

    def read(path):
        monkeypatch.setenv("DASO_CIFAR10", str(path))
        return load_source(config)

    return read


@pytest.fixture
def official(load, tiny_cifar, tmp_path, monkeypatch):
    """Return the source of the tiny archive, whose images are made the official ones."""
    (tmp_path / "tiny.tar.gz").write_bytes(tiny_cifar.archive)
    loaded = load(tmp_path / "tiny.tar.gz")
    monkeypatch.setitem(OFFICIAL, "cifar10", OFFICIAL["cifar10"]._replace(pixels=loaded.source["pixels"]))
    return loaded


def test_official_images_are_recognised_in_folder_and_zip(load, official, tiny_files, tmp_path):
    loaded = load(tiny_files)
    assert (loaded.parts["train"][0] != official.parts["train"][0]).any()  # the order differs
    recognised = {"pixels": official.source["pixels"], "same_images_as": "cifar-10-python.tar.gz"}
    assert loaded.source == {"kind": "image_folder", "origin": "files", **recognised}
    with zipfile.ZipFile(tmp_path / "files.zip", "w") as archive:
        for i, path in enumerate(sorted(tiny_files.rglob("*.png"))):
            folder = path.relative_to(tiny_files).parent
            archive.write(path, folder / f"{(7 * i) % 24}.png")
    assert load(tmp_path / "files.zip").source.items() >= recognised.items()


def _change_pixel(files):
    path = files / "train/cat/96.png"
    with Image.open(path) as image:
        image.putpixel((31, 31), tuple(255 - value for value in image.getpixel((31, 31))))
        image.save(path)


def _swap_labels(files):
    """Swap images 3 and 4 of the train part."""
    (files / "train/cat/96.png").rename(files / "train/deer/0.png")
    (files / "train/deer/95.png").rename(files / "train/cat/0.png")


CHANGES = {
    "pixel": _change_pixel,
    "labels": _swap_labels,
    "missing": lambda files: (files / "train/cat/96.png").unlink(),
    "duplicate": lambda files: shutil.copy(files / "train/cat/96.png", files / "train/cat/0.png"),
    "part": lambda files: (files / "test/bird/76.png").rename(files / "train/bird/76.png"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changed_official_images_are_not_recognised(load, official, tiny_files, change):
    change(tiny_files)
    loaded = load(tiny_files)
    assert loaded.source["pixels"] != official.source["pixels"]
    assert "same_images_as" not in loaded.source


def test_pixel_digest_by_hand():
    """Images of one pixel (1, 2, 3): one with label 5 in train, two with label 0 in test."""
    one, two = (np.array([[[[1]], [[2]], [[3]]]] * n, np.uint8) for n in (1, 2))
    row = hashlib.sha256(b"\5\0\0\0\0\0\0\0\1\2\3").digest()
    other = hashlib.sha256(b"\0\0\0\0\0\0\0\0\1\2\3").digest()
    train, test = hashlib.sha256(row).hexdigest(), hashlib.sha256(other + other).hexdigest()
    expected = hashlib.sha256(f'{{"test":"{test}","train":"{train}"}}'.encode()).hexdigest()
    assert pixel_digest({"train": (one, np.array([5])), "test": (two, np.array([0, 0]))}) == expected


@pytest.mark.slow
def test_all_of_cifar10_from_files(cifar10_store, cifar10_zip):
    """Published: 5,000 and 1,000 images per class, no duplicates, the mean to eight digits, the deviation to four.

    Turning one black pixel of 50,000 * 1024 white would change the mean by 2e-8.
    """
    tree = YAML(typ="safe").load(PARAMS / "datasets/cifar10.yaml")
    assert np.bincount(cifar10_store.labels("train")).tolist() == [5000] * 10
    assert np.bincount(cifar10_store.labels("test")).tolist() == [1000] * 10
    assert cifar10_store.source["kind"] == "image_folder"
    assert cifar10_store.source["origin"] == cifar10_zip.name
    assert cifar10_store.source["pixels"] == OFFICIAL["cifar10"].pixels
    assert cifar10_store.source["same_images_as"] == "cifar-10-python.tar.gz"
    images = cifar10_store.images("train")
    assert images.mean((0, 2, 3)) / 255 == pytest.approx([0.49139968, 0.48215841, 0.44653091], abs=5e-9)
    assert len({image.tobytes() for part in ("train", "test") for image in cifar10_store.images(part)}) == 60_000
    pixels = images.astype(np.float32) / 255
    assert pixels.mean((0, 2, 3), dtype=np.float64) == pytest.approx(tree["mean"], abs=1e-4)
    assert pixels.std((0, 2, 3), dtype=np.float64) == pytest.approx(tree["std"], abs=2e-4)
