import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def cifar10_zip():
    """All of CIFAR-10 as a zip of image files, optional: tests that need it skip where there is none."""
    named = os.environ.get("DASO_CIFAR10")
    for path in ([Path(named)] if named else []) + [ROOT / "../shared/data/cifar10.zip"]:
        if path.is_file() and path.suffix == ".zip":
            return path.resolve()
    pytest.skip("no zip of CIFAR-10 images: name one by DASO_CIFAR10")
