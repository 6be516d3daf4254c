"""Locks that the kernel frees when their holder dies: one for each run, one for each slot of a device."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO

from daso.errors import BusyError, DasoError

POLL = 0.5  # seconds between two looks for a free slot


def _acquire(path: Path) -> IO[str] | None:
    """The open, locked file, or None when somebody holds it; closing it frees the lock.

    Where the file system has no locks nobody can hold it: that is told, and the file is open all the same.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except OSError as error:
        logging.warning("%s: this file system has no locks (%s); start nothing else that uses it", path, error.strerror)
    return file


@contextmanager
def run_lock(scratch: Path, patient: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Hold the run of a scratch folder by `<scratch>.lock`, which names this process.

    When another process trains the run, wait as long as this one is `patient`, then raise BusyError.
    """
    path = scratch.with_name(f"{scratch.name}.lock")
    told = False
    while (file := _acquire(path)) is None:
        holder = path.read_text().strip() or "another process"
        if not patient():
            raise BusyError(f"{path}: {holder} is training this run; wait for it or end it")
        if not told:
            logging.info("%s: waiting for %s, which is training this run", path, holder)
            told = True
        time.sleep(POLL)
    with file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {os.uname().nodename}\n")
        file.flush()
        yield


@contextmanager
def device_slot(wait: float | None = None) -> Iterator[str | None]:
    """Hold a slot of a CUDA device and make it the only visible one; yield its name, or None without devices.

    To be entered before CUDA is initialised. Waits for a free slot, at most `wait` seconds, then raises BusyError.
    Does nothing inside a Slurm job, which has its devices assigned already.
    """
    if "SLURM_JOB_ID" in os.environ:
        yield None
        return
    names = devices()
    if not names:
        with _visible("") if number("DASO_GPUS") == 0 else nullcontext():
            yield None
        return
    name, file = _first_free(names, wait)
    with file, _visible(name):
        yield name


@contextmanager
def _visible(names: str) -> Iterator[None]:
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = names
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("CUDA_VISIBLE_DEVICES", None)
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = before


def number(name: str) -> int | None:
    """An environment variable as a whole number, None where it is not set; raises DasoError where it is none."""
    text = os.environ.get(name)
    if text is not None and not (text.isdecimal() and len(text) <= 4):
        raise DasoError(f"{name}={text}: give a whole number below 10,000")
    return None if text is None else int(text)


def devices() -> list[str]:
    """Names of the CUDA devices to share: those visible, at most DASO_GPUS of them; with 0 all are hidden."""
    visible, limit = os.environ.get("CUDA_VISIBLE_DEVICES"), number("DASO_GPUS")
    if visible is not None:
        names = [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]
    elif limit is not None:
        names = [str(number) for number in range(limit)]
    elif shutil.which("nvidia-smi"):
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
        names = [
            str(number) for number, _ in enumerate(line for line in listed.splitlines() if line.startswith("GPU "))
        ]
    else:
        names = []
    return names[:limit]


def slots() -> int:
    """Runs that may share one device: DASO_SLOTS, or one."""
    return number("DASO_SLOTS") or 1


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
