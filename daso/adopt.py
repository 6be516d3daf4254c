"""Take in runs that were trained elsewhere, where there was no Snakemake: copy them, then record them as current."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from daso.config.keys import Keys
from daso.config.params import load
from daso.config.resolve import Run, lenders, parse_run, resolve
from daso.data.files import file_digest
from daso.engine import journal
from daso.errors import DataError
from daso.places import read

OUTPUTS = ("config.json", "history.csv", "predictions.npz", "final.pt", "train.json")  # the last is written last


def adopt_bundle(bundle: Path) -> list[str]:
    """Copy a bundle's finished runs into runs/ and register them; their ids.

    Raises DataError, and copies nothing, when a run belongs to another configuration or code than the present one; or
    was trained with another split, encoder or estimate than is here, when neither it nor what takes from it is copied.
    """
    found = sorted((bundle / "runs").glob("*/*/*/*/s*/train.json"))
    if not found:
        raise DataError(f"{bundle}: no finished run in it; train it with `python -m daso train --bundle {bundle}`")
    params = load()
    runs = {parse_run(params, path.parent.relative_to(bundle / "runs").as_posix()): path.parent for path in found}
    errors = [line for run, folder in runs.items() for line in _other_key(Keys(params), run, folder)]
    if errors:
        raise DataError("\n".join(errors))
    waiting = dict(runs)
    while waiting:  # lenders first: the splits of what follows are made here of what they guess
        ready = [run for run in waiting if not waiting.keys() & set(lenders(params, run))]
        batch = {run: waiting.pop(run) for run in ready}
        reads = {run: read(run.id, resolve(params, run)["plan"]) for run in batch}
        _snakemake(sorted({path.as_posix() for files in reads.values() for path in files.values()}))  # made, or here
        if errors := [line for run, folder in batch.items() for line in _others(folder, reads[run])]:
            raise DataError("\n".join(errors))
        for run, folder in batch.items():
            _copy(folder, Path("runs", run.id))
            journal.remember(journal.place(run.id), _json(folder / "train.json"))
        register(batch)
    return [run.id for run in runs]


def register(runs: Iterable[Run]) -> None:
    """Make Snakemake record the outputs of these runs as made by the present configuration and code."""
    _snakemake(["--touch", "--force", *(f"runs/{run.id}/train.json" for run in runs)], DASO_ADOPT="1")


def _other_key(keys: Keys, run: Run, folder: Path) -> list[str]:
    trained, present = _json(folder / "config.json").get("key"), keys.train(run)
    if trained == present:
        return []
    return [f"{folder}: trained as {trained}, but params/ and code now give {present}; check out what it was made from"]


def _others(folder: Path, reads: Mapping[str, Path]) -> list[str]:
    """What a run has read there and is another file here."""
    trained = _json(folder / "train.json").get("provenance", {})
    digests = {"split": _json(reads["split"]).get("sha256")}
    digests |= {name: file_digest(path, "sha256") for name, path in reads.items() if name != "split"}
    read_there = {"split": trained.get("split_sha256"), **trained.get("lent", {})}
    return [
        f"{folder}: trained with another {name} than {path}; it comes from another source, or is of another run"
        for name, path in reads.items()
        if digests[name] != read_there.get(name)
    ]


def _copy(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in OUTPUTS:
        partial = target / f"{name}.{os.getpid()}.part"
        shutil.copyfile(source / name, partial)
        partial.replace(target / name)


def _json(path: Path) -> dict[str, Any]:
    try:
        tree: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable JSON file ({error})") from error
    return tree


def _snakemake(arguments: list[str], **environment: str) -> None:
    command = [sys.executable, "-m", "snakemake", *arguments, "--quiet", "all"]
    done = subprocess.run(command, env=os.environ | environment, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise DataError(f"snakemake could not take the runs in:\n{done.stderr.strip()}")
