"""Choose device, precision, mode and cuDNN's convolutions; describe the environment of a run (not part of its key)."""

from __future__ import annotations

import logging
import os
import platform
import re
import resource
import subprocess
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch

from daso.engine.gpus import CUDNN, cudnn_option, devices, driver, driver_fix_hint, integer_variable, supports
from daso.errors import DasoError
from daso.machine import processor
from daso.models.network import Precision

CPU_HINT = "to use the CPU, pass --device cpu or set DASO_GPUS=0"
# Memory errors of CUDA and its libraries that are not torch's OutOfMemoryError; free memory in torch's error message.
NO_MEMORY = re.compile(r"CUDA error: out of memory|CU(BLAS|DNN)_STATUS_ALLOC_FAILED")
FREE = r"has a total capacity of ([\d.]+ \w+) of which ([\d.]+ \w+) is free"
MODES = ("eager", "compiled", "graph", "compiled_graph")
PACKAGES = ("torch", "torchvision", "numpy", "pillow", "scikit-learn")


def choose_device(name: str) -> torch.device:
    """Return the device of a name and make its arithmetic deterministic, without TF32.

    `auto` is the first GPU if one is listed or usable, else the CPU. A listed GPU that torch cannot use is an error, as
    training on the CPU instead would take weeks. Raises DasoError for an unknown name or an unusable device.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Equal to `use_deterministic_algorithms(True)`, which also imports Inductor: as many seconds as torch itself.
    torch.set_deterministic_debug_mode("error")
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    # No code here reads uninitialized memory, and filling it costs a tenth of the time of a small step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if name == "auto":
        name = "cuda" if devices() or (integer_variable("DASO_GPUS") != 0 and _usable()) else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise DasoError(f"unknown device '{name}'; choose one of auto, cpu, cuda, cuda:N")
    return _select_gpu(device.index or 0) if device.type == "cuda" else device


def _select_gpu(index: int) -> torch.device:
    """Make a GPU the current device; raises DasoError, in one line, if torch cannot use it."""
    names = devices()
    gpu = f"GPU {names[index] if index < len(names) else index}"
    if not _usable():
        cuda, installed = torch.version.cuda, driver()
        versions = f"torch {torch.__version__} (CUDA {cuda or 'none'}) with driver {installed or 'unknown'}"
        raise DasoError(f"{gpu}: {versions} cannot use it: {_reason()}; {driver_fix_hint(cuda, installed)}; {CPU_HINT}")
    if index >= (count := torch.cuda.device_count()):
        wrong = f"device 'cuda:{index}' is not available: torch finds {count} CUDA device{'s' * (count != 1)}"
        raise DasoError(f"{wrong}; correct --device, CUDA_VISIBLE_DEVICES or DASO_GPUS; {CPU_HINT}")
    device = torch.device("cuda", index)  # set_device requires an index
    try:
        with warnings.catch_warnings(action="ignore"):  # torch warns about an old GPU, which is an error below
            torch.cuda.set_device(device)
            capability, architectures = torch.cuda.get_device_capability(device), torch.cuda.get_arch_list()
            name = torch.cuda.get_device_name(device)
    except RuntimeError as error:  # e.g. other processes hold the memory, or use the GPU exclusively
        reason = f"{gpu}: {str(error).strip().partition(chr(10))[0]}"
        raise DasoError(f"{reason}; end other processes on this GPU or choose a different one; {CPU_HINT}") from error
    if torch.version.cuda and not supports(architectures, *capability):
        actual = f"{gpu}: {name} is sm_{capability[0]}{capability[1]}"
        built = f"torch {torch.__version__} is built for {', '.join(architectures)}"
        raise DasoError(f"{actual}, but {built}; install a build of torch for this GPU; {CPU_HINT}")
    return device


def _usable() -> bool:
    """Return True if torch can use a GPU here."""
    with warnings.catch_warnings(action="ignore"):  # where it matters, `_reason` reports the cause
        return torch.cuda.is_available()


def _reason() -> str:
    """Return why torch cannot use any GPU: the first sentence of torch's error."""
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (AssertionError, RuntimeError) as error:
        return re.split(r"\n|\. ", str(error).strip())[0].rstrip(".")
    return "it finds no device"


def numerics_fingerprint(device: torch.device, precision: Precision, mode: str) -> str:
    """Describe the settings that decide a run's last bits besides its key: versions, device, threads, mode."""
    name, cudnn = device.type, ""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        cudnn = f", cuDNN {torch.backends.cudnn.version()},"  # type: ignore[no-untyped-call]
    return f"torch {torch.__version__}{cudnn} on {name}, {torch.get_num_threads()} threads, {precision}, {mode}"


