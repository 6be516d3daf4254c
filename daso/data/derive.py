"""The split of one stage of a plan, made from the split as drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daso.data.expansion import select, shares
from daso.data.run_files import load_finished_run
from daso.data.split import SavedSplit, check_split, save_split
from daso.data.store import Store
from daso.data.validate import NUMBER, schema_error
from daso.errors import DataError
from daso.records import IntArray, Split


def derive(way: Mapping[str, Any], drawn: Path, store: Store, out: Path, guesses: Path | None = None) -> SavedSplit:
    """Save the split that a stage trains on: what `way` of a resolved configuration makes of the file `drawn`.

    {of, key, exponent}: enlarged by the most trusted guesses of a finished run, whose folder is `guesses`.
    {held_out}: that many labeled images of each class become the validation part.
    Raises DataError when `way` is none of these, the run is not that of `key`, or a class has too few images.
    """
    if way.keys() not in ({"of", "key", "exponent"}, {"held_out"}):
        raise DataError(f"{out}: {sorted(way)} says no way to a split; give of, key and exponent, or held_out")
    if "of" in way and (wrong := schema_error(way, {"of": str, "key": str, "exponent": NUMBER})):
        raise DataError(f"{out}: {wrong}")
    if type(held := way.get("held_out", 1)) is not int or held < 1:
        raise DataError(f"{out}: held_out is {held} and should be a number of images of each class, at least 1")
    saved, labels = check_split(drawn, store), store.labels("train")
    if saved.derivation is not None:
        raise DataError(f"{drawn}: was itself made of another split; give the one that was drawn")
    try:
        if "held_out" in way:
            split = hold_out(saved.split, labels, len(store.classes), way["held_out"])
        elif guesses is None:
            raise DataError(f"made from the guesses of {way['of']}; name its folder by --run")
        else:
            split = expand(saved.split, saved.counts["labeled"], _logits(guesses, way["key"]), way["exponent"])
    except DataError as error:
        raise DataError(f"{out}: {error}") from error
    kept = ("dataset", "setting", "seed", "config_sha256", "source_sha256", "class_order")
    head = {name: getattr(saved, name) for name in kept}
    return save_split({**head, "drawn_sha256": saved.sha256, "way": dict(way)}, split, labels, out)


def expand(split: Split, counts: Sequence[int], logits: NDArray[np.float32], exponent: float) -> Split:
    """The split as drawn with the most trusted guesses as further labels (Wei et al. 2021, section 3.3).

    `counts` (K,) are its labeled images by class, `logits` (M, K) the answers to its unlabeled images, all of which
    stay what they are. Raises DataError when the answers are not as many as the images.
    """
    if len(logits) != len(split.unlabeled):
        raise DataError(f"{len(logits)} guesses for {len(split.unlabeled)} unlabeled images; train their run again")
    chosen, guesses = select(logits, shares(counts, exponent))
    return split._replace(labeled=np.concatenate([split.labeled, split.unlabeled[chosen]]), pseudo_labeled=guesses)


def hold_out(split: Split, labels: IntArray, num_classes: int, per_class: int) -> Split:
    """The split with the first `per_class` labeled images of each class as its validation part.

    Where a class would be left with none, these images are the first of the validation part as drawn instead, and the
    labeled part stays whole (Kim et al. 2020, as in the code of Oh et al. 2022). `labels` (n,) are those of the train
    part. Raises DataError when that has too few too.
    """
    fits = np.bincount(labels[split.labeled], minlength=num_classes).min() > per_class
    pool = split.labeled if fits else split.validation
    of_class = [pool[labels[pool] == k] for k in range(num_classes)]
    short = [str(k) for k, rows in enumerate(of_class) if len(rows) < per_class]
    if short:
        raise DataError(
            f"{per_class} images of each class are to be held out, and neither the labeled nor the validation part has "
            f"as many of class {', '.join(short)}; raise `holdout` in the dataset's file or hold out fewer"
        )
    held = np.concatenate([rows[:per_class] for rows in of_class])
    return split._replace(labeled=split.labeled[~np.isin(split.labeled, held)], validation=held)


def _logits(run: Path, key: str) -> NDArray[np.float32]:
    """What a finished run answers to its unlabeled images (M, K)."""
    (logits,) = load_finished_run(run, key).arrays("unlabeled")
    if logits.ndim != 2:
        raise DataError(f"{run}/predictions.npz: no answers to unlabeled images, but {logits.shape}; train it again")
    return logits
