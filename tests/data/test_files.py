"""A file has its name when it is whole and lies on the disk, and the name lies there too."""

import os
from pathlib import Path

import pytest

from daso.data.files import atomic_write


@pytest.fixture
def synced(tmp_path, monkeypatch):
    """What was brought to the disk, each with the names that were in its folder then."""
    monkeypatch.chdir(tmp_path)
    found, sync = [], os.fsync

    def noted(handle):
        path = Path(f"/proc/self/fd/{handle}").readlink().relative_to(tmp_path.resolve())
        found.append((path.as_posix(), sorted(path.name for path in Path("new").iterdir())))
        sync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    return found


def test_a_file_is_on_the_disk_before_it_has_its_name_and_then_its_name_is(synced):
    with atomic_write(Path("new/file")) as file:
        file.write(b"content")
    assert synced == [("new/file.part", ["file.part"]), ("new", ["file"])]
    assert Path("new/file").read_bytes() == b"content"


def test_what_can_be_had_again_need_not_be_on_the_disk(synced):
    with atomic_write(Path("new/file"), durable=False) as file:
        file.write(b"content")
        assert not Path("new/file").exists()
    assert synced == []
    assert Path("new/file").read_bytes() == b"content"


def test_a_folder_that_cannot_be_brought_to_the_disk_is_no_error(tmp_path, monkeypatch):
    """As on some network file systems; the file itself is."""
    sync = os.fsync

    def refuse(handle):
        if Path(f"/proc/self/fd/{handle}").readlink().is_dir():
            raise OSError(22, "Invalid argument")
        sync(handle)

    monkeypatch.setattr(os, "fsync", refuse)
    with atomic_write(tmp_path / "file") as file:
        file.write(b"content")
    assert (tmp_path / "file").read_bytes() == b"content"
