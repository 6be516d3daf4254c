"""Shift of probabilities to another distribution of the classes (Saerens et al. 2002, Eq. 2.4)."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from daso.aliases import FloatArray
from daso.data.files import read_file
from daso.errors import DasoError, DataError, did_you_mean, one_line

MAX_BYTES = 2**24


def ratios(record: Mapping[str, Any], prior: str | None) -> FloatArray:
    """Return the ratio (K,) of the shares of the classes in `prior` to those in the probabilities of a model.

    `prior` is `uniform`, `train`, the shares of the labeled images, or a CSV file with the columns class and share;
    None changes nothing. Raises DasoError for a file that does not name each class once with a positive share.
    """
    classes = record["classes"]
    implied = _shares(record, record["prior"]["implied"])
    if prior is None:
        return np.ones(len(classes))
    shares = _shares(record, prior) if prior in ("uniform", "train") else _read_shares(Path(prior), classes)
    ratio: FloatArray = shares / implied
    return ratio


def shifted(probabilities: FloatArray, ratio: FloatArray) -> FloatArray:
    """Return probabilities (n, K) times the ratios (K,) of the new to the old shares, normalised."""
    if (ratio == 1).all():
        return probabilities
    weighted = probabilities.astype(np.float64) * ratio
    result: FloatArray = weighted / weighted.sum(1, keepdims=True)
    return result


def _shares(record: Mapping[str, Any], name: str) -> FloatArray:
    train = np.array(record["prior"]["train"], dtype=np.float64)
    return train / train.sum() if name == "train" else np.full(len(train), 1 / len(train))


def _read_shares(path: Path, classes: Sequence[str]) -> FloatArray:
    try:
        text = read_file(path, MAX_BYTES).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise DataError(f"--prior {path}: not a readable CSV file ({error}); give uniform, train or a file") from error
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    if not rows or not {"class", "share"} <= rows[0].keys():
        raise DataError(f"{path}: expected the columns class,share; correct its first line")
    shares: dict[str, float] = {}
    for row in rows:
        name = (row["class"] or "").strip()
        if name not in classes:
            raise DataError(f"{path}: unknown class '{one_line(name)}'{did_you_mean(name, classes)}")
        if name in shares:
            raise DataError(f"{path}: duplicate class '{one_line(name)}'; keep one of its rows")
        shares[name] = _positive(path, name, row["share"])
    if missing := [name for name in classes if name not in shares]:
        raise DasoError(f"{path}: missing class '{missing[0]}'; give the share of each of the {len(classes)} classes")
    result = np.array([shares[name] for name in classes])
    normalised: FloatArray = result / result.sum()
    return normalised


def _positive(path: Path, name: str, text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        wrong = f"expected a positive number, got '{one_line(text or '')}'"
        raise DataError(f"{path}: share of '{one_line(name)}': {wrong}; correct it")
    return value
