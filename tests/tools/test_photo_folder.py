"""The folder of photographs made from a zip, with made-up images instead of CIFAR-10."""

import csv
import io
import zipfile

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from tools.photo_folder import class_counts, main


@pytest.fixture
def archive(tmp_path):
    """Zip of 12 training and 3 test images of each of the classes a, b and c, 8 x 8 pixels."""
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as file:
        for part, count in (("train", 12), ("test", 3)):
            for k, name in enumerate("abc"):
                for i in range(count):
                    buffer = io.BytesIO()
                    Image.fromarray(np.full((8, 8, 3), 80 * k + i, np.uint8)).save(buffer, "WEBP", lossless=True)
                    file.writestr(f"{part}/{name}/{i}.webp", buffer.getvalue())
    return path


def run(archive, out, *options):
    counts = ("--labeled", "4", "1", "--unlabeled", "8", "2", "--test", "2")
    return CliRunner().invoke(main, ["--zip", str(archive), "--out", str(out), *counts, *options])


def test_classes_shrink_by_a_constant_factor():
    """From 8 down to 2 in three classes: each has half of the one before. The defaults make 341 + 1,759 + 500."""
    assert class_counts(8, 2, 3) == [8, 4, 2]
    assert class_counts(100, 5, 10) == [100, 72, 51, 37, 26, 19, 14, 10, 7, 5]
    assert sum(class_counts(100, 5, 10)) + sum(class_counts(522, 25, 10)) + 50 * 10 == 2600


def test_folder_has_the_counts_and_each_image_once(archive, tmp_path):
    """a, b and c have 4, 2 and 1 labeled images, 8 + 4 + 2 = 14 are unlabeled, and 2 of each are for testing."""
    out = tmp_path / "photos"
    assert run(archive, out).output == f"{out}: {7 + 14 + 6} photographs\n"
    assert [len(list((out / "train" / name).iterdir())) for name in "abc"] == [4, 2, 1]
    assert [len(list((out / "test" / name).iterdir())) for name in "abc"] == [2, 2, 2]
    assert len(list((out / "unlabeled").iterdir())) == 14
    colors = []
    for path in [*out.glob("train/*/*"), *out.glob("unlabeled/*")]:
        with Image.open(path) as photo:
            assert 96 <= photo.width == photo.height <= 256
            colors.append(photo.getpixel((50, 50))[0])
    assert len(set(colors)) == 21


def test_classes_of_all_photos_are_written(archive, tmp_path):
    """Images of class k have the color 80 k + i; JPEG changes it by less than 30."""
    run(archive, tmp_path / "photos", "--truth", str(tmp_path / "classes.csv"))
    with (tmp_path / "classes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 7 + 14 + 6
    for row in rows:
        with Image.open(tmp_path / "photos" / row["path"]) as photo:
            assert "abc"[photo.getpixel((50, 50))[0] // 80] == row["label"]


def test_seed_decides_every_byte(archive, tmp_path):
    """Two calls write the same files; another seed writes others."""
    for name, seed in (("one", "0"), ("two", "0"), ("three", "1")):
        run(archive, tmp_path / name, "--seed", seed)
    one, two, three = (
        {str(path.relative_to(tmp_path / name)): path.read_bytes() for path in sorted((tmp_path / name).rglob("*.*"))}
        for name in ("one", "two", "three")
    )
    assert one == two != three


def test_errors_are_one_line(archive, tmp_path):
    assert (
        "train/a: 12 images are below the 24 to be drawn" in run(archive, tmp_path / "x", "--labeled", "16", "4").output
    )
    assert "exists; choose a new folder" in run(archive, tmp_path).output
