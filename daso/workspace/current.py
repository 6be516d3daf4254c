"""Decide which outputs of the workflow are current.

Every output lies beside the key that it was made with: the digest of its configuration, its code and the keys of its
inputs. It is current if it exists and params/ and the code still give this key; metrics and reports must also agree
with the files they were made from. Modification times and Snakemake's records are ignored, so a fresh clone,
`dvc checkout` and a kill change no decision.
"""

from __future__ import annotations

import csv
import io
import logging
from functools import cache
from pathlib import Path

from daso import paths
from daso.config.keys import Keys
from daso.config.params import Params
from daso.config.resolve import Run, runs, suite_of
from daso.data.files import digest, read_json
from daso.data.folder_listing import PARTS
from daso.data.run_files import RUN_FILES, load_finished_run
from daso.data.store import FILES
from daso.errors import DataError
from daso.paths import (
    CONTRADICTIONS,
    ESTIMATE_FILE,
    MANIFEST,
    RESULT_FILE,
    SPLIT_FILE,
    WEIGHTS_FILE,
    checkpoint_file,
    corrections_file,
    metrics_file,
    report_folder,
    run_folder,
    split_file,
    store_folder,
)
from daso.report.results.round_records import metrics_digest, other_records, recorded_checksum

_logger = logging.getLogger(__name__)  # not the root logger, to which Snakemake's messages go too
REPORT_FILES = ("index.html", "report.md", "summary.txt", "metrics.json", "cells.csv", "runs.csv", "history.csv")
REPORT_TABLES = "tables"  # folder with each table as CSV and LaTeX, and with the recommended models if there are any
MISSING = "-"  # in place of a digest of names, if images are missing
CONTRADICTIONS_FILES = ("index.html", "contradictions.csv")


class Current:
    """Decisions whether outputs are current; the files of each run are read once."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.status = cache(self._status)
        self.evaluated = cache(self._evaluated)

    def store(self, dataset: str) -> bool:
        """Return True if the stored images of a dataset are current; a clone may lack them, see `redistribution`."""
        folder = store_folder(dataset)
        images = (folder / f"{part}_images.npy" for part in PARTS)
        return _has_key(folder / "key", self.keys.data(dataset), folder / MANIFEST, *images)

    def encoded(self, dataset: str, protocol: str) -> bool:
        """Return True if the features of a dataset by a protocol's frozen network are current; see `store`."""
        manifest = paths.features_manifest(dataset, protocol)
        rows = paths.feature_rows(self.keys.encoded_rows(dataset, protocol))
        return _has_key(manifest.with_name("key"), self.keys.encode(dataset, protocol), manifest, rows)

    def split(self, dataset: str, setting: str, seed: int) -> bool:
        """Return True if a drawn split is current."""
        path = split_file(dataset, setting, seed)
        return _has_key(path.with_suffix(".key"), self.keys.split(dataset, setting, seed), path)

    def fitted(self, run: Run) -> bool:
        """Return True if the values fitted to the drawn split of a run are current."""
        path = paths.fit_file(run.dataset, run.setting, run.protocol, run.seed)
        return _has_key(path.with_suffix(".key"), self.keys.fit(run), path, path.with_suffix(".npz"))

    def derived(self, run: Run) -> bool:
        """Return True if the derived split of a stage is current."""
        path = run_folder(run.id) / SPLIT_FILE
        return _has_key(path.with_suffix(".key"), self.keys.derived(run), path)

    def estimated(self, run: Run) -> bool:
        """Return True if the class sizes estimated from a survey are current."""
        path = run_folder(run.id) / ESTIMATE_FILE
        return _has_key(path.with_suffix(".key"), self.keys.estimate(run), path)

    def trained(self, run: Run) -> bool:
        """Return True if a run is done, or its result damaged.

        A damaged result is logged and not replaced, since the user may have a copy of it; its readers raise DataError.
        """
        return self.status(run) in ("done", "damaged")

    def _status(self, run: Run) -> str:
        """Return the status of a run: done (has its key), stale (has a different key), damaged, running or missing."""
        folder, key = run_folder(run.id), self.keys.train(run)
        if (folder / RESULT_FILE).exists():
            try:
                if load_finished_run(folder, name=run.id).key != key:
                    return "stale"
            except DataError as error:
                _logger.warning("%s", error)
                return "damaged"
            if all((folder / name).exists() for name in RUN_FILES):
                return "done"
        return "running" if checkpoint_file(run.id, key).exists() else "missing"

    def _evaluated(self, run: Run) -> bool:
        """Return True if the metrics of a run have its key and agree with its files, speed and provenance."""
        path = metrics_file(run.id)
        if not (self.trained(run) and _has_key(path.with_suffix(".key"), self.keys.evaluate(run), path)):
            return False
        try:
            metrics = read_json(path, "metrics file")
            result = load_finished_run(run_folder(run.id), name=run.id).result
        except DataError:
            return True
        return all(metrics.get(name) == result.get(name) for name in ("files", "speed", "provenance"))

    def corrected(self, run: Run) -> bool:
        """Return True if the corrections of a run have its key and agree with its weights."""
        path = corrections_file(run.id)
        if not (self.trained(run) and path.exists()):
            return False
        try:
            corrections = read_json(path, "file of corrections")
            weights = load_finished_run(run_folder(run.id), name=run.id).result["files"][WEIGHTS_FILE]
        except DataError:
            return True
        return corrections.get("key") == self.keys.corrections(run) and corrections.get("weights") == weights

    def reported(self, suite: str) -> bool:
        """Return True if the report of a suite was made from the present metrics and corrections of its runs."""
        if not all(self.evaluated(run) and self.corrected(run) for run in runs(self.keys.params, suite)):
            return False
        folder = report_folder(suite)
        names = shown_names(self.keys.params, suite) or _recorded_names(folder / "key")
        key = report_key(self.keys.params, suite, self.keys.report(suite), names)
        return _has_key(folder / "key", f"{key} {tables_digest(folder)}", *(folder / name for name in REPORT_FILES))

    def contradictions(self) -> bool:
        """Return True if the page of contradictions was made from the present published numbers and code."""
        folder = report_folder(CONTRADICTIONS)
        return _has_key(folder / "key", self.keys.contradictions(), *(folder / name for name in CONTRADICTIONS_FILES))


