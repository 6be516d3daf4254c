"""Write and read checkpoints of runs: atomically, with a checksum, and only for the same configuration.

A checkpoint is the zip file that torch writes, with the SHA-256 of everything before it as its comment, because
`torch.load` does not verify the checksums of the zip.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from daso.data.files import write_file
from daso.errors import CheckpointError

DIGEST_LENGTH = 64  # hexadecimal digits
RESTART = "delete it to start again"


def dump(state: dict[str, Any]) -> bytes:
    """Return tensors and plain values as bytes; equal states give equal bytes."""
    buffer = io.BytesIO()  # not a file, as torch would write its name into the zip
    torch.save(state, buffer)
    content = buffer.getvalue()[:-2] + DIGEST_LENGTH.to_bytes(2, "little")  # a zip ends with the length of its comment
    return content + hashlib.sha256(content).hexdigest().encode()


def save(path: Path, state: dict[str, Any]) -> None:
    """Save a state atomically: a reader sees the old or the new file, even if the writer is killed."""
    write_file(path, dump(state))


def load_checkpoint(path: Path, key: str, fix: str = RESTART) -> dict[str, Any]:
    """Load a state that `save` wrote for the configuration of this key; raises CheckpointError for any other file.

    A file with a wrong checksum is not unpacked, and only tensors and plain values are unpacked: no file can execute
    code.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: not a readable checkpoint ({error.strerror}); {fix}") from error
    if hashlib.sha256(content[:-DIGEST_LENGTH]).hexdigest().encode() != content[-DIGEST_LENGTH:]:
        raise CheckpointError(f"{path}: not a readable checkpoint (its checksum is wrong); {fix}")
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"{path}: not a readable checkpoint ({reason}); {fix}") from error
    if not isinstance(state, dict) or state.get("key") != key:
        other = state.get("key") if isinstance(state, dict) else None
        raise CheckpointError(
            f"{path}: belongs to configuration {other}, this run is {key}; train with configuration {other}, or {fix}"
        )
    return state
