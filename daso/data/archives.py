"""Read tar archives without unpacking them to disk."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

TAR_ERRORS = (OSError, EOFError, tarfile.TarError, zlib.error)  # raised for a truncated or damaged archive


def tar_files(archive: tarfile.TarFile, max_bytes: int) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """Yield the regular files of an archive by their names without folders.

    Raises ValueError before the sizes of all members exceed `max_bytes` in total.
    """
    total = 0
    for member in archive:
        total += member.size
        if total > max_bytes:
            raise ValueError(f"too large: {total:,} bytes up to {member.name}, at most {max_bytes:,}")
        if member.isfile():
            yield Path(member.name).name, member
