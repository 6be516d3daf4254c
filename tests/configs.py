"""Resolved configurations of FixMatch and FixMatch + DASO, small enough for tests."""

from typing import Any

import torch

CPU = torch.device("cpu")
DASO = {
    "name": "daso",
    "proto_temperature": 0.05,
    "dist_temperature": 1.5,
    "queue_length": 12,
    "queue_capacity": "equal",
    "queue_encoder": "teacher",
    "period": 2,
    "warmup": 2,
    "weight": 1.0,
    "blend": "distribution",
}


SMALL = {"name": "small_convnet", "channels": [16, 32], "strides": [2, 1]}
WIDE = {"name": "wide_resnet", "depth": 10, "width": 1}


def config(*addons: dict[str, Any], network: dict[str, Any] = SMALL) -> dict[str, Any]:
    """Return a configuration of FixMatch on 16 x 16 images of four classes."""
    return {
        "run": "bench",
        "key": "k",
        "dataset": {
            "name": "random",
            "num_classes": 4,
            "image_size": 16,
            "mean": [0.49, 0.48, 0.45],
            "std": [0.25, 0.24, 0.26],
            "augment": {
                "flip": True,
                "pad": 2,
                "cutout": 8,
                "num_ops": 2,
                "op_probability": 0.5,
                "ops": ["rotate", "color", "equalize", "identity"],
            },
        },
        "setting": {"name": "s"},
        "protocol": {
            "name": "p",
            "steps": 1000,
            "batch_size": 16,
            "precision": "fp32",
            "network": network,
            "teacher": {"decay": 0.9, "bn": "authors"},
            "evaluation": {"every": 1000, "median_of": 1},
            "checkpoint_every": 1000,
        },
        "method": {
            "name": "fixmatch_daso" if addons else "fixmatch",
            "unlabeled_ratio": 2,
            "learner": {"name": "fixmatch", "threshold": 0.28, "weight": 1.0, "confidence": "refined"},
            "addons": list(addons),
        },
        "optimizer": {
            "lr": 0.01,
            "momentum": 0.9,
            "nesterov": True,
            "weight_decay": 0.0005,
            "warmup": 0,
            "milestones": [],
            "factor": 1.0,
        },
        "plan": {},
        "seed": 0,
        "draw_seed": 0,
        "split_config_sha256": "",
    }
