"""Digests of files whose authors publish none, or only the first digits: written at first use, and required later."""

from __future__ import annotations

from pathlib import Path

from daso.data.files import file_digest, write_file
from daso.errors import DataError

PIN = ".sha256"  # suffix of the file beside another one that holds its whole digest


def pinned_digest(path: Path, published: str, fix: str) -> str:
    """Return the SHA-256 of a file, which equals the digest in `<path>.sha256`, written at first use.

    A whole `published` digest needs no such file, so that the folder may be read-only. Raises DataError if the digest
    does not begin with the `published` digits, which may be empty, or differs from that of the first use; `fix` ends
    the message.
    """
    digest = file_digest(path, "sha256")
    if not digest.startswith(published):
        raise DataError(f"{path}: expected SHA-256 {published}, got {digest}; {fix}")
    if published == digest:
        return digest
    pin = path.with_name(path.name + PIN)
    if not pin.exists():
        write_file(pin, f"{digest}  {path.name}\n".encode())
    elif (pinned := pin.read_text(encoding="utf-8").partition(" ")[0]) != digest:
        raise DataError(
            f"{path}: expected SHA-256 {pinned} as in {pin}, got {digest}; restore the file, or delete {pin.name} to "
            "accept it"
        )
    return digest
