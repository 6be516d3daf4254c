"""Read the environment variables of Snakemake's profiles; exit with one line if one is invalid."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from daso.engine.gpus import devices, number, slots
from daso.errors import DasoError
from daso.machine import cores

__all__ = ["cores", "gpu_slots", "pack", "use_writable_cache"]


def gpu_slots() -> int:
    """Runs that this machine's GPUs take at once."""
    return _or_exit(lambda: len(devices()) * slots())


def pack() -> int:
    """Short runs that share a job of a cluster: DASO_PACK, or eight."""
    return _or_exit(lambda: 8 if (wanted := number("DASO_PACK")) is None else max(1, wanted))


def use_writable_cache() -> None:
    """Let Snakemake keep its cache in this working copy where the home directory cannot be written."""
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        (cache / "snakemake").mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        os.environ["XDG_CACHE_HOME"] = str(Path(".snakemake/cache").absolute())


def _or_exit(count: Callable[[], int]) -> int:
    """Snakemake would show its usage for any other error."""
    try:
        return count()
    except DasoError as error:
        sys.exit(str(error))
