"""Which guesses become labels of the next generation (Wei et al. 2021, section 3.3). Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from daso.errors import DataError
from daso.records import IntArray

FloatArray = NDArray[np.float64]


def shares(counts: Sequence[int], exponent: float) -> FloatArray:
    """The share of each class's guesses that is trusted, (K,): mu of rank r is (N_(K-1-r) / N_0) ** exponent.

    `counts` (K,) are the initial labeled images by class. Ranks go from many to few, of equal counts the first class
    first, so that classes need not be numbered by their size; the rarest class is trusted wholly. Raises DataError
    when a class has no labeled image.
    """
    if min(counts) < 1:
        raise DataError(f"class {list(counts).index(min(counts))} has no labeled image, so no guess of it is trusted")
    ranked = np.argsort(-np.asarray(counts), kind="stable")
    sizes = np.asarray(counts, dtype=np.float64)[ranked]
    trusted = np.empty(len(counts))
    trusted[ranked] = (sizes[::-1] / sizes[0]) ** exponent
    return trusted


def select(logits: NDArray[np.float32], trusted: FloatArray) -> tuple[IntArray, IntArray]:
    """The most confident floor(mu_k n_k) of the n_k images that are guessed to be of class k; of equal ones the first.

    `logits` (M, K) of all unlabeled images, `trusted` (K,). Returns positions (n,) among the M and the guesses (n,),
    class by class, the surest first. Raises DataError when a logit is no number.
    """
    if not np.isfinite(logits).all():
        raise DataError("a prediction of an unlabeled image is no finite number; no guess can be trusted")
    guess = logits.argmax(axis=1)
    above = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    spread = np.exp(above).sum(axis=1)  # 1 / confidence
    chosen = []
    for k, share in enumerate(trusted):
        mine = np.flatnonzero(guess == k)
        chosen.append(mine[np.argsort(spread[mine], kind="stable")][: int(share * len(mine))])
    rows = np.concatenate(chosen).astype(np.int64)
    return rows, guess[rows].astype(np.int64)
