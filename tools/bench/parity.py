"""Accuracy by precision: train every run of a suite in fp32 and in each variant, and compare them in pairs.

A pair has the same split, initialisation, batches and draws; only the precision differs. Trained runs stay in a work
folder by key, so that a stopped check resumes and additional seeds train only those seeds.
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

from daso.aliases import Tree
from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.params import Params
from daso.config.resolve import Run, expand_suite, runs, split_config, suite_of, table_protocol
from daso.config.signature import ROOT
from daso.data.files import canonical_json
from daso.data.run_files import load_finished_run
from daso.data.split import SavedSplit, make_split
from daso.data.store import load_store
from daso.engine.metrics import run_metrics
from daso.errors import DasoError, did_you_mean
from daso.models.network import Precision
from tools.bench import parity_page
from tools.bench.parity_page import Outcome, Pair, Setup

STANDARD = "fp32"
OUT, WORK = Path("docs/benchmarks/precision.md"), Path("drafts/parity")


class Task(NamedTuple):
    """Run in one precision, with the paths of its files."""

    run: Run
    precision: str
    config: Tree
    store: Path
    split: Path
    split_sha256: str
    folder: Path

    @property
    def done(self) -> bool:
        """True if the run is trained, with this key and on this split."""
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

    Seeds are 0..seeds-1, `jobs` runs train at once with one thread each, `steps` replaces the protocol's steps. `out`
    is Markdown; the JSON file beside it has every pair and keeps the results of other suites. Stores are read from
    data/store, splits are drawn into `work`. Raises DasoError if a name is unknown, a store is missing or a run fails.
    """
    _check_options(seeds=seeds, jobs=jobs, steps=steps, margin=margin, variants=variants)
    params = load_params()
    selected = _select(with_precision(params, suite, STANDARD, seeds), suite, methods, settings)
    variants = list(dict.fromkeys(variants))
    precisions = {name: with_precision(params, suite, name, seeds, steps) for name in (STANDARD, *variants)}
    tasks = _tasks(precisions, selected, work)
    train_all([task for task in tasks.values() if not task.done], jobs, device)
    outcomes = {key: _outcome(task) for key, task in tasks.items()}
    pairs = [Pair(run, name, outcomes[run, STANDARD], outcomes[run, name]) for run in selected for name in variants]
    setup = Setup(suite, methods, settings, seeds, variants, margin, jobs, steps, out, device)
    parity_page.write(out, suite, parity_page.section(setup, expand_suite(params, suite), pairs))


def with_precision(params: Params, suite: str, precision: str, seeds: int, steps: int | None = None) -> Params:
    """Return params whose suite has seeds 0..seeds-1 and a protocol with this precision and, if given, these steps.

    Raises DasoError for a suite whose tables have several protocols.
    """
    tree = suite_of(params, suite)
    name, *others = dict.fromkeys(table_protocol(tree, table) for table in tree["tables"])
    if others:
        raise DasoError(f"suite '{suite}': several protocols, {', '.join([name, *others])}; choose a suite with one")
    protocol = {**params.protocols[name], "precision": precision, **({} if steps is None else {"steps": steps})}
    return dataclasses.replace(
        params,
        protocols={**params.protocols, name: protocol},
        suites={**params.suites, suite: {**params.suites[suite], "seeds": list(range(seeds))}},
    )


