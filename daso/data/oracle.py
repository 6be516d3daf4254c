"""Oracle labels: true classes of images that have no label in training, for metrics and reports alone.

They lie beside a store, bound to its digest: `train_oracle.npy`, int64 (n,) for the rows of the train part, 0..K-1, K
for an image of no class, -1 where unknown; and `oracle.json`, written last. No other stage reads them, and no key of
images, splits or runs depends on them.
"""

from __future__ import annotations

import io
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np

from daso.aliases import IntArray
from daso.data.open_set import open_store
from daso.data.oracle_record import ORACLE_FIX, ORACLE_RECORD, SHA256, read_oracle_record
from daso.data.run_files import FinishedRun
from daso.data.store import load_store
from daso.errors import DataError

LABELS = "train_oracle.npy"


class Oracle(NamedTuple):
    """Oracle labels of the unlabeled images of a run."""

    labels: IntArray  # (M,)
    sha256: str


def run_oracle(run: FinishedRun, folder: Path) -> Oracle | None:
    """Return the oracle labels of a run's unlabeled images.

    None if the store has no oracle labels, or the classes of all unlabeled images are known without them. Raises
    DataError if they are damaged or belong to a different store than the run.
    """
    record = read_oracle_record(folder)
    if record is None or "unlabeled_labels" not in run.array_names():
        return None
    rows, known = run.arrays("unlabeled_rows", "unlabeled_labels")
    if (known >= 0).all():
        return None
    load = partial(load_store, images=False)  # the images may have been deleted
    store, content = load(folder), (folder / LABELS).read_bytes()
    if sha256(content).hexdigest() != record[SHA256]:
        raise DataError(f"{folder / LABELS}: damaged: its checksum differs from {ORACLE_RECORD}; {ORACLE_FIX}")
    trained_with = open_store(store, run.config["setting"].get("outside"), load).sha256
    if record["store_sha256"] != store.sha256 or run.result["provenance"]["data_sha256"] != trained_with:
        raise DataError(
            f"{folder / ORACLE_RECORD}: oracle labels of a different store than that of {run.folder}; {ORACLE_FIX}"
        )
    labels = np.load(io.BytesIO(content), allow_pickle=False)
    truth = np.full(len(rows), -1)
    own = rows < len(labels)
    truth[own] = labels[rows[own]]
    return Oracle(np.where(known < 0, truth, known), record[SHA256])
