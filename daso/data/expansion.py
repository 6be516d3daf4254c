"""Selection of the pseudo-labels that the next generation trains on (Wei et al. 2021, section 3.3). Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from daso.aliases import FloatArray, IntArray
from daso.errors import DataError


def sampling_rates(counts: Sequence[int], exponent: float) -> FloatArray:
    """Return the share of each class's pseudo-labels to add, (K,): mu of rank r is (N_(K-1-r) / N_0) ** exponent.

    `counts` (K,) are the initial labeled images by class. Classes are ranked from many to few (ties: lower class
    first), whatever their numbers; all pseudo-labels of the rarest class are added. Raises DataError if a class has no
    labeled image.
    """
    if min(counts) < 1:
        raise DataError(
            f"class {list(counts).index(min(counts))} has no labeled images, so its sampling rate is undefined; "
            "label at least one"
        )
    ranked = np.argsort(-np.asarray(counts), kind="stable")
    sizes = np.asarray(counts, dtype=np.float64)[ranked]
    rates = np.empty(len(counts))
    rates[ranked] = (sizes[::-1] / sizes[0]) ** exponent
    return rates


def select_pseudo_labels(logits: NDArray[np.float32], rates: FloatArray) -> tuple[IntArray, IntArray]:
    """Select the most confident floor(mu_k n_k) of the n_k images with pseudo-label k; ties: the first image.

    `logits` (M, K) of all unlabeled images, `rates` mu (K,). Returns positions (n,) among the M images and their
    pseudo-labels (n,), class by class, the most confident first. Raises DataError if a logit is not finite.
    """
    if not np.isfinite(logits).all():
        raise DataError("the logits of an unlabeled image are not finite; train the upstream run again")
    predicted = logits.argmax(axis=1)
    above = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    spread = np.exp(above).sum(axis=1)  # 1 / confidence
    chosen = []
    for k, rate in enumerate(rates):
        of_class = np.flatnonzero(predicted == k)
        chosen.append(of_class[np.argsort(spread[of_class], kind="stable")][: int(rate * len(of_class))])
    positions = np.concatenate(chosen).astype(np.int64)
    return positions, predicted[positions].astype(np.int64)
