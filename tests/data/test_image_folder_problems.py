"""Real-world image folders: skipped, unreadable, duplicate and too dark images are reported."""

import io
import os
import shutil
import tracemalloc
import unicodedata
import zipfile

import numpy as np
import pytest
from PIL import Image

from daso.data import pixels
from daso.data.catalog import make_store
from daso.data.folder_digest import digest_folder
from daso.data.folder_listing import sort_files
from daso.data.image_folder import read_image_folder
from daso.data.store import load_store, verify_store
from daso.errors import DataError

CONFIG = {"dataset": "own", "num_classes": 3, "image_size": 8}


def config(photos, **source):
    return {**CONFIG, "source": {"kind": "image_folder", "path": str(photos), **source}}


def test_images_are_logged_by_part_and_class(photos, lines):
    assert read_image_folder(photos, 8).notes == {}
    assert lines() == ["photos: train: 9 images: a 4, b 3, c 2", "photos: test: 3 images: a 1, b 1, c 1"]


SYSTEM_FILES = {
    "train/.ipynb_checkpoints/00-checkpoint.png": "hidden",
    "train/a/.ipynb_checkpoints/00-checkpoint.png": "hidden",
    "train/a/._00.png": "hidden",
    "train/.DS_Store": "hidden",
    "__MACOSX/train/a/._00.png": "hidden",
    "train/a/@eaDir/00.png/SYNOPHOTO_THUMB_M.jpg": "thumbnail folder",
    "train/b/Thumbs.db": "system file",
    "train/b/desktop.ini": "system file",
    "train/a/notes.txt": "not an image",
    "train/a/clip.mp4": "not an image",
    "train/a/x.NEF": "camera raw",
    "train/b/y.DNG": "camera raw",
}


@pytest.mark.parametrize("zipped", [False, True])
def test_system_files_are_skipped_and_counted(photos, lines, zipped):
    before, key = read_image_folder(photos, 8), digest_folder(photos)
    for name in SYSTEM_FILES:
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photos / "train/a/00.png", photos / name)
    assert digest_folder(photos) == key
    path = photos
    if zipped:
        path = photos.with_name("photos")
        shutil.make_archive(str(path), "zip", photos)
        path = path.with_suffix(".zip")
    read = read_image_folder(path, 8)
    assert read.classes == before.classes
    assert (read.parts["train"][0] == before.parts["train"][0]).all()
    assert read.notes == {
        "skipped": {
            "beside the parts": {"hidden": 1},
            "train": {"hidden": 2},
            "train/a": {"camera raw": 1, "hidden": 2, "not an image": 2, "thumbnail folder": 1},
            "train/b": {"camera raw": 1, "system file": 2},
        }
    }
    assert [line.partition(": ")[2] for line in lines()[-2:]] == [
        "train/a: skipped 1 camera raw, 2 hidden, 2 not an image, 1 thumbnail folder; convert camera raw files to JPEG",
        "train/b: skipped 1 camera raw, 2 system file; convert camera raw files to JPEG",
    ]


