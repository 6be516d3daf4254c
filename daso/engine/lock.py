"""Locks of a training: one for each run, one for each slot of a GPU."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO

from daso.engine.gpus import devices, integer_variable, slots_per_gpu
from daso.errors import BusyError
from daso.locks import try_lock, write_holder

POLL = 0.5  # seconds between two attempts


def _acquire(path: Path) -> IO[str] | None:
    """Lock a file and return it open, or None if another process holds the lock; closing the file releases it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+")
    if try_lock(file, path):
        return file
    file.close()
    return None


@contextmanager
def run_lock(scratch: Path, keep_waiting: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Hold the lock of a run, the file `<scratch>.lock`, which names this process.

    If another process holds it, wait while `keep_waiting()` is true, then raise BusyError.
    """
    path = scratch.with_name(f"{scratch.name}.lock")
    logged = False
    while (file := _acquire(path)) is None:
        holder = path.read_text().strip() or "another process"
        if not keep_waiting():
            raise BusyError(f"{path}: {holder} is training this run; wait for it or end it")
        if not logged:
            logging.info("%s: waiting for %s, which is training this run", path, holder)
            logged = True
        time.sleep(POLL)
    with file:
        write_holder(file)
        yield


@contextmanager
def device_slot(wait: float | None = None) -> Iterator[str | None]:
    """Hold a slot of a GPU and make it the only visible GPU; yield its name, or None without GPUs.

    Enter it before CUDA is initialised. It waits for a free slot, at most `wait` seconds, then raises BusyError. Inside
    a Slurm job it does nothing, as Slurm assigns the GPUs.
    """
    if "SLURM_JOB_ID" in os.environ:
        yield None
        return
    names = devices()
    if not names:
        with _visible_devices("") if integer_variable("DASO_GPUS") == 0 else nullcontext():
            yield None
        return
    name, file = _take_free_slot(names, wait)
    with file, _visible_devices(name):
        yield name


@contextmanager
def _visible_devices(names: str) -> Iterator[None]:
    """Make only these GPUs visible to CUDA, numbered as nvidia-smi does unless the user has named GPUs."""
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


def _take_free_slot(names: list[str], wait: float | None) -> tuple[str, IO[str]]:
    folder = Path(tempfile.gettempdir()) / f"daso-devices-{os.getuid()}"
    end, logged = None if wait is None else time.monotonic() + wait, False
    while True:
        for slot in range(slots_per_gpu()):
            for name in names:
                file = _acquire(folder / f"{name.replace('/', '_')}.{slot}")
                if file:
                    return name, file
        if end is not None and time.monotonic() >= end:
            raise BusyError(f"every slot of GPU {', '.join(names)} is in use; wait, or raise DASO_SLOTS")
        if not logged:
            sys.stderr.write("waiting for a free GPU\n")
            logged = True
        time.sleep(POLL)
