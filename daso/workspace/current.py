"""Decide which outputs of the workflow are current.

Every output lies beside the key that it was made with: the digest of its configuration, its code and the keys of its
inputs. It is current if all its files exist and that key is the one which params/ and the code give now. Neither times
nor records of Snakemake take part, so a fresh clone, `dvc checkout` and a kill change no decision.
"""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path

from daso.config.keys import Keys
from daso.config.params import Params
from daso.config.resolve import Run, runs
from daso.data.files import CHECKSUM, digest, read_json
from daso.data.run_files import FILES, RESULT, load_finished_run
from daso.errors import DataError

logger = logging.getLogger(__name__)  # not the root logger, to which Snakemake's messages go too
REPORT_FILES = ("index.html", "report.md", "metrics.json", "cells.csv", "history.csv")


class Current:
    """Return for each output whether it is current; each run is read once."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.status = cache(self._status)
        self.evaluated = cache(self._evaluated)

    def store(self, dataset: str) -> bool:
        """Return True if the images of a data set need not be read again."""
        folder = Path("data/store", dataset)
        return _made(folder / "key", self.keys.data(dataset), folder / "manifest.json")

    def split(self, dataset: str, setting: str, seed: int) -> bool:
        """Return True if a split need not be drawn again."""
        path = Path("data/splits", dataset, setting, f"s{seed}.json")
        return _made(path.with_suffix(".key"), self.keys.split(dataset, setting, seed), path)

    def derived(self, run: Run) -> bool:
        """Return True if the split of a stage need not be derived again."""
        path = Path("runs", run.id, "split.json")
        return _made(path.with_suffix(".key"), self.keys.derived(run), path)

    def estimated(self, run: Run) -> bool:
        """Return True if the class sizes need not be estimated again from a survey."""
        path = Path("runs", run.id, "estimate.json")
        return _made(path.with_suffix(".key"), self.keys.estimate(run), path)

    def trained(self, run: Run) -> bool:
        """Return True if a run need not be trained again.

        A damaged result is reported and left, for a copy of it may exist; what reads it raises DataError.
        """
        return self.status(run) in ("done", "damaged")

    def _status(self, run: Run) -> str:
        """Return the status of a run: its result is of this key, of another one, damaged, begun or missing."""
        folder, key = Path("runs", run.id), self.keys.train(run)
        if (folder / RESULT).exists():
            try:
                if load_finished_run(folder, name=run.id).key != key:
                    return "stale"
            except DataError as error:
                logger.warning("%s", error)
                return "damaged"
            if all((folder / name).exists() for name in FILES):
                return "done"
        return "running" if Path("scratch", run.id, f"{key}.pt").exists() else "missing"

    def _evaluated(self, run: Run) -> bool:
        """Return True if the metrics of a run are those of its files and its provenance."""
        path = Path("metrics", f"{run.id}.json")
        if not (self.trained(run) and _made(path.with_suffix(".key"), self.keys.evaluate(run), path)):
            return False
        try:
            shown, result = (
                read_json(path, "file of metrics"),
                load_finished_run(Path("runs", run.id), name=run.id).result,
            )
        except DataError:
            return True
        return all(shown.get(name) == result.get(name) for name in ("files", "speed", "provenance"))

    def reported(self, suite: str) -> bool:
        """Return True if a suite's report shows the metrics of its runs."""
        folder, made_from = Path("reports", suite), runs(self.keys.params, suite)
        if not all(self.evaluated(run) for run in made_from):
            return False
        key = report_key(self.keys.params, suite, self.keys.report(suite))
        return _made(folder / "key", key, *(folder / name for name in REPORT_FILES))


def report_key(params: Params, suite: str, key: str) -> str:
    """Return what stands beside a report: its key, and the digest of the checksums of the metrics it is made from.

    The metrics of a run may change under the same key, as when it is trained again on another device.
    """
    checksums = [_checksum(Path("metrics", f"{run.id}.json")) for run in runs(params, suite)]
    return f"{key} {digest(checksums)[:16]}"


def _checksum(path: Path) -> str:
    """Return the checksum that a file of metrics carries, empty if there is none; its readers verify it."""
    try:
        return str(read_json(path, "file of metrics").get(CHECKSUM))
    except DataError:
        return ""


def _made(beside: Path, key: str, *outputs: Path) -> bool:
    """Return True if the outputs exist, and the file beside them holds their key."""
    try:
        return beside.read_text() == f"{key}\n" and all(path.exists() for path in outputs)
    except (OSError, UnicodeDecodeError):
        return False
