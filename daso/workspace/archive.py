"""Archive metrics and histories of runs in reports/measured/, under Git, where code changes do not affect them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from daso.config.keys import ARCHIVE
from daso.config.load import load_params
from daso.config.resolve import parse_run
from daso.data.bundle import BundledRun, mismatched_inputs, read_bundle
from daso.data.files import checksummed, digest, read_checksummed, write_file
from daso.data.run_files import RUN_FILES, load_finished_run
from daso.data.split import check_split
from daso.data.store import load_store
from daso.engine import journal
from daso.engine.metrics import run_metrics
from daso.errors import DataError
from daso.paths import HISTORY_FILE, RESULT_FILE, metrics_file, rebuild_hint, run_folder

COMMIT = re.compile(r"[0-9a-f]{7,40}")


def keep(name: str) -> Path:
    """Copy the metrics and the history of a run into reports/measured/, replacing earlier ones; return their folder.

    Raises ParamsError for an unknown run, and DataError, with nothing copied, if it is not evaluated, its metrics
    belong to a different training, or it was not trained from a commit.
    """
    run = parse_run(load_params(), name).id
    source, metrics = run_folder(run), metrics_file(run)
    for path in (metrics, source / RESULT_FILE, source / HISTORY_FILE):
        if not path.exists():
            raise DataError(f"{path}: missing; create it with `snakemake {path}`, or `dvc pull` it")
    content, trained = read_checksummed(metrics, "metrics file"), load_finished_run(source, name=run)
    if (content.get("run"), content.get("files")) != (run, trained.result.get("files")):
        raise DataError(f"{metrics}: not the metrics of {source}; {rebuild_hint(metrics)}")
    history = trained.read(HISTORY_FILE)
    commit = str(content.get("provenance", {}).get("commit"))
    if not COMMIT.fullmatch(commit):
        raise DataError(
            f"{metrics}: expected a run trained from a commit, got {commit}; commit the code, then train again: "
            f"`rm {journal.entry_path(run)} {source / 'train.json'}`, then `snakemake {metrics}`"
        )
    return _write(run, history, content)


def keep_bundle(bundle: Path, names: Sequence[str] = ()) -> list[Path]:
    """Evaluate finished runs of a bundle and copy them into reports/measured/; return their folders.

    `names` are the runs to keep, by default all except the stages before the last one of a plan, which no report shows.
    The present code evaluates them; key, commit, versions and device are recorded from the training. Raises ParamsError
    for an unknown run, and DataError, with nothing copied, if

    - a file of the bundle or of a run is damaged,
    - a run is not finished or is not the packed one,
    - a run was trained with files that are not in the bundle,
    - a run was not trained from a commit.
    """
    packed, params = {run.config["run"]: run for run in read_bundle(bundle)}, load_params()
    done = [name for name in packed if (bundle / run_folder(name) / RESULT_FILE).exists()]
    chosen = list(dict.fromkeys(names)) or [name for name in done if "." not in parse_run(params, name).method]
    for name in (parse_run(params, name).id for name in chosen):
        if name not in done:
            problem = "not finished; train it" if name in packed else "not in this bundle; pack it"
            raise DataError(f"{bundle}: {name}: {problem}, or name one of {', '.join(done) or 'a different bundle'}")
    if not chosen:
        raise DataError(f"{bundle}: contains no finished run; train it with `daso train --bundle {bundle}`")
    evaluated = {name: _evaluate(bundle, packed[name]) for name in chosen}
    return [_write(name, history, metrics) for name, (history, metrics) in evaluated.items()]


def _evaluate(bundle: Path, run: BundledRun) -> tuple[bytes, dict[str, Any]]:
    """Return the history and the metrics of a finished run of a bundle; raises DataError as `keep_bundle` does."""
    name, key = run.config["run"], run.config["key"]
    folder = bundle / run_folder(name)
    finished = load_finished_run(folder, name=name)
    contents = {file: finished.read(file) for file in RUN_FILES}
    trained = finished.result.get("provenance", {})
    fix = f"delete {folder} and run `daso train --bundle {bundle}` again"
    if (finished.key, finished.config, trained.get("config_sha256")) != (key, run.config, digest(run.config)):
        raise DataError(f"{folder}: trained with key {finished.key}, but the bundle was packed with {key}; {fix}")
    check_split(run.inputs["split"], load_store(run.store), run.config["split_config_sha256"])
    if errors := mismatched_inputs(finished, run.inputs):
        raise DataError(*errors)
    commit = str(trained.get("commit"))
    if not COMMIT.fullmatch(commit):
        raise DataError(
            f"{folder}: expected a run trained from a commit, got {commit}; commit the code there, then {fix}"
        )
    return contents[HISTORY_FILE], run_metrics(folder, key)


def _write(run: str, history: bytes, metrics: Mapping[str, Any]) -> Path:
    folder = Path(ARCHIVE, run)
    write_file(folder / HISTORY_FILE, history)
    write_file(folder / "metrics.json", checksummed(metrics))  # last: reports look for it
    return folder
