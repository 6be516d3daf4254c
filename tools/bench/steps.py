"""Time of a training step: the engine in its modes and precisions against the reference."""

from __future__ import annotations

from contextlib import ExitStack

from daso.aliases import Config
from daso.engine.environment import choose_mode, choose_precision
from daso.errors import DasoError
from daso.planning.synthetic import random_data, seconds_per_unit, trainer
from tools.bench.contenders import (
    REFERENCE,
    REFERENCE_STEP,
    TF32,
    contender_names,
    create,
    engine_name,
    reference_workers,
)
from tools.bench.measure import Measure, Spread, Times, interleaved, rates, ratios, scaled, spread
from tools.bench.results import Cell, Section, Table, Target
from tools.bench.setup import Bench, title

# ms per step of FixMatch with DASO, WRN-28-2, on an H100, estimated from kernels and bytes: convolutions at 45 % of the
# rate of a matrix product, the rest at 75 % of the copy's, 2 us for each launch. The lower bound of a fused step in
# bf16, from its bytes, is 1.5 ms; the goal is 3.0 ms.
EXPECTED = {("graph", "bf16"): 5.5, ("compiled_graph", "bf16"): 4.1, ("graph", "tf32"): 9.3, ("graph", "fp32"): 22.0}
EVALUATED = {"validation": 5000, "test": 10_000}  # images of one evaluation under the paper's protocol


def measure(bench: Bench) -> Section:
    """Measure each configuration; return a table of each."""
    tables, targets, notes, seconds = list[Table](), list[Target](), list[str](), dict[str, Times]()
    for config in bench.configs:
        with ExitStack() as stack:
            contenders, failed = _contenders(bench, config, stack)
            times = seconds[title(config)] = interleaved(contenders, bench.repeats)
        tables.append(_table(bench, config, times))
        targets += _targets(bench, config, times)
        notes += failed
    if bench.device.type == "cuda":
        targets += _whole_run(bench, seconds[title(bench.config)])
    return Section(tables, targets, notes, seconds)


def _contenders(bench: Bench, config: Config, stack: ExitStack) -> tuple[dict[str, Measure], list[str]]:
    """Return the contenders that have warmed up, and the errors of the others."""
    contenders, failed = dict[str, Measure](), list[str]()
    for name in contender_names(bench):
        try:
            contender = create(name, config, bench.device)
            stack.callback(contender.close)
            steps = contender.warm_up(bench.size(4.0, 1.0, 0.0))
        except (DasoError, RuntimeError) as error:  # such as a missing compiler; the others can still be measured
            failed.append(f"{title(config)}, {name}: {str(error).splitlines()[0]}.")
            continue
        contenders[name] = lambda contender=contender, steps=steps: contender.run(steps)  # type: ignore[misc]
    return contenders, failed


def _table(bench: Bench, config: Config, times: Times) -> Table:
    protocol, method = config["protocol"], config["method"]
    network = ", ".join(
        [protocol["network"]["name"], *(f"{k} {v}" for k, v in protocol["network"].items() if k != "name")]
    )
    images = protocol["batch_size"] * (1 + 2 * method["unlabeled_ratio"])
    how = (
        f"One step of {title(config)}: {network}; {images} images of {config['dataset']['image_size']} pixels a side "
        f"({protocol['batch_size']} labeled, {method['unlabeled_ratio']} x as many unlabeled in two views), forward, "
        "backward, optimiser, teacher. Ours draws, gathers and augments its images within the time measured. The "
        "reference is plain PyTorch: fp32, eager, NCHW, its DataLoaders with "
        f"{reference_workers()} workers each, Pillow views; `at hand` is its step without any loading."
    )
    hours = protocol["steps"] / 3600
    rows: list[tuple[Cell, ...]] = [
        (
            name,
            scaled(each, 1e3),
            rates([second / images for second in each]),
            ratios(times[REFERENCE], each),
            ratios(times[REFERENCE_STEP], each),
            scaled(each, hours).median,
        )
        for name, each in times.items()
    ]
    columns = ("", "ms a step", "images/s", "x as fast as the reference", "x as fast as its step alone",
               f"hours for {protocol['steps']:,} steps")  # fmt: skip
    return Table(f"Steps of {title(config)}", how, columns, rows)


def _targets(bench: Bench, config: Config, times: Times) -> list[Target]:
    """Return the targets of FixMatch with DASO; no other method has any."""
    if not config["method"]["addons"]:
        return []
    mode, what, targets = choose_mode("auto", bench.device), title(config), list[Target]()
    full, half = times.get(engine_name(mode, "fp32")), times.get(engine_name(mode, "bf16"))
    if bench.device.type == "cpu":
        if half:
            targets.append(Target(f"{what} in bf16", "at least", 1.8, ratios(times[REFERENCE], half).median, "x"))
        if full:
            targets.append(Target(f"{what} in fp32", "at least", 1.0, ratios(times[REFERENCE], full).median, "x"))
        return targets
    if half:
        gain = ratios(times[REFERENCE], half).median
        targets.append(_h100_target(times, what, mode, "bf16"))
        targets.append(Target(f"{what} in bf16 against the reference with its loaders", "at least", 4, gain, "x"))
    others = [("compiled_graph", "bf16"), (mode, "fp32"), (mode, TF32)]
    return targets + [_h100_target(times, what, *other) for other in others if engine_name(*other) in times]


def _h100_target(times: Times, what: str, mode: str, precision: str) -> Target:
    milliseconds = scaled(times[engine_name(mode, precision)], 1e3).median
    return Target(f"{what}, {mode}, {precision}", "at most", EXPECTED[mode, precision], milliseconds, "ms a step")


def _whole_run(bench: Bench, times: Times) -> list[Target]:
    """Return the target of a whole run in minutes: steps and evaluations, measured separately."""
    config, precision = bench.config, choose_precision("auto", bench.device)
    mode = choose_mode("auto", bench.device)
    steps = times.get(engine_name(mode, precision))
    if not steps:
        return []
    run = trainer(config, bench.device, mode, random_data(config, bench.device, **EVALUATED))
    run.advance(1)
    run.evaluate()
    evaluation: Spread = spread([seconds_per_unit(run.evaluate, 1, bench.device) for _ in range(bench.repeats)])
    protocol = config["protocol"]
    run.runner.close()
    seconds = protocol["steps"] * spread(steps).median
    seconds += protocol["steps"] // protocol["evaluation"]["every"] * evaluation.median
    what = f"{protocol['steps']:,} steps of {title(config)} with an evaluation every {protocol['evaluation']['every']}"
    return [Target(what, "at most", 24, seconds / 60, "minutes")]
