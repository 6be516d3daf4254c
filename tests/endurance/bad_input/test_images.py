"""Image folders, zips and archives that are none, and odd ones that are read as documented."""

import hashlib
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.endurance.bad_input import bad_archives, bad_images
from tests.endurance.bad_input.inputs import JUDGE, damaged
from tests.endurance.bad_input.judge import instead

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("bad input")]


@pytest.fixture
def dataset():
    """Calls the reader of image folders on a path, a part of which was made by a test."""

    def argv(path, size=8, classes=2):
        config = {"dataset": "own", "source": {"kind": "image_folder", "path": str(path)}}
        Path("own.json").write_text(json.dumps(config | {"num_classes": classes, "image_size": size}))
        return "download", "--config", "own.json", "--out", "out"

    return argv


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("name", bad_images.BROKEN)
def test_images_that_are_none(name, packed, tmp_path, dataset):
    files = bad_images.good() | {f"train/a/{name}": bad_images.BROKEN[name]()}
    path = bad_images.pack(files, tmp_path, packed)
    JUDGE.refused(
        "images",
        files[f"train/a/{name}"] + bytes(packed),
        *dataset(path),
        says=f"train/a/{name}: not a readable image",
    )


@pytest.mark.parametrize("name", bad_images.ODD)
def test_odd_images_are_read_as_documented(name, tmp_path, dataset):
    content, pixel = bad_images.ODD[name]
    path = bad_images.pack(bad_images.good() | {f"train/a/{name}": content}, tmp_path, packed=False)
    JUDGE.handled("odd images", content, *dataset(path))
    row = sorted([*(word.name for word in (path / "train/a").iterdir())]).index(name)
    found = np.load("out/train_images.npy")[row, :, 4, 4].tolist()
    shutil.rmtree("out")
    assert found == pytest.approx(pixel, abs=3)


def test_images_with_broken_bits(tmp_path, dataset):
    path, rng = bad_images.pack(bad_images.good(), tmp_path, packed=False), random.Random(0)
    for kind, whole in bad_images.formats().items():
        for _ in range(12):
            way, places = rng.randrange(4), [rng.randrange(8 * len(whole)) for _ in range(rng.randint(1, 8))]
            content = damaged(whole, places, way)
            with instead(path / f"train/a/x.{kind}", content):
                if JUDGE.survived("broken images", content, *dataset(path)):
                    shutil.rmtree("out")


@pytest.mark.parametrize("name", bad_images.TREES)
def test_trees_that_are_no_dataset(name, tmp_path, dataset):
    path, says = bad_images.TREES[name](tmp_path)
    JUDGE.refused("trees of images", name, *dataset(path), says=says)


@pytest.mark.parametrize("name", bad_images.FINE)
def test_odd_trees_are_read_as_documented(name, tmp_path, dataset):
    path, classes, images = bad_images.FINE[name](tmp_path)
    JUDGE.handled("odd trees", name, *dataset(path, classes=classes))
    assert len(np.load("out/train_images.npy")) == images
    shutil.rmtree("out")


@pytest.mark.parametrize("name", bad_archives.ZIPS)
def test_zips_that_are_refused(name, tmp_path, dataset):
    path = tmp_path / "images.zip"
    path.write_bytes(bad_archives.ZIPS[name]())
    JUDGE.refused("zips", path.read_bytes(), *dataset(path), says="images.zip")
    assert not list(tmp_path.parent.glob("slip*"))


@pytest.mark.parametrize("kind", ["cifar10", "cifar100", "stl10"])
@pytest.mark.parametrize("name", bad_archives.TARS)
def test_archives_that_are_refused(name, kind, tmp_path, monkeypatch):
    """Their MD5 is what the configuration wants: what is wrong is inside."""
    content = bad_archives.TARS[name](kind)
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(content)
    monkeypatch.setenv("DASO_BAD", str(path))
    source = {"kind": kind, "urls": [], "md5": hashlib.md5(content).hexdigest(), "override": "DASO_BAD"}
    size = 96 if kind == "stl10" else 32
    config = {"dataset": "own", "source": source, "num_classes": 100 if kind == "cifar100" else 10, "image_size": size}
    Path("own.json").write_text(json.dumps(config))
    JUDGE.refused(
        "archives", kind.encode() + content, "download", "--config", "own.json", "--out", "out", says="archive.tar.gz"
    )
    assert not Path("harm").exists()
    assert not list(tmp_path.parent.glob("slip*"))
