"""Records of rounds of labeling: one small file for each state of the labels of a suite, kept in Git.

When labels change, runs are trained again under the same ids. A record keeps the accuracy and the test predictions of
the recommended model that the labels gave before. The record of the present labels is the one that was made from the
present metrics.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from daso.aliases import Tree
from daso.data.files import CHECKSUM, digest, file_digest, read_checksummed, read_json
from daso.errors import DataError
from daso.paths import metrics_file

ROUNDS_FOLDER = Path("journal/rounds")


class RoundRecords(NamedTuple):
    """Records of a suite: that of the present labels, None if there is none, and all, from the first round on."""

    present: Tree | None
    all: list[Tree]


NO_RECORDS = RoundRecords(None, [])


def record_path(suite: str, labels: str) -> Path:
    """Return the path of the record of a suite's labels with this digest."""
    return ROUNDS_FOLDER / suite / f"{labels}.json"


def metrics_digest(runs: Iterable[str]) -> str:
    """Return a digest of the checksums in the metrics of some runs."""
    return digest([recorded_checksum(metrics_file(run)) for run in runs])[:16]


def read_records(suite: str, metrics: str) -> RoundRecords:
    """Return the records of a suite; raises DataError for a damaged one. `metrics` is the digest of its metrics."""
    records = [
        read_checksummed(path, "record of a round of labeling", f"restore it: `git checkout {path}`, or delete it")
        for path in _paths(suite)
    ]
    records.sort(key=lambda record: (record["order"], record[CHECKSUM]))
    return RoundRecords(next((record for record in records if record["metrics"] == metrics), None), records)


def other_records(suite: str, metrics: str) -> list[str]:
    """Return the digest of each record of a suite that was made from other metrics, also of a damaged one."""
    return [file_digest(path, "sha256") for path in _paths(suite) if _metrics_of(path) != metrics]


def _paths(suite: str) -> list[Path]:
    return sorted((ROUNDS_FOLDER / suite).glob("*.json"))


def _metrics_of(path: Path) -> str:
    try:
        return str(read_json(path, "record of a round of labeling").get("metrics"))
    except DataError:
        return ""


def recorded_checksum(path: Path) -> str:
    """Return the checksum written in a JSON file, empty if it has none; readers of the file verify it."""
    try:
        return str(read_json(path, "JSON file").get(CHECKSUM))
    except DataError:
        return ""
