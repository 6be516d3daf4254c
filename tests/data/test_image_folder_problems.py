"""Image folders as people have them: what is skipped, unreadable, alike or too dark is reported, never passed over."""

import io
import os
import re
import shutil
import subprocess
import tracemalloc
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daso.data import pixels
from daso.data.catalog import make_store
from daso.data.folder_digest import listing, sort_files
from daso.data.image_folder import read_image_folder
from daso.data.store import load_store, verify_store
from daso.errors import DataError

CONFIG = {"dataset": "own", "num_classes": 3, "image_size": 8}


def config(photos, **source):
    return {**CONFIG, "source": {"kind": "image_folder", "path": str(photos), **source}}


def test_what_was_read_is_logged_by_part_and_class(photos, lines):
    assert read_image_folder(photos, 8).notes == {}
    assert lines() == ["photos: train: 9 images: a 4, b 3, c 2", "photos: test: 3 images: a 1, b 1, c 1"]


LEFT = {
    "train/.ipynb_checkpoints/00-checkpoint.png": "hidden",
    "train/a/.ipynb_checkpoints/00-checkpoint.png": "hidden",
    "train/a/._00.png": "hidden",
    "train/.DS_Store": "hidden",
    "train/a/@eaDir/00.png/SYNOPHOTO_THUMB_M.jpg": "thumbnail folder",
    "train/b/Thumbs.db": "system file",
    "train/b/desktop.ini": "system file",
    "train/a/notes.txt": "not an image",
    "train/a/clip.mp4": "not an image",
    "train/a/x.NEF": "camera raw",
    "train/b/y.DNG": "camera raw",
}


@pytest.mark.parametrize("packed", [False, True])
def test_files_that_programs_leave_are_skipped_and_counted(photos, lines, packed):
    before, key = read_image_folder(photos, 8), listing(photos)
    for name in LEFT:
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photos / "train/a/00.png", photos / name)
    assert listing(photos) == key
    path = photos
    if packed:
        path = photos.with_name("photos")
        shutil.make_archive(str(path), "zip", photos)
        path = path.with_suffix(".zip")
    found = read_image_folder(path, 8)
    assert found.classes == before.classes
    assert (found.parts["train"][0] == before.parts["train"][0]).all()
    counts = {"camera raw": 2, "hidden": 4, "not an image": 2, "system file": 2, "thumbnail folder": 1}
    assert found.notes == {"skipped": {"train": counts}}
    assert lines()[-1].partition(": ")[2] == (
        "train: skipped 2 camera raw, 4 hidden, 2 not an image, 2 system file, 1 thumbnail folder; "
        "convert camera raw files to JPEG"
    )


