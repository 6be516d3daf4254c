"""Table of the rounds of labeling of a setting, and what the last labels brought as a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from daso.report.results.collect import format_mean_std
from daso.report.results.intervals import NO_DIFFERENCE
from daso.report.results.rounds import LabelChanges, RoundDifference
from daso.report.tables.gains import points_range, signed_points
from daso.report.tables.table import ABSENT, Column, Table
from daso.report.words import with_noun

ROUNDS_DEFINITIONS = (
    ("Round", "state of the labels under which the suite was reported, in order; kept in `journal/rounds/`."),
    ("Labels", "labeled photos of the train part, with those that splits hold out."),
    (
        "Balanced accuracy",
        "of the round's recommended model, ± over seeds, in percent, over its measured classes.",
    ),
    (
        "Difference",
        "to the recommended model of the round before, in points: on the test images common to both rounds, matched by "
        "content, over the classes that both measure; without an interval, of both means. "
        "None if protocol, dataset or method differ.",
    ),
)


def rounds_table(differences: Sequence[RoundDifference], titles: Mapping[str, str]) -> Table:
    """Return a row for each round of labeling of each setting."""
    rows = [
        [
            *(each.setting, f"{each.order}{' (this report)' if each.is_present else ''}"),
            *(f"{each.labels.labels:,}", _changes(each.labels) or ABSENT),
            *(titles.get(each.method, each.method), format_mean_std(*each.accuracy)),
            signed_points(each.difference) if each.difference is not None else ABSENT,
            _interval(each) or ABSENT,
            f"{each.images:,}" if each.images else ABSENT,
            _remark(each) or ABSENT,
        ]
        for each in differences
    ]
    columns = [
        *(Column("Setting", "text"), Column("Round", "text"), Column("Labels"), Column("Changes", "text")),
        *(Column("Recommended model", "text"), Column("Balanced accuracy"), Column("Difference")),
        *(Column("95 % interval"), Column("Common test images"), Column("Remark", "text")),
    ]
    caption = f"{' '.join(f'{text}.' for text in rounds_sentences(differences))} Each round against the one before."
    return Table(
        "rounds", "Rounds of labeling", caption.strip(), columns, rows, groups=1, definitions=ROUNDS_DEFINITIONS
    )


def rounds_sentences(differences: Sequence[RoundDifference]) -> list[str]:
    """Return what the present labels brought in each setting, such as `10 more labels: +2.1 points (+0.3 to +3.9)`."""
    present = [each for each in differences if each.is_present and (each.difference is not None or each.note)]
    several = len({each.setting for each in differences}) > 1
    return [f"{f'{each.setting}: ' if several else ''}{_sentence(each)}" for each in present]


def _sentence(each: RoundDifference) -> str:
    changes = _changes(each.labels) or "no other labels"
    if each.difference is None:
        return f"{changes}; no difference is stated, since protocol, dataset or method differ"
    points = f"{changes}: {signed_points(each.difference)} points"
    if each.interval is None:
        return f"{points}, without an interval ({each.note})"
    interval, remark = _interval(each), _remark(each)
    if not interval:
        return f"{points} ({remark})"
    return f"{points} ({interval}){f', {remark}' if remark else ''}"


def _interval(each: RoundDifference) -> str:
    """Return the interval; empty without one, and if so few images differ that it is too narrow."""
    if each.interval is None or each.interval.few_differ:
        return ""
    return points_range(each.interval.low, each.interval.high)


def _changes(labels: LabelChanges) -> str:
    """Return `10 more labels, 2 labels changed, 1 label removed`; empty without any."""
    counts = ((labels.added, "more {}"), (labels.changed, "{} changed"), (labels.removed, "{} removed"))
    return ", ".join(f"{count} {what.format('label' if count == 1 else 'labels')}" for count, what in counts if count)


def _remark(each: RoundDifference) -> str:
    if each.interval is None:
        return each.note
    if each.interval.few_differ:
        groups = with_noun(each.interval.differing_groups, "group")
        return f"the two models differ on {groups} of test images, too few to show a difference"
    return NO_DIFFERENCE if each.interval.verdict == NO_DIFFERENCE else ""
