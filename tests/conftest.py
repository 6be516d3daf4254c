import os
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.forks import Forks

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def gpu_settings_of_training(request):
    """Run tests marked gpu under the settings of a training, whatever other tests have set."""
    if request.node.get_closest_marker("gpu") is None:
        yield
        return
    import torch

    from tests.gpu import settings_of_a_training

    with settings_of_a_training() if torch.cuda.is_available() else nullcontext():
        yield


@pytest.fixture(scope="session")
def cifar10_zip():
    """Return the path of a zip of all CIFAR-10 images; skip tests that require it if it is missing."""
    named = os.environ.get("DASO_CIFAR10")
    for path in ([Path(named)] if named else []) + [ROOT / "../shared/data/cifar10.zip"]:
        if path.is_file() and path.suffix == ".zip":
            return path.resolve()
    pytest.skip("no zip of CIFAR-10 images; set DASO_CIFAR10 to its path")


@pytest.fixture(scope="session")
def read_params(tmp_path_factory):
    """Make a working copy of params/ and read it once, so that its copies reuse the cache (`daso.config.cache`)."""
    from daso.config.load import load_params

    path = tmp_path_factory.mktemp("read_params")
    shutil.copytree(ROOT / "params", path / "params")
    (path / "Snakefile").touch()
    load_params(path / "params")
    return path


@pytest.fixture
def workspace(read_params, tmp_path, monkeypatch):
    """Change to a working copy with params/ alone; return its folder."""
    shutil.copytree(read_params, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def no_gpus(tmp_path, monkeypatch):
    """Make this a machine without GPUs, cluster and their variables; return the folder that replaces /."""
    from daso import machine
    from daso.engine import gpus

    monkeypatch.setattr(machine, "SYSTEM", tmp_path)
    monkeypatch.setattr(gpus.shutil, "which", lambda name: None)
    for name in list(os.environ):
        if name.startswith(("CUDA_VISIBLE", "CUDA_DEVICE", "DASO_", "SLURM_")):
            monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def kept_settings():
    """Restore the settings of the process that `choose_device` changes."""
    from tests.gpu import kept_settings

    with kept_settings():
        yield


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """Return the folder of `python`, `snakemake` and `dvc`, which are forks of one server."""
    server = Forks(tmp_path_factory.mktemp("forks") / "server")
    yield server.bin
    server.close()


@pytest.fixture
def quick_python(programs, monkeypatch):
    """Set `sys.executable` to the server's `python`."""
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