def test_unread_folders_are_named_with_their_counts(photos, lines):
    for name in ("val/a/1.png", "other/1.png", "other/deep/er/2.png", "train/a/more/1.png", "train/1.png", "x"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(b"never opened")
    reason = "outside train/<class>/, test/<class>/ and unlabeled/"
    expected = {"val/": 1, "other/": 2, "train/a/more/": 1, "train": 1, "beside the parts": 1}
    assert read_image_folder(photos, 8).notes == {"skipped": {folder: {reason: n} for folder, n in expected.items()}}
    assert f"photos: other/: skipped 2 {reason}" in lines()


def test_circular_links_are_not_followed(photos):
    """A folder that links to itself, to a parent, and two that link to each other."""
    (photos / "val/one").mkdir(parents=True)
    (photos / "val/two").mkdir()
    (photos / "val/one/x.png").touch()
    for link, target in {"val/one/other": "val/two", "val/two/other": "val/one", "train/a/up": "train"}.items():
        (photos / link).symlink_to(photos / target, target_is_directory=True)
    assert read_image_folder(photos, 8).notes["skipped"].keys() == {"val/"}


def heic() -> bytes:
    return b"\0\0\0\x18ftypheic" + bytes(40)


def break_three(photos):
    """Add a truncated image, one of a phone and a file that is not an image."""
    whole = (photos / "train/a/00.png").read_bytes()
    (photos / "train/a/00.png").write_bytes(whole[: len(whole) // 2])
    (photos / "train/b/phone.heic").write_bytes(heic())
    (photos / "test/c/page.png").write_bytes(b"<html>")


def test_all_unreadable_images_are_named_at_once(photos):
    break_three(photos)
    (photos / "test/c/empty.png").touch()
    (photos / "test/c/gone.png").symlink_to("nowhere")
    with pytest.raises(DataError) as raised:
        read_image_folder(photos, 8)
    lines = str(raised.value).replace(f"{photos}: ", "").splitlines()
    assert lines == [
        "train/a/00.png: not a readable image (truncated or damaged); copy it again",
        "train/b/phone.heic: not a readable image (HEIC); convert it to JPEG",
        "test/c/empty.png: not a readable image (empty); copy it again",
        "test/c/gone.png: not a readable image (a link to a missing file); fix or remove the link",
        "test/c/page.png: not a readable image (not an image); remove it, or convert it to JPEG or PNG",
        "5 of 16 images cannot be read (1 HEIC, 1 a link to a missing file, 1 empty, 1 not an image, 1 truncated "
        "or damaged); fix them, or skip unreadable images with `skip_unreadable: true` beside `path` in the dataset's "
        "file",
    ]


def test_skip_unreadable_skips_unreadable_images(photos, tmp_path, lines):
    """Except for the manifest's notes, the store equals that of the readable files alone, byte for byte."""
    break_three(photos)
    store = make_store(config(photos, skip_unreadable=True), tmp_path / "store")
    assert "photos: train/b/phone.heic: skipped, HEIC; convert it to JPEG" in lines()
    assert store.labels("train").tolist() == [0] * 3 + [1] * 3 + [2] * 2
    for name in ("train/a/00.png", "train/b/phone.heic", "test/c/page.png"):
        (photos / name).unlink()
    plain = make_store(config(photos), tmp_path / "plain")
    assert store.sha256 == plain.sha256
    files = [path.name for path in plain.folder.glob("*.npy")]
    assert len(files) == 4
    assert all((store.folder / name).read_bytes() == (plain.folder / name).read_bytes() for name in files)
    verify_store(store.folder)
    assert '"phone.heic' not in (plain.folder / "manifest.json").read_text()
    assert "train/b/phone.heic" in (store.folder / "manifest.json").read_text()


def test_unreadable_images_leave_the_earlier_store(photos, tmp_path):
    before = make_store(config(photos), tmp_path / "store")
    break_three(photos)
    with pytest.raises(DataError):
        make_store(config(photos), tmp_path / "store")
    assert load_store(tmp_path / "store").sha256 == before.sha256
    assert not list((tmp_path / "store").glob("*.part"))


def test_store_arrays_equal_those_of_numpy_save(photos, tmp_path):
    make_store(config(photos), tmp_path / "store")
    for part, (images, _) in read_image_folder(photos, 8).parts.items():
        buffer = io.BytesIO()
        np.save(buffer, images)
        assert (tmp_path / f"store/{part}_images.npy").read_bytes() == buffer.getvalue()


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_class_names_are_nfc_normalised(photos, form):
    """Composed in one part and decomposed in the other, and both forms in train, are one class."""
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    (photos / "train/a").rename(photos / "train" / unicodedata.normalize(form, "café"))
    (photos / "test/a").rename(photos / "test" / unicodedata.normalize(other, "café"))
    (photos / "train" / unicodedata.normalize(other, "café")).mkdir()
    shutil.copy(photos / "train/b/00.png", photos / "train" / unicodedata.normalize(other, "café") / "9.png")
    read = read_image_folder(photos, 8)
    assert read.classes == ("b", "c", "caf\u00e9")
    assert np.bincount(read.parts["train"][1]).tolist() == [3, 2, 5]


def test_class_names_that_differ_only_in_case_are_refused(photos):
    shutil.copytree(photos / "train/a", photos / "train/A")
    with pytest.raises(
        DataError, match=r"classes 'A' \(4 images\) and 'a' \(4\) differ only in case or spaces; rename one$"
    ):
        read_image_folder(photos, 8)
    shutil.rmtree(photos / "train/A")
    (photos / "test/a").rename(photos / "test/A")
    with pytest.raises(
        DataError, match=r"test/ has the class 'A', which is missing in train/; rename it or 'a' in train/"
    ):
        read_image_folder(photos, 8)


def test_duplicates_in_two_classes_or_both_parts_are_reported(photos, lines):
    """Equal pixels in any file format; duplicates in one class of one part are not reported."""
    with Image.open(photos / "train/a/01.png") as image:
        image.save(photos / "test/a/copy.bmp")
    shutil.copy(photos / "train/b/00.png", photos / "test/c/wrong.png")
    shutil.copy(photos / "train/c/00.png", photos / "train/c/again.png")
    notes = read_image_folder(photos, 8).notes
    assert notes == {
        "duplicates": {
            "in two classes": [["train/b/00.png", "test/c/wrong.png"]],
            "in train/ and test/": [["train/a/01.png", "test/a/copy.bmp"]],
        }
    }
    assert lines()[-2:] == [
        "photos: duplicate images in two classes (1): train/b/00.png = test/c/wrong.png",
        "photos: duplicate images in train/ and test/ (1): train/a/01.png = test/a/copy.bmp",
    ]


def test_unprintable_file_name_is_escaped(photos, lines):
    shutil.copy(photos / "train/b/00.png", photos / os.fsdecode(b"test/c/\xff\n.png"))
    read_image_folder(photos, 8)
    assert lines()[-1] == "photos: duplicate images in two classes (1): train/b/00.png = test/c/\\udcff\\n.png"


def test_class_without_test_images_is_reported(photos, lines, tmp_path):
    shutil.rmtree(photos / "test/c")
    make_store(config(photos), tmp_path / "store")
    assert "photos: no test images of class c; recall is unknown" in lines()
    assert '"untested": [\n   "c"\n  ]' in (tmp_path / "store/manifest.json").read_text()


def test_classes_are_counted_before_an_image_is_opened(photos, monkeypatch, tmp_path):
    monkeypatch.setattr(pixels.Image, "open", None)
    with pytest.raises(DataError, match=r"own\.yaml: num_classes is 2, but the source has 3 classes \(a, b, c\)"):
        make_store(config(photos) | {"num_classes": 2}, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_memory_does_not_grow_with_the_images(photos, tmp_path, monkeypatch):
    """12 images of 512 pixels take 9.4 MB; with one thread, fewer than four of them are on the heap at any time."""
    monkeypatch.setattr("daso.data.decode_pool.cores", lambda: 1)
    make_store(config(photos) | {"image_size": 8}, tmp_path / "warm")
    tracemalloc.start()
    store = make_store(config(photos) | {"image_size": 512}, tmp_path / "store")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert store.images_total == 12
    assert peak < 4 * 3 * 512**2


def test_full_disk_is_an_error_of_one_line(photos, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(DataError, match=r"no room for 0.0 GB of images \(No space left on device\); free disk space"):
        make_store(config(photos), tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_encrypted_zip_is_refused(photos):
    path = photos.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in photos.rglob("*.png"):
            archive.write(file, file.relative_to(photos).as_posix())
    content = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\1\2", 8), (b"PK\3\4", 6)):  # set the encryption flag in both headers of the first file
        content[content.index(magic) + offset] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"not a readable image \(encrypted\); pack the zip again without a password"):
        read_image_folder(path, 8)


def test_sort_files_finds_parts_below_a_top_folder():
    """Parts may be below one top folder; upper-case suffixes equal lower-case ones."""
    listed = sort_files(["top/train/a/1.PNG", "top/test/a/x", "top/train/a/2.Cr2", "top/readme.md", "Thumbs.db"])
    assert listed.images == {"train": {"a": ["top/train/a/1.PNG"]}, "test": {"a": ["top/test/a/x"]}}
    assert {folder: dict(counts) for folder, counts in listed.skipped.items()} == {
        "train/a": {"camera raw": 1},
        "beside the parts": {"outside train/<class>/, test/<class>/ and unlabeled/": 1, "system file": 1},
    }
