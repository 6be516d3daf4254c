"""Take in runs that were trained elsewhere, where there was no Snakemake: copy them, for they carry their key."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from daso.config.keys import Keys
from daso.config.load import load
from daso.config.resolve import Run, parse_run, resolve, upstream_runs
from daso.data.bundle import other_files
from daso.data.files import atomic_write, checksummed
from daso.data.run_files import FILES, RESULT, FinishedRun, load_finished_run
from daso.engine import journal
from daso.errors import DataError
from daso.paths import input_files


def adopt_bundle(bundle: Path) -> list[str]:
    """Copy a bundle's finished runs into runs/; return their ids.

    Raises DataError, and copies nothing, when a run is damaged or belongs to another configuration or code than the
    present one; or was trained with another split, encoder or estimate than is here: neither it nor what takes from it
    is copied.
    """
    found = sorted((bundle / "runs").glob("*/*/*/*/s*/train.json"))
    if not found:
        raise DataError(f"{bundle}: no finished run in it; train it with `python -m daso train --bundle {bundle}`")
    params = load()
    runs = {
        parse_run(params, path.parent.relative_to(bundle / "runs").as_posix()): load_finished_run(path.parent)
        for path in found
    }
    errors = [line for run, there in runs.items() for line in _other_key(Keys(params), run, there, bundle)]
    if errors:
        raise DataError(*errors)
    waiting = dict(runs)
    while waiting:  # lenders first: the splits of what follows are made here of what they guess
        ready = [run for run in waiting if not waiting.keys() & set(upstream_runs(params, run))]
        batch = {run: waiting.pop(run) for run in ready}
        reads = {run: input_files(run.id, resolve(params, run)["plan"]) for run in batch}
        _snakemake(sorted({path.as_posix() for files in reads.values() for path in files.values()}))  # made, or here
        if errors := [line for run, there in batch.items() for line in other_files(there, reads[run])]:
            raise DataError(*errors)
        for run, there in batch.items():
            _copy(there, Path("runs", run.id))
            journal.record_result(journal.entry_path(run.id), there.result)
    return [run.id for run in runs]


def _other_key(keys: Keys, run: Run, there: FinishedRun, bundle: Path) -> list[str]:
    for name in FILES:
        there.read(name)
    trained, now = there.config.get("key"), keys.train(run)
    if trained == now == there.key:
        return []
    return [
        f"{there.folder}: trained as {trained}, but params/ and code now give {now}; keep its numbers for reports by "
        f"`python -m daso keep --bundle {bundle}`, or check out what it was made from and adopt it there"
    ]


def _copy(there: FinishedRun, target: Path) -> None:
    for name in FILES:
        content = there.read(name)
        with atomic_write(target / name) as file:
            file.write(content)
    with atomic_write(target / RESULT) as file:
        file.write(checksummed(there.result))


def _snakemake(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "snakemake", *arguments, "--quiet", "all"]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise DataError("snakemake could not take the runs in:", *done.stderr.strip().splitlines())
