"""Values of Snakemake's profiles from environment variables; an invalid one exits with one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from daso.engine.gpus import devices, integer_variable, slots_per_gpu
from daso.errors import DasoError
from daso.machine import cores

__all__ = ["cores", "gpu_slots", "runs_per_job", "use_writable_cache"]


def gpu_slots() -> int:
    """Return the number of runs that this machine's GPUs train at once."""
    return _or_exit(lambda: len(devices()) * slots_per_gpu())


def runs_per_job() -> int:
    """Return the number of short runs that share a job of a cluster: DASO_PACK, by default 8."""
    return _or_exit(lambda: 8 if (runs := integer_variable("DASO_PACK")) is None else max(1, runs))


def use_writable_cache() -> None:
    """Move Snakemake's cache into this working copy if the home directory is not writable."""
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        (cache / "snakemake").mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        os.environ["XDG_CACHE_HOME"] = str(Path(".snakemake/cache").absolute())


def _or_exit(count: Callable[[], int]) -> int:
    """Return the count; exit with the line of a DasoError, since Snakemake prints its usage for any other exception."""
    try:
        return count()
    except DasoError as error:
        sys.exit(str(error))
