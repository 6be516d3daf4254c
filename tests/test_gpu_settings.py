"""Tests marked gpu run with the settings of a training: checked in a separate test session with fake CUDA."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONFTEST = """
import pytest, torch
from tests.conftest import gpu_settings_of_training

torch.cuda.is_available = lambda: True
torch.cuda.device_count = lambda: 1
torch.cuda.get_device_capability = lambda device: (9, 0)
torch.cuda.get_arch_list = lambda: ["sm_90"]
torch.cuda.get_device_name = lambda device: "a GPU"
torch._C._cuda_setDevice = lambda index: None
torch.cuda._check_stray_context = lambda index: None
"""
# The order matters: without the fixture each test would break the next one.
TESTS = """
import gc, warnings, weakref
import pytest, torch

cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
freed = []


class Graph:
    pass


def settings():
    return torch.are_deterministic_algorithms_enabled(), cudnn.allow_tf32, matmul.allow_tf32, cudnn.benchmark


def test_unmarked_tests_keep_their_settings():
    cudnn.allow_tf32 = matmul.allow_tf32 = cudnn.benchmark = True
    assert settings() == (False, True, True, True)
    gc.disable()
    graph = Graph()
    graph.itself = graph
    weakref.finalize(graph, freed.append, 1)


@pytest.mark.gpu
def test_marked_tests_have_the_settings_of_a_training():
    assert settings() == (True, False, False, False)
    assert freed == [1]
    torch.use_deterministic_algorithms(False)
    cudnn.allow_tf32 = True


@pytest.mark.gpu
def test_settings_do_not_depend_on_earlier_tests():
    assert settings() == (True, False, False, False)
    warnings.warn("Synchronization debug mode is a prototype feature and does not yet detect all", UserWarning)


def test_settings_are_restored():
    assert settings() == (False, True, True, True)


def test_other_warnings_are_errors():
    with pytest.raises(UserWarning):
        warnings.warn("another", UserWarning)
"""


def test_tests_marked_gpu_have_the_settings_of_a_training(tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_order.py").write_text(TESTS)
    options = ["-q", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path / "test_order.py")],
        **{"cwd": ROOT, "capture_output": True, "text": True, "check": False},
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout
