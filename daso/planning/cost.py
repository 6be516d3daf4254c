"""What runs cost: steps and images by their configurations, device-hours by steps of the same methods as measured."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from daso.config.feasibility import unlabeled_views
from daso.config.keys import MEASURED
from daso.config.params import Params
from daso.config.resolve import Run, resolve
from daso.data.files import digest, read_checksummed, read_json
from daso.report.collect import Cell
from daso.report.speed import by_environment, three_digits

BENCHMARKS = Path("docs/benchmarks")
STEPS = Path("benchmarks/steps.json")  # what `daso plan --measure` has measured here
OURS = "ours, "  # how a benchmark names the engine, before its mode and precision


class Work(NamedTuple):
    """How much a run computes."""

    steps: int
    images: int  # views of labeled and unlabeled images that go through the network

    @classmethod
    def of(cls, params: Params, run: Run) -> Work:
        """The work of one run, as its configuration has it."""
        config = resolve(params, run)
        method, protocol = config["method"], config["protocol"]
        step = protocol["batch_size"] * (1 + len(unlabeled_views(method["learner"])) * method["unlabeled_ratio"])
        return cls(protocol["steps"], protocol["steps"] * step)


def lines(params: Params, runs: Sequence[Run], todo: Sequence[Run]) -> Iterator[str]:
    """The cost of runs of one dataset and protocol in words, and of those still to be done."""
    work = [Work.of(params, run) for run in runs]
    steps, images = (sum(column) for column in zip(*work, strict=True))
    yield f"{len(runs)} runs, {steps:,} steps, {images:,} images"
    found = {run.recipe: dict(paces(params, run)) for run in runs}
    if lacking := [recipe for recipe, mine in found.items() if not mine]:
        yield f"device-hours unknown: no step of {' and '.join(lacking)} on such images has been measured"
        return
    common = [way for way in next(iter(found.values())) if all(way in mine for mine in found.values())]
    if not common:
        yield f"device-hours unknown: no one machine has measured steps of {' and '.join(found)}"
    for way in common:
        hours = {run: done.steps * found[run.recipe][way] / 3600 for run, done in zip(runs, work, strict=True)}
        total, left = three_digits(sum(hours.values())), three_digits(sum(hours[run] for run in todo))
        a_step = ", ".join(f"{three_digits(1000 * mine[way])} ms a step of {recipe}" for recipe, mine in found.items())
        yield f"{total} device-hours, {left} of them to be done, on {way}: {a_step}"


class Timed(NamedTuple):
    """What a step of a method took, as it was measured somewhere."""

    device: str  # with its threads where they matter
    how: str  # precision, mode
    place: str  # the file or folder that says so
    seconds: float  # of the device

    def __str__(self) -> str:
        return f"{self.device}, {self.how} ({self.place})"


def paces(params: Params, run: Run) -> Iterator[tuple[str, float]]:
    """Where and how steps of a run's method were measured, and the seconds of the device that one takes: `timed`."""
    return ((str(one), one.seconds) for one in timed(params, run))


def timed(params: Params, run: Run, *, every_mode: bool = False) -> Iterator[Timed]:
    """Every measurement of a step of a run's method.

    Measured are runs of the same protocol on images of the same size, whatever their setting, the steps that `daso plan
    --measure` has taken here, and the benchmarks of this machine and others: of each the fastest mode, unless
    `every_mode`. Raises DataError where a file is damaged.
    """
    side = params.datasets[run.dataset]["image_size"]
    alike = [name for name, tree in params.datasets.items() if tree["image_size"] == side]
    for place, pattern in (("metrics", "s*.json"), (MEASURED, "s*/metrics.json")):
        files = [file for name in alike for file in Path(place).glob(f"{name}/*/{run.protocol}/{run.recipe}/{pattern}")]
        metrics = dict(enumerate(read_checksummed(file, "file of metrics") for file in sorted(files)))
        for (device, how), speeds in by_environment(Cell("", "", run.recipe, "", (), done=metrics)).items():
            seconds = [1 / (speed["steps_per_second"] * (speed.get("replicas") or 1)) for speed in speeds]
            yield Timed(device, how, f"{place}/", statistics.median(seconds))
    for one in read_json(STEPS, "record of measured steps")["steps"] if STEPS.exists() else ():
        if one["of"] == kind(params, run):
            yield Timed(one["device"], one["how"], str(STEPS), one["seconds"])
    for file in sorted(BENCHMARKS.glob("*.json")):
        modes = list(_benchmark(file, run.recipe, params.protocols[run.protocol]["steps"], side))
        yield from modes if every_mode else sorted(modes, key=lambda one: one.seconds)[:1]


def kind(params: Params, run: Run) -> str:
    """A digest of what a step's cost depends on: method, network, batch and images; not the setting or the budget."""
    protocol, dataset = params.protocols[run.protocol], params.datasets[run.dataset]
    parts = {name: protocol[name] for name in ("network", "batch_size", "precision", "teacher", "evaluation")}
    images = {name: dataset[name] for name in ("num_classes", "image_size", "augment")}
    method = params.methods[run.recipe]
    return digest([run.recipe, method["learner"], method.get("addons", []), parts, images])[:16]


def _benchmark(file: Path, recipe: str, steps: int, side: int) -> Iterator[Timed]:
    """Every mode in which a benchmark took steps of a method, under a protocol of so many."""
    tree = read_json(file, "benchmark")
    sections: Mapping[str, Any] = tree.get("sections", {})
    if tree.get("machine", {}).get("quick"):
        return
    for section in sections.values():
        for table in section.get("tables", ()):
            of_ours = table["title"] == f"Steps of {recipe}" and f" images of {side} pixels a side" in table["how"]
            if of_ours and table["columns"][-1] == f"hours for {steps:,} steps":
                for name, milliseconds, *_ in table["rows"]:
                    if name.startswith(OURS):
                        how, seconds = name.removeprefix(OURS), milliseconds["median"] / 1000
                        yield Timed(section["made_with"]["device"], how, str(file), seconds)
