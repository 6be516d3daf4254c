"""Record that the images of a store were verified, so that large stores are not hashed again at each start.

`verified.json` beside the manifest holds the manifest's checksum, and size, modification time and inode of each file of
images when its digest was computed: when the store was written, or at a later start. Any difference means that the file
has to be hashed again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from daso.data.files import checksummed, read_checksummed, write_file
from daso.errors import DataError

RECORD = "verified.json"  # listed in .dvcignore, since it holds for one machine alone


def current_state(manifest_sha256: str, files: Sequence[Path]) -> dict[str, Any]:
    """Return the manifest's checksum and the state of each file by name."""
    return {"manifest_sha256": manifest_sha256, "files": {path.name: _status(path) for path in files}}


def is_verified(folder: Path, state: Mapping[str, Any]) -> bool:
    """Return True if the files of a store were verified in this state."""
    try:
        record = read_checksummed(folder / RECORD, "record of a verification")
    except DataError:  # missing or damaged
        return False
    return {name: record.get(name) for name in state} == state


def record_verified(folder: Path, state: Mapping[str, Any]) -> None:
    """Record that the files of a store were verified in this state; do nothing in a folder that is read-only."""
    with suppress(DataError):
        write_file(folder / RECORD, checksummed(state), durable=False)


def _status(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino]
