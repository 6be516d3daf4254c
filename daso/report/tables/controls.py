"""Verdicts on the unlabeled images and recommended models, as sentences and as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from daso.report.results.collect import format_mean_std
from daso.report.results.controls import PairedComparison, UnlabeledVerdict
from daso.report.results.intervals import FEWEST_GROUPS, HELPS, HURTS
from daso.report.tables.gains import points_range, signed_points
from daso.report.tables.table import ABSENT, Column, Table
from daso.report.words import with_noun

MAX_LISTED = 10  # classes that a sentence lists
UNLABELED_DEFINITIONS = (
    (
        "Control",
        "the same network and training without unlabeled images; both methods have the same test images and seeds.",
    ),
    ("Balanced accuracy", "recall of the final model, mean over the measured classes, ± over seeds, in percent."),
    (
        "Interval",
        "of the difference in points: bootstrap of groups of test images within classes plus variance over seeds, "
        "Student's t. The confidence, 1 − 0.05 / m for m methods with a control (Bonferroni), makes a wrong verdict at "
        "most 5 % likely for all of them together.",
    ),
    (
        "Verdict",
        "helps or hurts if the interval is above or below zero, and the methods differ on so many groups that a sign "
        "test can show it. It holds for the labels given; other labels may have a different one.",
    ),
    ("Groups", "test images that show the same, such as near copies, are one group. All seeds together."),
)


def unlabeled_table(verdicts: Sequence[UnlabeledVerdict], titles: Mapping[str, str]) -> Table:
    """Return a row for each comparison of a method with its control."""
    rows = [
        [
            *(verdict.setting, titles[each.method], titles[each.control]),
            *(format_mean_std(*each.accuracy), format_mean_std(*each.control_accuracy)),
            *(signed_points(each.interval.difference), ABSENT if each.interval.few_differ else _interval(each)),
            _verdict(each),
            *(str(len(each.seeds)), f"{each.images:,}", f"{each.groups:,}"),
        ]
        for verdict in verdicts
        for each in verdict.comparisons
    ]
    columns = [
        *(Column(name, "text") for name in ("Setting", "Method", "Control")),
        *(
            Column(name)
            for name in ("Balanced accuracy", "Of the control", "Difference", f"{_level(verdicts)}interval")
        ),
        Column("Verdict", "text"),
        *(Column(name) for name in ("Seeds", "Test images", "Groups")),
    ]
    caption = "Each method with unlabeled images against its control without them."
    definitions = [*UNLABELED_DEFINITIONS, *_not_measured(verdicts)]
    return Table("unlabeled-images", "Unlabeled images", caption, columns, rows, groups=1, definitions=definitions)


def verdict_sentence(verdict: UnlabeledVerdict, titles: Mapping[str, str]) -> str:
    """Return the verdict on the unlabeled images of a setting as a sentence without its full stop.

    It names the recommended model, or else the method with the largest lower bound; then the other methods that hurt.
    """
    comparisons = sorted(verdict.comparisons, key=lambda each: -each.interval.low)
    helping = [each for each in comparisons if each.verdict == HELPS]
    hurting = [each for each in comparisons if each.verdict == HURTS]
    if helping:
        answer = "The unlabeled images help"
        named = next((each for each in helping if each.method == verdict.recommendation.method), helping[0])
    elif len(hurting) == len(comparisons):
        answer, named = "The unlabeled images hurt", comparisons[0]
    else:
        answer = "No benefit of the unlabeled images is shown"
        named = next(each for each in comparisons if each.verdict != HURTS)
    others = [
        f"with {titles[each.method]} they hurt: {_against(each, titles)} ({_interval(each)})"
        for each in hurting
        if each is not named
    ]
    sentence = f"{answer}: {titles[named.method]} is {_against(named, titles)} ({_evidence(named)})"
    return "; ".join([sentence, *others])


def recommended_sentence(verdict: UnlabeledVerdict, titles: Mapping[str, str]) -> str:
    """Return the recommended model of a setting with its accuracy and the reason, without a full stop."""
    method, runs, accuracy, reason = verdict.recommendation
    choice = "no method with unlabeled images is shown to be better"
    if reason:
        choice = "selected on these test images, so this accuracy is too high on average"
    mean = f"mean of {with_noun(len(runs), 'seed')}" if len(runs) > 1 else "one seed"
    without = f"; not measured: {_listed(verdict.not_measured)}" if verdict.not_measured else ""
    return f"{titles[method]}, balanced accuracy {format_mean_std(*accuracy)} % ({mean}{without}); {choice}"


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(names[:MAX_LISTED]) + rest


def _not_measured(verdicts: Sequence[UnlabeledVerdict]) -> Iterator[tuple[str, str]]:
    for verdict in verdicts:
        if names := _listed(verdict.not_measured):
            where = f" in {verdict.setting}" if len(verdicts) > 1 else ""
            yield (
                f"Not measured{where}",
                f"{names}; fewer than {FEWEST_GROUPS} groups of test images in all seeds together, or none in a seed.",
            )


def _verdict(comparison: PairedComparison) -> str:
    """Return the verdict with its limitations."""
    few = f"differ on {_differing(comparison)}" if comparison.interval.few_differ else ""
    return ", ".join(filter(None, [comparison.verdict, few, "one seed" if len(comparison.seeds) == 1 else ""]))


def _evidence(comparison: PairedComparison) -> str:
    """Return the interval with its conditions; if too few images differ, their number, since it is then too narrow."""
    if comparison.interval.few_differ:
        return f"they differ on {_differing(comparison)} of test images, too few to show a difference"
    seeds = "and seeds" if len(comparison.seeds) > 1 else "of one seed, without the variance of seeds"
    return f"{_interval(comparison)}, {_percent(comparison)} interval over test images {seeds}, given these labels"


def _differing(comparison: PairedComparison) -> str:
    return f"{comparison.interval.differing_groups:,} of {comparison.groups:,} groups"


def _level(verdicts: Sequence[UnlabeledVerdict]) -> str:
    """Return the confidence of a table's intervals, which is the same in all settings."""
    return f"{_percent(verdicts[0].comparisons[0])} " if verdicts else ""


def _percent(comparison: PairedComparison) -> str:
    """Return `98.3 %`."""
    return f"{round(100 * comparison.interval.level, 1):g} %"


def _interval(comparison: PairedComparison) -> str:
    return points_range(comparison.interval.low, comparison.interval.high)


def _against(comparison: PairedComparison, titles: Mapping[str, str]) -> str:
    difference, control = comparison.interval.difference, titles[comparison.control]
    if not round(difference, 9):
        return f"as accurate as {control}"
    side = "below" if difference < 0 else "above"
    return f"{signed_points(abs(difference)).removeprefix('+')} points {side} {control}"
