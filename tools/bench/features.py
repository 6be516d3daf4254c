"""Photographs on a CPU core: encoding against timm's own forward pass, a training step against plain PyTorch."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from daso.aliases import Config
from daso.augment.views import Augmentation
from daso.config.build import encoder_of
from daso.config.load import load_params
from daso.config.resolve import Run, resolve
from daso.data.features import VIEW_KINDS, FeatureRows
from daso.data.store import Store, write_store
from daso.engine.encode import FORWARD_IMAGES, encode_store
from daso.engine.environment import describe_environment
from daso.engine.feature_pool import FeaturePool
from daso.engine.resident import Resident
from daso.planning.synthetic import all_parts_active, random_data, trainer, with_changes
from tools.bench.measure import Measure, Times, interleaved, ratios, scaled
from tools.bench.reference import Reference

CPU = torch.device("cpu")
RUN = Run("cifar10-lt", "n500-m4000-l100-u100", "photos", "fixmatch_la_daso", 0)
NECK = 256  # outputs of the trained layer that DASO needs
# Of photos: see `daso init`.
AUGMENT: dict[str, Any] = {
    **{"flip": True, "crop": {"size": 128, "scale": [0.3, 1.0], "ratio": [3 / 4, 4 / 3]}, "test": "resize"},
    **{"cutout": 64, "num_ops": 2, "op_probability": 0.5},
    "ops": ["autocontrast", "brightness", "color", "contrast", "sharpness", "rotate", "shear_x", "shear_y",
            "translate_x", "translate_y"],
}  # fmt: skip
OURS, TIMM, PLAIN = "ours", "timm's forward pass", "plain PyTorch"


class Result(NamedTuple):
    """Processor seconds per unit of each contender in each round, name of the unit, and largest allowed ratio."""

    times: Times
    unit: str
    other: str  # contender with which ours is compared
    allowed: float


def run_config() -> Config:
    """Return the configuration of FixMatch + LA + DASO with a neck, all parts of which are active."""
    config = resolve(load_params(), RUN)
    return all_parts_active(with_changes(config, {"protocol.network.neck": NECK}))


def measure_features(repeats: int, steps: int) -> Result:
    """Time steps of a run on random features, and of the reference on batches that it draws from the same features."""
    config = run_config()
    data = random_data(config, CPU)
    run, plain = trainer(config, CPU, "eager", data), _PlainSteps(config, data)
    contenders: dict[str, Measure] = {
        OURS: lambda: _processor_seconds(lambda: run.advance(run.t + steps), steps),
        PLAIN: lambda: _processor_seconds(lambda: plain.run(steps), steps),
    }
    interleaved(contenders, 1)  # the first steps are slower
    return Result(interleaved(contenders, repeats), "training step", PLAIN, 1.5)


class _PlainSteps:
    """Steps of the reference on features that are drawn uniformly."""

    def __init__(self, config: Config, data: Resident) -> None:
        assert isinstance(data.labeled, FeaturePool)
        self.data, self.labeled = data, config["protocol"]["batch_size"]
        self.unlabeled = self.labeled * config["method"]["unlabeled_ratio"]
        self.reference = Reference(config, CPU, data.labeled.counts(config["dataset"]["num_classes"]))

    def run(self, steps: int) -> None:
        """Take `steps` more steps."""
        for _ in range(steps):
            self._step()

    def _step(self) -> None:
        x = torch.randint(len(self.data.labeled), (self.labeled,))
        u = torch.randint(len(self.data.unlabeled), (self.unlabeled,))
        labeled, unlabeled = self.data.labeled.images, self.data.unlabeled.images
        assert isinstance(labeled, Tensor)
        assert isinstance(unlabeled, Tensor)
        weak, strong = _view(unlabeled, u, "weak"), _view(unlabeled, u, "strong")
        self.reference.step(_view(labeled, x, "weak"), self.data.labeled.labels[x], weak, strong)


def _view(images: Tensor, rows: Tensor, kind: str) -> Tensor:
    """Return a random view (n, D) float32 of a kind for each row of images (m, V, D)."""
    numbers = torch.tensor([number for number, each in enumerate(VIEW_KINDS) if each == kind])
    return images[rows, numbers[torch.randint(len(numbers), (len(rows),))]].float()


def measure_encode(repeats: int, images: int) -> Result:
    """Time the encoding of all views of random photos, and timm's forward passes of as many random images."""
    network = resolve(load_params(), RUN)["protocol"]["network"]
    encoder, batch = encoder_of(network), FORWARD_IMAGES[CPU.type]
    stated = encoder.preprocessing
    assert stated is not None
    augmentation = Augmentation(size=network["image_size"], interpolation=stated.interpolation, **AUGMENT)
    with tempfile.TemporaryDirectory() as folder:
        store = _random_store(Path(folder, "store"), network["image_size"], images, test=batch)
        views, number = images * len(VIEW_KINDS) + batch, count()

        def ours() -> float:
            rows = FeatureRows(Path(folder, f"rows{next(number)}"), encoder.feature_dim)
            return _processor_seconds(lambda: encode_store(encoder, stated, augmentation, store, rows), views)

        contenders: dict[str, Measure] = {OURS: ours, TIMM: _timm_forward(network, encoder.layout, batch, views)}
        interleaved(contenders, 1)
        return Result(interleaved(contenders, repeats), "view", TIMM, 1.2)


def _random_store(folder: Path, side: int, images: int, test: int) -> Store:
    """Write a store of random pixels of two classes."""
    rng = np.random.default_rng(0)
    parts = {
        part: (rng.integers(0, 256, (n, 3, side, side), dtype=np.uint8), np.arange(n) % 2)
        for part, n in (("train", images), ("test", test))
    }
    return write_store(folder, "random", ("a", "b"), parts, {"kind": "random"})


def _timm_forward(network: Config, layout: torch.memory_format, batch: int, views: int) -> Measure:
    """Return a measurement of forward passes of a batch of random images, in the memory format of our encoder."""
    import timm

    model = timm.create_model(network["model"], num_classes=0).eval().to(memory_format=layout)
    images = torch.rand(batch, 3, network["image_size"], network["image_size"]).to(memory_format=layout)

    def forward() -> None:
        with torch.inference_mode():
            for _ in range(math.ceil(views / batch)):
                model(images)

    return lambda: _processor_seconds(forward, views)


def _processor_seconds(work: Callable[[], object], units: int) -> float:
    """Return the processor time per unit of `work`, which other programs on the machine change little."""
    start = time.process_time()
    work()
    return (time.process_time() - start) / units


def markdown(result: Result, command: str) -> Iterator[str]:
    """Yield the lines of a section on a result."""
    made = describe_environment(CPU)
    versions = ", ".join(f"{name} {version}" for name, version in made["versions"].items())
    ours, other = result.times[OURS], result.times[result.other]
    ratio = ratios(ours, other)
    yield from ("```sh", command, "```", "")
    yield f"Commit {made['commit']}; {made['device']}; {made['threads']} thread; {ratio.n} rounds; {versions}."
    yield from ("", f"| processor ms a {result.unit}, median | |", "| --- | --- |")
    for name, seconds in result.times.items():
        yield f"| {name} | {scaled(seconds, 1e3).median:.1f} |"
    yield f"| {OURS} / {result.other}, median of rounds | {ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f}) |"
    yield f"| required | at most {result.allowed} |"
