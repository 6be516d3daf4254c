"""Locks that the kernel frees when their holder dies: one for each run, one for each slot of a device."""

from __future__ import annotations

import fcntl
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO

from daso.engine.gpus import devices, number, slots
from daso.errors import BusyError

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
    """Show these GPUs alone to CUDA.

    Where the user has not named GPUs, CUDA numbers them as nvidia-smi does.
    """
    before = {name: os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")}
    if before["CUDA_VISIBLE_DEVICES"] is None:
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    os.environ["CUDA_VISIBLE_DEVICES"] = names
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


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