def test_folders_that_are_not_read_are_counted_and_named(photos, lines):
    for name in ("val/a/1.png", "unlabeled/1.png", "unlabeled/deep/er/2.png", "train/a/more/1.png", "train/1.png", "x"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(b"never opened")
    why = "outside train/<class>/ and test/<class>/"
    expected = {"val/": 1, "unlabeled/": 2, "train/a/more/": 1, "train": 1, "beside the parts": 1}
    assert read_image_folder(photos, 8).notes == {"skipped": {place: {why: n} for place, n in expected.items()}}
    assert f"photos: unlabeled/: skipped 2 {why}" in lines()


def test_links_in_a_circle_end(photos):
    """To itself, to a folder above, and two folders to each other."""
    (photos / "val/one").mkdir(parents=True)
    (photos / "val/two").mkdir()
    (photos / "val/one/x.png").touch()
    for link, target in {"val/one/other": "val/two", "val/two/other": "val/one", "train/a/up": "train"}.items():
        (photos / link).symlink_to(photos / target, target_is_directory=True)
    assert read_image_folder(photos, 8).notes["skipped"].keys() == {"val/"}


def heic() -> bytes:
    return b"\0\0\0\x18ftypheic" + bytes(40)


def break_three(photos):
    """One image truncated, one of a phone, one that is none; of a.png half is left."""
    whole = (photos / "train/a/00.png").read_bytes()
    (photos / "train/a/00.png").write_bytes(whole[: len(whole) // 2])
    (photos / "train/b/phone.heic").write_bytes(heic())
    (photos / "test/c/page.png").write_bytes(b"<html>")


def test_all_unreadable_files_are_named_at_once(photos):
    break_three(photos)
    (photos / "test/c/empty.png").touch()
    (photos / "test/c/gone.png").symlink_to("nowhere")
    with pytest.raises(DataError) as raised:
        read_image_folder(photos, 8)
    said = str(raised.value).replace(f"{photos}: ", "").splitlines()
    assert said == [
        "train/a/00.png is not a readable image (truncated or damaged); copy it again",
        "train/b/phone.heic is not a readable image (HEIC); convert it to JPEG",
        "test/c/empty.png is not a readable image (empty); copy it again",
        "test/c/gone.png is not a readable image (a link to a missing file); fix or remove the link",
        "test/c/page.png is not a readable image (not an image); remove it, or convert it to JPEG or PNG",
        "5 of 16 images cannot be read (1 HEIC, 1 a link to a missing file, 1 empty, 1 not an image, 1 truncated or "
        "damaged); fix them, or go on without such files by `skip_unreadable: true` beside `path` in the dataset's "
        "file",
    ]


def test_unreadable_files_are_skipped_on_demand(photos, tmp_path, lines):
    """The store is the one of the readable files alone, byte for byte, but for what its manifest says of the others."""
    break_three(photos)
    found = make_store(config(photos, skip_unreadable=True), tmp_path / "store")
    assert "photos: train/b/phone.heic: skipped, HEIC; convert it to JPEG" in lines()
    assert found.labels("train").tolist() == [0] * 3 + [1] * 3 + [2] * 2
    for name in ("train/a/00.png", "train/b/phone.heic", "test/c/page.png"):
        (photos / name).unlink()
    plain = make_store(config(photos), tmp_path / "plain")
    assert found.sha256 == plain.sha256
    files = [path.name for path in plain.folder.glob("*.npy")]
    assert len(files) == 4
    assert all((found.folder / name).read_bytes() == (plain.folder / name).read_bytes() for name in files)
    verify_store(found.folder)
    assert '"phone.heic' not in (plain.folder / "manifest.json").read_text()
    assert "train/b/phone.heic" in (found.folder / "manifest.json").read_text()


def test_a_folder_that_cannot_be_read_leaves_the_store_that_was_there(photos, tmp_path):
    before = make_store(config(photos), tmp_path / "store")
    break_three(photos)
    with pytest.raises(DataError):
        make_store(config(photos), tmp_path / "store")
    assert load_store(tmp_path / "store").sha256 == before.sha256
    assert not list((tmp_path / "store").glob("*.part"))


def test_a_store_has_the_bytes_that_numpy_saves(photos, tmp_path):
    make_store(config(photos), tmp_path / "store")
    for part, (images, _) in read_image_folder(photos, 8).parts.items():
        buffer = io.BytesIO()
        np.save(buffer, images)
        assert (tmp_path / f"store/{part}_images.npy").read_bytes() == buffer.getvalue()


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_class_names_are_normalised(photos, form):
    """Composed in one part and decomposed in the other, and both spellings in train: one class."""
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    (photos / "train/a").rename(photos / "train" / unicodedata.normalize(form, "café"))
    (photos / "test/a").rename(photos / "test" / unicodedata.normalize(other, "café"))
    (photos / "train" / unicodedata.normalize(other, "café")).mkdir()
    shutil.copy(photos / "train/b/00.png", photos / "train" / unicodedata.normalize(other, "café") / "9.png")
    found = read_image_folder(photos, 8)
    assert found.classes == ("b", "c", "caf\u00e9")
    assert np.bincount(found.parts["train"][1]).tolist() == [3, 2, 5]


def test_class_names_that_differ_in_case_alone(photos):
    shutil.copytree(photos / "train/a", photos / "train/A")
    with pytest.raises(DataError, match=r"classes 'A' and 'a' differ in case or spaces alone; rename one$"):
        read_image_folder(photos, 8)
    shutil.rmtree(photos / "train/A")
    (photos / "test/a").rename(photos / "test/A")
    with pytest.raises(DataError, match=r"test/ has the class 'A', which train/ lacks, where it is 'a'; rename one"):
        read_image_folder(photos, 8)


def test_equal_images_in_two_classes_and_in_both_parts_are_reported(photos, lines):
    """Equal pixels, whatever the format; twice in one class of one part is no contradiction."""
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
        "photos: 1 images are in two classes: train/b/00.png = test/c/wrong.png",
        "photos: 1 images are in train/ and test/: train/a/01.png = test/a/copy.bmp",
    ]


def test_a_name_that_is_no_text_stays_on_its_line(photos, lines):
    shutil.copy(photos / "train/b/00.png", photos / os.fsdecode(b"test/c/\xff\n.png"))
    read_image_folder(photos, 8)
    assert lines()[-1] == "photos: 1 images are in two classes: train/b/00.png = test/c/\\udcff\\n.png"


def test_a_class_without_test_images_is_named(photos, lines, tmp_path):
    shutil.rmtree(photos / "test/c")
    make_store(config(photos), tmp_path / "store")
    assert "photos: no test images of class c; its recall is unknown" in lines()
    assert '"untested": [\n   "c"\n  ]' in (tmp_path / "store/manifest.json").read_text()


def test_classes_are_counted_before_an_image_is_opened(photos, monkeypatch, tmp_path):
    monkeypatch.setattr(pixels.Image, "open", None)
    with pytest.raises(DataError, match=r"own\.yaml: num_classes is 2 and the source has 3 classes \(a, b, c\)"):
        make_store(config(photos) | {"num_classes": 2}, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_memory_does_not_grow_with_the_images(photos, tmp_path):
    """12 images of 512 pixels are 9.4 MB; less than four of them are on the heap at any time."""
    make_store(config(photos) | {"image_size": 8}, tmp_path / "warm")
    tracemalloc.start()
    store = make_store(config(photos) | {"image_size": 512}, tmp_path / "store")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert store.images_total == 12
    assert peak < 4 * 3 * 512**2


def test_a_store_without_room_on_the_disk_is_one_line(photos, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(DataError, match=r"no room for 0.0 GB of images \(No space left on device\); make room"):
        make_store(config(photos), tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_zip_with_a_password_is_named_as_such(photos):
    path = photos.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in photos.rglob("*.png"):
            archive.write(file, file.relative_to(photos).as_posix())
    content = bytearray(path.read_bytes())
    for mark, at in ((b"PK\1\2", 8), (b"PK\3\4", 6)):  # the flag of encryption, in both headers of the first file
        content[content.index(mark) + at] |= 1
    path.write_bytes(content)
    with pytest.raises(
        DataError, match=r"is not a readable image \(encrypted\); pack the zip again without a password"
    ):
        read_image_folder(path, 8)


def test_names_that_are_sorted():
    """Of one top folder the parts are those below; a name with a suffix in capitals is one of its kind."""
    listed = sort_files(["top/train/a/1.PNG", "top/test/a/x", "top/train/a/2.Cr2", "top/readme.md", "Thumbs.db"])
    assert listed.images == {"train": {"a": ["top/train/a/1.PNG"]}, "test": {"a": ["top/test/a/x"]}}
    assert {place: dict(found) for place, found in listed.skipped.items()} == {
        "train": {"camera raw": 1},
        "beside the parts": {"outside train/<class>/ and test/<class>/": 1, "system file": 1},
    }


def test_the_test_part_of_contributing_is_made_once(tmp_path):
    """Of 12 photos the fifth and the tenth move, of 4 none, without an empty folder; a second time nothing does."""
    text = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
    script = re.search(r"\*\*1\. The images\*\*.*?```sh\n(.*?)```", text, re.DOTALL)[1]
    for word, n in (("rare", 4), ("red rose", 12)):
        (tmp_path / "photos/train" / word).mkdir(parents=True)
        for i in range(n):
            (tmp_path / "photos/train" / word / f" photo {i:02}.jpg").touch()
    for _ in range(2):
        subprocess.run(["sh", "-c", script], cwd=tmp_path, check=True)
        assert [path.name for path in (tmp_path / "photos/test").iterdir()] == ["red rose"]
        assert sorted(path.name for path in tmp_path.glob("photos/test/*/*")) == [" photo 04.jpg", " photo 09.jpg"]
        assert len(list(tmp_path.glob("photos/train/*/*"))) == 14
