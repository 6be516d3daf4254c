import pytest

from tests.deploy.isolated import IsolatedPython


@pytest.fixture(scope="session")
def isolated(tmp_path_factory):
    """Return a Python that has onnxruntime, Pillow and NumPy only."""
    return IsolatedPython(tmp_path_factory.mktemp("isolated") / "packages")


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Let the tests use a core each."""
    import torch

    torch.set_num_threads(1)
