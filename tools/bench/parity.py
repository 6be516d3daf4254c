"""Does a lower precision cost accuracy? Every run of a suite is trained in fp32 and in each variant, and set in pairs.

A pair has the same split, initialisation, batches and draws; only the precision differs. What is trained stays in a
work folder, by its key, so that a check that was stopped goes on where it was and more seeds cost only those seeds.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple, get_args

from daso.config.keys import Keys
from daso.config.load import load
from daso.config.params import Params, Tree, did_you_mean
from daso.config.resolve import Run, expand_suite, runs, split_config, suite_of
from daso.config.signature import ROOT
from daso.data.files import canonical
from daso.data.run_files import load_finished_run
from daso.data.split import SavedSplit, make_split
from daso.data.store import load_store
from daso.engine.metrics import run_metrics
from daso.errors import DasoError
from daso.models.network import Precision
from tools.bench import parity_page
from tools.bench.parity_page import Outcome, Pair, Setup

STANDARD = "fp32"
OUT, WORK = Path("docs/benchmarks/precision.md"), Path("drafts/parity")


class Task(NamedTuple):
    """One run in one precision, and where its files lie."""

    run: Run
    precision: str
    config: Tree
    store: Path
    split: Path
    split_sha256: str
    folder: Path

    @property
    def done(self) -> bool:
        """Whether it is trained, with this key and on this split."""
        path = self.folder / "train.json"
        if not path.exists():
            return False
        tree = load_finished_run(self.folder).result
        return bool(tree["key"] == self.config["key"] and tree["provenance"]["split_sha256"] == self.split_sha256)


def run(
    suite: str,
    *,
    methods: Sequence[str] | None = None,
    settings: Sequence[str] | None = None,
    seeds: int = 5,
    variants: Sequence[str] = ("bf16",),
    margin: float = 1.0,
    jobs: int = 1,
    steps: int | None = None,
    out: Path = OUT,
    work: Path = WORK,
    device: str = "auto",
) -> None:
    """Compare each variant with fp32 on a suite's tables, or some of their settings and methods; write the page.

    Seeds are 0..seeds-1, `jobs` runs are trained at once with one thread each, `steps` shortens the protocol. `out` is
    Markdown; a JSON file beside it holds every pair, and other suites' results in it stay. Stores are read from
    data/store, splits are drawn into `work`. Raises DasoError when a name is unknown, a store lacks or a run fails.
    """
    _refuse(seeds=seeds, jobs=jobs, steps=steps, margin=margin, variants=variants)
    params = load()
    chosen = _chosen(altered(params, suite, STANDARD, seeds), suite, methods, settings)
    variants = list(dict.fromkeys(variants))
    precisions = {name: altered(params, suite, name, seeds, steps) for name in (STANDARD, *variants)}
    tasks = _tasks(precisions, chosen, work)
    train_all([task for task in tasks.values() if not task.done], jobs, device)
    outcomes = {place: _outcome(task) for place, task in tasks.items()}
    pairs = [Pair(one, name, outcomes[one, STANDARD], outcomes[one, name]) for one in chosen for name in variants]
    setup = Setup(suite, methods, settings, seeds, variants, margin, jobs, steps, out, device)
    parity_page.write(out, suite, parity_page.section(setup, expand_suite(params, suite), pairs))


def altered(params: Params, suite: str, precision: str, seeds: int, steps: int | None = None) -> Params:
    """The same parameters with another precision, and perhaps budget, in a suite's protocol, and seeds 0..seeds-1."""
    name = suite_of(params, suite)["protocol"]
    protocol = {**params.protocols[name], "precision": precision, **({} if steps is None else {"steps": steps})}
    return dataclasses.replace(
        params,
        protocols={**params.protocols, name: protocol},
        suites={**params.suites, suite: {**params.suites[suite], "seeds": list(range(seeds))}},
    )


