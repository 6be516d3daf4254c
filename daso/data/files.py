"""Files that are whole or absent, locks on folders, and digests."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from daso.errors import DataError
from daso.paths import create_hint, rebuild_hint

CHECKSUM = "sha256"  # of everything else in the file
LARGEST = 2**28  # bytes of JSON; a split of a million images has 2**23


@contextmanager
def atomic_write(path: Path, *, durable: bool = True) -> Iterator[IO[bytes]]:
    """Write a file atomically: until the end it is `<name>.part`, and an earlier file of that name stays as it was.

    What has the name is on the disk, which takes milliseconds, unless it need not be `durable`. Waits for another one
    that writes the same file. Raises DataError where the file cannot be written.
    """
    partial = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(partial) as file:
            try:
                yield file
                file.flush()
                if durable:
                    os.fsync(file.fileno())
                partial.replace(path)
                if durable:
                    _sync_names(path.parent)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({_why(error)}), and what was there is as it was; make room, or make it "
            "writable, and run the same command again"
        ) from error


def _sync_names(folder: Path) -> None:
    """Bring the names in a folder to the disk; where the file system knows no such thing, they come there in time."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _why(error: OSError) -> str:
    """Numpy tells how much of an array was written, and not why that was not all."""
    return error.strerror or f"{os.strerror(errno.ENOSPC)}? {error}"


def _alone(partial: Path) -> IO[bytes]:
    """An empty file that no other process writes; waits for one that does."""
    while True:
        file = partial.open("ab")
        with suppress(OSError):  # where the file system has no locks
            fcntl.flock(file, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):  # else the other has given the file its name meanwhile
            if os.path.samestat(os.fstat(file.fileno()), partial.stat()):
                file.truncate(0)
                return file
        file.close()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder, made if it is not there, against other processes that ask for it here; wait while one holds it.

    The kernel frees the lock when its holder dies. Where the file system has no locks for folders, there is none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        wait_for_lock(
            handle,
            lambda: f"{folder}: waiting for another process that writes here",
            f"{folder}: this file system has no locks; let one process at a time write here",
        )
        yield
    finally:
        os.close(handle)


def wait_for_lock(handle: int, busy: Callable[[], str], without: str) -> bool:
    """Lock what is open, after the line `busy` where another process has it; the line `without`: there are no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.stderr.write(f"{busy()}\n")
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError:
        sys.stderr.write(f"{without}\n")
        return False
    return True


def read_file(path: Path, most: int) -> bytes:
    """The bytes of a file; raises OSError, and ValueError where it is none or has more than `most` bytes."""
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):  # a pipe, which nobody may ever write to, or a device without an end
        raise ValueError("it is no file")
    if about.st_size > most:
        raise ValueError(f"{about.st_size:,} bytes are too many")
    return path.read_bytes()


def read_json(path: Path, what: str, mend: str = "") -> dict[str, Any]:
    """The object in a JSON file; raises DataError when it is no readable one. `what` names it in the message."""
    mend = mend or rebuild_hint(path)
    try:
        tree = json.loads(read_file(path, LARGEST))
    except FileNotFoundError as error:
        raise DataError(f"{path}: not a readable {what} (there is no such file); {create_hint(path)}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not a readable {what} ({_line(error)}); {mend}") from error
    if not isinstance(tree, dict):
        raise DataError(f"{path}: not a readable {what} (no JSON object); {mend}")
    return tree


def read_checksummed(path: Path, what: str, mend: str = "", seal: str = CHECKSUM) -> dict[str, Any]:
    """The object in a file that `sealed` made; raises DataError when its content is not what its digest says."""
    tree = read_json(path, what, mend)
    said = tree.pop(seal, None)
    try:
        found = digest(tree)
    except (ValueError, RecursionError):  # a number that is none, or what nobody nests so deep
        found = ""
    if said != found:
        raise DataError(f"{path}: the content does not have the digest it names; {mend or rebuild_hint(path)}")
    return {**tree, seal: said}


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def canonical(tree: object) -> str:
    """JSON with sorted keys and no blanks: equal text means equal values."""
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(tree: object) -> str:
    """SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(tree).encode()).hexdigest()


def file_digest(path: Path, algorithm: str) -> str:
    """The hexadecimal digest of a file's bytes; `algorithm` is a name that hashlib knows."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def pretty(tree: Mapping[str, Any]) -> bytes:
    """JSON that a person can read, with sorted keys."""
    return (json.dumps(tree, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def checksummed(tree: Mapping[str, Any], seal: str = CHECKSUM) -> bytes:
    """The same with the digest of all else in it, by which `read_sealed` knows that nothing was changed."""
    rest = {name: value for name, value in tree.items() if name != seal}
    return pretty({**rest, seal: digest(rest)})
