"""GPUs listed by the environment and the driver; files of a temporary folder replace the system's."""

import subprocess
import sys

import pytest

from daso.engine import gpus
from daso.engine.gpus import devices, driver, driver_fix_hint, supports
from daso.errors import DasoError

VERSION = """\
NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Wed Oct 30 03:20:29 UTC 2024
GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)
"""


@pytest.fixture(autouse=True)
def machine(no_gpus):
    """Return the folder that replaces / of a machine without GPUs."""
    return no_gpus


def make(machine, *paths):
    for path in paths:
        (machine / path).parent.mkdir(parents=True, exist_ok=True)
        (machine / path).touch()


@pytest.fixture
def nvidia_smi(monkeypatch):
    """Return a function that makes nvidia-smi print a text."""

    def set_output(text):
        monkeypatch.setattr(gpus.shutil, "which", lambda name: name)
        monkeypatch.setattr(gpus.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess((), 0, text))

    return set_output


@pytest.mark.parametrize(
    ("variables", "names"),
    [
        ({}, []),
        ({"DASO_GPUS": "2"}, ["0", "1"]),
        ({"CUDA_VISIBLE_DEVICES": "3, 5"}, ["3", "5"]),
        ({"CUDA_VISIBLE_DEVICES": "3,5", "DASO_GPUS": "1"}, ["3"]),
        ({"CUDA_VISIBLE_DEVICES": "3,5", "DASO_GPUS": "0"}, []),
        ({"CUDA_VISIBLE_DEVICES": ""}, []),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, []),
        ({"CUDA_VISIBLE_DEVICES": "0,2,-1,1"}, ["0", "2"]),
        ({"CUDA_VISIBLE_DEVICES": "-1,0"}, []),
        ({"CUDA_VISIBLE_DEVICES": "0,,1"}, ["0"]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-8932f937, GPU-1b,none,GPU-2c"}, ["GPU-8932f937", "GPU-1b"]),
        ({"CUDA_VISIBLE_DEVICES": "NoDevFiles"}, []),
        ({"CUDA_VISIBLE_DEVICES": "MIG-4f1b"}, ["MIG-4f1b"]),
        ({"DASO_GPUS": "0"}, []),
        ({"SLURM_JOB_ID": "1", "SLURM_JOB_GPUS": "2,3"}, ["0", "1"]),
        ({"SLURM_JOB_ID": "1", "SLURM_JOB_GPUS": "2,3", "SLURM_STEP_ID": "0", "SLURM_STEP_GPUS": "3"}, ["0"]),
        ({"SLURM_JOB_ID": "1", "SLURM_JOB_GPUS": "2,3", "SLURM_STEP_ID": "0"}, []),
        ({"SLURM_JOB_ID": "1", "SLURM_JOB_GPUS": "2,3", "SLURM_STEP_ID": "4294967290"}, ["0", "1"]),
        ({"SLURM_JOB_ID": "1", "SLURM_JOB_GPUS": "2,3", "DASO_GPUS": "0"}, []),
        ({"SLURM_JOB_ID": "1"}, []),
    ],
    ids=str,
)
def test_gpus_by_environment(monkeypatch, variables, names):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert devices() == names


def test_gpus_of_a_container_without_nvidia_smi(machine):
    """GPUs are counted by device files, without nvidiactl and nvidia-uvm; /proc lists all GPUs of the host."""
    make(machine, "proc/driver/nvidia/gpus/0000:01:00.0/information")
    assert devices() == []
    make(machine, "dev/nvidia0", "dev/nvidia2", "dev/nvidia10", "dev/nvidiactl", "dev/nvidia-uvm", "dev/nvidia0x")
    assert devices() == ["0", "1", "2"]


