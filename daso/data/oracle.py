"""Oracle labels: true classes of images that have no label in training, for metrics and reports alone.

They lie beside a store, bound to its digest: `train_oracle.npy`, int64 (n,) for the rows of the train part, 0..K-1, K
for an image of no class, -1 where unknown; and `oracle.json`, written last. No other stage reads them, and no key of
images, splits or runs depends on them.
"""

from __future__ import annotations

import io
import re
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np

from daso.aliases import IntArray
from daso.data.files import checksummed, write_file
from daso.data.open_set import open_store
from daso.data.oracle_record import ORACLE_FIX, ORACLE_RECORD, SHA256, read_oracle_record
from daso.data.run_files import FinishedRun
from daso.data.store import load_store
from daso.errors import DataError

LABELS = "train_oracle.npy"
LIST = "u_train_{subset}_oracle.txt"


class Oracle(NamedTuple):
    """Oracle labels of the unlabeled images of a run."""

    labels: IntArray  # (M,)
    sha256: str


def write_oracle(folder: Path, lists: Path) -> dict[str, int]:
    """Write the oracle labels of a store from lists of its subsets; return the number of labels of each subset.

    A list has a line `u_train_<subset>/<number>.jpg <label>` for each image, numbered within the subset. Labels from K
    on are of no class. Raises DataError if no subset has a list, or a list does not name each image of its subset once.
    """
    store = load_store(folder)
    labels, counts, digests = np.full(len(store.labels("train")), -1), dict[str, int](), dict[str, str]()
    for subset, (first, end) in store.subsets.items():
        path = lists / LIST.format(subset=subset)
        if path.exists():
            content = path.read_bytes()
            labels[first:end] = _read_list(path, content, end - first)
            counts[subset], digests[path.name] = end - first, sha256(content).hexdigest()
    if not counts:
        names = ", ".join(LIST.format(subset=subset) for subset in store.subsets) or "no subsets in this store"
        raise DataError(f"{lists}: expected a list of oracle labels ({names}), got none; give the folder of the lists")
    labels = np.minimum(labels, len(store.classes))
    buffer = io.BytesIO()
    np.save(buffer, labels)
    (folder / ORACLE_RECORD).unlink(missing_ok=True)
    write_file(folder / LABELS, buffer.getvalue())
    digest = sha256(buffer.getvalue()).hexdigest()
    write_file(folder / ORACLE_RECORD, checksummed({SHA256: digest, "store_sha256": store.sha256, "lists": digests}))
    return counts


def _read_list(path: Path, content: bytes, images: int) -> IntArray:
    """Return the labels (n,) of a list by the number of the image."""
    labels = dict[int, int]()
    folder = path.stem.removesuffix("_oracle")
    for number, line in enumerate(content.decode(errors="replace").splitlines(), start=1):
        if not (match := re.fullmatch(rf"{folder}/(\d{{1,9}})\.\w+ (\d{{1,6}})", line)):
            raise DataError(
                f"{path}: line {number}: expected `{folder}/<number>.jpg <label>`, got '{line[:60]}'; correct it"
            )
        labels[int(match[1])] = int(match[2])
    if labels.keys() != set(range(images)) or len(content.splitlines()) != images:
        raise DataError(
            f"{path}: expected the images 0 to {images - 1} once each, got {len(content.splitlines())} lines of "
            f"{len(labels)} images; give the list of this store"
        )
    return np.array([labels[image] for image in range(images)])


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
    store, content = load_store(folder), (folder / LABELS).read_bytes()
    if sha256(content).hexdigest() != record[SHA256]:
        raise DataError(f"{folder / LABELS}: damaged: its checksum differs from {ORACLE_RECORD}; {ORACLE_FIX}")
    trained_with = open_store(store, run.config["setting"].get("outside")).sha256
    if record["store_sha256"] != store.sha256 or run.result["provenance"]["data_sha256"] != trained_with:
        raise DataError(
            f"{folder / ORACLE_RECORD}: oracle labels of a different store than that of {run.folder}; {ORACLE_FIX}"
        )
    labels = np.load(io.BytesIO(content), allow_pickle=False)
    truth = np.full(len(rows), -1)
    own = rows < len(labels)
    truth[own] = labels[rows[own]]
    return Oracle(np.where(known < 0, truth, known), record[SHA256])
