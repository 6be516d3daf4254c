"""Table of the gains of methods over their references, published and ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from daso.report.results.collect import Tree
from daso.report.results.gains import Gain, PublishedGain, table_gains
from daso.report.results.judged import JudgedCell
from daso.report.results.verdicts import MAX_DIGITS, format_difference, format_signed
from daso.report.tables.table import Column, Table

ABSENT = "–"
DEFINITIONS = (
    ("Gain", "mean of the differences between two runs on the same split, over the seeds that both methods have."),
    (
        "95 % interval",
        "of the gain, by Student's t with n − 1 degrees of freedom, if the differences are independent and normally "
        "distributed; none for one seed.",
    ),
    ("Range", "smallest to largest difference."),
)
PUBLISHED_DEFINITIONS = (
    (
        "Published",
        "difference of the published means, ± its standard error from both standard deviations, n = 3. Numbers of two "
        "different tables are not subtracted.",
    ),
    ("Difference", "our gain minus the published one, ± the band of two standard errors."),
    ("Same size", "the difference is within the band, and the band is smaller than the published gain."),
    ("Size undecided", "the difference is within the band, but so would be that of a gain of zero."),
    ("Size not judged", "published without a standard deviation, or one seed of ours."),
)


def gains_table(table: Tree, judged_cells: Sequence[JudgedCell], titles: Mapping[str, str]) -> Table:
    """Return a row for each method and setting with a paired difference to the method's reference.

    Without a comparable published gain, the columns of published gains are left out.
    """
    gains = table_gains(table, judged_cells)
    compared = any(gain.published for gain in gains)
    rows = [
        [
            *(gain.ours.setting, titles[gain.ours.method], titles[gain.ours.reference]),
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
        "Gain of each method over another one, in points of median accuracy: an add-on over the method without it, an "
        "ablation over the complete method, a learner over the first method of the table."
    )
    definitions = (*DEFINITIONS, *(PUBLISHED_DEFINITIONS if compared else ()))
    return Table("gains", "Gains", caption, columns, rows, groups=1, definitions=definitions)


def _ours(gain: Gain) -> tuple[str, str, str, str]:
    ours = gain.ours
    interval = ABSENT if ours.interval is None else _range(*ours.interval)
    wins = f"{ours.wins} of {ours.n}" + (f", {ours.ties} equal" if ours.ties else "")
    return _signed(ours.mean), interval, ABSENT if ours.n == 1 else _range(ours.low, ours.high), wins


def _published(published: PublishedGain | None) -> str:
    if published is None:
        return ABSENT
    error = published.standard_error
    return _signed(published.mean) + ("" if error is None else f" ± {error:.2f}")


def _agreement(gain: Gain) -> tuple[str, str]:
    agreement = gain.agreement
    if agreement is None:
        return ABSENT, ABSENT
    difference, band = format_difference(agreement.difference, agreement.band)
    return f"{difference} ± {band}" if band else difference, f"{agreement.sign}, {agreement.size}"


def _range(low: float, high: float) -> str:
    return f"{_signed(low)} to {_signed(high)}"


def _signed(points: float) -> str:
    """Return `+8.2`, with as many digits as it takes to print the sign of a gain that is not zero."""
    digits = next((digits for digits in range(1, MAX_DIGITS) if round(points, digits)), 1 if not points else MAX_DIGITS)
    return format_signed(points, digits)
