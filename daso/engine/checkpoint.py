"""Files that are either whole or absent."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from daso.errors import CheckpointError


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically: a reader sees the old content or the new, whenever the writer is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def save(path: Path, state: dict[str, Any]) -> None:
    """Save tensors and plain values atomically; equal states give equal bytes."""
    buffer = io.BytesIO()  # torch would write the name of a file into it
    torch.save(state, buffer)
    write_bytes(path, buffer.getvalue())


def load(path: Path, key: str) -> dict[str, Any]:
    """Read a state that `save` wrote for the run configuration `key`; raises CheckpointError for any other."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{path}: not a readable checkpoint ({error}); delete it to start again") from error
    if state.get("key") != key:
        raise CheckpointError(
            f"{path}: belongs to configuration {state.get('key')}, this run is {key}; "
            "train with the configuration it was made by, or delete it to start again"
        )
    return state
