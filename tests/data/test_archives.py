"""Tar archives are read file by file, up to a total size."""

import io
import tarfile

import pytest

from daso.data.archives import tar_files


@pytest.fixture
def archive():
    """Archive of a folder, a file of 3 bytes, a link to it and a file of 4 bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, kind, size in (
            ("folder", tarfile.DIRTYPE, 0),
            ("folder/one", tarfile.REGTYPE, 3),
            ("folder/link", tarfile.SYMTYPE, 0),
            ("folder/two", tarfile.REGTYPE, 4),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, size, "one"
            archive.addfile(info, io.BytesIO(b"x" * size))
    buffer.seek(0)
    with tarfile.open(fileobj=buffer) as archive:
        yield archive


def test_only_regular_files_are_yielded(archive):
    assert [(name, member.size) for name, member in tar_files(archive, 7)] == [("one", 3), ("two", 4)]


def test_total_size_is_limited(archive):
    with pytest.raises(ValueError, match="too large: 7 bytes up to folder/two, at most 6"):
        list(tar_files(archive, 6))
