"""Images on which a run and the runs before it have trained, compared with the test images of another run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from daso import paths
from daso.aliases import IntArray
from daso.data.run_files import FinishedRun, load_finished_run
from daso.data.split import SavedSplit, load_split
from daso.data.store import Store
from daso.data.weights import run_named
from daso.errors import DataError


def check_start(config: Mapping[str, Any], split: SavedSplit, store: Store) -> None:
    """Raise DataError if the finished run that a network starts from has trained on test images that a split holds out.

    Images of the same group as a test image count too. Runs whose split is missing, has changed or is of another store
    are not checked.
    """
    start = run_named(config["protocol"]["network"])
    if not start or not len(split.split.test):
        return
    groups = store.groups("train")
    tested = groups[split.split.test]
    for run in _with_earlier_runs(start):
        if number := int(np.isin(tested, groups[_trained_rows(run, store)]).sum()):
            raise DataError(
                f"{config['run']}: its network starts from {start}, and {run.result['run']} has trained on {number} of "
                f"its {len(tested)} test images or on others of their groups; start runs of that seed alone from it, "
                "or move the test images to test/ and remove test_share"
            )


def _with_earlier_runs(start: str) -> Iterator[FinishedRun]:
    """Yield a run, the run that its network starts from, and so on, up to the first that is missing."""
    while start and (paths.run_folder(start) / paths.RESULT_FILE).is_file():
        yield (run := load_finished_run(paths.run_folder(start), name=start))
        start = run_named(run.config["protocol"]["network"])


def _trained_rows(run: FinishedRun, store: Store) -> IntArray:
    """Return the rows (n,) of a store's train part on which a run has trained; empty if its split is not known."""
    config, provenance = run.config, run.result["provenance"]
    path = paths.input_files(config["run"], config["plan"])["split"]
    if provenance["data_sha256"] != store.sha256 or not path.is_file():
        return np.empty(0, np.int64)
    saved = load_split(path)
    if saved.sha256 != provenance["split_sha256"]:
        return np.empty(0, np.int64)
    unlabeled = saved.split.unlabeled if config["method"]["unlabeled_ratio"] else saved.split.unlabeled[:0]
    return np.concatenate([saved.split.labeled, unlabeled])
