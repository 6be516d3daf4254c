"""GPUs that this process may use, as the environment and the driver list them; torch is not imported."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from daso.errors import DasoError

SYSTEM = Path("/")  # where proc/ and dev/ lie
VALID = re.compile(r"\d+$|GPU-|MIG-")  # an entry of CUDA_VISIBLE_DEVICES
NORMAL_STEPS = 0xFFFFFFF0  # Slurm's interactive step, in which SLURM_JOB_GPUS is right, has a higher number
# Oldest Linux driver for each major version of CUDA: CUDA Compatibility, "Minor Version Compatibility", NVIDIA.
OLDEST_DRIVER = {11: 450, 12: 525, 13: 580}
CUDNN = ("heuristic", "tuned")  # how cuDNN chooses its convolutions


class Gpu(NamedTuple):
    """A CUDA device by its name, and whether it computes in bf16 (compute capability 8.0 or higher)."""

    name: str
    bf16: bool


def number(name: str) -> int | None:
    """Return an environment variable as a whole number, None if unset or empty; raises DasoError for other text."""
    text = os.environ.get(name) or None
    if text is not None and not (text.isdecimal() and len(text) <= 4):
        raise DasoError(f"{name}={text}: give a whole number below 10,000")
    return None if text is None else int(text)


def slots() -> int:
    """Return how many runs may share one GPU: DASO_SLOTS, or one."""
    return number("DASO_SLOTS") or 1


def cudnn_option(option: str | None = None) -> str | None:
    """Return the given choice of cuDNN's convolutions, `option` or else DASO_CUDNN; raises DasoError if unknown."""
    name = option or os.environ.get("DASO_CUDNN") or None
    if name not in (None, *CUDNN):
        given = f"--cudnn {name}" if option else f"DASO_CUDNN={name}"
        raise DasoError(f"{given}: unknown; choose one of {', '.join(CUDNN)}")
    return name


def devices() -> list[str]:
    """Return the names of the GPUs that runs may use, for CUDA_VISIBLE_DEVICES.

    They are those in CUDA_VISIBLE_DEVICES up to its first invalid entry (CUDA Programming Guide, "CUDA Environment
    Variables"), else those of the Slurm step or job, else all of the machine; DASO_GPUS limits their number, and 0
    hides all. Raises DasoError when DASO_GPUS is above the machine's number of GPUs.
    """
    limit, visible = number("DASO_GPUS"), os.environ.get("CUDA_VISIBLE_DEVICES")
    if limit == 0:
        return []
    if visible is not None:  # Slurm writes NoDevFiles for none
        return list(takewhile(VALID.match, map(str.strip, visible.split(","))))[:limit]
    if "SLURM_JOB_ID" in os.environ:
        count = _granted()
    else:
        count = _count()
        if limit is not None and 0 < count < limit:
            raise DasoError(f"DASO_GPUS={limit}: this machine has {count} GPU{'s' * (count > 1)}; lower it or unset it")
        count = count or limit or 0  # DASO_GPUS where the system lists no GPU
    return [str(index) for index in range(count)][:limit]


def _granted() -> int:
    """Return the number of GPUs that Slurm grants to this step, or to this batch script.

    A step without GPUs inherits SLURM_JOB_GPUS, so SLURM_STEP_GPUS alone counts in a step (srun(1), "Output
    Environment Variables": it is set in all but batch and interactive steps).
    """
    step = os.environ.get("SLURM_STEP_ID", "")
    names = os.environ.get("SLURM_STEP_GPUS", "")
    if not (step.isdecimal() and int(step) < NORMAL_STEPS):
        names = names or os.environ.get("SLURM_JOB_GPUS", "")
    return len(list(filter(None, names.split(","))))


def _count() -> int:
    """Count the GPUs by nvidia-smi, else by their device files: a container has those of its own GPUs alone."""
    if shutil.which("nvidia-smi"):
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
        if count := sum(line.startswith("GPU ") for line in done.stdout.splitlines()):  # lines of MIG are indented
            return count
    return sum(node.name[6:].isdecimal() for node in (SYSTEM / "dev").glob("nvidia[0-9]*"))


def gpu(name: str) -> Gpu | None:
    """Return the GPU of an index or UUID by nvidia-smi, None where it is not listed (part of a GPU, say)."""
    query = ["nvidia-smi", "--query-gpu=name,compute_cap", "--format=csv,noheader", f"--id={name}"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=False)
    except OSError:
        return None
    words, _, capability = done.stdout.strip().rpartition(", ")
    if done.returncode or not words or not capability.partition(".")[0].isdecimal():
        return None
    return Gpu(words, int(capability.partition(".")[0]) >= 8)


def driver() -> str | None:
    """Return the version of the kernel's NVIDIA driver, None where it cannot be read."""
    try:
        text = (SYSTEM / "proc/driver/nvidia/version").read_text(encoding="ascii", errors="replace")
    except OSError:  # as under WSL
        if not shutil.which("nvidia-smi"):
            return None
        command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = re.search(r"(?<![\d.])\d{3,}\.\d+(?:\.\d+)?(?![\d.])", text)
    return found[0] if found else None


def fix(cuda: str | None, version: str | None) -> str:
    """Return what to do where torch, built for CUDA `cuda`, cannot use a GPU under a driver of this version."""
    if cuda is None:
        return "install a build of torch for CUDA"
    needed = OLDEST_DRIVER.get(int(cuda.partition(".")[0]))
    if version is None:
        wanted = f" (CUDA {cuda} needs {needed} or later)" if needed else ""
        return f"install the NVIDIA driver{wanted} and give this container or job access to the GPU"
    if needed and int(version.partition(".")[0]) < needed:
        return f"update the driver to {needed} or later, or install a build of torch for an older CUDA"
    return "correct CUDA_VISIBLE_DEVICES or DASO_GPUS, or give this container or job access to the GPU"


def supports(architectures: Iterable[str], major: int, minor: int) -> bool:
    """Return True if a build of torch for these architectures has code for compute capability major.minor.

    Binary code `sm_XY` runs on the same major version from minor version Y on, intermediate code `compute_XY` on every
    later one; with the suffix `a` only on exactly this one (CUDA C++ Programming Guide, "Compute Capabilities").
    """
    found = [re.fullmatch(r"(sm|compute)_(\d+)(\d)([af]?)", name) for name in architectures]
    for kind, x, y, suffix in (match.groups() for match in found if match):
        built, here, later = (int(x), int(y)), (major, minor), (kind, suffix) == ("compute", "")
        if built == here or (built < here and suffix != "a" and (later or built[0] == major)):
            return True
    return False