def train_all(tasks: Sequence[Task], jobs: int, device: str) -> None:
    """Train these, `jobs` at once; when one fails no other begins, and what is under way is waited for.

    Raises DasoError with what the first that failed said last.
    """
    with ThreadPoolExecutor(jobs) as pool:
        begun = {pool.submit(_train, task, device): task for task in tasks}
        try:
            for count, future in enumerate(as_completed(begun), 1):
                future.result()
                task = begun[future]
                logging.info("%s: %s trained, %d of %d", task.run.id, task.precision, count, len(tasks))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _train(task: Task, device: str) -> None:
    """In a process of its own, as the workflow does it."""
    places = {"store": task.store, "split": task.split, "out": task.folder, "scratch": task.folder / "scratch"}
    options = [word for name, path in places.items() for word in (f"--{name}", str(path))]
    command = [sys.executable, "-m", "daso", "train", "--config", "-", *options, "--device", device]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
    log = task.folder / "train.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        done = subprocess.run(
            command, input=canonical(task.config), text=True, env=environment, stdout=file, stderr=file, check=False
        )
    if done.returncode:
        said = log.read_text().strip().splitlines() or [f"exit status {done.returncode}"]
        raise DasoError(f"{log}: training failed: {said[-1]}")


def _tasks(precisions: Mapping[str, Params], chosen: Sequence[Run], work: Path) -> dict[tuple[Run, str], Task]:
    """Every run in every precision, those of a pair together; draws the splits."""
    keys = {name: Keys(params) for name, params in precisions.items()}
    splits: dict[Path, SavedSplit] = {}
    found = {}
    for run in chosen:
        store = Path("data/store", run.dataset)
        split = work / "splits" / run.dataset / run.setting / f"s{run.seed}.json"
        if split not in splits:
            config = split_config(precisions[STANDARD], run.dataset, run.setting, run.seed)
            splits[split] = make_split(config, load_store(store), split)
        for name in precisions:
            config = keys[name].resolved(run)
            folder = work / run.id / f"{name}-{config['key']}"
            config["run"] = f"parity/{name}/{run.id}"  # its curves are not those of the run itself
            found[run, name] = Task(run, name, config, store, split, splits[split].sha256, folder)
    return found


def _outcome(task: Task) -> Outcome:
    metrics = run_metrics(task.folder, task.config["key"])
    return Outcome(
        key=metrics["key"],
        accuracy=100.0 * metrics["top1"]["median"],
        median_of=metrics["top1"]["median_of"],
        milliseconds=1e3 / metrics["speed"]["steps_per_second"],
        provenance=metrics["provenance"],
    )


def _chosen(params: Params, suite: str, methods: Sequence[str] | None, settings: Sequence[str] | None) -> list[Run]:
    """The runs of a suite, or those of some methods and settings; raises DasoError where it has none of a name."""
    every = runs(params, suite)
    for kind, words in (("method", methods), ("setting", settings)):
        known = list(dict.fromkeys(str(getattr(run, kind)) for run in every))
        for word in words or ():
            if word not in known:
                raise DasoError(f"parity: suite '{suite}' has no {kind} '{word}'{did_you_mean(word, known)}")
    found = [run for run in every if run.method in (methods or [run.method])]
    found = [run for run in found if run.setting in (settings or [run.setting])]
    if not found:
        raise DasoError(f"parity: no table of suite '{suite}' has such a method in such a setting")
    return found


def _refuse(*, seeds: int, jobs: int, steps: int | None, margin: float, variants: Sequence[str]) -> None:
    counts: Mapping[str, int | None] = {"seeds": seeds, "jobs": jobs, "steps": steps}
    for name, value in counts.items():
        if value is not None and value < 1:
            raise DasoError(f"parity: {name} is {value} and must be at least 1")
    if not margin > 0:
        raise DasoError(f"parity: the margin is {margin:g} and must be above 0 points")
    known = [name for name in get_args(Precision) if name != STANDARD]
    for variant in variants:
        if variant not in known:
            raise DasoError(f"parity: '{variant}' cannot be set against {STANDARD}{did_you_mean(variant, known)}")
    if not variants:
        raise DasoError(f"parity: name a variant to set against {STANDARD}: {', '.join(known)}")
