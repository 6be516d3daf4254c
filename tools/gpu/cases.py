"""Device, modes and configurations that the parts of the GPU check share."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from daso.engine.environment import choose_device
from daso.engine.train import Trainer
from daso.planning.synthetic import Config, awake, changed
from tools.bench.setup import tiny

DRY = bool(os.environ.get("DRY"))  # on a CPU, at tiny sizes: shows that everything runs, measures nothing
DEVICE = choose_device("cpu" if DRY else "cuda:0")
ON_A_CPU = {"graph": "eager", "compiled_graph": "compiled"}
MAIN = "fixmatch_daso"  # the method that modes, precisions and kernels are measured with
# Options of learners and add-ons, so that all their phases are seen within some fifty steps.
SOON: dict[str, dict[str, Any]] = {
    "usadtm": {"warmup": 5},
    "simmatch": {"instance_start": 32},
    "daso": {"warmup": 10, "period": 5},
    "class_balanced": {"start": 0.1},
    "ldam": {"start": 0.1},
    "darp": {"start": 0.1, "period": 10},
}
DRY_METHODS = ("supervised", "fixmatch_daso", "fixmatch_darp", "remixmatch")


def size(full: int, dry: int) -> int:
    """Return one of two sizes."""
    return dry if DRY else full


def mode_of(name: str) -> str:
    """Return an engine mode, on a CPU the one that stands for it."""
    return ON_A_CPU.get(name, name) if DEVICE.type == "cpu" else name


def configurations() -> dict[str, Config]:
    """Return the resolved configuration of each method under the paper's protocol, as `prepare` wrote them."""
    path = Path(os.environ.get("GPU_CHECK_FOLDER", ".gpu"), "configs.json")
    found: dict[str, Config] = json.loads(path.read_text())
    return found


def recipes() -> list[str]:
    """Return the methods to compare: whole recipes, and ablations that change more than a number."""
    return list(DRY_METHODS) if DRY else sorted(name for name, one in configurations().items() if one["recipe"])


def small_config(name: str, precision: str, steps: int) -> Config:
    """Return a method on 32 x 32 images with a small network, all its phases within `steps` steps."""
    network = {"name": "small_convnet", "channels": [16, 32, 64], "strides": [2, 2, 1]}
    changes = {"precision": precision, "steps": 4 * steps, "batch_size": 32, "network": network}
    config = changed(configurations()[name], {f"protocol.{option}": value for option, value in changes.items()})
    for part in (config["method"]["learner"], *config["method"]["addons"]):
        part |= SOON.get(part["name"], {})
    return tiny(config) if DRY else config


def wide_config(name: str = MAIN, precision: str = "bf16") -> Config:
    """Return a method as the paper trains it, with DASO at work from the third step on."""
    config = awake(configurations()[name], precision)
    return tiny(config) if DRY else config


def bits(run: Trainer) -> dict[str, Tensor]:
    """Return a copy of every tensor that steps write."""
    return {name: tensor.detach().clone() for name, tensor in run.written().items()}


def different(one: dict[str, Tensor], two: dict[str, Tensor]) -> list[str]:
    """Return the names of tensors that are missing in one of two states or differ in any bit."""
    return sorted(n for n in one.keys() | two.keys() if n not in one or n not in two or not torch.equal(one[n], two[n]))


def digest(state: dict[str, Tensor]) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of a state's names and bytes."""
    total = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        content = tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        total.update(name.encode() + content)
    return total.hexdigest()[:16]
