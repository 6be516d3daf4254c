"""Device, modes and configurations that the parts of the GPU check share."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from daso.aliases import Config
from daso.engine.environment import choose_device
from daso.engine.trainer import Trainer
from daso.planning.synthetic import all_parts_active, with_changes
from tools.bench.setup import tiny

DRY_RUN = bool(os.environ.get("DRY"))  # tiny sizes on a CPU: only test that everything runs, measure nothing
DEVICE = choose_device("cpu" if DRY_RUN else "cuda:0")
CPU_MODES = {"graph": "eager", "compiled_graph": "compiled"}
MAIN_METHOD = "fixmatch_daso"  # the method for measuring modes, precisions and kernels
# Options of learners and add-ons with which all their phases occur within 50 steps.
EARLY_PHASES: dict[str, dict[str, Any]] = {
    "usadtm": {"warmup": 5},
    "simmatch": {"instance_start": 32},
    "simpro": {"period": 10},
    "ccl": {"period": 10, "warmup": 10, "energy": 0.0},
    "daso": {"warmup": 10, "period": 5},
    "class_balanced": {"start": 0.1},
    "ldam": {"start": 0.1},
    "darp": {"start": 0.1, "period": 10},
}
WITH_ADAMW = f"{MAIN_METHOD}, AdamW"  # the main method with another optimizer and a decay of the state
ADAMW = {"algorithm": "adamw", "lr": 0.001, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.05}
ADAMW |= {"state_decay": 0.04}
DRY_METHODS = ("supervised", "fixmatch_daso", "fixmatch_darp", "remixmatch")


def size(full: int, dry: int) -> int:
    """Return the size for a dry run or for a GPU."""
    return dry if DRY_RUN else full


def mode_of(name: str) -> str:
    """Return an engine mode, replaced on a CPU by its closest equivalent."""
    return CPU_MODES.get(name, name) if DEVICE.type == "cpu" else name


def configurations() -> dict[str, Config]:
    """Return the resolved configuration of each method under the paper's protocol, as written by `prepare`."""
    path = Path(os.environ.get("GPU_CHECK_FOLDER", ".gpu"), "configs.json")
    configs: dict[str, Config] = json.loads(path.read_text())
    return configs


def compared_methods() -> list[str]:
    """Return the methods to compare: complete methods, ablations that change more than a number, and one with AdamW."""
    every = DRY_METHODS if DRY_RUN else sorted(name for name, tree in configurations().items() if tree["recipe"])
    return [*every, WITH_ADAMW]


def small_config(name: str, precision: str, steps: int) -> Config:
    """Return a method on 32 x 32 images with a small network and with all its phases within `steps` steps."""
    network = {"name": "small_convnet", "channels": [16, 32, 64], "strides": [2, 2, 1]}
    changes = {"precision": precision, "steps": 4 * steps, "batch_size": 32, "network": network}
    method = MAIN_METHOD if name == WITH_ADAMW else name
    config = with_changes(configurations()[method], {f"protocol.{option}": value for option, value in changes.items()})
    if name == WITH_ADAMW:
        schedule = {option: config["optimizer"][option] for option in ("warmup", "milestones", "factor")}
        config = with_changes(config, {"optimizer": {**schedule, **ADAMW}})
    for part in (config["method"]["learner"], *config["method"]["addons"]):
        part |= EARLY_PHASES.get(part["name"], {})
    return tiny(config) if DRY_RUN else config


def wide_config(name: str = MAIN_METHOD, precision: str = "bf16") -> Config:
    """Return a method as in the paper, with DASO active from the third step on."""
    config = all_parts_active(configurations()[name], precision)
    return tiny(config) if DRY_RUN else config


def copy_of_state(run: Trainer) -> dict[str, Tensor]:
    """Return a copy of every tensor that a step writes."""
    return {name: tensor.detach().clone() for name, tensor in run.written_tensors().items()}


def differing(one: dict[str, Tensor], two: dict[str, Tensor]) -> list[str]:
    """Return the names of tensors that are missing in one of the states or differ in any bit."""
    return sorted(n for n in one.keys() | two.keys() if n not in one or n not in two or not torch.equal(one[n], two[n]))


def digest(state: dict[str, Tensor]) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of a state's names and bytes."""
    total = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        content = tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        total.update(name.encode() + content)
    return total.hexdigest()[:16]
