"""Invalid image folders, zips and archives, and unusual ones that are read as documented."""

import hashlib
import json
import random
import shutil
from pathlib import Path

import pytest

from tests.endurance.bad_input import bad_archives, bad_images
from tests.endurance.bad_input.cases import damaged
from tests.endurance.bad_input.checker import accepts, expect_error, replaced_file

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("bad input")]


@pytest.fixture
def dataset():
    """Return a function from a path to the command that reads images from it."""

    def argv(path, size=8, classes=2):
        config = {"dataset": "own", "source": {"kind": "image_folder", "path": str(path)}}
        Path("own.json").write_text(json.dumps(config | {"num_classes": classes, "image_size": size}))
        return "download", "--config", "own.json", "--out", "out"

    return argv


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("name", bad_images.BAD_IMAGES)
def test_broken_image_is_refused(name, packed, tmp_path, dataset):
    files = bad_images.good_images() | {f"train/a/{name}": bad_images.BAD_IMAGES[name]()}
    path = bad_images.pack(files, tmp_path, packed)
    expect_error(
        *dataset(path),
        message=f"train/a/{name}: not a readable image",
    )


def test_images_with_damaged_bytes(tmp_path, dataset):
    path, rng = bad_images.pack(bad_images.good_images(), tmp_path, packed=False), random.Random(0)
    for kind, original in bad_images.formats().items():
        for _ in range(12):
            damage, positions = rng.randrange(4), [rng.randrange(8 * len(original)) for _ in range(rng.randint(1, 8))]
            content = damaged(original, positions, damage)
            with replaced_file(path / f"train/a/x.{kind}", content):
                if accepts(*dataset(path)):
                    shutil.rmtree("out")


@pytest.mark.parametrize("name", bad_images.BAD_TREES)
def test_invalid_folder_is_refused(name, tmp_path, dataset):
    path, message = bad_images.BAD_TREES[name](tmp_path)
    expect_error(*dataset(path), message=message)


@pytest.mark.parametrize("name", bad_archives.BAD_ZIPS)
def test_bad_zip_is_refused(name, tmp_path, dataset):
    path = tmp_path / "images.zip"
    path.write_bytes(bad_archives.BAD_ZIPS[name]())
    expect_error(*dataset(path), message="images.zip")
    assert not list(tmp_path.parent.glob("slip*"))


@pytest.mark.parametrize("kind", ["cifar10", "cifar100", "stl10"])
@pytest.mark.parametrize("name", bad_archives.BAD_TARS)
def test_bad_archive_is_refused(name, kind, tmp_path, monkeypatch):
    """The archive has the MD5 of the configuration; only its content is wrong."""
    content = bad_archives.BAD_TARS[name](kind)
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(content)
    monkeypatch.setenv("DASO_BAD", str(path))
    source = {
        "kind": kind,
        "urls": ["http://127.0.0.1:1/a"],
        "md5": hashlib.md5(content).hexdigest(),
        "override": "DASO_BAD",
    }
    size = 96 if kind == "stl10" else 32
    config = {"dataset": "own", "source": source, "num_classes": 100 if kind == "cifar100" else 10, "image_size": size}
    Path("own.json").write_text(json.dumps(config))
    command = ("download", "--config", "own.json", "--out", "out")
    expect_error(*command, message="archive.tar.gz")
    assert not Path("harm").exists()
    assert not list(tmp_path.parent.glob("slip*"))
