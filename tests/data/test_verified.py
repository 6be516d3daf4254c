"""Stores are hashed once, and again after any change of their files."""

import json
import os
import shutil

import numpy as np
import pytest

from daso.data import store as stores
from daso.data.store import verify_store, write_store
from daso.errors import DataError


def write(folder, first=0):
    images, labels = np.arange(first, first + 192, dtype=np.uint8).reshape(4, 3, 4, 4), np.array([0, 1, 0, 1])
    write_store(folder, "toy", ["a", "b"], dict.fromkeys(("train", "test"), (images, labels)), {})


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "toy")
    return tmp_path / "toy"


@pytest.fixture
def hashed(monkeypatch):
    """Return the numbers of image bytes that were hashed so far, one for each array of images."""
    sizes, sha256 = [], stores._sha256

    def count(array):
        if array.dtype == np.uint8:
            sizes.append(array.nbytes)
        return sha256(array)

    monkeypatch.setattr(stores, "_sha256", count)
    return sizes


def flip_bit(path, keep_time=False):
    """Change the last byte of a file in place; the file keeps its size and inode."""
    status = path.stat()
    with path.open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        byte = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([byte[0] ^ 1]))
    times = (status.st_atime_ns, status.st_mtime_ns if keep_time else status.st_mtime_ns + 10**6)
    os.utime(path, ns=times)


def test_store_is_hashed_when_it_is_written_and_not_again_at_the_first_start(hashed, tmp_path):
    """Each part has 4 images of 3 x 4 x 4 bytes, 192 in all."""
    write(tmp_path / "toy")
    assert hashed == [192, 192]
    assert verify_store(tmp_path / "toy").dataset == "toy"
    assert hashed == [192, 192]
    verify_store(tmp_path / "toy", hash_again=True)
    assert hashed == [192] * 4


def test_store_without_a_record_is_hashed_once(folder, hashed):
    """As that of a clone, whose images come from a remote."""
    (folder / "verified.json").unlink()
    for _ in range(2):
        verify_store(folder)
        assert hashed == [192, 192]


def touch(path):
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def copy_over(path):
    """Replace a file by a copy of the same size and time, as a backup does: only the inode differs."""
    shutil.copy2(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


def edit_record(path):
    record = path.with_name("verified.json")
    record.write_text(record.read_text().replace("train", "trail"))


@pytest.mark.parametrize("change", [touch, copy_over, edit_record])
def test_touched_replaced_or_unrecorded_files_are_hashed_again(folder, hashed, change):
    change(folder / "test_images.npy")
    verify_store(folder)
    assert hashed == [192, 192]
    verify_store(folder)
    assert hashed == [192, 192]


def test_changed_image_is_detected_after_an_earlier_verification(folder):
    flip_bit(folder / "test_images.npy")
    for _ in range(2):  # a failed verification is not recorded
        with pytest.raises(DataError, match=r"test_images.npy: SHA-256 of the images: expected"):
            verify_store(folder)


def test_change_that_keeps_the_time_is_detected_only_by_hashing_again(folder):
    """Documented limit: size, time and inode are those of the verified file. `publish` and `bundle` hash again."""
    flip_bit(folder / "test_images.npy", keep_time=True)
    verify_store(folder)
    with pytest.raises(DataError, match=r"test_images.npy: SHA-256 of the images: expected"):
        verify_store(folder, hash_again=True)


def test_record_of_an_earlier_store_does_not_hold_for_its_successor(folder, hashed, monkeypatch):
    """The record of the second store is not written, as by a process that was killed before."""
    monkeypatch.setattr(stores, "record_verified", lambda folder, state: None)
    write(folder, first=1)
    assert hashed == [192, 192]
    verify_store(folder)
    assert hashed == [192] * 4


def test_store_in_a_read_only_folder_is_verified(folder, hashed, monkeypatch):
    """Its record cannot be written, so that it is hashed at each start."""
    (folder / "verified.json").unlink()

    def refuse(path, content, **options):
        raise DataError(f"{path}: cannot be written")

    monkeypatch.setattr("daso.data.verified.write_file", refuse)
    for _ in range(2):
        verify_store(folder)
    assert hashed == [192] * 4
    assert not (folder / "verified.json").exists()


def test_record_holds_the_state_of_both_files(folder):
    record = json.loads((folder / "verified.json").read_text())
    manifest = json.loads((folder / "manifest.json").read_text())
    assert record["manifest_sha256"] == manifest["manifest_sha256"]
    status = (folder / "test_images.npy").stat()
    assert record["files"]["test_images.npy"] == [192 + 128, status.st_mtime_ns, status.st_ino]
    assert set(record["files"]) == {"train_images.npy", "test_images.npy"}
