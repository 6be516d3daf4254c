import os
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.forks import Forks

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def as_users_run(request):
    """Run tests marked gpu under the settings of a training, whatever other tests have set; the others as they are."""
    if request.node.get_closest_marker("gpu") is None:
        yield
        return
    import torch

    from tests.gpu import settings_of_a_training

    with settings_of_a_training() if torch.cuda.is_available() else nullcontext():
        yield


@pytest.fixture(scope="session")
def cifar10_zip():
    """All of CIFAR-10 as a zip of image files, optional: tests that need it skip where there is none."""
    named = os.environ.get("DASO_CIFAR10")
    for path in ([Path(named)] if named else []) + [ROOT / "../shared/data/cifar10.zip"]:
        if path.is_file() and path.suffix == ".zip":
            return path.resolve()
    pytest.skip("no zip of CIFAR-10 images: name one by DASO_CIFAR10")


@pytest.fixture(scope="session")
def read_params(tmp_path_factory):
    """A working copy of params/ alone, read once: a copy beside it need not parse them again (`daso.config.cache`)."""
    from daso.config.load import load

    path = tmp_path_factory.mktemp("read_params")
    shutil.copytree(ROOT / "params", path / "params")
    (path / "Snakefile").touch()
    load(path / "params")
    return path


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """The folder of `python`, `snakemake` and `dvc` as forks of one server."""
    server = Forks(tmp_path_factory.mktemp("forks") / "server")
    yield server.bin
    server.close()


@pytest.fixture
def quick_python(programs, monkeypatch):
    """What this process starts by `sys.executable` is a fork of that server."""
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
