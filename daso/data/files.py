"""Atomic writes, JSON files with a checksum, and digests."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from daso.errors import DataError
from daso.locks import open_exclusive
from daso.paths import create_hint, rebuild_hint

CHECKSUM = "sha256"  # the field that holds the checksum of all other fields
MAX_JSON_BYTES = 2**28  # bytes of the largest JSON file; the split of a million images takes 2**23
HEAD_BYTES = 512  # first bytes of a file, which show its kind


@contextmanager
def atomic_write(path: Path, *, durable: bool = True) -> Iterator[IO[bytes]]:
    """Write a file atomically: into `<name>.part`, which replaces an earlier file only when it is complete.

    If `durable`, file and name are synced to disk first, which takes milliseconds. Waits while another process writes
    the same file. Raises DataError if the file cannot be written.
    """
    partial = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_exclusive(partial) as file:
            try:
                yield file
                file.flush()
                if durable:
                    os.fsync(file.fileno())
                partial.replace(path)
                if durable:
                    _sync_folder(path.parent)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({_reason(error)}), an earlier file is unchanged; free disk space or make it "
            "writable, then run the same command again"
        ) from error


def write_file(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write the bytes of a file atomically, see `atomic_write`."""
    with atomic_write(path, durable=durable) as file:
        file.write(content)


def _sync_folder(folder: Path) -> None:
    """Sync the names in a folder to disk if the file system supports it."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _reason(error: OSError) -> str:
    """Return why a write failed; numpy's error for a short write lacks the reason, which is most likely a full disk."""
    return error.strerror or f"{os.strerror(errno.ENOSPC)}? {error}"


def read_file(path: Path, max_bytes: int) -> bytes:
    """Return the bytes of a file; raises OSError, or ValueError if it is not a regular file or exceeds `max_bytes`."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device may never end
        raise ValueError("not a regular file")
    if status.st_size > max_bytes:
        raise ValueError(f"too large: {status.st_size:,} bytes, at most {max_bytes:,}")
    return path.read_bytes()


def is_web_page(head: bytes) -> bool:
    """Return True if a file with these first bytes is a web page, which a server sent instead of the file."""
    return head.lstrip().startswith(b"<")


def read_json(path: Path, what: str, fix: str = "") -> dict[str, Any]:
    """Return the object in a JSON file; raises DataError if it is missing or unreadable.

    `what` names the file's kind in the message, `fix` ends it.
    """
    fix = fix or rebuild_hint(path)
    try:
        tree = json.loads(read_file(path, MAX_JSON_BYTES))
    except FileNotFoundError as error:
        raise DataError(f"{path}: missing {what}; {create_hint(path)}") from error
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: not a readable {what} ({reason}); {fix}") from error
    if not isinstance(tree, dict):
        raise DataError(f"{path}: not a readable {what} (not a JSON object); {fix}")
    return tree


def read_checksummed(path: Path, what: str, fix: str = "", field: str = CHECKSUM) -> dict[str, Any]:
    """Return the object in a file that `checksummed` encoded; raises DataError if its checksum does not match."""
    tree = read_json(path, what, fix)
    expected = tree.pop(field, None)
    try:
        actual = digest(tree)
    except (ValueError, RecursionError):  # NaN, infinity, or nested too deeply
        actual = ""
    if expected != actual:
        raise DataError(f"{path}: checksum mismatch, the file is damaged or was edited; {fix or rebuild_hint(path)}")
    return {**tree, field: expected}


def canonical_json(tree: object) -> str:
    """Return JSON with sorted keys and no blanks: equal text means equal values."""
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(tree: object) -> str:
    """Return the SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical_json(tree).encode()).hexdigest()


def file_digest(path: Path, algorithm: str) -> str:
    """Return the hexadecimal digest of a file's bytes; `algorithm` is a name in hashlib."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def format_json(tree: Mapping[str, Any]) -> bytes:
    """Encode as indented JSON with sorted keys."""
    return (json.dumps(tree, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def checksummed(tree: Mapping[str, Any], field: str = CHECKSUM) -> bytes:
    """Encode as indented JSON with a checksum over the other fields in `field`, which `read_checksummed` verifies."""
    rest = {name: value for name, value in tree.items() if name != field}
    return format_json({**rest, field: digest(rest)})
