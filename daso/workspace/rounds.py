"""Record the results of the present labels of a suite, so that later labels can be compared with them."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from pathlib import Path

from daso.aliases import Tree
from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.resolve import expand_suite, runs
from daso.data.files import checksummed, digest, write_file
from daso.data.store import FILES
from daso.paths import METRICS, SCRATCH, store_folder
from daso.report.results.collect import collect
from daso.report.results.controls import unlabeled_verdicts
from daso.report.results.round_records import metrics_digest, read_records, record_path
from daso.report.results.rounds import ImageDigests, round_content

DIGITS = 12  # of the SHA-256 of an image


def record_round(suite: str) -> Path | None:
    """Write the record of the present labels of a suite, unless it is there; return its path if it was written.

    Nothing is recorded for a suite without controls, with missing runs, or with a dataset that was not read from files.
    A record of the same labels is replaced if the results differ, for example after a change of the protocol.
    """
    params = load_params()
    expanded, own = expand_suite(params, suite), runs(params, suite)
    tables = [table for table in expanded["tables"] if "controls" in table]
    lists = {table["dataset"]["name"]: store_folder(table["dataset"]["name"]) / FILES for table in tables}
    if not tables or not all(path.exists() for path in lists.values()):
        return None
    keys = Keys(params)
    cells = collect(expanded, Path(METRICS), Path(SCRATCH), {run.id: keys.train(run) for run in own})
    verdicts = unlabeled_verdicts(expanded, cells)
    if not verdicts or any(cell.status != "done" for cell in cells):
        return None
    content = round_content(expanded, cells, verdicts, {name: _image_digests(path) for name, path in lists.items()})
    return _write(content, metrics_digest(run.id for run in own))


def _write(content: Tree, metrics: str) -> Path | None:
    """Write a record with the number of its round, which is kept, or the next one."""
    suite, labels = content["suite"], content["labeled"]
    path, records = record_path(suite, digest(labels)[:16]), read_records(suite, metrics).all
    last = max((record["order"] for record in records), default=0)
    order = next((record["order"] for record in records if record["labeled"] == labels), last + 1)
    text = checksummed({**content, "metrics": metrics, "order": order})
    if path.exists() and path.read_bytes() == text:
        return None
    write_file(path, text)
    return path


def _image_digests(path: Path) -> ImageDigests:
    """Return the content of the images in a store's list of files."""
    by_row, labeled = defaultdict[str, dict[int, str]](dict), defaultdict[str, list[str]](list)
    for row in csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8", "surrogateescape"), newline="")):
        by_row[row["part"]][int(row["row"])] = row["sha256"][:DIGITS]
        if row["label"] and row["part"] == "train":
            labeled[row["label"]].append(row["sha256"][:DIGITS])
    return ImageDigests(by_row, labeled)
