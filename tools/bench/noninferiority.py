"""Is one way of training no worse than another, by more than a margin? Paired differences, bounds, a word."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from scipy.stats import t as student  # type: ignore[import-untyped]

CONFIDENCE = 0.95  # of each of the two bounds by itself
ENOUGH = 3  # pairs; two accuracies of some hundred images easily happen to differ by the same
NON_INFERIOR, INFERIOR, NOT_SHOWN = "non-inferior", "inferior", "not shown"


class Comparison(NamedTuple):
    """n paired differences in points; the bounds hold one-sidedly, and a single pair has none."""

    n: int
    mean: float
    sd: float | None  # sample standard deviation, n - 1
    lower: float | None
    upper: float | None
    verdict: str


def compare(differences: Sequence[float], margin: float) -> Comparison:
    """Judge at least one difference, variant less standard, against a margin above zero.

    The bounds of the mean are mean -+ t sd / sqrt(n), with Student's 95 % quantile of n - 1 degrees of freedom.
    `non-inferior`: the lower one is above -margin. `inferior`: even the upper one is below it. Else, and always of
    fewer than three pairs, `not shown`.
    """
    n, mean = len(differences), statistics.fmean(differences)
    if n < 2:
        return Comparison(n, mean, None, None, None, NOT_SHOWN)
    sd = statistics.stdev(differences)
    reach = float(student.ppf(CONFIDENCE, n - 1)) * sd / math.sqrt(n)
    lower, upper = mean - reach, mean + reach
    verdict = NON_INFERIOR if lower > -margin else INFERIOR if upper < -margin else NOT_SHOWN
    if n < ENOUGH:
        verdict = NOT_SHOWN
    return Comparison(n, mean, sd, lower, upper, verdict)
