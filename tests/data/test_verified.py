"""Stores are hashed once, and again after any change of their files."""

import json
import os
import shutil

import numpy as np
import pytest

from daso.data import store as stores
from daso.data.store import verify_store, write_store
from daso.errors import DataError


@pytest.fixture
def folder(tmp_path):
    images, labels = np.arange(4 * 3 * 4 * 4, dtype=np.uint8).reshape(4, 3, 4, 4), np.array([0, 1, 0, 1])
    write_store(tmp_path / "toy", "toy", ["a", "b"], dict.fromkeys(("train", "test"), (images, labels)), {})
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


def test_second_start_reads_no_image(folder, hashed):
    verify_store(folder)
    assert hashed == [192, 192]
    assert verify_store(folder).dataset == "toy"
    assert hashed == [192, 192]
    verify_store(folder, hash_again=True)
    assert hashed == [192] * 4


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
    verify_store(folder)
    change(folder / "test_images.npy")
    verify_store(folder)
    assert hashed == [192] * 4
    verify_store(folder)
    assert hashed == [192] * 4


def test_changed_image_is_detected_after_an_earlier_verification(folder):
    verify_store(folder)
    flip_bit(folder / "test_images.npy")
    for _ in range(2):  # a failed verification is not recorded
        with pytest.raises(DataError, match=r"test_images.npy: SHA-256 of the images: expected"):
            verify_store(folder)


def test_change_that_keeps_the_time_is_detected_only_by_hashing_again(folder):
    """Documented limit: size, time and inode are those of the verified file. `publish` and `bundle` hash again."""
    verify_store(folder)
    flip_bit(folder / "test_images.npy", keep_time=True)
    verify_store(folder)
    with pytest.raises(DataError, match=r"test_images.npy: SHA-256 of the images: expected"):
        verify_store(folder, hash_again=True)


def test_other_images_in_the_same_folder_are_hashed(folder, hashed):
    verify_store(folder)
    images, labels = np.zeros((4, 3, 4, 4), np.uint8), np.array([0, 1, 0, 1])
    write_store(folder, "toy", ["a", "b"], dict.fromkeys(("train", "test"), (images, labels)), {})
    del hashed[:]
    verify_store(folder)
    assert hashed == [192, 192]


def test_store_in_a_read_only_folder_is_verified(folder, hashed, monkeypatch):
    """Its record cannot be written, so that it is hashed at each start."""

    def refuse(path, content, **options):
        raise DataError(f"{path}: cannot be written")

    monkeypatch.setattr("daso.data.verified.write_file", refuse)
    for _ in range(2):
        verify_store(folder)
    assert hashed == [192] * 4
    assert not (folder / "verified.json").exists()


def test_record_holds_the_state_of_both_files(folder):
    verify_store(folder)
    record = json.loads((folder / "verified.json").read_text())
    manifest = json.loads((folder / "manifest.json").read_text())
    assert record["manifest_sha256"] == manifest["manifest_sha256"]
    status = (folder / "test_images.npy").stat()
    assert record["files"]["test_images.npy"] == [192 + 128, status.st_mtime_ns, status.st_ino]
    assert set(record["files"]) == {"train_images.npy", "test_images.npy"}
