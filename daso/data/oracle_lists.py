"""Write the oracle labels of a store, see `daso.data.oracle`, from lists of the true labels of its subsets."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from daso.aliases import IntArray
from daso.data.files import checksummed, write_file
from daso.data.oracle import LABELS
from daso.data.oracle_record import ORACLE_RECORD, SHA256
from daso.data.semi_aves_lists import digest_errors
from daso.data.store import load_store
from daso.errors import DataError

LIST = "u_train_{subset}_oracle.txt"


def write_oracle(folder: Path, lists: Path, source: Mapping[str, Any]) -> dict[str, int]:
    """Write the oracle labels of a store from lists of its subsets; return the labeled images of each subset.

    A list has a line `u_train_<subset>/<number>.jpg <label>` for each image, numbered within the subset. Labels from K
    on are of no class. Raises DataError if no subset has a list, or with all errors of the lists: images that are not
    named once, or labels and digests that differ from `oracle_lists` of the source (a digest only if it is `strict`).
    """
    store = load_store(folder, images=False)
    labels, counts, digests = np.full(len(store.labels("train")), -1), dict[str, int](), dict[str, str]()
    errors = list[str]()
    for subset, (first, end) in store.subsets.items():
        path = lists / LIST.format(subset=subset)
        if path.exists():
            content = path.read_bytes()
            labels[first:end] = _read_list(path, content, end - first)
            counts[subset], digests[path.name] = end - first, sha256(content).hexdigest()
            if expected := source.get("oracle_lists", {}).get(subset):
                errors += _label_errors(path, labels[first:end], subset, *expected["labels"])
                errors += digest_errors(f"{path}", expected["sha256"], digests[path.name], source)
    if errors:
        raise DataError(*errors)
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


def _label_errors(path: Path, labels: IntArray, subset: str, first: int, last: int) -> Iterator[str]:
    """Yield the error of the first image whose label the images of a subset cannot have."""
    if len(wrong := np.flatnonzero((labels < first) | (labels > last))):
        yield (
            f"{path}: image {wrong[0]}: expected a label from {first} to {last}, got {labels[wrong[0]]} "
            f"({len(wrong)} in all); give the list of subset '{subset}'"
        )
