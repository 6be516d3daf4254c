"""Cost of runs: steps and images from their configurations, device-hours from measured steps of the same methods."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from daso.config.epochs import image_numbers
from daso.config.feasibility import views_of
from daso.config.keys import ARCHIVE, REFERENCES
from daso.config.params import Params
from daso.config.protocol_where import protocol_in, setting_place
from daso.config.resolve import Run, resolve, setting_config, table_protocol, trace_options
from daso.data.files import digest, read_checksummed, read_json
from daso.paths import METRICS
from daso.report.results.collect import Cell
from daso.report.tables.speed import (
    SHARED,
    by_environment,
    device_of,
    format_significant,
    machine_was_shared,
    mode_of,
)

BENCHMARKS = Path("docs/benchmarks")
STEP_TIMES = Path("benchmarks/steps.json")  # steps measured here by `daso plan --measure`
OURS = "ours, "  # prefix of this engine's rows in a table of a benchmark, before mode and precision


class Work(NamedTuple):
    """Amount of computation of a run."""

    steps: int
    images: int  # views of labeled and unlabeled images

    @classmethod
    def of(cls, params: Params, run: Run) -> Work:
        """Return the work of a run from its configuration."""
        config = resolve(params, run)
        method, protocol = config["method"], config["protocol"]
        views = views_of(method["learner"])
        images = {"labeled": protocol["batch_size"], "unlabeled": protocol["batch_size"] * method["unlabeled_ratio"]}
        if views.get("all_images"):
            known = image_numbers(params.datasets[run.dataset], setting_config(params, run.dataset, run.setting))
            images |= {part: number for part, number in known.items() if number is not None}
        step = images["labeled"] * len(views["x"]) + images["unlabeled"] * len(views["u"])
        return cls(protocol["steps"], protocol["steps"] * step)


def cost_lines(params: Params, runs: Sequence[Run], todo: Sequence[Run]) -> Iterator[str]:
    """Yield lines on the cost of runs of one dataset and protocol, and of the runs `todo` among them."""
    work = [Work.of(params, run) for run in runs]
    steps, images = (sum(column) for column in zip(*work, strict=True))
    yield f"{len(runs)} runs, {steps:,} steps, {images:,} images"
    by_method = {run.method_file: {str(one): one.seconds for one in measured_steps(params, run)} for run in runs}
    if unmeasured := [method_file for method_file, seconds in by_method.items() if not seconds]:
        yield f"device-hours unknown: steps of {' and '.join(unmeasured)} not measured on images of this size"
        return
    first, *others = by_method.values()
    environments = [environment for environment in first if all(environment in seconds for seconds in others)]
    if not environments:
        yield f"device-hours unknown: no machine has measured steps of both {' and '.join(by_method)}"
    for environment in environments:
        seconds = {method_file: times[environment] for method_file, times in by_method.items()}
        hours = {run: each.steps * seconds[run.method_file] / 3600 for run, each in zip(runs, work, strict=True)}
        total, left = format_significant(sum(hours.values())), format_significant(sum(hours[run] for run in todo))
        per_step = ", ".join(
            f"{format_significant(1000 * s)} ms per step of {method_file}" for method_file, s in seconds.items()
        )
        yield f"{total} device-hours, {left} of them to do, on {environment}: {per_step}"


class StepTime(NamedTuple):
    """Measured time of a step of a method."""

    device: str  # with the number of threads if it is a CPU
    how: str  # precision, mode
    source: str  # file or folder of the measurement
    seconds: float  # device time of one step

    def __str__(self) -> str:
        return f"{self.device}, {self.how} ({self.source})"


def measured_steps(params: Params, run: Run, *, every_mode: bool = False) -> Iterator[StepTime]:
    """Yield every measurement of a step of a run's method.

    Sources are finished runs of the same protocol on images of the same size in any setting, steps measured here by
    `daso plan --measure`, references of suites of the same protocol and dataset, and benchmarks of any machine, of
    which only the fastest mode counts unless `every_mode`.
    Runs that shared their core count only if there are no others. Raises DataError if a file is damaged.
    """
    side = params.datasets[run.dataset]["image_size"]
    same_size = [name for name, tree in params.datasets.items() if tree["image_size"] == side]
    for folder, pattern in ((METRICS, "s*.json"), (ARCHIVE, "s*/metrics.json")):
        files = [
            file
            for name in same_size
            for file in Path(folder).glob(f"{name}/*/{run.protocol}/{run.method_file}/{pattern}")
        ]
        metrics = dict(enumerate(read_checksummed(file, "metrics file") for file in sorted(files)))
        for (device, how), speeds in by_environment(Cell("", "", run.method_file, "", (), done=metrics)).items():
            alone = [speed for speed in speeds if not machine_was_shared(speed)]
            seconds = [1 / (speed["steps_per_second"] * (speed.get("replicas") or 1)) for speed in alone or speeds]
            source = f"{folder}/" if alone else f"{folder}/, {SHARED}"
            yield StepTime(device, how, source, statistics.median(seconds))
    for entry in read_json(STEP_TIMES, "record of measured steps")["steps"] if STEP_TIMES.exists() else ():
        if entry["of"] == step_digest(params, run):
            yield StepTime(entry["device"], entry["how"], str(STEP_TIMES), entry["seconds"])
    yield from _references(params, run)
    for file in sorted(BENCHMARKS.glob("*.json")):
        steps = trace_options(params, run).protocol["steps"]
        modes = list(_benchmark(file, run.method_file, steps, side))
        yield from modes if every_mode else sorted(modes, key=lambda mode: mode.seconds)[:1]


def _references(params: Params, run: Run) -> Iterator[StepTime]:
    """Yield the time of a step of a run's method in each reference of a suite of its protocol and dataset."""
    for file in sorted(Path(REFERENCES).glob("*.json")):
        tree, suite = read_checksummed(file, "reference"), params.suites.get(file.stem)
        if not suite or any(
            (table["dataset"], table_protocol(suite, table)) != (run.dataset, run.protocol) for table in suite["tables"]
        ):
            continue
        if seconds := tree.get("seconds_per_step", {}).get(run.method_file):
            environment = {**tree["environment"], "threads": int(tree["environment"]["threads"])}
            yield StepTime(device_of(environment), mode_of(environment, {}), str(file), seconds)


