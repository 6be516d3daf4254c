"""Non-inferiority test on paired accuracies: bounds of the mean difference and a verdict."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from scipy.stats import t as student  # type: ignore[import-untyped]

CONFIDENCE = 0.95  # one-sided confidence of each bound
MIN_PAIRS = 3  # fewest pairs for a verdict; with few test images two pairs often have equal differences by chance
NON_INFERIOR, INFERIOR, NOT_SHOWN = "non-inferior", "inferior", "not shown"


class Comparison(NamedTuple):
    """Statistics of n paired differences in points, with one-sided bounds; a single pair has no bounds."""

    n: int
    mean: float
    sd: float | None  # sample standard deviation, n - 1
    lower: float | None
    upper: float | None
    verdict: str


def compare(differences: Sequence[float], margin: float) -> Comparison:
    """Compare at least one difference, variant minus standard, with a margin above zero.

    The bounds of the mean are mean -+ t sd / sqrt(n), with Student's 95 % quantile of n - 1 degrees of freedom.
    Verdicts: `non-inferior` if the lower bound is above -margin, `inferior` if the upper bound is below -margin,
    `not shown` otherwise and for fewer than three pairs.
    """
    n, mean = len(differences), statistics.fmean(differences)
    if n < 2:
        return Comparison(n, mean, None, None, None, NOT_SHOWN)
    sd = statistics.stdev(differences)
    half_width = float(student.ppf(CONFIDENCE, n - 1)) * sd / math.sqrt(n)
    lower, upper = mean - half_width, mean + half_width
    verdict = NON_INFERIOR if lower > -margin else INFERIOR if upper < -margin else NOT_SHOWN
    if n < MIN_PAIRS:
        verdict = NOT_SHOWN
    return Comparison(n, mean, sd, lower, upper, verdict)
