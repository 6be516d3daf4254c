"""Journal of finished runs: commit, device, versions and speed of each run, in a small file for git.

Configuration, code and data determine a run's results bit for bit, but commit and duration belong to one particular
training; the journal records them. A bit-identical rerun in the same environment leaves the entry unchanged, and its
`train.json` gets the recorded commit and speed, so all outputs that depend on it stay the same: if a rebuild of
everything changes no byte, every result has been reproduced.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from daso.aliases import Tree
from daso.data.files import CHECKSUM, checksummed, read_checksummed, write_file
from daso.data.run_files import COMPARED_FILES
from daso.errors import DataError

JOURNAL_FOLDER = Path("journal")
# Parts of the environment that bits depend on. The commit is not included, as the key covers the code.
ENVIRONMENT = ("device", "mode", "precision", "threads", "versions", "cudnn")
REVALIDATED = "revalidated"  # records of later code that gives the run the same bits


def entry_path(run: str) -> Path:
    """Return the path of a run's entry."""
    return JOURNAL_FOLDER / f"{run}.json"


def make_entry(result: Tree) -> dict[str, Any]:
    """Return the entry of a finished run, given the content of its `train.json`."""
    return {
        "run": result["run"],
        "key": result["key"],
        "results": {name: result["files"][name] for name in COMPARED_FILES},
        "environment": {
            name: value for name, value in result["provenance"].items() if name in ("commit", *ENVIRONMENT)
        },
        "speed": result["speed"],
    }


def same_results(old: Tree, new: Tree) -> bool:
    """Return True if two entries have the same run, key, results and environment, apart from commit and speed."""
    return _identity(old) == _identity(new)


def with_recorded_training(result: Tree, old: Tree) -> dict[str, Any]:
    """Return the content of a `train.json` with the speed and environment of an entry."""
    return {**result, "speed": old["speed"], "provenance": {**result["provenance"], **old["environment"]}}


def reconcile(path: Path, result: Tree) -> dict[str, Any]:
    """Return the content of `train.json` with speed and environment of the run's entry, if the results are the same.

    Otherwise replace the entry by one of this result, and return the content unchanged.
    """
    new, old = make_entry(result), _read(path)
    if same_results(old, new):
        return with_recorded_training(result, old)
    write_file(path, checksummed(new | _kept_records(old, new)))
    return dict(result)


def record_result(path: Path, result: Tree) -> None:
    """Replace the run's entry by one of this content of its `train.json`, unless they are equal."""
    new, old = make_entry(result), _read(path)
    new |= _kept_records(old, new)
    if old != new:
        write_file(path, checksummed(new))


def add_revalidation(path: Path, result: Tree, record: Tree) -> None:
    """Add a record to the run's entry: {keys: {key by later code: key of the run}, commit, date, compared}."""
    new = make_entry(result)
    records = _kept_records(_read(path), new).get(REVALIDATED, [])
    write_file(path, checksummed({**new, REVALIDATED: [*records, record]}))


def revalidated_key(path: Path, result: Path, key: str) -> str:
    """Return the key of the finished run in `result`, its train.json, if it was revalidated for `key`; else `key`.

    A record applies to the compared results only: a run that is trained again, or elsewhere, gets `key`. Raises
    DataError for a damaged entry that has records.
    """
    if not (path.exists() and result.exists() and REVALIDATED.encode() in path.read_bytes()):
        return key
    old = _load_valid(path, f"resolve the conflict, or restore it: `git checkout {path}`")
    records = (record["keys"] for record in old.get(REVALIDATED, []))
    earlier = next((str(keys[key]) for keys in records if key in keys), key)
    if earlier == key or not same_results(old, make_entry(read_checksummed(result, "result of a run"))):
        return key
    return earlier


def _kept_records(old: Tree, new: Tree) -> dict[str, Any]:
    """Return the records that a new entry takes over from an old one: all if both have the same results, else none."""
    return {REVALIDATED: old[REVALIDATED]} if REVALIDATED in old and same_results(old, new) else {}


def _identity(tree: Tree) -> list[Any]:
    environment = tree.get("environment", {})
    return [tree.get(name) for name in ("run", "key", "results")] + [environment.get(name) for name in ENVIRONMENT]


def _read(path: Path) -> dict[str, Any]:
    """Return the entry in a file; an empty entry if it is missing, damaged or in conflict, so that it is replaced."""
    if not path.exists():
        return {}
    try:
        return _load_valid(path, "it is replaced")
    except DataError as error:
        logging.warning("%s", error)
        return {}


def _load_valid(path: Path, fix: str) -> dict[str, Any]:
    """Return the entry in a file; raises DataError if it is damaged or has a merge conflict."""
    entry = read_checksummed(path, "entry of the journal", fix)
    del entry[CHECKSUM]
    return entry
