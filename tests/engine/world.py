"""Tiny run of two classes; the pixels of an image encode its index and label."""

from collections.abc import Iterator
from typing import Any

import torch

from daso.config.build import build
from daso.engine.resident import Pool, Resident
from daso.engine.trainer import Trainer
from daso.planning.synthetic import with_changes
from daso.records import Batch
from tests.configs import CPU, config

CHANGES = {
    "run": "tiny",
    "dataset.name": "tiny",
    "dataset.num_classes": 2,
    "dataset.image_size": 4,
    "dataset.mean": [0.5] * 3,
    "dataset.std": [0.25] * 3,
    "dataset.augment": {"flip": False, "pad": 0, "cutout": 0, "num_ops": 0, "op_probability": 0.0, "ops": []},
    "protocol.steps": 6,
    "protocol.batch_size": 4,
    "protocol.network": {"name": "small_convnet", "channels": [4], "strides": [1]},
    "protocol.evaluation": {"every": 2, "median_of": 2},
    "protocol.checkpoint_every": 2,
    "method.name": "m",
    "method.learner.threshold": 0.5,
    "optimizer.lr": 0.1,
    "optimizer.weight_decay": 0.01,
    "optimizer.warmup": 2,
    "optimizer.milestones": [4],
    "optimizer.factor": 0.1,
}
CONFIG: dict[str, Any] = with_changes(config(), CHANGES)
SUPERVISED = {"name": "m", "unlabeled_ratio": 0, "learner": {"name": "supervised"}, "addons": []}


def pool(labels: list[int], first: int) -> Pool:
    """Return a pool whose image i has red `first + i` and its label as green in every pixel."""
    red = torch.arange(first, first + len(labels), dtype=torch.int32)
    images = red | (torch.tensor(labels, dtype=torch.int32) << 8)
    return Pool(images[:, None, None].expand(-1, 4, 4).contiguous(), torch.tensor(labels, dtype=torch.int64))


def batches(run: Trainer, start: int, end: int) -> Iterator[Batch]:
    """Yield the batches of steps start..end-1."""
    for chunk in run.loader.chunks(start, end):
        for step_index in range(len(chunk.t)):
            yield run.loader.batch(chunk, torch.tensor([step_index], device=run.loader.device))


def trainer(**changes: Any) -> Trainer:
    data = Resident(pool([0] * 6 + [1] * 3, 0), pool([0, 1] * 8, 100), pool([0, 1], 200), pool([0, 0, 1], 210))
    return build({**CONFIG, "draw_seed": changes.get("seed", 0), **changes}, data, CPU)
