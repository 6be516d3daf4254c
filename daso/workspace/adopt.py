"""Adopt runs that were trained on another machine: copy the finished runs of a bundle into runs/."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.resolve import Run, parse_run, resolve, upstream_runs
from daso.data.bundle import NOT_A_BUNDLE, mismatched_inputs
from daso.data.files import checksummed, write_file
from daso.data.run_files import RUN_FILES, FinishedRun, load_finished_run
from daso.engine import journal
from daso.errors import DataError
from daso.paths import CONTENTS, RESULT_FILE, input_files, run_folder


def adopt_bundle(bundle: Path) -> list[str]:
    """Copy a bundle's finished runs into runs/; return their ids.

    Raises DataError, and copies nothing, if a run is damaged or its configuration or code is not the present one.
    If a run was trained with a different split, encoder or estimate than the one in this working copy, neither it nor
    the runs that depend on it are copied.
    """
    results = sorted((bundle / "runs").glob("*/*/*/*/s*/train.json"))
    if not results:
        no_run = f"contains no finished run; train it with `daso train --bundle {bundle}`"
        raise DataError(f"{bundle}: {no_run if (bundle / CONTENTS).exists() else NOT_A_BUNDLE}")
    params = load_params()
    runs = {
        parse_run(params, path.parent.relative_to(bundle / "runs").as_posix()): load_finished_run(path.parent)
        for path in results
    }
    errors = [line for run, finished in runs.items() for line in _other_key(Keys(params), run, finished, bundle)]
    if errors:
        raise DataError(*errors)
    waiting = dict(runs)
    while waiting:  # upstream runs first: derived splits are made from their pseudo-labels
        ready = [run for run in waiting if not waiting.keys() & set(upstream_runs(params, run))]
        batch = {run: waiting.pop(run) for run in ready}
        reads = {run: input_files(run.id, resolve(params, run)["plan"]) for run in batch}
        # This creates missing inputs.
        _snakemake(sorted({path.as_posix() for files in reads.values() for path in files.values()}))
        if errors := [line for run, finished in batch.items() for line in mismatched_inputs(finished, reads[run])]:
            raise DataError(*errors)
        for run, finished in batch.items():
            target = run_folder(run.id)
            for name in RUN_FILES:
                write_file(target / name, finished.read(name))
            write_file(target / RESULT_FILE, checksummed(finished.result))
            journal.record_result(journal.entry_path(run.id), finished.result)
    return [run.id for run in runs]


def _other_key(keys: Keys, run: Run, finished: FinishedRun, bundle: Path) -> list[str]:
    for name in RUN_FILES:
        finished.read(name)
    trained, now = finished.config.get("key"), keys.train(run)
    if trained == now == finished.key:
        return []
    return [
        f"{finished.folder}: trained with key {trained}, but params/ and code now give {now}; keep its numbers for "
        f"reports with `daso keep --bundle {bundle}`, or adopt it at the commit that it was trained from"
    ]


def _snakemake(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "snakemake", *arguments, "--quiet", "all"]
    process = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if process.returncode:
        raise DataError("snakemake failed to create the inputs of the runs:", *process.stderr.strip().splitlines())
