"""A step of a pretrained network that is trained on photographs of 224 pixels, by the part of it that is trained."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from daso.config.load import load_params
from daso.config.resolve import Run, resolve
from daso.engine.environment import choose_device, describe_environment, peak_memory
from daso.planning.synthetic import random_data, synchronize, trainer, with_changes

RUN = Run("cifar10-lt", "n500-m4000-l100-u100", "photos-pixels", "fixmatch_la", 0)
SIDE = 224  # of the stored images
CROP = {"size": SIDE, "scale": [0.3, 1.0], "ratio": [3 / 4, 4 / 3]}


def measure(trained: Sequence[str], batch: int, device_name: str) -> dict[str, Any]:
    """Take two steps with each of the parts `trained`; return the seconds of the second, wall and processor."""
    device = choose_device(device_name)
    config = with_changes(resolve(load_params(), RUN), {"dataset.image_size": SIDE, "protocol.batch_size": batch})
    augment = {name: value for name, value in config["dataset"]["augment"].items() if name not in ("pad", "resize")}
    config = with_changes(config, {"dataset.augment": {**augment, "crop": CROP, "test": "resize"}})
    data = random_data(config, device, unlabeled=100, test=1)
    seconds = {}
    for part in trained:
        run = trainer(with_changes(config, {"protocol.network.train": part}), device, "eager", data)
        run.advance(1)
        synchronize(device)
        start = time.perf_counter(), time.process_time()
        run.advance(2)
        synchronize(device)
        seconds[part] = time.perf_counter() - start[0], time.process_time() - start[1]
    images = {"labeled": batch, "unlabeled": batch * config["method"]["unlabeled_ratio"]}
    return {"seconds": seconds, "images": images, "peak_mib": peak_memory(device), **describe_environment(device)}


def markdown(result: dict[str, Any], command: str) -> Iterator[str]:
    """Yield the lines of a section."""
    images, versions = result["images"], ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    yield "## Training on pixels, one core"
    yield ""
    yield f"A step of FixMatch + LA by the protocol `photos-pixels`, measured once: {images['labeled']} labeled and"
    yield f"{images['unlabeled']} unlabeled images in two views, random, of {SIDE} pixels; AdamW with rates by layer."
    yield ""
    yield from ("```sh", command, "```", "")
    yield f"Commit {result['commit']}; {result['device']}; {result['threads']} thread; {versions}."
    yield f"Peak memory {result['peak_mib']:,.0f} MiB."
    yield from ("", "| `train` | seconds of a step | of the processor |", "| --- | --- | --- |")
    for part, (wall, processor) in result["seconds"].items():
        yield f"| `{part}` | {wall:.1f} | {processor:.1f} |"
