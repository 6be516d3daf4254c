"""One step of FixMatch at the sizes of Semi-Aves: ResNet-34, 224 pixels, 256 + 2 x 1,280 images, in groups.

Images and weights are random; the time of a step depends on neither.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

from daso.augment.randaugment import COLOR_OPS, GEOMETRIC_OPS
from daso.engine.environment import choose_device, describe_environment, peak_memory
from daso.planning.synthetic import random_data, trainer

RATIO = 5  # unlabeled images for each labeled one


def config(batch: int, images_per_group: int, precision: str) -> dict[str, Any]:
    """Return the configuration of a step with `batch` labeled images."""
    crop = {"size": 224, "scale": [0.08, 1.0], "ratio": [3 / 4, 4 / 3]}
    return {
        "run": "photos",
        "key": "photos",
        "dataset": {
            "name": "random",
            "num_classes": 200,
            "image_size": 256,
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
            "augment": {
                **{"flip": True, "crop": crop, "cutout": 112},
                **{"num_ops": 2, "op_probability": 0.5, "ops": [*COLOR_OPS, *GEOMETRIC_OPS]},
            },
        },
        "protocol": {
            "name": "photos",
            "steps": 1000,
            "batch_size": batch,
            "precision": precision,
            "network": {"name": "resnet", "depth": 34},
            "images_per_group": images_per_group,
            "teacher": {"decay": 0.9, "bn": "authors"},
            "evaluation": {"every": 1000, "median_of": 1},
            "checkpoint_every": 1000,
        },
        "method": {
            "name": "fixmatch",
            "unlabeled_ratio": RATIO,
            "learner": {"name": "fixmatch", "threshold": 0.95, "weight": 1.0, "confidence": "refined"},
            "addons": [],
        },
        "optimizer": {
            **{"lr": 0.04, "momentum": 0.9, "nesterov": True, "weight_decay": 0.0003},
            **{"warmup": 0, "milestones": [], "factor": 0.1},
        },
        "plan": {},
        "draw_seed": 0,
    }


def measure(batch: int, images_per_group: int, precision: str, device_name: str) -> dict[str, Any]:
    """Take one step and return its seconds, in total and by part, and the peak memory of the process or the GPU."""
    device = choose_device(device_name)
    options = config(batch, images_per_group, precision)
    run = trainer(options, device, "eager", random_data(options, device, unlabeled=RATIO * batch, test=1))
    before, start = peak_memory(device), time.perf_counter()
    run.advance(1)
    seconds = time.perf_counter() - start
    images = batch * (1 + 2 * RATIO)
    return {
        "images": images,
        "groups": math.ceil(images / images_per_group),
        "images_per_group": images_per_group,
        "precision": run.precision,
        "seconds": seconds,
        "parts": dict(run.stopwatch.read()),
        "peak_mib": peak_memory(device),
        "before_mib": before,
        **describe_environment(device),
    }


def markdown(result: dict[str, Any], command: str) -> Iterator[str]:
    """Yield the lines of the page."""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    yield "# A step on photos"
    yield ""
    yield "One step of FixMatch at the sizes of Semi-Aves, measured once: ResNet-34 with random weights, 200 classes,"
    yield "random images of 256 x 256 pixels, views of 224 x 224. The encoder runs in groups, each computed twice"
    yield "([groups-of-images](../fidelity.md#groups-of-images)). Time and memory include the views of the images."
    yield ""
    yield "```sh"
    yield command
    yield "```"
    yield ""
    yield f"Commit {result['commit']}; {result['device']}; {result['threads']} threads; {versions}."
    yield ""
    yield "| measured | |"
    yield "| --- | --- |"
    yield f"| images in a forward pass | {result['images']:,} |"
    yield f"| groups | {result['groups']} of at most {result['images_per_group']} images |"
    yield f"| precision | {result['precision']} |"
    yield f"| seconds of the step | {result['seconds']:.0f} |"
    for part, seconds in result["parts"].items():
        yield f"| seconds of this: {part} | {seconds:.1f} |"
    yield f"| peak memory | {result['peak_mib']:,.0f} MiB |"
    yield f"| peak memory before the step | {result['before_mib']:,.0f} MiB |"
