"""Short run of a method on synthetic images: a few CPU steps by the code of any commit, to compare its bits."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from daso.config.params import copy_tree
from daso.config.registry import NETWORKS
from daso.config.signature import options
from daso.data.files import checksummed, format_json, read_json, write_file
from daso.data.run_files import COMPARED_FILES
from daso.data.split import save_split
from daso.data.split_rows import Split
from daso.data.store import write_store
from daso.errors import DataError
from daso.paths import CONFIG_FILE, ESTIMATE_FILE, RESULT_FILE, SPLIT_FILE, WEIGHTS_FILE, run_folder

STEPS = 12  # the loader makes the batches of 8 steps at a time on a CPU, so the run has two chunks
EVERY = 4  # steps between evaluations
DECAY = 0.8  # decay of the EMA; its warm-up 1 - 1 / (t + 1) reaches this at step 4
RAMP = 0.5  # share of all steps, so that a weight that is ramped up has values between 0 and its end
NAME = "short"  # id and key of the run and its upstream runs; all seeds and settings of a method share a short run
# Upper bounds of options in steps, batches, images or units of a layer: every phase of a schedule is reached and every
# queue filled.
LIMITS = {
    "period": 2,
    "warmup": 4,
    "staircase": 2,
    "instance_start": 4,
    "queue_length": 4,
    "queue_factor": 1,
    "window": 3,
    "dim": 16,
}
NETWORK_WIDTH = 2  # width of a Wide ResNet
SHORT_BATCH = 4


def shorten_config(config: Mapping[str, Any], precision: str) -> dict[str, Any]:
    """Shorten a resolved configuration to a few steps, in the precision of the whole run.

    Every component keeps its options except lengths and thresholds. An untrained network would never reach the original
    thresholds: all pseudo-labels would be masked, and the consistency loss would not be compared.
    """
    short: dict[str, Any] = copy_tree(
        {**config, "run": NAME, "key": NAME, "split_config_sha256": NAME, "seed": 0, "draw_seed": 0}
    )
    protocol, method, optimizer, plan = (short[name] for name in ("protocol", "method", "optimizer", "plan"))
    share = STEPS / protocol["steps"]
    optimizer["milestones"] = [round(step * share) for step in optimizer["milestones"]]
    optimizer |= {name: min(optimizer[name], LIMITS[name]) for name in ("warmup", "staircase") if name in optimizer}
    protocol |= {"steps": STEPS, "checkpoint_every": STEPS, "precision": precision}
    protocol["batch_size"] = min(protocol["batch_size"], _batch(method["learner"], short["dataset"]["num_classes"]))
    protocol["evaluation"]["every"] = EVERY
    protocol["teacher"]["decay"] = min(protocol["teacher"]["decay"], DECAY)
    if "encoder" not in plan and "width" in protocol["network"]:
        protocol["network"]["width"] = min(protocol["network"]["width"], NETWORK_WIDTH)
    if "images_per_group" in protocol:
        protocol["images_per_group"] = SHORT_BATCH  # several groups in a forward pass
    network = options(NETWORKS[protocol["network"]["name"]])
    for name in ("weights", "sha256"):  # pretrained weights are not on every machine
        if name in network and not network[name].required:
            protocol["network"].pop(name, None)
    for part in (method["learner"], *method["addons"]):
        part |= {name: min(part[name], limit) for name, limit in LIMITS.items() if name in part}
        part |= {"ramp_up": max(part["ramp_up"], RAMP)} if "ramp_up" in part else {}
        lower_threshold(part, short["dataset"]["num_classes"])
    for name in ("split", "estimate"):  # `write_data` makes these files; the encoder comes from the upstream run
        if "of" in plan.get(name, {}):
            plan[name] |= {"of": NAME, "key": NAME}
    return short


def _batch(learner: Mapping[str, Any], classes: int) -> int:
    """Return a small batch size with which all labeled images are in a memory bank at step `instance_start`, if any."""
    bank = _labeled(classes).sum() if "instance_start" in learner else 0
    return max(SHORT_BATCH, math.ceil(bank / LIMITS["instance_start"]))


def _labeled(classes: int) -> Any:
    """Return the number of labeled images of each class (K,): two in every third class, one in the others."""
    return np.where(np.arange(classes) % 3, 1, 2)


def lower_threshold(part: dict[str, Any], classes: int) -> None:
    """Lower a probability threshold so that an untrained network exceeds it, others in proportion; raise the energy."""
    if "energy" in part:
        part["energy"] = max(part["energy"], 0.0)
    if "threshold" in part:
        lower = 2 / classes
        factor = lower / part["threshold"]
        part |= {name: part[name] * factor for name in ("delta", "open_threshold") if name in part}
        part["threshold"] = lower


def write_data(config: Mapping[str, Any], folder: Path) -> dict[str, Path]:
    """Write images, split and estimate of a short run; return their paths by the option of `daso train`.

    Images (3, S, S) are a pattern of their class plus noise, so that a few steps raise the confidence. The class
    distributions of labeled and unlabeled images differ. In a setting with `all` unlabeled images, as on STL-10, their
    classes are unknown; in an open set, some of them are of no class.
    """
    dataset, plan, draw = config["dataset"], config["plan"], np.random.default_rng(0)
    k, size = dataset["num_classes"], dataset["image_size"]
    stored = k + ("outside" in config["setting"])  # classes of the store
    counts = {"labeled": _labeled(k), "unlabeled": 3 + np.arange(stored) % 4, "validation": np.full(k, 2)}
    parts = {name: np.repeat(np.arange(len(sizes)), sizes) for name, sizes in counts.items()}
    labels, test = np.concatenate(list(parts.values())), np.repeat(np.arange(k), 2)
    patterns = draw.integers(64, 192, (stored, 3, size, size))

    def images(classes: Any) -> Any:
        return (patterns[classes] + draw.integers(-64, 64, (len(classes), 3, size, size))).astype(np.uint8)

    pixels = {"train": images(labels), "test": images(test)}
    first, last = len(parts["labeled"]), len(parts["labeled"]) + len(parts["unlabeled"])
    pseudo_labeled = labels[first : first + k].copy() if "of" in plan.get("split", {}) else np.empty(0, np.int64)
    if config["setting"].get("m1") == "all":
        labels[first:last][labels[first:last] < k] = -1
    known = {"train": labels, "test": test}
    images_and_labels = {part: (pixels[part], known[part]) for part in pixels}
    listed = sorted(name for names in dataset.get("super_classes", {}).values() for name in names)
    names = listed[:stored] or [str(name) for name in range(stored)]
    store = write_store(folder / "store", dataset["name"], names, images_and_labels, {"kind": NAME})
    rows = np.arange(len(labels))
    labeled = np.concatenate([rows[:first], rows[first : first + len(pseudo_labeled)]])
    head = {"dataset": dataset["name"], "setting": config["setting"]["name"], "seed": 0, "config_sha256": NAME}
    head |= {"source_sha256": store.sha256, "class_order": list(range(k))}
    if stored > k:
        head["outside"] = {"classes": [k], "share": 0.1}
    if "split" in plan:
        head |= {"drawn_sha256": NAME, "derivation": plan["split"]}
    save_split(head, Split(labeled, rows[first:last], rows[last:], pseudo_labeled), labels, folder / SPLIT_FILE)
    paths = {"store": folder / "store", "split": folder / SPLIT_FILE}
    if "encoder" in plan:
        paths["encoder"] = (run_folder(plan["encoder"]["of"]) / WEIGHTS_FILE).absolute()
    if "estimate" in plan:
        paths["estimate"] = folder / ESTIMATE_FILE
        estimate = {"run": NAME, "key": NAME, "sizes": counts["unlabeled"][:k].tolist()}
        write_file(paths["estimate"], checksummed(estimate | {"reliable": 1, "evaluations": 1}))
    return paths


def train_short_run(root: Path, config: Mapping[str, Any], data: Mapping[str, Path], folder: Path) -> None:
    """Train with the code in `root` into a new folder, eagerly on one CPU thread; raises DataError if it fails.

    The code compares its own digest with `config["code"]`, so no other code can have run.
    """
    folder.mkdir()
    (folder / CONFIG_FILE).write_bytes(format_json(config))
    paths = {"config": CONFIG_FILE, **data, "out": "out", "scratch": "scratch"}
    options = [argument for name, path in paths.items() for argument in (f"--{name}", str(path))]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "DASO_GPUS": "0", "DASO_COMMIT": NAME}
    command = [sys.executable, "-m", "daso", "train", *options, "--managed", "--device", "cpu", "--mode", "eager"]
    process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if process.returncode:
        raise DataError(next(reversed(process.stderr.strip().splitlines()), f"exit status {process.returncode}"))


def differences(one: Path, two: Path) -> list[str]:
    """Return the names of the tensors and files in which two short runs differ."""
    digests = [read_json(folder / "out" / RESULT_FILE, "result of a run")["files"] for folder in (one, two)]
    files = [name for name in COMPARED_FILES if digests[0].get(name) != digests[1].get(name)]
    first, second = (_tensors(folder / "scratch" / f"{NAME}.pt") for folder in (one, two))
    names = first.keys() | second.keys()
    return [*sorted(name for name in names if first.get(name) != second.get(name)), *files]


def _tensors(path: Path) -> dict[str, tuple[Any, ...]]:
    """Return dtype, shape and bytes of each tensor of a checkpoint: networks, momentum, method, monitor."""
    import torch

    return {
        name: (leaf.dtype, leaf.shape, leaf.contiguous().flatten().view(torch.uint8).numpy().tobytes())
        for name, leaf in leaves(torch.load(path, map_location="cpu", weights_only=True))
        if isinstance(leaf, torch.Tensor)
    }


def leaves(tree: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested dicts and lists, and empty ones among these, with their dotted names."""
    if isinstance(tree, dict | list) and tree:
        for key, part in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from leaves(part, f"{name}.{key}".lstrip("."))
    else:
        yield name, tree
