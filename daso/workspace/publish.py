"""Record the results of a finished suite under DVC without running anything, and push them where a remote is named."""

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
from daso.config.load import load
from daso.config.params import Params
from daso.config.resolve import resolve, runs, with_upstream
from daso.data.bundle import other_files
from daso.data.files import file_digest, read_checksummed
from daso.data.run_files import load_finished_run
from daso.data.split import check_split
from daso.data.store import verify_store
from daso.engine import journal
from daso.errors import DasoError
from daso.paths import rebuild_hint
from daso.report.suite_report import write_report

# All of a suite; `all` alone leaves out what its report no longer needs.
TARGETS = ("data", "splits", "runs", "metrics", "all")
TABLE = re.compile(r"^(\w+) +(\d+)$", re.MULTILINE)  # Snakemake's table of what a call would run
FOR_GIT = ("dvc.lock", "journal", "params")


def publish(suite: str | None = None) -> Iterator[str]:
    """Record, push; yields what has been done and what is left to do, a line each.

    Raises DasoError, before anything is recorded, where `suite` is not the one that dvc.yaml records, or where it is
    not finished or out of date, so that recording it would be wrong and `dvc repro` would train.
    """
    params = load()
    if suite not in (None, params.suite):
        raise DasoError(
            f"params/pipeline.yaml: names the suite '{params.suite}', which dvc.yaml records, not '{suite}'; write "
            f"`suite: {suite}` there and publish again"
        )
    if todo := _todo():
        raise DasoError(
            f"suite '{params.suite}': not finished, or out of date: snakemake would still run {todo}; run `snakemake` "
            "first, then publish again"
        )
    trained = _whole(params)
    for run, result in trained.items():
        journal.record_result(journal.entry_path(run), result)
    _call("dvc", "commit", "--force")
    yield f"recorded in dvc.lock: data, splits, runs, metrics and reports/{params.suite}"
    yield from _pushed()
    yield from _left(params.suite)


def _todo() -> str:
    """Return the jobs that `snakemake` would run with their numbers, an empty text if there are none."""
    said = _call("snakemake", *TARGETS, "--dryrun", "--quiet", "rules")
    if "Nothing to be done" in said:
        return ""
    counts = {rule: number for rule, number in TABLE.findall(said) if rule not in (*TARGETS, "total")}
    return ", ".join(f"{rule} {number}" for rule, number in counts.items()) or "some of it"


def _whole(params: Params) -> dict[str, dict[str, Any]]:
    """Return the result of each run of the suite and of its upstream runs; raise DasoError if any file is damaged.

    A key says what a file was made from, not that it is whole.
    """
    suite, found = runs(params, params.suite), {}
    chain = with_upstream(params, suite)
    stores = {run.dataset: verify_store(paths.store(run.id)) for run in chain}
    for run in chain:
        config = resolve(params, run)
        reads = paths.input_files(run.id, config["plan"])
        for split in dict.fromkeys((paths.drawn_split(run.id), reads["split"])):
            check_split(split, stores[run.dataset], config["split_config_sha256"])
        if "estimate" in reads:
            read_checksummed(reads["estimate"], "estimate of class sizes")
        found[run.id] = _left_by(Path("runs", run.id))
        if errors := other_files(load_finished_run(Path("runs", run.id)), reads):
            raise DasoError(*errors)
    for run in suite:
        path = Path("metrics", f"{run.id}.json")
        if read_checksummed(path, "file of metrics").get("files") != found[run.id]["files"]:
            raise DasoError(f"{path}: not the metrics of runs/{run.id}; {rebuild_hint(path)}")
    with tempfile.TemporaryDirectory() as fresh:
        write_report(params.suite, Path(fresh))
        for made in sorted(Path(fresh).iterdir()):
            path = Path("reports", params.suite, made.name)
            if path.read_bytes() != made.read_bytes():
                raise DasoError(f"{path}: damaged, not what the metrics of the runs give; {rebuild_hint(path)}")
    return found


def _left_by(folder: Path) -> dict[str, Any]:
    """Return the result of a finished run; raise DasoError if a file is missing or damaged."""
    trained = load_finished_run(folder).result
    for name, digest in trained["files"].items():
        path = folder / name
        if not path.exists() or file_digest(path, "sha256") != digest:
            raise DasoError(
                f"{path}: missing or damaged, not what train.json was written for; `rm {folder}/train.json`, run "
                "`snakemake`, then publish again"
            )
    return trained


def _pushed() -> Iterator[str]:
    if not _call("dvc", "config", "core.remote").strip():
        yield "not pushed, for no remote is named: `dvc remote add -d <name> <folder or s3://...>`, then `dvc push`"
        return
    _call("dvc", "push", mend="what is recorded stays recorded; mend it and run `dvc push`", shown=True)
    yield "pushed"


def _left(suite: str) -> Iterator[str]:
    """The commands of Git that are left to the user, who may have other changes."""
    if not shutil.which("git"):
        yield f"git: not installed; commit {', '.join(FOR_GIT)} on a machine that has it"
        return
    changed = [name for name in FOR_GIT if _call("git", "status", "--porcelain", "--", name)]
    if changed:
        yield "now commit what belongs to it:"
        yield f"  git add {' '.join(changed)}"
        yield f"  git commit -m 'Results of {suite}'"
    else:
        yield "nothing new to commit"


def _call(*command: str, mend: str = "", shown: bool = False) -> str:
    """What a command of the same Python, or Git, says on stdout; `shown` to the user instead, as progress is.

    Raises DasoError with its last line, and how to mend it, where it fails.
    """
    words = command if command[0] == "git" else (sys.executable, "-m", *command)
    stream = None if shown else subprocess.PIPE
    done = subprocess.run(words, stdout=stream, stderr=stream, text=True, check=False)
    if done.returncode:
        told = [line for line in f"{done.stdout or ''}\n{done.stderr or ''}".splitlines() if line.strip()]
        raise DasoError("; ".join(filter(None, [f"{' '.join(command)}: {told[-1] if told else 'failed'}", mend])))
    return done.stdout or ""
