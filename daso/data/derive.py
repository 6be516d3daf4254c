"""Splits of a plan's stages, derived from the drawn split: expansion by pseudo-labels, or a hold-out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daso.aliases import IntArray
from daso.data.dataset_schemas import ExpandedConfig, HeldOutConfig
from daso.data.expansion import sampling_rates, select_pseudo_labels
from daso.data.open_set import open_store
from daso.data.run_files import load_finished_run
from daso.data.split import SavedSplit, check_split, save_split
from daso.data.split_rows import Split
from daso.data.store import Store
from daso.errors import DataError
from daso.schema import mismatches


def derive(
    options: Mapping[str, Any], drawn: Path, store: Store, out: Path, upstream_run: Path | None = None
) -> SavedSplit:
    """Derive the split that a stage trains on from the file `drawn` and save it as `out`.

    `options` of a resolved configuration are either {of, key, exponent}: add the most confident pseudo-labels of the
    finished run `of`, whose folder is `upstream_run`; or {held_out}: make that many labeled images of each class the
    validation part. Raises DataError for other options, if the run's key is not `key`, or for a class with too few
    images.
    """
    for mismatch in mismatches(options, ExpandedConfig | HeldOutConfig, closed=True):
        raise DataError(f"{out}: {mismatch}")
    saved = check_split(drawn, store)
    store = open_store(store, saved.outside)
    labels = store.labels("train")
    if saved.derivation is not None:
        raise DataError(f"{drawn}: already derived from a drawn split; pass that split instead")
    try:
        if "held_out" in options:
            split = hold_out(saved.split, labels, len(store.classes), options["held_out"])
        elif upstream_run is None:
            raise DataError(f"requires the pseudo-labels of {options['of']}; pass its folder with --run")
        else:
            (logits,) = load_finished_run(upstream_run, options["key"]).arrays("unlabeled")
            split = expand(saved.split, saved.counts["labeled"], logits, options["exponent"])
    except DataError as error:
        raise DataError(f"{out}: {error}") from error
    inherited = ("dataset", "setting", "seed", "config_sha256", "source_sha256", "class_order")
    head = {name: getattr(saved, name) for name in inherited}
    head |= {} if saved.outside is None else {"outside": saved.outside}
    return save_split({**head, "drawn_sha256": saved.sha256, "derivation": dict(options)}, split, labels, out)


def expand(split: Split, counts: Sequence[int], logits: NDArray[np.float32], exponent: float) -> Split:
    """Add the most confident pseudo-labels to the labeled part of a drawn split (Wei et al. 2021, section 3.3).

    `counts` (K,) are its labeled images by class, `logits` (M, K) the predictions for its unlabeled images, all of
    which stay unlabeled images too. Raises DataError if the numbers of predictions and images differ.
    """
    if len(logits) != len(split.unlabeled):
        raise DataError(
            f"{len(logits)} predictions for {len(split.unlabeled)} unlabeled images; train the upstream run again"
        )
    chosen, pseudo_labels = select_pseudo_labels(logits, sampling_rates(counts, exponent))
    labeled = np.concatenate([split.labeled, split.unlabeled[chosen]])
    return split._replace(labeled=labeled, pseudo_labeled=pseudo_labels)


def hold_out(split: Split, labels: IntArray, num_classes: int, per_class: int) -> Split:
    """Make the first `per_class` labeled images of each class the validation part.

    If a class would keep no labeled image, the first images of the drawn validation part are used instead, and the
    labeled part stays unchanged (Kim et al. 2020, as in the code of Oh et al. 2022). `labels` (n,) belong to the train
    part. Raises DataError if neither part has enough images.
    """
    fits = np.bincount(labels[split.labeled], minlength=num_classes).min() > per_class
    pool = split.labeled if fits else split.validation
    of_class = [pool[labels[pool] == k] for k in range(num_classes)]
    short = [str(k) for k, rows in enumerate(of_class) if len(rows) < per_class]
    if short:
        raise DataError(
            f"held_out: {per_class} images per class are too many for class {', '.join(short)} in both the labeled and "
            "the validation part; raise `holdout` in the dataset's file or lower held_out"
        )
    held = np.concatenate([rows[:per_class] for rows in of_class])
    return split._replace(labeled=split.labeled[~np.isin(split.labeled, held)], validation=held)