def out_of_memory(error: BaseException) -> str | None:
    """Return one line with the needed and the free memory if a GPU ran out of memory, None for any other error.

    An error that ends a capture hides the error that caused it, so causes and contexts are checked too.
    """
    cause: BaseException | None = error
    while cause is not None:
        text = str(cause)
        if isinstance(cause, torch.OutOfMemoryError) or (isinstance(cause, RuntimeError) and NO_MEMORY.search(text)):
            needed, free = (re.search(pattern, text) for pattern in (r"Tried to allocate ([\d.]+ \w+)", FREE))
            size = f"{needed[1]} needed" if needed else "more memory needed than is free"
            return f"out of GPU memory: {size}" + (f", {free[2]} of {free[1]} free" if free else "")
        cause = cause.__cause__ or cause.__context__
    return None


def choose_cudnn(option: str | None = None) -> None:
    """Make cuDNN choose deterministic convolutions by a heuristic, or by timing them and keeping the fastest (`tuned`).

    Every process times them again and may choose different ones, so `tuned` runs may differ in the last bits. The
    default is DASO_CUDNN. Raises DasoError for an unknown option.
    """
    torch.backends.cudnn.benchmark = cudnn_option(option) == "tuned"


def cudnn_choice(device: torch.device) -> str | None:
    """Return the rule by which cuDNN chooses convolutions on a CUDA device; None on a CPU."""
    return CUDNN[torch.backends.cudnn.benchmark] if device.type == "cuda" else None


def choose_precision(name: Precision | Literal["auto"], device: torch.device) -> Precision:
    """Return the precision of a name; `auto` is bf16 if the device supports it natively, else fp32.

    Raises DasoError for an unknown name.
    """
    if name not in ("auto", "fp32", "bf16"):
        raise DasoError(f"unknown precision '{name}'; choose one of auto, fp32, bf16")
    if name != "auto":
        return name
    if device.type == "cuda":  # fidelity: precision
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    capabilities = torch.cpu.get_capabilities()
    return "bf16" if any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16")) else "fp32"


def choose_mode(name: str, device: torch.device, *, grouped: bool = False) -> str:
    """Return the mode of a name; `auto` is graph on CUDA and eager on a CPU, where compiling costs more than it gains.

    Raises DasoError for an unknown mode, one that the device does not support, or a compiled one if networks run in
    groups of images, each of which is computed twice.
    """
    if name == "auto":
        return "graph" if device.type == "cuda" else "eager"
    if name not in MODES:
        raise DasoError(f"unknown mode '{name}'; choose one of auto, {', '.join(MODES)}")
    if "graph" in name and device.type != "cuda":
        raise DasoError(f"mode '{name}' needs a CUDA device; on a CPU choose eager or compiled")
    if "compiled" in name and grouped:
        raise DasoError(
            f"mode '{name}' is not allowed with images_per_group in the protocol; choose auto, eager or graph"
        )
    return name


def peak_memory(device: torch.device) -> float:
    """Return the peak memory of this process so far in MiB: on the GPU, or of the host for a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:  # before getrusage, which on Linux returns the parent's peak where that was higher
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 2**10
    except (OSError, StopIteration):
        scale = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def code_commit() -> str:
    """Return the commit of the code, with `-dirty` if a file is changed or new; without a repository, `DASO_COMMIT`.

    Without either, return "unknown" and log the reason that Git gives.
    """
    head = _git("rev-parse", "--short=12", "HEAD")
    if head is None:
        return os.environ.get("DASO_COMMIT", "unknown")
    return head + ("-dirty" if _git("status", "--porcelain", "--", "daso", "params", "workflow", "Snakefile") else "")


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        reason = "the program is not installed"
    else:
        if done.returncode == 0:
            return done.stdout.strip()
        reason = next(iter(done.stderr.splitlines()), f"exit status {done.returncode}")
    if "DASO_COMMIT" not in os.environ:
        logging.warning("git %s: %s; results carry no commit", arguments[0], reason)
    return None


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Return commit, versions, device and threads, and on CUDA the choice of cuDNN."""
    versions = {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    return {
        "commit": code_commit(),
        "versions": versions,
        "device": f"{device.type}: {name}",
        "threads": torch.get_num_threads(),
        **({} if (cudnn := cudnn_choice(device)) is None else {"cudnn": cudnn}),
    }
