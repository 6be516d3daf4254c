"""Table of the gains of methods over their baselines, published and ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from daso.aliases import Tree
from daso.report.results.collect import main_measure
from daso.report.results.gains import (
    NOT_JUDGED,
    OTHER_SIZE,
    SAME_SIGN,
    SAME_SIZE,
    UNDECIDED,
    Agreement,
    Gain,
    PublishedGain,
    table_gains,
)
from daso.report.results.judged import JudgedCell
from daso.report.results.verdicts import MAX_DIGITS, format_signed
from daso.report.tables.table import ABSENT, Column, Table

NAMED_GAINS = 3  # gains that the summary names
GAINS_DEFINITIONS = (
    ("Gain, range", "mean, smallest and largest of the differences between two runs on the same split."),
    (
        "95 % interval",
        "of the gain, by Student's t, n − 1 degrees of freedom, assuming independent and normal differences.",
    ),
)
PUBLISHED_DEFINITIONS = (
    ("Published", "difference of two means of one table ± its standard error, from both standard deviations, n = 3."),
    ("Difference", "our gain minus the published one ± the band of two standard errors."),
    ("Same size", "difference within the band, and the band smaller than the absolute published gain."),
    ("Size undecided", "difference within the band, but a gain of zero would be within it too."),
    ("Size not judged", "published without a standard deviation, or one seed of ours."),
)


def gains_table(table: Tree, judged_cells: Sequence[JudgedCell], titles: Mapping[str, str]) -> Table:
    """Return a row for each method and setting with a paired difference to the method's baseline.

    Without a comparable published gain, the columns of published gains are left out.
    """
    gains = table_gains(table, judged_cells)
    compared = any(gain.published for gain in gains)
    rows = [
        [
            *(gain.ours.setting, titles[gain.ours.method], titles[gain.ours.baseline]),
            *([_published(gain.published)] if compared else []),
            *_ours(gain),
            *(_agreement(gain) if compared else []),
        ]
        for gain in gains
    ]
    columns = [
        *(Column("Setting", "text"), Column("Method", "text"), Column("Over", "text")),
        *([Column("Published")] if compared else []),
        *(Column("Gain"), Column("95 % interval"), Column("Range"), Column("Seeds where it is better")),
        *([Column("Difference"), Column("Agreement", "text")] if compared else []),
    ]
    caption = (
        f"Gain of each method over another one, in points of {main_measure(table)} accuracy: an add-on over the method "
        "without it, an ablation over the complete method, a learner over the first method of the table."
    )
    definitions = (*GAINS_DEFINITIONS, *(PUBLISHED_DEFINITIONS if compared else ()))
    return Table("gains", "Gains", caption, columns, rows, groups=1, definitions=definitions)


def gains_line(gains: Sequence[Gain], titles: Mapping[str, str]) -> str:
    """Return the gains of a suite in one line; empty without a gain that could be compared or has an interval.

    Comparable gains are counted by their agreement with the published ones. Without any, the gains with an interval
    above or below zero are named, up to NAMED of them.
    """
    compared = [gain.agreement for gain in gains if gain.agreement]
    if compared:
        sizes = Counter(agreement.size for agreement in compared)
        same_sign = sum(agreement.sign == SAME_SIGN for agreement in compared)
        words = {SAME_SIZE: "same", UNDECIDED: "undecided", OTHER_SIZE: "other", NOT_JUDGED: "not judged"}
        counts = ", ".join(f"{sizes[size]} {word}" for size, word in words.items() if sizes[size])
        return f"{same_sign} of {len(compared)} have the sign of the published gain; size: {counts}"
    measured = [gain.ours for gain in gains if gain.ours.interval]
    if not measured:
        return ""
    above = [ours for ours in measured if ours.interval and ours.interval[0] > 0]
    below = [ours for ours in measured if ours.interval and ours.interval[1] < 0]
    text = f"{len(above)} of {len(measured)} have a 95 % interval above zero, {len(below)} below zero"
    named = [
        f"{titles[ours.method]} over {titles[ours.baseline]} on {ours.setting}, {signed_points(ours.mean)} points "
        f"({points_range(*ours.interval)})"
        for ours in [*above, *below][:NAMED_GAINS]
        if ours.interval
    ]
    return ": ".join([text, "; ".join(named)]) if named else text


def _ours(gain: Gain) -> tuple[str, str, str, str]:
    ours = gain.ours
    interval = ABSENT if ours.interval is None else points_range(*ours.interval)
    wins = f"{ours.wins} of {ours.n}" + (f", {ours.ties} equal" if ours.ties else "")
    return signed_points(ours.mean), interval, ABSENT if ours.n == 1 else points_range(ours.low, ours.high), wins


def _published(published: PublishedGain | None) -> str:
    if published is None:
        return ABSENT
    error = published.standard_error
    return signed_points(published.mean) + ("" if error is None else f" ± {error:.2f}")


def _agreement(gain: Gain) -> tuple[str, str]:
    agreement = gain.agreement
    if agreement is None or gain.published is None:
        return ABSENT, ABSENT
    return _difference(agreement, gain.published), f"{agreement.sign}, {agreement.size}"


def _difference(agreement: Agreement, published: PublishedGain) -> str:
    """Return the difference and its band with one digit, or as many as it takes to print how the gains were judged."""
    difference, band = agreement.difference, agreement.band
    if band is None:
        return signed_points(difference)
    compared = ((abs(difference), band), (abs(published.mean), band))
    for digits in range(1, MAX_DIGITS + 1):
        if all((one > other) == (round(one, digits) > round(other, digits)) for one, other in compared):
            break
    return f"{format_signed(difference, digits)} ± {band:.{digits}f}"


def points_range(low: float, high: float) -> str:
    """Return `+1.2 to +3.4`."""
    return f"{signed_points(low)} to {signed_points(high)}"


def signed_points(points: float) -> str:
    """Return `+8.2`, with as many digits as it takes to print the sign of a gain that is not zero."""
    digits = next((digits for digits in range(1, MAX_DIGITS) if round(points, digits)), 1 if not points else MAX_DIGITS)
    return format_signed(points, digits)
