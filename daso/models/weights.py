"""Load pretrained weights from a file of tensors."""

from __future__ import annotations

import logging
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from daso.errors import DataError

COUNTER = "num_batches_tracked"  # of batch norms; unused, and missing in older files
# Keys under which training scripts save a state dict, the EMA model's first, and prefixes that wrappers add to names.
WRAPPERS = ("model_ema", "state_dict_ema", "state_dict", "model")
PREFIXES = ("module.", "_orig_mod.")


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the state dict in a file, without wrappers; no file can execute code.

    Raises DataError for any other file.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        reason = type(error).__name__  # torch's text may be empty, or recommend the unsafe `weights_only=False`
        raise DataError(f"{path}: not a readable file of weights ({reason}); download it again") from error
    state = unwrapped(state)
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise DataError(f"{path}: not a state dict of tensors; save one with torch.save(model.state_dict(), ...)")
    return dict(state)


def unwrapped(state: Any) -> Any:
    """Return the state dict inside of the dicts of a training script, without the prefixes of wrappers."""
    while isinstance(state, Mapping):
        inner = next((state[key] for key in WRAPPERS if isinstance(state.get(key), Mapping)), None)
        prefix = next((each for each in PREFIXES if state and all(str(name).startswith(each) for name in state)), None)
        if inner is not None:
            state = inner
        elif prefix is not None:
            state = {name.removeprefix(prefix): value for name, value in state.items()}
        else:
            break
    return state


@torch.no_grad()
def load_weights(module: nn.Module, path: Path, ignored: tuple[str, ...], state: Mapping[str, Tensor]) -> None:
    """Copy the tensors `state` of a file into a module by name, except those whose names begin with an `ignored` one.

    Raises DataError, which names the first of each kind, if tensors are missing, unknown or of another shape.
    """
    given = {name: value for name, value in state.items() if not name.startswith(ignored)}
    expected = {name: value for name, value in module.state_dict().items() if not name.endswith(COUNTER)}
    missing = [name for name in expected if name not in given]
    unknown = [name for name in given if name not in expected and not name.endswith(COUNTER)]
    other = [name for name, value in expected.items() if name in given and given[name].shape != value.shape]
    count = f"{len(expected) - len(missing) - len(other)} of {len(expected)} tensors"
    kinds = ((unknown, "unknown"), (missing, "missing"), (other, "of another shape"))
    if problems := [f"'{names[0]}' is {problem}" for names, problem in kinds if names]:
        raise DataError(
            f"{path}: not weights of this network: {count} match, and {', '.join(problems)}; correct weights or the "
            "other options of the network"
        )
    for name, value in expected.items():
        value.copy_(given[name])
    logging.info("%s: %s loaded", path, count)
