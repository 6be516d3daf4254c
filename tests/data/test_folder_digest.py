import shutil
import zipfile

import pytest

from daso.data.folder_digest import digest_folder, source_path


@pytest.fixture
def images(tmp_path):
    """Write two classes in two parts; all files differ in size."""
    for i, name in enumerate(("train/cat/1", "train/cat/2", "train/dog/1", "test/cat/1", "test/dog/1")):
        path = tmp_path / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * (i + 1))
    return tmp_path / "images"


def zipped(images, name="images.zip", order=sorted):
    with zipfile.ZipFile(images.parent / name, "w") as archive:
        for path in order(path for path in images.rglob("*") if path.is_file()):
            archive.write(path, path.relative_to(images))
    return images.parent / name


CHANGES = [
    lambda root: (root / "train/cat/1.png").rename(root / "train/dog/2.png"),
    lambda root: (root / "train/cat/1.png").rename(root / "test/cat/2.png"),
    lambda root: (root / "train/cat/1.png").rename(root / "train/cat/3.png"),
    lambda root: (root / "train/cat/1.png").unlink(),
    lambda root: (root / "train/cat/1.png").write_bytes(b"xyz"),
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", [lambda images: images, zipped])
def test_changed_folder_or_zip_has_a_different_digest(images, change, kind):
    before = digest_folder(kind(images))
    assert digest_folder(kind(images)) == before
    change(images)
    assert digest_folder(kind(images)) != before


def test_other_files_and_times_do_not_change_the_digest(images):
    before = digest_folder(images)
    for name in ("README.md", ".DS_Store", "train/.DS_Store", "train/cat/.hidden.png", "__MACOSX/train/cat/1.png"):
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        (images / name).write_text("other")
    (images / "train/cat/1.png").touch()
    (images / "train/empty").mkdir()
    assert digest_folder(images) == before


def test_digest_does_not_depend_on_path_and_order_in_the_zip(images, tmp_path):
    shutil.copytree(images, tmp_path / "copy")
    assert digest_folder(tmp_path / "copy") == digest_folder(images)
    backwards = zipped(images, "backwards.zip", lambda paths: sorted(paths, reverse=True))
    assert digest_folder(zipped(images)) == digest_folder(backwards)


def test_new_content_of_the_same_size_changes_the_digest_of_a_zip(images):
    before = digest_folder(zipped(images))
    (images / "train/cat/2.png").write_bytes(b"xy")
    assert digest_folder(zipped(images)) != before


def test_missing_folder_and_broken_zip(tmp_path):
    assert digest_folder(tmp_path / "nowhere") is None
    (tmp_path / "broken.zip").write_bytes(b"PK")
    assert digest_folder(tmp_path / "broken.zip") is not None


def test_environment_variable_overrides_the_path(monkeypatch):
    source = {"kind": "image_folder", "path": "images", "override": "DASO_OWN"}
    monkeypatch.delenv("DASO_OWN", raising=False)
    assert source_path(source) == "images"
    assert source_path({"kind": "cifar10", "override": "DASO_OWN"}) == ""
    monkeypatch.setenv("DASO_OWN", "elsewhere")
    assert source_path(source) == "elsewhere"
