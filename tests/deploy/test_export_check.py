"""Photos of a dataset with which an export is checked."""

import zipfile
from types import SimpleNamespace

import pytest
from PIL import Image

from daso.deploy import export_check
from tests.deploy.models import CONVNET, record_of

MODEL = SimpleNamespace(record=record_of(CONVNET, [0]))


@pytest.fixture
def flowers(tmp_path, monkeypatch):
    """Change to a folder with the list of a store of 4 test and 2 training images."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(export_check, "load_params", lambda: SimpleNamespace(datasets={"flowers": {}}))
    monkeypatch.setattr(export_check, "data_config", lambda params, name: {"source": {"path": "photos"}})
    names = ["test/a.png", "test/damaged.png", "test/huge.png", "test/removed.png"]
    listed = [("test", name) for name in names] + [("train", "train/b.png"), ("train", "train/c.png")]
    (tmp_path / "data/store/flowers").mkdir(parents=True)
    rows = [f"{part},0,x,{name},0" for part, name in listed]
    (tmp_path / "data/store/flowers/files.csv").write_text("\n".join(["part,row,label,file,sha256", *rows]))
    return tmp_path


def copied(folder):
    folder.mkdir()
    return [size_of(path) for path in export_check._copied_photos(MODEL, folder)]


def size_of(path):
    with Image.open(path) as image:
        return image.size


def write_photos(folder):
    for i, name in enumerate(("test/a.png", "train/b.png", "train/c.png"), 1):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (10 * i, 8)).save(folder / name)


def test_test_photos_that_are_there_and_readable_are_copied(flowers):
    """Not a damaged one, nor one above 89 megapixels, which the reader refuses."""
    write_photos(flowers / "photos")
    Image.new("1", (9460, 9459)).save(flowers / "photos/test/huge.png")
    (flowers / "photos/test/damaged.png").write_bytes(b"\x89PNG")
    assert copied(flowers / "copies") == [(10, 8)]


def test_training_photos_are_copied_if_no_test_images_are_listed(flowers):
    write_photos(flowers / "photos")
    table = flowers / "data/store/flowers/files.csv"
    table.write_text("\n".join(line for line in table.read_text().splitlines() if "test/" not in line))
    assert copied(flowers / "copies") == [(20, 8), (30, 8)]


def test_photos_of_a_zip_are_copied(flowers):
    write_photos(flowers / "unpacked")
    with zipfile.ZipFile(flowers / "photos", "w") as archive:
        archive.write(flowers / "unpacked/test/a.png", "test/a.png")
    assert copied(flowers / "copies") == [(10, 8)]


def test_no_photo_is_copied_without_folder_or_store(flowers):
    assert copied(flowers / "copies") == []
    write_photos(flowers / "photos")
    (flowers / "data/store/flowers/files.csv").unlink()
    assert copied(flowers / "more") == []
