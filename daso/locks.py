"""Locks on open files and folders, which the kernel frees when the process that holds them ends."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


def try_lock(file: IO[str] | int, path: Path) -> bool:
    """Lock an open file or folder; return False, without waiting, if another process holds its lock.

    If the file system has no locks, a warning is printed and nothing is locked.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        warning = f"this file system has no locks ({error.strerror}); let one process at a time work here"
        sys.stderr.write(f"{path}: {warning}\n")
    return True


def wait_for_lock(file: IO[str] | int, path: Path, busy: Callable[[], str]) -> None:
    """Lock an open file or folder; print the line `busy()` before waiting for another process."""
    if not try_lock(file, path):
        sys.stderr.write(f"{busy()}\n")
        fcntl.flock(file, fcntl.LOCK_EX)


def write_holder(file: IO[str], call: str = "") -> None:
    """Write this process, and the call that it works on, into the lock file that it holds."""
    file.truncate(0)
    file.write(f"process {os.getpid()} on {os.uname().nodename}{call and f': {call}'}\n")
    file.flush()


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is created if missing; wait while another process holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        wait_for_lock(handle, folder, lambda: f"{folder}: waiting for another process that writes here")
        yield
    finally:
        os.close(handle)


def open_exclusive(partial: Path) -> IO[bytes]:
    """Open an empty file for writing, locked if the file system has locks; wait while another process writes it."""
    while True:
        file = partial.open("ab")
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):  # the other process may have renamed the file meanwhile
            if os.path.samestat(os.fstat(file.fileno()), partial.stat()):
                file.truncate(0)
                return file
        file.close()