def train_all(tasks: Sequence[Task], jobs: int, device: str) -> None:
    """Train tasks, `jobs` at once; after a failure start no further task and wait for the running ones.

    Raises DasoError with the last line of the first failed training's log.
    """
    with ThreadPoolExecutor(jobs) as pool:
        submitted = {pool.submit(_train, task, device): task for task in tasks}
        try:
            for count, future in enumerate(as_completed(submitted), 1):
                future.result()
                task = submitted[future]
                logging.info("%s: %s trained, %d of %d", task.run.id, task.precision, count, len(tasks))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _train(task: Task, device: str) -> None:
    """Train in a separate process, like the workflow."""
    files = {"store": task.store, "split": task.split, "out": task.folder, "scratch": task.folder / "scratch"}
    options = [argument for name, path in files.items() for argument in (f"--{name}", str(path))]
    command = [sys.executable, "-m", "daso", "train", "--config", "-", *options, "--device", device]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
    log = task.folder / "train.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        process = subprocess.run(
            command,
            input=canonical_json(task.config),
            text=True,
            env=environment,
            stdout=file,
            stderr=file,
            check=False,
        )
    if process.returncode:
        log_lines = log.read_text().strip().splitlines() or [f"exit status {process.returncode}"]
        raise DasoError(f"{log}: training failed: {log_lines[-1]}")


def _tasks(precisions: Mapping[str, Params], selected: Sequence[Run], work: Path) -> dict[tuple[Run, str], Task]:
    """Draw the splits and return each run in each precision, the tasks of a pair one after the other."""
    keys = {name: Keys(params) for name, params in precisions.items()}
    splits: dict[Path, SavedSplit] = {}
    tasks = {}
    for run in selected:
        store = Path("data/store", run.dataset)
        split = work / "splits" / run.dataset / run.setting / f"s{run.seed}.json"
        if split not in splits:
            config = split_config(precisions[STANDARD], run.dataset, run.setting, run.seed)
            splits[split] = make_split(config, load_store(store), split)
        for name in precisions:
            config = keys[name].resolved(run)
            folder = work / run.id / f"{name}-{config['key']}"
            config["run"] = f"parity/{name}/{run.id}"  # its curves do not replace those of the suite's run
            tasks[run, name] = Task(run, name, config, store, split, splits[split].sha256, folder)
    return tasks


def _outcome(task: Task) -> Outcome:
    metrics = run_metrics(task.folder, task.config["key"])
    return Outcome(
        key=metrics["key"],
        accuracy=100.0 * metrics["top1"]["median"],
        median_of=metrics["top1"]["median_of"],
        milliseconds=1e3 / metrics["speed"]["steps_per_second"],
        provenance=metrics["provenance"],
    )


def _select(params: Params, suite: str, methods: Sequence[str] | None, settings: Sequence[str] | None) -> list[Run]:
    """Return the runs of a suite, or of some of its methods and settings; raises DasoError for unknown names."""
    suite_runs = runs(params, suite)
    for kind, names in (("method", methods), ("setting", settings)):
        known = list(dict.fromkeys(str(getattr(run, kind)) for run in suite_runs))
        for name in names or ():
            if name not in known:
                raise DasoError(f"parity: suite '{suite}': unknown {kind} '{name}'{did_you_mean(name, known)}")
    selected = [run for run in suite_runs if run.method in (methods or [run.method])]
    selected = [run for run in selected if run.setting in (settings or [run.setting])]
    if not selected:
        raise DasoError(f"parity: suite '{suite}': no table has one of the methods in one of the settings")
    return selected


def _check_options(*, seeds: int, jobs: int, steps: int | None, margin: float, variants: Sequence[str]) -> None:
    counts: Mapping[str, int | None] = {"seeds": seeds, "jobs": jobs, "steps": steps}
    for name, value in counts.items():
        if value is not None and value < 1:
            raise DasoError(f"parity: {name}: {value} is below the minimum 1; set it to 1 or more")
    if not margin > 0:
        raise DasoError(f"parity: margin: {margin:g} is not above 0; set it to a positive number of points")
    known = [name for name in get_args(Precision) if name != STANDARD]
    for variant in variants:
        if variant not in known:
            raise DasoError(f"parity: unknown variant '{variant}' of {STANDARD}{did_you_mean(variant, known)}")
    if not variants:
        raise DasoError(f"parity: no variant to compare with {STANDARD}; choose one of {', '.join(known)}")
