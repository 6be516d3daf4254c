"""Choice of a device; torch's CUDA functions are replaced, so no GPU is needed."""

import re
import subprocess
import warnings

import pytest
import torch

from daso.engine.environment import choose_device, code_commit, numerics_fingerprint, out_of_memory
from daso.errors import DasoError

CPU_INSTEAD = "to use the CPU, pass --device cpu or set DASO_GPUS=0"
OLD_DRIVER = "The NVIDIA driver on your system is too old (found version 12080). Please update your GPU driver.\nSecond"
pytestmark = pytest.mark.usefixtures("kept_settings", "no_gpus")


class Cuda:
    """Fake torch.cuda of a machine with one H100; its methods change the machine."""

    def __init__(self, monkeypatch, tmp_path):
        self.tmp_path, self.current = tmp_path, []
        self.set, self.unset = monkeypatch.setenv, monkeypatch.delenv
        self.patch = monkeypatch.setattr
        self.patch(torch.version, "cuda", "13.2")
        self.patch(torch, "__version__", "2.15.0+cu132")
        self.patch(torch._C, "_cuda_setDevice", self.current.append, raising=False)
        self.patch(torch.cuda, "_check_stray_context", lambda index: None, raising=False)
        self.patch(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_80", "sm_90"])
        self.patch(torch.cuda, "get_device_name", lambda device: "NVIDIA H100")
        self.set_gpus(1)

    def set_gpus(self, count, capability=(9, 0), error="No CUDA GPUs are available"):
        """Make torch report this many GPUs; torch.cuda.init raises `error`."""
        self.patch(torch.cuda, "is_available", lambda: count > 0)
        self.patch(torch.cuda, "device_count", lambda: count)
        self.patch(torch.cuda, "get_device_capability", lambda device: capability)

        def fails():
            raise RuntimeError(error)

        self.patch(torch.cuda, "init", fails)

    def add_device_files(self, count, driver="580.65.06"):
        """Add a driver and the device files of GPUs to the system."""
        folder, devices = self.tmp_path / "proc/driver/nvidia", self.tmp_path / "dev"
        folder.mkdir(parents=True)
        devices.mkdir()
        for index in range(count):
            (devices / f"nvidia{index}").touch()
        (folder / "version").write_text(f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {driver}  Release\n")


@pytest.fixture
def cuda(monkeypatch, tmp_path):
    return Cuda(monkeypatch, tmp_path)


def error_of(name="auto"):
    """Return the error of `choose_device`, which must be one line."""
    with pytest.raises(DasoError) as error:
        choose_device(name)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:0"])
def test_chosen_gpu_has_an_index(cuda, name):
    """With an index the device equals its tensors' device; torch's set_device requires an index."""
    assert choose_device(name) == torch.device("cuda", 0)
    assert cuda.current == [0]
    assert torch.are_deterministic_algorithms_enabled()
    assert not (torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32)


def test_gpu_is_chosen_by_index(cuda):
    cuda.set_gpus(2)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    assert cuda.current == [1]
    assert error_of("cuda:2") == (
        "device 'cuda:2' is not available: torch finds 2 CUDA devices; correct --device, CUDA_VISIBLE_DEVICES or "
        f"DASO_GPUS; {CPU_INSTEAD}"
    )


def test_cpu_is_chosen_without_gpus_or_on_request(cuda):
    assert choose_device("cpu") == torch.device("cpu")
    cuda.set("DASO_GPUS", "0")
    assert choose_device("auto") == torch.device("cpu")
    cuda.unset("DASO_GPUS")
    cuda.set_gpus(0)
    assert choose_device("auto") == torch.device("cpu")
    cuda.add_device_files(1)
    assert choose_device("cpu") == torch.device("cpu")
    cuda.set("DASO_GPUS", "0")
    assert choose_device("auto") == torch.device("cpu")
    assert cuda.current == []


def test_driver_that_is_too_old_is_an_error_in_one_line(cuda):
    cuda.set_gpus(0, error=OLD_DRIVER)
    cuda.add_device_files(1, driver="570.86.10")
    assert error_of() == error_of("cuda")
    assert error_of() == (
        "GPU 0: torch 2.15.0+cu132 (CUDA 13.2) with driver 570.86.10 cannot use it: The NVIDIA driver on your system "
        "is too old (found version 12080); update the driver to 580 or later, or install a build of torch for an older "
        f"CUDA; {CPU_INSTEAD}"
    )


def test_build_of_torch_without_cuda_is_an_error(cuda, monkeypatch):
    cuda.set_gpus(0)
    cuda.add_device_files(1)
    monkeypatch.setattr(torch.version, "cuda", None)
    line = error_of()
    assert "(CUDA none) with driver 580.65.06 cannot use it" in line
    assert line.endswith(f"install a build of torch for CUDA; {CPU_INSTEAD}")


@pytest.mark.parametrize(
    "variables",
    [
        {"CUDA_VISIBLE_DEVICES": "0"},
        {"DASO_GPUS": "1"},
        {"SLURM_JOB_ID": "1", "CUDA_VISIBLE_DEVICES": "0"},
        {"SLURM_JOB_ID": "1", "SLURM_JOB_GPUS": "3"},
    ],
    ids=str,
)
def test_gpu_that_only_the_environment_lists_is_an_error(cuda, variables):
    cuda.set_gpus(0)
    for name, value in variables.items():
        cuda.set(name, value)
    line = error_of()
    assert line.startswith("GPU 0: torch 2.15.0+cu132 (CUDA 13.2) with driver unknown cannot use it: No CUDA GPUs are")
    assert "CUDA 13.2 needs 580 or later" in line


def test_torchs_warning_about_the_driver_is_not_printed(cuda, monkeypatch):
    def unavailable():
        warnings.warn("CUDA initialization: ...", stacklevel=2)
        return False

    cuda.set_gpus(0)
    monkeypatch.setattr(torch.cuda, "is_available", unavailable)
    assert choose_device("auto") == torch.device("cpu")  # pytest would raise a warning as an error


def test_gpu_older_than_the_build_is_an_error_in_one_line(cuda, monkeypatch):
    cuda.set_gpus(1, capability=(7, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla V100-SXM2-16GB")
    assert error_of() == (
        "GPU 0: Tesla V100-SXM2-16GB is sm_70, but torch 2.15.0+cu132 is built for sm_75, sm_80, sm_90; install a "
        f"build of torch for this GPU; {CPU_INSTEAD}"
    )


def test_gpu_in_use_by_another_process_is_an_error(cuda, monkeypatch):
    def busy(index):
        raise torch.AcceleratorError("CUDA error: CUDA-capable device(s) is/are busy or unavailable\nSearch for it")

    monkeypatch.setattr(torch._C, "_cuda_setDevice", busy, raising=False)
    assert re.match(r"GPU 0: CUDA error: CUDA-capable device\(s\) is/are busy or unavailable; end other", error_of())


def test_numerics_fingerprint_lists_versions_device_threads_precision_and_mode(cuda, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 92200)
    threads = torch.get_num_threads()
    assert numerics_fingerprint(torch.device("cuda", 0), "bf16", "graph") == (
        f"torch 2.15.0+cu132, cuDNN 92200, on NVIDIA H100, {threads} threads, bf16, graph"
    )
    assert numerics_fingerprint(torch.device("cpu"), "fp32", "eager") == (
        f"torch 2.15.0+cu132 on cpu, {threads} threads, fp32, eager"
    )


TORCH_ERROR = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB of which 1.25 GiB is "
    "free. Including non-PyTorch memory, this process has 77.86 GiB memory in use."
)


def test_out_of_memory_in_one_line():
    assert out_of_memory(torch.OutOfMemoryError(TORCH_ERROR)) == (
        "out of GPU memory: 2.00 GiB needed, 1.25 GiB of 79.11 GiB free"
    )
    assert out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`")) == (
        "out of GPU memory: more memory needed than is free"
    )
    assert out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None


def test_out_of_memory_as_the_cause_of_a_capture_error():
    with pytest.raises(RuntimeError) as error:
        try:
            raise torch.OutOfMemoryError(TORCH_ERROR)
        finally:
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture")
    assert out_of_memory(error.value) == "out of GPU memory: 2.00 GiB needed, 1.25 GiB of 79.11 GiB free"


def test_unknown_commit_is_logged_with_its_reason(tmp_path, monkeypatch, caplog):
    """Cases: a checkout of a different owner, simulated by git's own test variable; no git; DASO_COMMIT."""
    monkeypatch.delenv("DASO_COMMIT", raising=False)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    monkeypatch.chdir(tmp_path)
    assert code_commit() == "unknown"
    assert "detected dubious ownership" in caplog.text
    monkeypatch.setenv("PATH", "")
    caplog.clear()
    assert code_commit() == "unknown"
    assert "git rev-parse: the program is not installed; results carry no commit" in caplog.text
    monkeypatch.setenv("DASO_COMMIT", "0123456789ab")
    caplog.clear()
    assert (code_commit(), caplog.text) == ("0123456789ab", "")