def step_digest(params: Params, run: Run) -> str:
    """Return a digest of method, network, batch and images, which decide a step's cost; not of setting or budget."""
    protocol, _ = protocol_in(params.protocols[run.protocol], setting_place(params, run.dataset, run.setting))
    dataset = params.datasets[run.dataset]
    names = ("network", "batch_size", "unlabeled_ratio", "precision", "teacher", "evaluation")
    parts = {name: protocol[name] for name in names if name in protocol}
    images = {name: dataset[name] for name in ("num_classes", "image_size", "augment")}
    method = params.methods[run.method_file]
    return digest([run.method_file, method["learner"], method.get("addons", []), parts, images])[:16]


def _benchmark(file: Path, method_file: str, steps: int, side: int) -> Iterator[StepTime]:
    """Yield the time of a step of a method in every mode of a benchmark under a protocol of `steps` steps."""
    tree = read_json(file, "benchmark")
    sections: Mapping[str, Any] = tree.get("sections", {})
    if tree.get("machine", {}).get("quick"):
        return
    for section in sections.values():
        for table in section.get("tables", ()):
            of_method = (
                table["title"] == f"Steps of {method_file}" and f" images of {side} pixels a side" in table["how"]
            )
            if of_method and table["columns"][-1] == f"hours for {steps:,} steps":
                for name, milliseconds, *_ in table["rows"]:
                    if name.startswith(OURS):
                        how, seconds = name.removeprefix(OURS), milliseconds["median"] / 1000
                        yield StepTime(section["made_with"]["device"], how, str(file), seconds)
