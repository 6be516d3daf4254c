"""Where a run ran: recorded beside its numbers, never part of what they are keyed by."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import torch

from daso.errors import DasoError
from daso.models.network import Precision

CUDNN = ("heuristic", "tuned")
PACKAGES = ("torch", "torchvision", "numpy", "pillow", "scikit-learn")


def choose_device(name: str) -> torch.device:
    """`auto` is the first CUDA device, else the CPU; arithmetic is made repeatable, and fp32 means fp32."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    # Nothing here reads memory that it has not written, and filling it first costs a tenth of a small step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise DasoError(f"device '{name}': choose auto, cpu, cuda or cuda:N")
    if device.type == "cuda":
        seen = torch.cuda.device_count()
        if (device.index or 0) >= seen:
            raise DasoError(f"device '{name}' is not available: torch sees {seen} CUDA devices; use --device cpu")
        torch.cuda.set_device(device)
    return device


def choose_cudnn(name: str) -> None:
    """Have cuDNN choose its deterministic convolutions by a heuristic, or try them and keep the fastest (`tuned`).

    Every process tries anew and may choose others, so `tuned` runs need not be equal bit for bit.
    """
    if name not in CUDNN:
        raise DasoError(f"--cudnn {name}: unknown; choose one of {', '.join(CUDNN)}")
    torch.backends.cudnn.benchmark = name == "tuned"


def cudnn_choice(device: torch.device) -> str | None:
    """Return how cuDNN chooses its convolutions on a CUDA device; None on a CPU."""
    return CUDNN[torch.backends.cudnn.benchmark] if device.type == "cuda" else None


def choose_precision(name: Precision | Literal["auto"], device: torch.device) -> Precision:
    """`auto` is bf16 where the device computes in it, else fp32."""
    if name not in ("auto", "fp32", "bf16"):
        raise DasoError(f"precision '{name}': choose one of auto, fp32, bf16")
    if name != "auto":
        return name
    if device.type == "cuda":  # fidelity: precision
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    able = torch.cpu.get_capabilities()
    return "bf16" if any(able.get(feature) for feature in ("avx512_bf16", "amx_bf16", "bf16")) else "fp32"


def peak_memory(device: torch.device) -> float:
    """The most memory in MiB that this process has held so far: on the device, or of a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:  # not getrusage first: on Linux it says the parent's peak where that was higher
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 2**10
    except (OSError, StopIteration):
        scale = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def commit() -> str:
    """The commit of the code, `-dirty` where a file is changed or new; `DASO_COMMIT` where there is no repository."""
    head = _git("rev-parse", "--short=12", "HEAD")
    if head is None:
        return os.environ.get("DASO_COMMIT", "unknown")
    return head + ("-dirty" if _git("status", "--porcelain", "--", "daso", "params", "workflow", "Snakefile") else "")


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def describe(device: torch.device) -> dict[str, Any]:
    """Commit, versions, device and threads."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return {
        "commit": commit(),
        "versions": versions,
        "device": f"{device.type}: {name}",
        "threads": torch.get_num_threads(),
        **({} if (cudnn := cudnn_choice(device)) is None else {"cudnn": cudnn}),
    }


def _processor() -> str:
    """The CPU's own name, where the system tells it."""
    try:
        with open("/proc/cpuinfo") as file:  # noqa: PTH123 - a kernel file, not a path of ours
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
