"""List the GPUs that this process may use, from the environment and the driver, without importing torch."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from itertools import takewhile
from typing import NamedTuple

from daso import machine
from daso.errors import DasoError

VALID = re.compile(r"\d+$|GPU-|MIG-")  # valid entry of CUDA_VISIBLE_DEVICES
NORMAL_STEPS = 0xFFFFFFF0  # Slurm's interactive step, in which SLURM_JOB_GPUS is right, has a higher number
# Oldest Linux driver for each major version of CUDA: CUDA Compatibility, "Minor Version Compatibility", NVIDIA.
OLDEST_DRIVER = {11: 450, 12: 525, 13: 580}
CUDNN = ("heuristic", "tuned")  # options for choosing cuDNN's convolutions


class Gpu(NamedTuple):
    """Name of a CUDA device; `bf16` is true if it computes in bf16 (compute capability 8.0 or higher)."""

    name: str
    bf16: bool


def integer_variable(name: str) -> int | None:
    """Return an environment variable as an integer, None if unset or empty; raises DasoError for other text."""
    text = os.environ.get(name) or None
    if text is not None and not (text.isdecimal() and len(text) <= 4):
        raise DasoError(f"{name}: expected an integer from 0 to 9,999, got '{text}'; correct or unset it")
    return None if text is None else int(text)


def slots_per_gpu() -> int:
    """Return the number of runs that may share one GPU: DASO_SLOTS, by default one."""
    return integer_variable("DASO_SLOTS") or 1


def cudnn_option(option: str | None = None) -> str | None:
    """Return `option` or else DASO_CUDNN, None if both are unset or empty; raises DasoError for an unknown value."""
    name = option or os.environ.get("DASO_CUDNN") or None
    if name not in (None, *CUDNN):
        source = f"--cudnn {name}" if option else f"DASO_CUDNN={name}"
        raise DasoError(f"{source}: unknown; choose one of {', '.join(CUDNN)}")
    return name


def devices() -> list[str]:
    """Return the names of the GPUs that runs may use, for CUDA_VISIBLE_DEVICES.

    These are the GPUs in CUDA_VISIBLE_DEVICES up to its first invalid entry (CUDA Programming Guide, "CUDA Environment
    Variables"), else the GPUs of the Slurm step or job, else all GPUs of the machine; DASO_GPUS limits their number,
    and 0 hides all. Raises DasoError if DASO_GPUS is above the number of GPUs of the machine.
    """
    limit, visible = integer_variable("DASO_GPUS"), os.environ.get("CUDA_VISIBLE_DEVICES")
    if limit == 0:
        return []
    if visible is not None:  # NoDevFiles, which Slurm writes for no GPU, is an invalid entry
        return list(takewhile(VALID.match, map(str.strip, visible.split(","))))[:limit]
    if "SLURM_JOB_ID" in os.environ:
        count = _slurm_gpu_count()
    else:
        count = _count_gpus()
        if limit is not None and 0 < count < limit:
            raise DasoError(f"DASO_GPUS={limit}: this machine has {count} GPU{'s' * (count > 1)}; lower it or unset it")
        count = count or limit or 0  # DASO_GPUS where the system lists no GPU
    return [str(index) for index in range(count)][:limit]


def _slurm_gpu_count() -> int:
    """Return the number of GPUs that Slurm grants to this step, or to this batch script.

    A step without GPUs inherits SLURM_JOB_GPUS, so SLURM_STEP_GPUS alone counts in a step (srun(1), "Output
    Environment Variables": it is set in all but batch and interactive steps).
    """
    step = os.environ.get("SLURM_STEP_ID", "")
    names = os.environ.get("SLURM_STEP_GPUS", "")
    if not (step.isdecimal() and int(step) < NORMAL_STEPS):
        names = names or os.environ.get("SLURM_JOB_GPUS", "")
    return len(list(filter(None, names.split(","))))


def _count_gpus() -> int:
    """Count the GPUs by nvidia-smi, else by device files; a container has only the files of its own GPUs."""
    if shutil.which("nvidia-smi"):
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
        lines = done.stdout.splitlines()
        if count := sum(line.startswith("GPU ") for line in lines):  # lines of MIG devices are indented
            return count
    return sum(node.name[6:].isdecimal() for node in (machine.SYSTEM / "dev").glob("nvidia[0-9]*"))


def query_gpu(name: str) -> Gpu | None:
    """Return the GPU of an index or UUID by nvidia-smi, None if nvidia-smi does not list it, such as a MIG device."""
    query = ["nvidia-smi", "--query-gpu=name,compute_cap", "--format=csv,noheader", f"--id={name}"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=False)
    except OSError:
        return None
    model, _, capability = done.stdout.strip().rpartition(", ")
    if done.returncode or not model or not capability.partition(".")[0].isdecimal():
        return None
    return Gpu(model, int(capability.partition(".")[0]) >= 8)


def driver() -> str | None:
    """Return the version of the kernel's NVIDIA driver, None if it cannot be read."""
    try:
        text = (machine.SYSTEM / "proc/driver/nvidia/version").read_text(encoding="ascii", errors="replace")
    except OSError:  # WSL has no such file
        if not shutil.which("nvidia-smi"):
            return None
        command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    match = re.search(r"(?<![\d.])\d{3,}\.\d+(?:\.\d+)?(?![\d.])", text)
    return match[0] if match else None


def driver_fix_hint(cuda: str | None, version: str | None) -> str:
    """Return the fix to print if torch, built for CUDA `cuda`, cannot use a GPU with a driver of this version."""
    if cuda is None:
        return "install a build of torch for CUDA"
    oldest = OLDEST_DRIVER.get(int(cuda.partition(".")[0]))
    if version is None:
        requirement = f" (CUDA {cuda} needs {oldest} or later)" if oldest else ""
        return f"install the NVIDIA driver{requirement} and give this container or job access to the GPU"
    if oldest and int(version.partition(".")[0]) < oldest:
        return f"update the driver to {oldest} or later, or install a build of torch for an older CUDA"
    return "correct CUDA_VISIBLE_DEVICES or DASO_GPUS, or give this container or job access to the GPU"


def supports(architectures: Iterable[str], major: int, minor: int) -> bool:
    """Return True if a build of torch for these architectures has code for compute capability major.minor.

    Binary code `sm_XY` runs on major version X from minor version Y on, intermediate code `compute_XY` on all later
    versions too; with the suffix `a` on exactly this version (CUDA C++ Programming Guide, "Compute Capabilities").
    """
    matches = [re.fullmatch(r"(sm|compute)_(\d+)(\d)([af]?)", name) for name in architectures]
    for kind, x, y, suffix in (match.groups() for match in matches if match):
        built, device, portable = (int(x), int(y)), (major, minor), (kind, suffix) == ("compute", "")
        if built == device or (built < device and suffix != "a" and (portable or built[0] == major)):
            return True
    return False
