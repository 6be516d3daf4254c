"""States of a run on disk: whole or absent, and never another run's."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch

from daso.data.files import whole_file
from daso.errors import CheckpointError


def dump(state: dict[str, Any]) -> bytes:
    """Tensors and plain values as bytes; equal states give equal bytes."""
    buffer = io.BytesIO()  # torch writes the name of a file into it
    torch.save(state, buffer)
    return buffer.getvalue()


def save(path: Path, state: dict[str, Any]) -> None:
    """Save a state atomically: a reader sees the old one or the new one, whenever the writer is killed."""
    with whole_file(path) as file:
        file.write(dump(state))


def load(path: Path, key: str) -> dict[str, Any]:
    """Read a state that `save` wrote for the run configuration `key`; raises CheckpointError for any other."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{path}: not a readable checkpoint ({error}); delete it to start again") from error
    if state.get("key") != key:
        raise CheckpointError(
            f"{path}: belongs to configuration {state.get('key')}, this run is {key}; "
            "train with the configuration it was made by, or delete it to start again"
        )
    return state