def test_gpus_by_nvidia_smi(machine, nvidia_smi):
    make(machine, "dev/nvidia0")
    nvidia_smi("GPU 0: A (UUID: GPU-0)\n  MIG 1g: (UUID: MIG-0)\nGPU 1: A (UUID: GPU-1)\n")
    assert devices() == ["0", "1"]
    nvidia_smi("Failed to initialize NVML: Driver/library version mismatch\n")
    assert devices() == ["0"]


def test_limit_above_the_number_of_gpus_is_refused(machine, monkeypatch):
    make(machine, "dev/nvidia0")
    monkeypatch.setenv("DASO_GPUS", "1")
    assert devices() == ["0"]
    monkeypatch.setenv("DASO_GPUS", "2")
    with pytest.raises(DasoError, match="^DASO_GPUS=2: this machine has 1 GPU; lower it or unset it$"):
        devices()


def test_limit_that_is_not_an_integer_is_refused(monkeypatch):
    monkeypatch.setenv("DASO_GPUS", "two")
    with pytest.raises(
        DasoError, match="^DASO_GPUS: expected an integer from 0 to 9,999, got 'two'; correct or unset it$"
    ):
        devices()


@pytest.mark.parametrize("version", ["550.127.05", "470.57.2", "580.65"])
def test_driver_version_is_read_from_proc_or_nvidia_smi(machine, nvidia_smi, version):
    assert driver() is None
    nvidia_smi(f"{version}\n")
    assert driver() == version
    path = machine / "proc/driver/nvidia/version"
    path.parent.mkdir(parents=True)
    path.write_text(VERSION.format("999.1"))
    assert driver() == "999.1"
    path.write_text(VERSION.format(version).replace("UNIX x86_64", "UNIX Open").replace("Module", "Module for x86_64"))
    assert driver() == version


ACCESS = "give this container or job access to the GPU"


@pytest.mark.parametrize(
    ("cuda", "version", "advice"),
    [
        ("13.2", "570.86.10", "update the driver to 580 or later, or install a build of torch for an older CUDA"),
        ("12.8", "470.57.02", "update the driver to 525 or later, or install a build of torch for an older CUDA"),
        (
            "13.2",
            "580.65.06",
            f"correct CUDA_VISIBLE_DEVICES or DASO_GPUS, or {ACCESS}",
        ),
        (
            "99.0",
            "580.65.06",
            f"correct CUDA_VISIBLE_DEVICES or DASO_GPUS, or {ACCESS}",
        ),
        (
            "13.2",
            None,
            f"install the NVIDIA driver (CUDA 13.2 needs 580 or later) and {ACCESS}",
        ),
        (None, "580.65.06", "install a build of torch for CUDA"),
    ],
)
def test_fix_depends_on_driver_and_build(cuda, version, advice):
    assert driver_fix_hint(cuda, version) == advice


LOCKED = ("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120")  # of the locked build of torch


@pytest.mark.parametrize(
    ("architectures", "capability", "runs"),
    [
        (LOCKED, (7, 0), False),  # V100
        (LOCKED, (6, 1), False),  # GTX 1080
        (LOCKED, (7, 5), True),
        (LOCKED, (8, 9), True),  # L4, by sm_86
        (LOCKED, (9, 0), True),
        (LOCKED, (10, 3), True),
        (LOCKED, (11, 0), False),
        (("sm_86",), (8, 0), False),  # older minor version
        (("sm_90a",), (9, 0), True),
        (("sm_100a",), (10, 3), False),
        (("sm_100f",), (10, 3), True),
        (("sm_90", "compute_90"), (12, 0), True),  # compiled at load time
        (("sm_90", "compute_90"), (8, 6), False),
        (("compute_90a",), (12, 0), False),
        ((), (9, 0), False),
    ],
)
def test_architectures_that_support_a_capability(architectures, capability, runs):
    assert supports(architectures, *capability) == runs


def test_counting_gpus_needs_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None; from daso.engine.lock import device_slot; "
        "from daso.workspace import slots"
    )
    subprocess.run([sys.executable, "-c", code + "; slots.gpu_slots()"], check=True)
