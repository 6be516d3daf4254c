"""What this machine is, read without importing torch: processor, cores, the first GPU, and bf16 arithmetic."""

from __future__ import annotations

import os
import platform
import subprocess
from typing import NamedTuple

CPUINFO = "/proc/cpuinfo"
BF16 = {"avx512_bf16", "amx_bf16", "bf16"}  # flags of a processor


class Gpu(NamedTuple):
    """A CUDA device by its name, and whether it computes in bf16 (compute capability 8.0 or higher)."""

    name: str
    bf16: bool


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The CPU's own name, where the system tells it."""
    names = _cpuinfo("model name")
    return names[0] if names else platform.processor() or platform.machine()


def cpu_bf16() -> bool | None:
    """Return True if the processor has bf16 instructions, None if the system does not list its flags."""
    flags = _cpuinfo("flags") or _cpuinfo("Features")
    return bool(BF16 & set(flags[0].split())) if flags else None


def gpu(name: str) -> Gpu | None:
    """The GPU of an index or UUID, by nvidia-smi; None where it does not list it (a part of a GPU, say)."""
    query = ["nvidia-smi", "--query-gpu=name,compute_cap", "--format=csv,noheader", f"--id={name}"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=False)
    except OSError:
        return None
    words, _, capability = done.stdout.strip().rpartition(", ")
    if done.returncode or not words or not capability.partition(".")[0].isdecimal():
        return None
    return Gpu(words, int(capability.partition(".")[0]) >= 8)


def _cpuinfo(key: str) -> list[str]:
    try:
        with open(CPUINFO) as file:  # noqa: PTH123 - a kernel file, not a path of ours
            return [line.split(":", 1)[1].strip() for line in file if line.partition(":")[0].strip() == key]
    except OSError:
        return []
