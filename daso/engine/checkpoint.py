"""States of a run on disk: whole or absent, and never another run's.

A state is what torch writes, a zip, whose comment is the SHA-256 of all before it: torch compares no checksum.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from daso.data.files import atomic_write
from daso.errors import CheckpointError

DIGEST = 64  # hexadecimal digits
AFRESH = "delete it to start again"


def dump(state: dict[str, Any]) -> bytes:
    """Tensors and plain values as bytes; equal states give equal bytes."""
    buffer = io.BytesIO()  # torch writes the name of a file into it
    torch.save(state, buffer)
    content = buffer.getvalue()[:-2] + DIGEST.to_bytes(2, "little")  # a zip ends with the length of its comment
    return content + hashlib.sha256(content).hexdigest().encode()


def save(path: Path, state: dict[str, Any]) -> None:
    """Save a state atomically: a reader sees the old one or the new one, whenever the writer is killed."""
    with atomic_write(path) as file:
        file.write(dump(state))


def load(path: Path, key: str, mend: str = AFRESH) -> dict[str, Any]:
    """Read a state that `save` wrote for the run configuration `key`; raises CheckpointError for any other.

    What was changed is not even unpacked, and nothing is unpacked but tensors and plain values: no file runs code.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: not a readable checkpoint ({error.strerror}); {mend}") from error
    if hashlib.sha256(content[:-DIGEST]).hexdigest().encode() != content[-DIGEST:]:
        raise CheckpointError(f"{path}: not a readable checkpoint (it does not have the digest it names); {mend}")
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"{path}: not a readable checkpoint ({reason}); {mend}") from error
    if not isinstance(state, dict) or state.get("key") != key:
        found = state.get("key") if isinstance(state, dict) else None
        raise CheckpointError(
            f"{path}: belongs to configuration {found}, this run is {key}; "
            f"train with the configuration it was made by, or {mend}"
        )
    return state
