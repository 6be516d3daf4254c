"""Processor of the host, and the cores and memory that this process may use: affinity, control groups, machine."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

SYSTEM = Path("/")  # holds dev/, proc/ and sys/
BF16 = {"avx512_bf16", "amx_bf16", "bf16"}  # processor flags
V2 = ""  # name of the version 2 hierarchy in /proc/self/cgroup


def cores() -> int:
    """Count the cores that this process may use, at least one.

    `taskset` and Slurm set the affinity; containers set a quota of processor time (cpu.max of cgroup v2, cfs_quota_us
    of v1). A fractional quota is rounded up.
    """
    limits = [float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)]
    for group in _groups(V2):
        with suppress(OSError, ValueError):  # "max" is not a number and means no limit
            share, period = (group / "cpu.max").read_text(encoding="ascii").split()
            limits.append(int(share) / int(period))
    for group in _groups("cpu"):
        with suppress(OSError, ValueError):
            if (quota := _integer(group / "cpu.cfs_quota_us")) > 0:  # -1: no limit
                limits.append(quota / _integer(group / "cpu.cfs_period_us"))
    return max(1, math.ceil(min(limits)))


def free_memory() -> int:
    """Return the bytes of memory that this process may still allocate.

    This is the machine's available memory, or what is left in its control group (memory.max of cgroup v2,
    limit_in_bytes of v1) if that is less. Cached files that are not in use count as free: the kernel drops them first.
    """
    free = [_available()]
    for name, limit, usage, cached in (
        (V2, "memory.max", "memory.current", "inactive_file"),
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        for group in _groups(name):
            with suppress(OSError, ValueError):
                free.append(_integer(group / limit) - _integer(group / usage) + _cached(group, cached))
    return max(0, min(free))


def processor() -> str:
    """Return the model name of the CPU, or its architecture if the system has no name for it."""
    names = _cpuinfo("model name")
    return names[0] if names else platform.processor() or platform.machine()


def cpu_bf16() -> bool | None:
    """Return True if the processor has bf16 instructions, None if the system does not list its flags."""
    flags = _cpuinfo("flags") or _cpuinfo("Features")
    return bool(BF16 & set(flags[0].split())) if flags else None


def _cpuinfo(key: str) -> list[str]:
    try:
        lines = (SYSTEM / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [line.split(":", 1)[1].strip() for line in lines if line.partition(":")[0].strip() == key]


def _available() -> int:
    try:
        lines = (SYSTEM / "proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):  # not Linux: assume that all memory is free
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _groups(name: str) -> Iterator[Path]:
    """Yield the folders of this process's control group in a hierarchy and of its ancestors, all of which limit it.

    A container may see the host's path of its group, which is not mounted there; then only the ancestors exist.
    """
    mounts = SYSTEM / "sys/fs/cgroup"
    try:
        lines = (SYSTEM / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return
    for _, names, path in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if name not in names.split(","):
            continue
        root = mounts / (name or ("unified" if (mounts / "unified").is_dir() else ""))
        relative = PurePosixPath(path).relative_to("/")
        yield from (root / part for part in (relative, *relative.parents))


def _cached(group: Path, name: str) -> int:
    lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) for line in lines if line.split()[0] == name), 0)


def _integer(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))
