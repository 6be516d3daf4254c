"""Locks that the kernel frees when their holder dies: one for each run, one for each slot of a device."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from daso.errors import BusyError

POLL = 0.5  # seconds between two looks for a free slot


def _acquire(path: Path) -> IO[str] | None:
    """The open, locked file, or None when somebody holds it; closing it frees the lock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


@contextmanager
def run_lock(scratch: Path) -> Iterator[None]:
    """Hold the run of a scratch folder by `<scratch>.lock`; raise BusyError at once when another process trains it."""
    path = scratch.with_name(f"{scratch.name}.lock")
    file = _acquire(path)
    if file is None:
        raise BusyError(f"{path}: another process is training this run; wait for it or end it")
    with file:
        yield


@contextmanager
def device_slot(wait: float | None = None) -> Iterator[str | None]:
    """Hold a slot of a CUDA device and make it the only visible one; yield its name, or None without devices.

    To be entered before CUDA is initialised. Waits for a free slot, at most `wait` seconds, then raises BusyError.
    Does nothing inside a Slurm job, which has its devices assigned already.
    """
    names = [] if "SLURM_JOB_ID" in os.environ else devices()
    if not names:
        yield None
        return
    name, file = _first_free(names, wait)
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = name
    try:
        with file:
            yield name
    finally:
        if before is None:
            os.environ.pop("CUDA_VISIBLE_DEVICES", None)
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = before


def devices() -> list[str]:
    """Names of the CUDA devices to share: those visible, at most DASO_GPUS of them."""
    visible, limit = os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ.get("DASO_GPUS")
    if visible is not None:
        names = [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]
    elif limit is not None:
        names = [str(number) for number in range(int(limit))]
    elif shutil.which("nvidia-smi"):
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
        names = [
            str(number) for number, _ in enumerate(line for line in listed.splitlines() if line.startswith("GPU "))
        ]
    else:
        names = []
    return names[: int(limit)] if limit is not None else names


def slots() -> int:
    """Runs that may share one device: DASO_SLOTS, or one."""
    return int(os.environ.get("DASO_SLOTS", "1"))


def _first_free(names: list[str], wait: float | None) -> tuple[str, IO[str]]:
    folder = Path(tempfile.gettempdir()) / f"daso-devices-{os.getuid()}"
    end, told = None if wait is None else time.monotonic() + wait, False
    while True:
        for slot in range(slots()):
            for name in names:
                file = _acquire(folder / f"{name.replace('/', '_')}.{slot}")
                if file:
                    return name, file
        if end is not None and time.monotonic() >= end:
            raise BusyError(f"every slot of device {', '.join(names)} is taken; wait, or raise DASO_SLOTS")
        if not told:
            sys.stderr.write("waiting for a free device\n")
            told = True
        time.sleep(POLL)