def report_key(params: Params, suite: str, key: str, names: str) -> str:
    """Return the first part of a report's key file: its key, a digest of the files that it is made from, and names.

    The metrics of a run may change under the same key, for example if it is trained again on a different device, and
    the corrections with them. `names` is the digest of `shown_names`. Earlier rounds of labeling are part of the
    report, see `round_records`.
    """
    own = [run.id for run in runs(params, suite)]
    metrics, corrections = metrics_digest(own), [recorded_checksum(corrections_file(run)) for run in own]
    made_from = [metrics, corrections, *other_records(suite, metrics)]
    return f"{key} {digest(made_from)[:16]} {names or MISSING}"


def shown_names(params: Params, suite: str) -> str:
    """Return a digest of the names of the labeled files of a suite with controls, whose report shows errors.

    Files may be renamed under the same key. Empty if images are missing: a report that was made with them stays.
    """
    datasets = {table["dataset"] for table in suite_of(params, suite)["tables"] if "controls" in table}
    folders = [store_folder(dataset) for dataset in sorted(datasets)]
    if not all((folder / MANIFEST).exists() for folder in folders):
        return ""
    return digest([_labeled_files(folder / FILES) for folder in folders])[:16]


def _labeled_files(path: Path) -> list[list[str]]:
    """Return part, row and file of each labeled image in a list of files; [] if there is none."""
    if not path.exists():
        return []
    rows = csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8", "surrogateescape"), newline=""))
    return [[row[name] for name in ("part", "row", "file")] for row in rows if row["label"]]


def _recorded_names(key_file: Path) -> str:
    """Return the digest of names in the key file of a report; empty if it has none."""
    try:
        return key_file.read_text().split()[2]
    except (OSError, UnicodeDecodeError, IndexError):
        return ""


def tables_digest(report: Path) -> str:
    """Return the last part of a report's key file: a digest of the names of the files beside its tables."""
    folder = report / REPORT_TABLES
    return digest(sorted(path.name for name in ("table-*", paths.RECOMMENDED_FILE) for path in folder.glob(name)))[:16]


def _has_key(key_file: Path, key: str, *outputs: Path) -> bool:
    """Return True if the outputs exist and the file beside them contains their key."""
    try:
        return key_file.read_text() == f"{key}\n" and all(path.exists() for path in outputs)
    except (OSError, UnicodeDecodeError):
        return False
