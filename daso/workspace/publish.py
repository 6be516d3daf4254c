"""Record the results of a finished suite in DVC without running anything, and push them if DVC has a remote."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from daso import paths
from daso.config.load import load_params
from daso.config.open_sets import stores_of
from daso.config.params import Params
from daso.config.resolve import resolve, runs, with_upstream
from daso.data.bundle import mismatched_inputs
from daso.data.files import read_checksummed
from daso.data.run_files import load_finished_run
from daso.data.split import check_split
from daso.data.store import verify_store
from daso.engine import journal
from daso.errors import DasoError
from daso.paths import (
    WEIGHTS_FILE,
    corrections_file,
    metrics_file,
    rebuild_hint,
    report_folder,
    run_folder,
    store_folder,
)
from daso.report.results.corrections import fix_of_corrections, read_corrections
from daso.report.suite_report import write_report
from daso.workspace.redistribution import check_ignored

# All outputs of a suite; rule `all` alone does not list the inputs of current results.
TARGETS = ("data", "features", "splits", "fits", "runs", "metrics", "corrections", "all")
JOB_COUNT = re.compile(r"^(\w+) +(\d+)$", re.MULTILINE)  # rule and number of jobs in Snakemake's table
FOR_GIT = ("dvc.lock", "journal", "params")


def publish(suite: str | None = None) -> Iterator[str]:
    """Record and push the default suite; yield a line for each thing done or left to the user.

    Raises DasoError, before anything is recorded, if dvc.yaml does not record `suite`, or if outputs are missing, stale
    or damaged: `dvc repro` would then train.
    """
    params = load_params()
    check_ignored(params)
    if suite not in (None, params.suite):
        raise DasoError(
            f"params/pipeline.yaml: expected the suite '{suite}', got '{params.suite}', which dvc.yaml records; set "
            f"`suite: {suite}` there and publish again"
        )
    if todo := _todo():
        raise DasoError(
            f"suite '{params.suite}': missing or stale outputs: snakemake would still run {todo}; run `snakemake` "
            "first, then publish again"
        )
    for run, result in _verified_results(params).items():
        journal.record_result(journal.entry_path(run), result)
    _call("dvc", "commit", "--force")
    yield f"recorded in dvc.lock: data, features, splits, fits, runs, metrics, corrections and reports/{params.suite}"
    yield from _push()
    yield from _git_commands(params.suite)


def _todo() -> str:
    """Return the rules that `snakemake` would run with their numbers of jobs; empty if there are none."""
    plan = _call("snakemake", *TARGETS, "--dryrun", "--quiet", "rules")
    if "Nothing to be done" in plan:
        return ""
    counts = {rule: number for rule, number in JOB_COUNT.findall(plan) if rule not in (*TARGETS, "total")}
    return ", ".join(f"{rule} {number}" for rule, number in counts.items()) or "some jobs"


def _verified_results(params: Params) -> dict[str, dict[str, Any]]:
    """Return the result of each run of the suite and of its upstream runs; raise DasoError if any file is damaged.

    A key identifies what a file was made from; it does not show damage.
    """
    suite, results = runs(params, params.suite), {}
    chain = with_upstream(params, suite)
    names = {name for run in chain for name in stores_of(params, run.dataset, run.setting)}
    stores = {name: verify_store(store_folder(name), hash_again=True) for name in sorted(names)}
    for run in chain:
        config = resolve(params, run)
        reads = paths.input_files(run.id, config["plan"])
        for split in dict.fromkeys((paths.drawn_split(run.id), reads["split"])):
            check_split(split, stores[run.dataset], config["split_config_sha256"])
        if "estimate" in reads:
            read_checksummed(reads["estimate"], "estimate of class sizes")
        finished = load_finished_run(run_folder(run.id))
        for name in finished.result["files"]:
            finished.read(name)
        results[run.id] = finished.result
        if errors := mismatched_inputs(finished, reads):
            raise DasoError(*errors)
    for run in suite:
        path = metrics_file(run.id)
        if read_checksummed(path, "metrics file").get("files") != results[run.id]["files"]:
            raise DasoError(f"{path}: not the metrics of runs/{run.id}; {rebuild_hint(path)}")
        path = corrections_file(run.id)
        if read_corrections(path, run.id, params.suite).get("weights") != results[run.id]["files"][WEIGHTS_FILE]:
            raise DasoError(f"{path}: not the corrections of runs/{run.id}; {fix_of_corrections(params.suite)}")
    _check_report(params.suite)
    return results


def _check_report(suite: str) -> None:
    """Raise DasoError if a file of a suite's report differs from one made of its metrics."""
    with tempfile.TemporaryDirectory() as fresh:
        write_report(suite, Path(fresh))
        for expected in sorted(path for path in Path(fresh).rglob("*") if path.is_file()):
            name = expected.relative_to(fresh)
            path, output = report_folder(suite) / name, report_folder(suite) / name.parts[0]  # output: file or folder
            if not path.is_file() or path.read_bytes() != expected.read_bytes():
                hint = rebuild_hint(output, None if output == path else output)
                raise DasoError(f"{path}: damaged: does not match the metrics of the runs; {hint}")


def _push() -> Iterator[str]:
    if not _call("dvc", "config", "core.remote").strip():
        yield "not pushed: DVC has no remote; `dvc remote add -d <name> <folder or s3://...>`, then `dvc push`"
        return
    _call("dvc", "push", hint="the results stay recorded; fix this and run `dvc push`", shown=True)
    yield "pushed"


def _git_commands(suite: str) -> Iterator[str]:
    """Yield the Git commands for the user to run, who may have other changes to commit."""
    if not shutil.which("git"):
        yield f"git: not installed; commit {', '.join(FOR_GIT)} on a machine that has it"
        return
    changed = [name for name in FOR_GIT if _call("git", "status", "--porcelain", "--", name)]
    if changed:
        yield "now commit the record of the results:"
        yield f"  git add {' '.join(changed)}"
        yield f"  git commit -m 'Results of {suite}'"
    else:
        yield "nothing new to commit"


def _call(*command: str, hint: str = "", shown: bool = False) -> str:
    """Run a module of this Python, or Git, and return its stdout; if `shown`, print its output to the user instead.

    Raises DasoError with its last line and the hint if it fails.
    """
    arguments = command if command[0] == "git" else (sys.executable, "-m", *command)
    stream = None if shown else subprocess.PIPE
    process = subprocess.run(arguments, stdout=stream, stderr=stream, text=True, check=False)
    if process.returncode:
        lines = [line for line in f"{process.stdout or ''}\n{process.stderr or ''}".splitlines() if line.strip()]
        raise DasoError("; ".join(filter(None, [f"{' '.join(command)}: {lines[-1] if lines else 'failed'}", hint])))
    return process.stdout or ""
