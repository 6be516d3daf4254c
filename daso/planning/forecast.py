"""Forecast of a suite before it runs: runs to do, device-hours, time and disk space on this machine."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from daso.config.explain import align_columns
from daso.config.keys import Keys
from daso.config.network import pretrained_weights
from daso.config.params import Params
from daso.config.resolve import Run, runs, upstream_runs, with_upstream
from daso.data.files import format_json, read_json, write_file
from daso.engine.gpus import devices, query_gpu, slots_per_gpu
from daso.errors import DataError
from daso.machine import cores, cpu_bf16, processor
from daso.planning.cost import STEP_TIMES, StepTime, Work, measured_steps, step_digest
from daso.planning.disk import disk_lines, images_of
from daso.planning.status import TO_DO, run_statuses
from daso.report.tables import forecasts
from daso.report.tables.provenance import format_duration
from daso.report.tables.speed import device_of, format_significant
from daso.report.words import with_noun


class Machine(NamedTuple):
    """Device and execution that the workflow would use for runs of a protocol on this machine."""

    kind: str  # kind of the device, cpu or cuda
    device: str
    how: str  # precision, mode
    concurrent_runs: int


StepTimes = dict[tuple[str, str], StepTime]  # by method and protocol


def _kind(run: Run) -> tuple[str, str]:
    return run.method_file, run.protocol


class Preview(NamedTuple):
    """Runs that a call of the workflow will train, with their costs."""

    lines: list[str]  # runs, time and disk space
    costs: dict[str, float]  # by run id, in seconds, or in images if a method was never measured


def preview(params: Params, keys: Keys, todo: Sequence[Run], at_once: int, *, here: bool = True) -> Preview:
    """Return the cost of runs on this machine, or elsewhere if not `here`, `at_once` of them at a time.

    Times come from steps on this device, else on a device of the same kind, which is then named. Raises DataError if
    the file of a measurement is damaged.
    """
    if not todo:
        return Preview([], {})
    machine = _machine(params, todo[0].protocol)._replace(concurrent_runs=(at_once := min(at_once, len(todo))))
    sample: StepTimes = {}
    for run in {_kind(run): run for run in todo}.values():
        similar = (step for step in measured_steps(params, run) if step.device.startswith(machine.kind))
        if step := _step_time(params, run, machine) or next(similar, None):
            sample[_kind(run)] = step
    if here and all(_kind(run) in sample for run in todo):
        costs = {run: _seconds(params, run, sample) for run in todo}
        time = f"about {format_duration(max(sum(costs.values()) / at_once, _longest(params, costs)))} of training"
        if others := {step.device: None for step in sample.values() if step.device != machine.device}:
            time += f", as measured on {' and '.join(others)}"
    else:
        costs = {run: float(Work.of(params, run).images) for run in todo}
        time = "time unknown until the first run ends"
    first = f"{with_noun(len(todo), 'run')} to train, {at_once} at once: {time}"
    return Preview(
        [first, *disk_lines(params, keys, todo, machine.concurrent_runs)], {run.id: cost for run, cost in costs.items()}
    )


def forecast(params: Params, suite: str, *, measure: bool = False) -> Iterator[str]:
    """Yield lines on the runs, time and disk space of a suite, and write its expected times to journal/plans/.

    With `measure`, time some steps of the methods that are not measured on this device yet. Raises ParamsError for an
    unknown suite.
    """
    keys, chain = Keys(params), with_upstream(params, named := runs(params, suite))
    status = run_statuses(keys, chain)
    todo = [run for run in chain if status[run.id] in TO_DO]
    counts = Counter(status.values())
    damaged = ["damaged"] if counts["damaged"] else []
    counted = ", ".join(f"{counts[name]} {name}" for name in ("done", *damaged, *TO_DO))
    upstream = f", {len(chain) - len(named)} of them upstream runs" if len(chain) > len(named) else ""
    yield f"{suite}: {len(chain)} runs{upstream}: {counted}"
    machine = _machine(params, chain[0].protocol)
    yield f"device: {machine.device}, {machine.how}, {with_noun(machine.concurrent_runs, 'run')} at once"
    step_times = {_kind(run): known for run in chain if (known := _step_time(params, run, machine))}
    if measure:
        step_times |= _measure(params, keys, [run for run in chain if _kind(run) not in step_times], machine)
    yield from _table(params, chain, todo, step_times)
    yield from _hours(params, suite, chain, todo, step_times, machine)
    yield from disk_lines(params, keys, todo, machine.concurrent_runs)
    yield from _weights_lines(params, todo)
    _write_forecast(params, keys, suite, chain, todo, step_times)


def _weights_lines(params: Params, todo: Sequence[Run]) -> Iterator[str]:
    """Yield a line for each file of pretrained weights that is missing or unusable; no run starts without it."""
    for protocol in dict.fromkeys(run.protocol for run in todo):
        try:
            if weights := pretrained_weights(params.protocols[protocol]["network"]):
                weights.verify()
        except DataError as error:
            yield f"WARNING: {error}"


def _machine(params: Params, protocol: str) -> Machine:
    """Return the first GPU that the workflow may use, or the CPU with one thread for each run.

    `engine.environment` chooses the same; this imports torch only if the system does not list the device.
    """
    names, precision = devices(), params.protocols[protocol]["precision"]
    if names:
        first = query_gpu(names[0])
        if first is None:
            return _machine_by_torch(precision, len(names) * slots_per_gpu())
        chosen = ("bf16" if first.bf16 else "fp32") if precision == "auto" else precision
        return Machine("cuda", f"cuda: {first.name}", f"{chosen}, graph", len(names) * slots_per_gpu())
    has_bf16 = cpu_bf16() if precision == "auto" else False
    if has_bf16 is None:
        return _machine_by_torch(precision, cores())
    chosen = ("bf16" if has_bf16 else "fp32") if precision == "auto" else precision
    return Machine("cpu", f"cpu: {processor()}, 1 thread", f"{chosen}, eager", cores())


def _machine_by_torch(precision: str, concurrent_runs: int) -> Machine:
    import torch

    from daso.engine.environment import choose_device, choose_mode, choose_precision, describe_environment

    device = choose_device("auto" if devices() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)
        concurrent_runs = cores()
    how = f"{choose_precision(precision, device)}, {choose_mode('auto', device)}"  # type: ignore[arg-type]
    return Machine(device.type, device_of(describe_environment(device)), how, concurrent_runs)


def _step_time(params: Params, run: Run, machine: Machine) -> StepTime | None:
    """Return the first measurement on this device: of finished runs, of `plan --measure` or of a benchmark."""
    on_device = (step for step in measured_steps(params, run, every_mode=True) if step.device == machine.device)
    return next((step for step in on_device if set(step.how.split(", ")) == set(machine.how.split(", "))), None)


def _measure(params: Params, keys: Keys, unmeasured: Sequence[Run], machine: Machine) -> StepTimes:
    """Time some steps of each method of these runs, and record them for later plans."""
    from daso.engine.environment import choose_device
    from daso.planning.pace import seconds_at_once

    samples = list({_kind(run): run for run in unmeasured}.values())
    at_once = slots_per_gpu() if machine.kind == "cuda" else machine.concurrent_runs
    configs = ((keys.resolved(run), images_of(params, run)) for run in samples)
    measured: StepTimes = {}
    for run, seconds in zip(samples, seconds_at_once(configs, choose_device(machine.kind), at_once), strict=True):
        logging.info(
            "%s: %s ms per step, %s at once",
            run.method_file,
            format_significant(1000 * seconds),
            with_noun(at_once, "run"),
        )
        record = {
            "of": step_digest(params, run),
            "recipe": run.method_file,
            "device": machine.device,
            "how": machine.how,
        }
        known = read_json(STEP_TIMES, "record of measured steps")["steps"] if STEP_TIMES.exists() else []
        others = [entry for entry in known if any(entry.get(name) != value for name, value in record.items())]
        steps = [*others, {**record, "protocol": run.protocol, "seconds": seconds}]
        write_file(STEP_TIMES, format_json({"steps": steps}))
        measured[_kind(run)] = StepTime(machine.device, machine.how, str(STEP_TIMES), seconds)
    return measured


def _table(params: Params, chain: Sequence[Run], todo: Sequence[Run], step_times: StepTimes) -> Iterator[str]:
    rows: list[tuple[str, ...]] = [("method", "runs", "to do", "ms per step", "all runs", "measured in")]
    several = len({run.protocol for run in chain}) > 1
    for kind in dict.fromkeys(map(_kind, chain)):
        of_method, step = [run for run in chain if _kind(run) == kind], step_times.get(kind)
        times: tuple[str, ...] = ("unknown",)
        if step:
            times = (format_significant(1000 * step.seconds), _time(params, of_method, step_times), step.source)
        method = "{} ({})".format(*kind) if several else kind[0]
        rows.append((method, str(len(of_method)), str(sum(run in todo for run in of_method)), *times))
    yield align_columns(rows).rstrip("\n")


def _hours(
    params: Params,
    suite: str,
    chain: Sequence[Run],
    todo: Sequence[Run],
    step_times: StepTimes,
    machine: Machine,
) -> Iterator[str]:
    """Yield device time and time; methods that are not measured are named and left out."""
    unknown = [run for run in chain if _kind(run) not in step_times]
    known = [run for run in chain if _kind(run) in step_times]
    left = [run for run in known if run in todo]
    if unknown:
        methods = with_noun(len({run.method_file for run in unknown}), "method")
        yield (
            f"unknown: {with_noun(len(unknown), 'run')} of {methods} not measured on this device yet; "
            f"`daso plan {suite} --measure` measures some steps"
        )
    if known:
        others = "of the other methods, " if unknown else ""
        total, to_do = _time(params, known, step_times), _time(params, left, step_times)
        yield f"device time: {others}{total} in total, {to_do} to do"
        seconds = {run: _seconds(params, run, step_times) for run in left}
        wall = max(sum(seconds.values()) / machine.concurrent_runs, _longest(params, seconds))
        at_once = with_noun(machine.concurrent_runs, "run")
        yield f"time: {others}{format_duration(wall)} of training, {at_once} at once, without start-up and evaluation"


def _longest(params: Params, seconds: dict[Run, float]) -> float:
    """Return the seconds of the longest chain of upstream runs; in `seconds`, upstream runs come first."""
    ends: dict[Run, float] = {}
    for run, own in seconds.items():
        ends[run] = own + max((ends.get(upstream_run, 0.0) for upstream_run in upstream_runs(params, run)), default=0.0)
    return max(ends.values(), default=0.0)


def _seconds(params: Params, run: Run, step_times: StepTimes) -> float:
    return Work.of(params, run).steps * step_times[_kind(run)].seconds


def _time(params: Params, runs: Sequence[Run], step_times: StepTimes) -> str:
    return format_duration(sum(_seconds(params, run, step_times) for run in runs))


def _write_forecast(
    params: Params, keys: Keys, suite: str, chain: Sequence[Run], todo: Sequence[Run], step_times: StepTimes
) -> None:
    """Write the expected times of the runs to do; the times of done runs stay as they were forecast."""
    before = forecasts.read_forecast(suite)
    expected = {run.id: before[run.id] for run in chain if run.id in before and run not in todo}
    for run in (run for run in todo if _kind(run) in step_times):
        step = step_times[_kind(run)]
        seconds = round(_seconds(params, run, step_times), 3)
        expected[run.id] = {"key": keys.train(run), "device": step.device, "how": step.how}
        expected[run.id] |= {"seconds_per_step": step.seconds, "seconds": seconds}
    if expected:
        forecasts.write_forecast(suite, expected)
