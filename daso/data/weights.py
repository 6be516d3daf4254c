"""Verify files of pretrained weights, each identified by its SHA-256."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from daso.data.files import HEAD_BYTES, is_web_page
from daso.data.pinned import pinned_digest
from daso.errors import DataError


class Weights(NamedTuple):
    """File of pretrained weights."""

    path: Path
    sha256: str  # its first digits, or all 64
    url: str  # where it comes from

    @classmethod
    def of(cls, network: Mapping[str, Any], url: str) -> Weights | None:
        """Return the file that a network's options name; None if its weights are random."""
        return cls(Path(network["weights"]), network["sha256"], url) if network.get("weights") else None

    def verify(self) -> str:
        """Return the SHA-256 of the file, which equals the digest in `<path>.sha256`, written at first use.

        Raises DataError if the file is missing, is a web page or has another digest.
        """
        if not self.path.is_file():
            raise DataError(f"{self.path}: missing; download it from {self.url}, or correct weights of the network")
        with self.path.open("rb") as file:
            if is_web_page(file.read(HEAD_BYTES)):
                raise DataError(f"{self.path}: a web page instead of weights; download the file itself from {self.url}")
        return pinned_digest(self.path, self.sha256, f"download it from {self.url}")
