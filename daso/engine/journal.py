"""How a run came about, apart from what it came to: commit, device, versions and speed, in a small file for git.

Configuration, code and data give a run's results bit for bit; the seconds it took and the commit it was trained from
are of one occasion. The journal remembers that occasion. Who makes the same bytes again, in the same way, adds nothing
to it, and `train.json`, with all that is made of it, comes out as before: a rebuild of everything that changes no byte
has shown that every result is the same.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daso.data.files import CHECKSUM, atomic_write, checksummed, read_checksummed
from daso.data.validate import Number, schema_error
from daso.errors import DataError

Tree = Mapping[str, Any]
FOLDER = Path("journal")
RESULTS = ("final.pt", "history.csv", "predictions.npz")
# The way in which bits are made. The commit is not among it: the key holds the code.
ENVIRONMENT = ("device", "mode", "precision", "threads", "versions", "cudnn")
PACE = Number(0)
REVALIDATED = "revalidated"  # records of later code that gives the run the same bits
FORM = {
    **{"run": str, "key": str, "results": dict.fromkeys(RESULTS, str), "environment": {"commit": str}},
    "speed": {**dict.fromkeys(("seconds", "steps_per_second", "images_per_second"), PACE), "share": dict},
}


def entry_path(run: str) -> Path:
    """Where the entry of a run lies."""
    return FOLDER / f"{run}.json"


def make_entry(result: Tree) -> dict[str, Any]:
    """What is remembered of a finished run, given the content of its `train.json`."""
    return {
        "run": result["run"],
        "key": result["key"],
        "results": {name: result["files"][name] for name in RESULTS},
        "environment": {
            name: value for name, value in result["provenance"].items() if name in ("commit", *ENVIRONMENT)
        },
        "speed": result["speed"],
    }


def same_results(old: Tree, new: Tree) -> bool:
    """Whether two entries tell of the same bytes, made in the same way of the same configuration and code."""
    return _made(old) == _made(new)


def with_recorded_occasion(result: Tree, old: Tree) -> dict[str, Any]:
    """The content of a `train.json` with the occasion of an entry for its own."""
    return {**result, "speed": old["speed"], "provenance": {**result["provenance"], **old["environment"]}}


def reconcile(path: Path, result: Tree) -> dict[str, Any]:
    """The content of `train.json` by the run's entry, which is replaced where it tells of another result or way."""
    new, old = make_entry(result), _read(path)
    if same_results(old, new):
        return with_recorded_occasion(result, old)
    _write(path, new | _revalidated(old, new))
    return dict(result)


def record_result(path: Path, result: Tree) -> None:
    """Make the run's entry say what the content of its `train.json` does."""
    new, old = make_entry(result), _read(path)
    new |= _revalidated(old, new)
    if old != new:
        _write(path, new)


def revalidate(path: Path, result: Tree, record: Tree) -> None:
    """Add a record to the run's entry: {keys: {key by later code: key of the run}, commit, date, compared}."""
    new = make_entry(result)
    records = _revalidated(_read(path), new).get(REVALIDATED, [])
    _write(path, {**new, REVALIDATED: [*records, record]})


def revalidated_key(path: Path, trained: Path, key: str) -> str:
    """Return the key of the finished run in `trained`, its train.json, if it was revalidated for `key`; else `key`.

    A record holds for the results that were compared: a run that is trained again, or elsewhere, gets `key`. Raises
    DataError for a damaged entry that has records.
    """
    if not (path.exists() and trained.exists() and REVALIDATED.encode() in path.read_bytes()):
        return key
    old = _checked(path, f"resolve the conflict, or restore it: `git checkout {path}`")
    records = (record["keys"] for record in old.get(REVALIDATED, []))
    kept = next((str(keys[key]) for keys in records if key in keys), key)
    return kept if kept != key and same_results(old, make_entry(read_checksummed(trained, "result of a run"))) else key


def _revalidated(old: Tree, new: Tree) -> dict[str, Any]:
    """Return the records of an entry that its successor keeps: all if both are of the same results, else none."""
    return {REVALIDATED: old[REVALIDATED]} if REVALIDATED in old and same_results(old, new) else {}


def _write(path: Path, new: Tree) -> None:
    with atomic_write(path) as file:
        file.write(checksummed(new))


def _made(tree: Tree) -> list[Any]:
    environment = tree.get("environment", {})
    return [tree.get(name) for name in ("run", "key", "results")] + [environment.get(name) for name in ENVIRONMENT]


def _read(path: Path) -> dict[str, Any]:
    """The entry in a file; none of one that is not there, damaged or merged: a result outweighs it."""
    if not path.exists():
        return {}
    try:
        return _checked(path, "it is written anew")
    except DataError as error:
        logging.warning("%s", error)
        return {}


def _checked(path: Path, fix: str) -> dict[str, Any]:
    """Return the entry in a file; raises DataError for a damaged or merged one."""
    old = read_checksummed(path, "entry of the journal", fix)
    if wrong := schema_error(old, FORM) or schema_error(old.get(REVALIDATED, []), [{"keys": dict}], REVALIDATED):
        raise DataError(f"{path}: not an entry of the journal ({wrong}); {fix}")
    del old[CHECKSUM]
    return old
