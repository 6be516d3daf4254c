"""Verdicts on cells against the published numbers, and coverage of a suite.

A cell gets a verdict only if the protocol is that of the published number, the images are the official ones and the
number was read in the publication itself. Numbers that select the best evaluation on the test set, and numbers that
repeat those of an earlier paper with another protocol, get none.

Official images that were read from files have a different order than in the archive, so a seed draws different splits.
The published numbers are of random draws too, so such a cell gets a verdict with the remark "another draw of the
splits". This is valid where the seed draws the images. A setting with `selection: first` selects images by their
position in the archive, so only runs on the archive itself are judged.

With d = ours - published in points, s_p and s_o the standard deviations over seeds, and n_p = 3 and n_o the numbers of
runs behind the two means, the band is two standard errors of the difference, 2 sqrt(s_p^2 / n_p + s_o^2 / n_o). A
single run of ours uses the published deviation. A published number without a deviation, as in ablations, has no
band: neither its spread nor its number of runs is known. The first rule that applies counts:

- "one run": |d| <= band, with a single run of ours. Our own spread is unknown, so this is weak evidence.
- "agrees": |d| <= band, and |d| + band <= 2: the interval d +- band lies within 2 points of equality, as an equivalence
  test requires (Schuirmann 1987).
- "not contradicted": |d| <= band, and |d| + band > 2. The band is so wide that a difference of 2 points or more could
  hide in it: weak evidence.
- "within 1 point": outside the band (or no band), and |d| <= 1.
- "no published spread": no band, and |d| > 1; the difference may or may not be due to the draw of the seeds.
- "above", "below": outside, |d| > band and |d| > 1, with the sign of d.
- "not comparable": with the reason.
- "not run": no run is done.

Standard errors are used instead of the larger deviation because the test is whether two means differ by more than the
draw of the seeds explains, and it gets sharper with more seeds. Two standard errors are used instead of Student's
quantile because with three runs on each side the quantile would be 2.8 to 4.3, and a noisy cell would hardly ever fail.
The cost: if both means are equal, |t| still exceeds 2 in 12 % of cells (4 degrees of freedom) to 18 % (2, with a single
run of ours); `chance_outside` counts them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from scipy.special import stdtr  # type: ignore[import-untyped]

from daso.aliases import Tree
from daso.data.dataset_schemas import SPLIT_OPTIONS
from daso.report.results.collect import Cell, MeanStd
from daso.report.results.published import PUBLISHED_RUNS, Published
from daso.report.words import with_noun

STANDARD_ERRORS = 2.0
NEAR_POINTS = 1.0
AGREEMENT_POINTS = 2.0
_ROUNDING = 1e-9  # tolerance, so that 77.0 - 76.0 is within 1 point
AGREES, NOT_CONTRADICTED, ONE_RUN = "agrees", "not contradicted", "one run"
NEAR, NO_PUBLISHED_SPREAD, ABOVE, BELOW = "within 1 point", "no published spread", "above", "below"
NOT_COMPARABLE, NOT_RUN = "not comparable", "not run"
INSIDE, OUTSIDE = (AGREES, NOT_CONTRADICTED, ONE_RUN), (ABOVE, BELOW)
JUDGED = (*INSIDE, NEAR, NO_PUBLISHED_SPREAD, *OUTSIDE)  # verdicts on a published number
MARKS = dict(zip(JUDGED, "●○◐◆□▲▼", strict=True))  # shapes, so that a verdict can be read without its colour
NO_PUBLISHED_NUMBER = "no published number"
OTHER_DRAW = "another draw of the splits"
MAX_DIGITS = 4  # of a difference; cells.csv has as many


class Verdict(NamedTuple):
    """Verdict on a cell, with difference and band in points and the reasons that limit it."""

    text: str
    difference: float | None = None
    band: float | None = None
    reasons: tuple[str, ...] = ()


class Coverage(NamedTuple):
    """Numbers of done cells and runs of a suite; cells and runs that two tables share count once."""

    cells_done: int
    cells: int
    runs_done: int
    runs: int
    running: int
    stale: int


def standard_error_band(ours: MeanStd, std: float, n: int) -> float:
    """Return two standard errors of the difference to the mean of n runs with deviation `std`, in points.

    A single run of ours borrows this deviation.
    """
    s_o = ours.std if ours.std is not None else std
    return STANDARD_ERRORS * math.sqrt(std**2 / n + s_o**2 / ours.n)


def judge(
    ours: MeanStd | None, published: Published | None, blocking_reasons: Sequence[str] = (), remarks: Sequence[str] = ()
) -> Verdict:
    """Return the verdict on one cell.

    `blocking_reasons` are reasons against a comparison with a published number; `remarks` are added to a verdict.
    """
    if ours is None:
        return Verdict(NOT_RUN)
    if published is None:
        return Verdict(NOT_COMPARABLE, reasons=(NO_PUBLISHED_NUMBER,))
    if reason := published.doubt or published.reason:
        return Verdict(NOT_COMPARABLE, reasons=(reason, *blocking_reasons))
    if blocking_reasons:
        return Verdict(NOT_COMPARABLE, reasons=tuple(blocking_reasons))
    difference = ours.mean - published.mean
    if published.std is None:
        near = not _exceeds(abs(difference), NEAR_POINTS)
        return Verdict(NEAR if near else NO_PUBLISHED_SPREAD, difference, reasons=tuple(remarks))
    width = standard_error_band(ours, published.std, PUBLISHED_RUNS)
    few = (f"{with_noun(ours.n, 'run')} against {PUBLISHED_RUNS} published",) if ours.n < PUBLISHED_RUNS else ()
    return Verdict(_judge_by_band(difference, width, ours.n), difference, width, (*few, *remarks))


def _judge_by_band(difference: float, width: float, n: int) -> str:
    if not _exceeds(abs(difference), width):
        if n == 1:
            return ONE_RUN
        return NOT_CONTRADICTED if _exceeds(abs(difference) + width, AGREEMENT_POINTS) else AGREES
    if not _exceeds(abs(difference), NEAR_POINTS):
        return NEAR
    return ABOVE if difference > 0 else BELOW


def _exceeds(one: float, other: float) -> bool:
    return one > other + _ROUNDING


def chance_outside(cells: Iterable[MeanStd]) -> tuple[float, float]:
    """Return the expected number of cells outside their bands if every mean equals the published one, as a range.

    `cells` are our means that have a band. The degrees of freedom of a difference of two means lie between the smaller
    of both sides' n - 1 and the sum of both (Welch 1947), and between these |t| exceeds two standard errors in 12 to
    18 % of cells with three runs on each side. A single run borrows the published deviation, and with it the degrees of
    freedom of the published mean.
    """
    published, least, most = PUBLISHED_RUNS - 1, 0.0, 0.0
    for ours in cells:
        largest, smallest = (
            (published + ours.n - 1, min(published, ours.n - 1)) if ours.n > 1 else (published, published)
        )
        least += 2 * float(stdtr(largest, -STANDARD_ERRORS))
        most += 2 * float(stdtr(smallest, -STANDARD_ERRORS))
    return least, most


def format_difference(difference: float, width: float | None = None) -> tuple[str, str]:
    """Return a difference and its band as text, `+0.4` and `0.7`, the band empty without one.

    Both have one digit, or as many more as it takes for the printed numbers to compare like the exact ones: with each
    other, and with the limits of the verdicts.
    """
    for digits in range(1, MAX_DIGITS + 1):
        printed = round(abs(difference), digits)
        pairs = [(abs(difference), NEAR_POINTS, printed, NEAR_POINTS)]
        if width is not None:
            pairs.append((abs(difference), width, printed, round(width, digits)))
            limit = (AGREEMENT_POINTS, printed + round(width, digits), AGREEMENT_POINTS)
            pairs.append((abs(difference) + width, *limit))
        if all(_exceeds(one, other) == _exceeds(first, second) for one, other, first, second in pairs):
            break
    return format_signed(difference, digits), "" if width is None else f"{width:.{digits}f}"


def difference_and_band(difference: float, width: float | None) -> str:
    """Return `+0.4 (band ±0.7)`, or the difference alone without a band."""
    text, band_text = format_difference(difference, width)
    return f"{text} (band ±{band_text})" if band_text else text


def format_signed(points: float, digits: int = 1) -> str:
    """Return `+0.4`, `−1.2` (with a minus sign, not a hyphen) or `0.0`."""
    text = f"{points:+.{digits}f}"
    return text.removeprefix("+").removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def reasons_not_comparable(protocol: Tree, dataset: str, setting: Tree, runs: Iterable[Tree]) -> list[str]:
    """Return why these runs of a setting are not comparable with published numbers: their protocol or images."""
    reasons, sources = [] if protocol.get("comparable") else [protocol_label(protocol)], _sources(runs)
    if not all(in_archive_order(source) or _is_recognised(source) for source in sources):
        reasons.append("images neither read from the official archive nor recognised as the official ones")
    elif "selection" in setting and not all(map(in_archive_order, sources)):
        reasons.append("the setting selects the first images of each class, which differ outside of the archive")
    splits = protocol.get("splits", {}).get(dataset, {})
    if any(setting.get(name, False) != splits.get(name, False) for name in SPLIT_OPTIONS):
        reasons.append("splits of another kind than those of the published numbers")
    return reasons


def remarks(runs: Iterable[Tree]) -> list[str]:
    """Return remarks for a verdict on these runs: a seed draws different images than from the archive."""
    return [] if all(map(in_archive_order, _sources(runs))) else [OTHER_DRAW]


def protocol_label(protocol: Tree) -> str:
    """Return the label printed with numbers of a protocol that is not comparable; empty for the paper's protocol."""
    if protocol.get("comparable"):
        return ""
    return str(protocol.get("note") or protocol.get("title") or protocol["name"]).strip()


def in_archive_order(source: object) -> bool:
    """Return True if a seed draws the same official images on every machine.

    Such a source is an archive with the MD5 that the authors of the dataset publish, or has lists of its files with the
    published digests; other images read as files have a different order.
    """
    return isinstance(source, Mapping) and bool(source.get("md5") or source.get("official_lists"))


def _is_recognised(source: object) -> bool:
    """Return True if images read as files equal those of an official archive in pixels and labels."""
    return isinstance(source, Mapping) and bool(source.get("same_images_as"))


def _sources(runs: Iterable[Tree]) -> list[object]:
    return [metrics["provenance"].get("source") for metrics in runs]


def coverage(cells: Iterable[Cell]) -> Coverage:
    """Return the numbers of done cells and runs among all, each counted once."""
    unique = {cell.run: cell for cell in cells}.values()
    done = [cell for cell in unique if cell.status == "done"]
    counts = [sum(len(getattr(cell, name)) for cell in unique) for name in ("done", "seeds", "running", "stale")]
    return Coverage(len(done), len(unique), *counts)
