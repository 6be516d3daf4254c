"""What a suite takes before it runs: the runs still to be done, hours of this device, time, and room on the disk."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from daso.config.explain import aligned
from daso.config.keys import Keys
from daso.config.params import Params
from daso.config.resolve import Run, runs, setting_config, upstream_runs, with_upstream
from daso.data.class_sizes import class_sizes, setting_kind
from daso.data.files import atomic_write, pretty, read_json
from daso.engine.gpus import devices, gpu, slots
from daso.machine import cores, cpu_bf16, processor
from daso.planning.cost import STEPS, Timed, Work, kind, timed
from daso.planning.status import TO_DO, run_statuses
from daso.report import planned
from daso.report.provenance import duration
from daso.report.sizes import Bytes, bytes_of
from daso.report.speed import device_of, three_digits

# What sources hold, by kind, while there is no store: images of train, test and without a label; bytes to download.
SOURCES = {
    "digits": (1297, 500, 0, 0),
    "cifar10": (50_000, 10_000, 0, 170_498_071),
    "cifar100": (50_000, 10_000, 0, 169_001_437),
    "stl10": (5_000, 8_000, 100_000, 2_640_397_119),
}
ROW = 8  # bytes of a row's number in the file of a split


class Here(NamedTuple):
    """How the workflow would carry out runs of a protocol on this machine."""

    kind: str  # of the device, cpu or cuda
    device: str
    how: str
    at_once: int


def forecast(params: Params, suite: str, *, measure: bool = False) -> Iterator[str]:
    """Lines on a suite, and its plan in journal/plans/; with `measure`, steps of methods without a pace are taken.

    Raises ParamsError where there is no such suite.
    """
    keys, chain = Keys(params), with_upstream(params, named := runs(params, suite))
    far = run_statuses(keys, chain)
    todo = [run for run in chain if far[run.id] in TO_DO]
    counts = Counter(far.values())
    damaged = ["damaged"] if counts["damaged"] else []
    states_of = ", ".join(f"{counts[state]} {state}" for state in ("done", *damaged, *TO_DO))
    upstream = f", {len(chain) - len(named)} of them for what they lend to others" if len(chain) > len(named) else ""
    yield f"{suite}: {len(chain)} runs{upstream}: {states_of}"
    here = _here(params, chain[0].protocol)
    yield f"here: {here.device}, {here.how}, {_runs(here.at_once)} at once"
    paces = {run.recipe: one for run in chain if (one := _pace(params, run, here))}
    if measure:
        paces |= _measured(params, keys, [run for run in chain if run.recipe not in paces], here)
    yield from _table(params, chain, todo, paces)
    yield from _hours(params, suite, chain, todo, paces, here)
    yield from _disk(params, keys, todo, here)
    _keep(params, keys, suite, chain, todo, paces)


def _here(params: Params, protocol: str) -> Here:
    """The first GPU that the workflow may use, or the CPU with one thread for each run.

    It is what `engine.environment` chooses, without importing torch where the system itself lists it.
    """
    names, precision = devices(), params.protocols[protocol]["precision"]
    if names:
        found = gpu(names[0])
        if found is None:
            return _here_by_torch(precision, len(names) * slots())
        chosen = ("bf16" if found.bf16 else "fp32") if precision == "auto" else precision
        return Here("cuda", f"cuda: {found.name}", f"{chosen}, graph", len(names) * slots())
    able = cpu_bf16() if precision == "auto" else False
    if able is None:
        return _here_by_torch(precision, cores())
    chosen = ("bf16" if able else "fp32") if precision == "auto" else precision
    return Here("cpu", f"cpu: {processor()}, 1 thread", f"{chosen}, eager", cores())


def _here_by_torch(precision: str, at_once: int) -> Here:
    import torch

    from daso.engine.cuda_graphs import choose_mode
    from daso.engine.environment import choose_device, choose_precision, describe

    device = choose_device("auto" if devices() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)
        at_once = cores()
    how = f"{choose_precision(precision, device)}, {choose_mode('auto', device)}"  # type: ignore[arg-type]
    return Here(device.type, device_of(describe(device)), how, at_once)


def _pace(params: Params, run: Run, here: Here) -> Timed | None:
    """The first measurement on this device: of finished runs, else of some steps, else of a benchmark."""
    alike = (one for one in timed(params, run, every_mode=True) if one.device == here.device)
    return next((one for one in alike if set(one.how.split(", ")) == set(here.how.split(", "))), None)


def _measured(params: Params, keys: Keys, lacking: Sequence[Run], here: Here) -> dict[str, Timed]:
    """Steps of these methods, taken now and remembered for the next time."""
    from daso.engine.environment import choose_device
    from daso.planning.pace import seconds_at_once

    these = list({run.recipe: run for run in lacking}.values())
    beside = slots() if here.kind == "cuda" else here.at_once
    wanted = ((keys.resolved(run), _images(params, run)) for run in these)
    found: dict[str, Timed] = {}
    for run, seconds in zip(these, seconds_at_once(wanted, choose_device(here.kind), beside), strict=True):
        logging.info("%s: %s ms a step, %s at once", run.recipe, three_digits(1000 * seconds), _runs(beside))
        record = {"of": kind(params, run), "recipe": run.recipe, "device": here.device, "how": here.how}
        known = read_json(STEPS, "record of measured steps")["steps"] if STEPS.exists() else []
        kept = [one for one in known if any(one.get(name) != value for name, value in record.items())]
        with atomic_write(STEPS) as file:
            file.write(pretty({"steps": [*kept, {**record, "protocol": run.protocol, "seconds": seconds}]}))
        found[run.recipe] = Timed(here.device, here.how, str(STEPS), seconds)
    return found


def _table(params: Params, chain: Sequence[Run], todo: Sequence[Run], paces: dict[str, Timed]) -> Iterator[str]:
    rows: list[tuple[str, ...]] = [("method", "runs", "to do", "ms a step", "all its runs", "measured in")]
    for recipe in dict.fromkeys(run.recipe for run in chain):
        mine, pace = [run for run in chain if run.recipe == recipe], paces.get(recipe)
        number = str(len(mine)), str(sum(run in todo for run in mine))
        words = (three_digits(1000 * pace.seconds), _time(params, mine, paces), pace.place) if pace else ("unknown",)
        rows.append((recipe, *number, *words))
    yield aligned(rows).rstrip("\n")


def _hours(
    params: Params, suite: str, chain: Sequence[Run], todo: Sequence[Run], paces: dict[str, Timed], here: Here
) -> Iterator[str]:
    """Device-hours and time; what is unknown is named and left out."""
    unknown = [run for run in chain if run.recipe not in paces]
    known = [run for run in chain if run.recipe in paces]
    left = [run for run in known if run in todo]
    if unknown:
        recipes = len({run.recipe for run in unknown})
        methods = "1 method" if recipes == 1 else f"{recipes} methods"
        yield f"unknown: {_runs(len(unknown))} of {methods}, no step of which has been measured here; " + (
            f"`python -m daso plan {suite} --measure` takes some"
        )
    if known:
        others = "of the others, " if unknown else ""
        yield f"device time: {others}{_time(params, known, paces)} in all, {_time(params, left, paces)} to be done"
        seconds = {run: _seconds(params, run, paces) for run in left}
        wall = max(sum(seconds.values()) / here.at_once, _longest(params, seconds))
        beside = _runs(here.at_once)
        yield f"time: {others}{duration(wall)} of training, {beside} at once; starting and evaluating comes on top"


def _longest(params: Params, seconds: dict[Run, float]) -> float:
    """Seconds of the longest chain of runs that wait for each other; lenders come first in `seconds`."""
    ends: dict[Run, float] = {}
    for run, mine in seconds.items():
        ends[run] = mine + max(
            (ends.get(upstream_run, 0.0) for upstream_run in upstream_runs(params, run)), default=0.0
        )
    return max(ends.values(), default=0.0)


def _disk(params: Params, keys: Keys, todo: Sequence[Run], here: Here) -> Iterator[str]:
    """Bytes of what is to come, and what is free here."""
    places = {(run.dataset, run.setting, run.seed) for run in todo}
    stores, strange = 0, []
    for name in dict.fromkeys(run.dataset for run in todo):
        source, folder = params.datasets[name]["source"], Path("data/store", name)
        if not (folder / "manifest.json").exists() and source["kind"] in SOURCES:
            *images, archive = SOURCES[source["kind"]]
            stores += sum(images) * 3 * params.datasets[name]["image_size"] ** 2 + archive
        elif not (folder / "manifest.json").exists():
            strange.append(name)
    missing = [place for place in places if not Path("data/splits", *place[:2], f"s{place[2]}.json").exists()]
    total = {name: sum(_all_images(params, name)[:2]) for name, *_ in places}
    splits = sum(ROW * total[name] for name, *_ in missing)
    size: dict[tuple[str, str], Bytes] = {}
    for run in todo:
        if (run.dataset, run.method) not in size:
            size[run.dataset, run.method] = bytes_of(keys.resolved(run), _images(params, run))
    each = [size[run.dataset, run.method] for run in todo]
    largest = max((one.state for one in each), default=0)
    parts = {
        "images": stores,
        "splits": splits,
        "results": sum(one.results for one in each),
        "TensorBoard": sum(one.events for one in each),
        "resume states": 2 * here.at_once * largest,  # a new one is whole before the old one goes
    }
    needed, free = sum(parts.values()), shutil.disk_usage(Path.cwd()).free
    listed = ", ".join(f"{name} {_mb(part)}" for name, part in parts.items() if part)
    yield f"disk: {_mb(needed)} to come{f' ({listed})' if listed else ''}, {_mb(free)} free"
    if strange:
        yield f"disk: the images of {', '.join(strange)} are not here yet and of unknown size"
    if needed > free:
        yield f"WARNING: {_mb(needed - free)} more must be free, or the suite stops with a full disk"


def _all_images(params: Params, dataset: str) -> tuple[int, int, int]:
    """Images of train, test and those without a label: of the store, else of the source, else a guess."""
    manifest = Path("data/store", dataset, "manifest.json")
    if manifest.exists():
        parts = {name: part["images"] for name, part in read_json(manifest, "manifest of a store")["parts"].items()}
        return parts["train"], parts["test"], 0
    train, test, others, _ = SOURCES.get(params.datasets[dataset]["source"]["kind"], (10_000, 1_000, 0, 0))
    return train, test, others


def _images(params: Params, run: Run) -> dict[str, int]:
    """How many images of each kind a run has, by the numbers of its setting."""
    tree = params.datasets[run.dataset]
    setting, classes = setting_config(params, run.dataset, run.setting), tree["num_classes"]
    train, test, others = _all_images(params, run.dataset)
    holdout: int = setting["holdout"] if "holdout" in setting else tree["holdout"]
    tail = class_sizes(setting, classes)[1]
    rest = others if setting_kind(setting) == "others" else train - holdout
    unlabeled = rest if tail is None else sum(tail)
    return {"unlabeled": unlabeled, "validation": holdout // classes * classes, "test": test}


def _seconds(params: Params, run: Run, paces: dict[str, Timed]) -> float:
    return Work.of(params, run).steps * paces[run.recipe].seconds


def _time(params: Params, these: Sequence[Run], paces: dict[str, Timed]) -> str:
    return duration(sum(_seconds(params, run, paces) for run in these))


def _keep(
    params: Params, keys: Keys, suite: str, chain: Sequence[Run], todo: Sequence[Run], paces: dict[str, Timed]
) -> None:
    """Expect of runs to be done what their paces say; of those done, leave what was expected before."""
    before = planned.read(suite)
    plan = {run.id: before[run.id] for run in chain if run.id in before and run not in todo}
    for run in (run for run in todo if run.recipe in paces):
        pace = paces[run.recipe]
        seconds = round(_seconds(params, run, paces), 3)
        words = {"key": keys.train(run), "device": pace.device, "how": pace.how, "seconds_per_step": pace.seconds}
        plan[run.id] = {**words, "seconds": seconds}
    if plan:
        planned.write(suite, plan)


def _runs(number: int) -> str:
    return f"{number} run" if number == 1 else f"{number} runs"


def _mb(size: int) -> str:
    return f"{three_digits(size / 1e9)} GB" if size >= 1e9 else f"{three_digits(size / 1e6)} MB"
