"""Atomic writes: a file is renamed only when complete and synced, and then its folder is synced; web pages."""

import os
from pathlib import Path

import pytest

from daso.data.files import atomic_write, is_web_page


@pytest.fixture
def synced(tmp_path, monkeypatch):
    """Record calls of fsync: the path, and the names in its folder at that time."""
    monkeypatch.chdir(tmp_path)
    calls, sync = [], os.fsync

    def recorded(handle):
        path = Path(f"/proc/self/fd/{handle}").readlink().relative_to(tmp_path.resolve())
        calls.append((path.as_posix(), sorted(path.name for path in Path("new").iterdir())))
        sync(handle)

    monkeypatch.setattr(os, "fsync", recorded)
    return calls


def test_file_is_synced_before_and_folder_after_the_rename(synced):
    with atomic_write(Path("new/file")) as file:
        file.write(b"content")
    assert synced == [("new/file.part", ["file.part"]), ("new", ["file"])]
    assert Path("new/file").read_bytes() == b"content"


def test_non_durable_write_is_not_synced(synced):
    with atomic_write(Path("new/file"), durable=False) as file:
        file.write(b"content")
        assert not Path("new/file").exists()
    assert synced == []
    assert Path("new/file").read_bytes() == b"content"


def test_folder_that_cannot_be_synced_is_accepted(tmp_path, monkeypatch):
    """As on some network file systems; the file itself is synced."""
    sync = os.fsync

    def refuse(handle):
        if Path(f"/proc/self/fd/{handle}").readlink().is_dir():
            raise OSError(22, "Invalid argument")
        sync(handle)

    monkeypatch.setattr(os, "fsync", refuse)
    with atomic_write(tmp_path / "file") as file:
        file.write(b"content")
    assert (tmp_path / "file").read_bytes() == b"content"


@pytest.mark.parametrize(("head", "expected"), [(b"\n <!DOCTYPE html>", True), (b"\x1f\x8b<", False), (b"", False)])
def test_web_page_is_recognised_by_its_first_bytes(head, expected):
    assert is_web_page(head) is expected
