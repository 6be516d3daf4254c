"""Gains of methods over their baselines: ours, paired by split; the published ones; and whether both agree.

The gain of a method is its accuracy minus that of its baseline (`baselines`), in points. Ours is the mean of the
differences between two runs on the same split, so the draw of the splits cancels. Its interval holds the expected gain
with 95 % confidence if the differences are independent and normally distributed: Student's t with n - 1 degrees of
freedom. Papers print no differences by split, so the standard error of a published gain is that of two independent
means, sqrt(s_1^2 / 3 + s_2^2 / 3), which is too large if their methods were trained on the same splits too.

Both gains agree as follows:

- "same sign" if both are above or both below zero, else "other sign".
- With d = ours - published and the band 2 sqrt(se_p^2 + se_o^2) of two standard errors, "same size" if |d| <= band and
  the band is below the size of the published gain, so that a gain of zero would have been noticed; "size undecided" if
  |d| <= band and the band is wider than that; else "other size".
- The size is "not judged" if one of the standard errors is unknown: published without a deviation, or one seed of ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from scipy.special import stdtrit  # type: ignore[import-untyped]

from daso.aliases import Tree
from daso.report.results.collect import Cell, mean_std
from daso.report.results.judged import JudgedCell
from daso.report.results.published import PUBLISHED_RUNS, Published
from daso.report.results.verdicts import NOT_COMPARABLE, STANDARD_ERRORS

CONFIDENCE = 0.95
SAME_SIGN, OTHER_SIGN = "same sign", "other sign"
SAME_SIZE, UNDECIDED, OTHER_SIZE, NOT_JUDGED = "same size", "size undecided", "other size", "size not judged"
_ROUNDING = 1e-9  # differences up to this are ties


class PairedDifference(NamedTuple):
    """Differences in points between two methods, over seeds with the same split; `std` is None for a single seed."""

    setting: str
    method: str
    baseline: str
    mean: float
    std: float | None
    low: float
    high: float
    wins: int
    ties: int
    n: int

    @property
    def standard_error(self) -> float | None:
        """Return the standard error of the mean; None for a single seed."""
        return None if self.std is None else self.std / math.sqrt(self.n)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Return the confidence interval of the mean by Student's t; None for a single seed."""
        if self.standard_error is None:
            return None
        width = float(stdtrit(self.n - 1, (1 + CONFIDENCE) / 2)) * self.standard_error
        return self.mean - width, self.mean + width


class PublishedGain(NamedTuple):
    """Difference of two published means in points; without a standard error if one of them has no deviation."""

    mean: float
    standard_error: float | None


class Agreement(NamedTuple):
    """Agreement of our gain with the published one; the band is None if the size is not judged."""

    sign: str
    size: str
    difference: float  # ours - published, in points
    band: float | None


class Gain(NamedTuple):
    """Gain of a method over its baseline in a setting; published gain and agreement only of comparable cells."""

    ours: PairedDifference
    published: PublishedGain | None = None
    agreement: Agreement | None = None


def table_gains(table: Tree, judged_cells: Sequence[JudgedCell]) -> list[Gain]:
    """Return the gains of a table's methods with a paired difference to their baselines, by setting and method.

    Methods with a control are left out: `results.controls` compares them with it, by an interval of its own.
    """
    cells = [judged for judged in judged_cells if judged.cell.table == table["name"]]
    by_name = {(judged.cell.setting, judged.cell.method): judged for judged in cells}
    pairs = [
        (by_name[setting["name"], method], by_name[setting["name"], baseline])
        for setting in table["settings"]
        for method, baseline in baselines(table["methods"]).items()
        if method not in table.get("controls", {})
    ]
    gains = []
    for method, baseline in pairs:
        ours = paired_difference(method.cell, baseline.cell)
        if ours is not None:
            published = _comparable_gain(method, baseline)
            gains.append(Gain(ours, published, None if published is None else agreement(ours, published)))
    return gains


def _comparable_gain(method: JudgedCell, baseline: JudgedCell) -> PublishedGain | None:
    if NOT_COMPARABLE in (method.verdict.text, baseline.verdict.text):
        return None
    return published_gain(method.published, baseline.published)


def baselines(methods: Sequence[Tree]) -> dict[str, str]:
    """Return the baseline of each method of a table, by name; a method without one is left out.

    - An ablation: the complete method.
    - A method with add-ons: the method with the same learner and a part of them. Of several, it is X if the paper names
      the method X + DASO, else the one with most of them.
    - Any other method, such as FixMatch alone: the first method of the table, unless that is an ablation.
    """
    names = [str(method["name"]) for method in methods]
    first = "" if methods[0].get("of") else names[0]
    baseline_of: dict[str, str] = {}
    for method in methods:
        name, parts = str(method["name"]), _with_fewer_addons(method, methods)
        if method.get("of"):
            baseline_of[name] = str(method["of"])
        else:
            baseline_of[name] = max(parts, key=parts.__getitem__) if parts else first
    return {name: other for name, other in baseline_of.items() if other in names and other != name}


def _with_fewer_addons(method: Tree, methods: Sequence[Tree]) -> dict[str, tuple[bool, int, bool]]:
    """Return the methods with the learner and a part of the add-ons of this one, and their order of preference."""
    addons, claimed = _addons(method), _published_addons(method)
    candidates = [other for other in methods if other["learner"]["name"] == method["learner"]["name"]]
    return {
        str(other["name"]): (bool(claimed) and claimed[:-1] == _published_addons(other), len(part), addons[:-1] == part)
        for other in candidates
        if not other.get("of") and set(part := _addons(other)) < set(addons)
    }


def _addons(method: Tree) -> list[str]:
    """Return the names of add-ons and plan, with the roles of an add-on that has some.

    Logit adjustment of the supervised loss and of the evaluation are thus two different add-ons.
    """
    addons = [" ".join([str(addon["name"]), *addon.get("roles", ())]) for addon in method.get("addons", ())]
    return [*addons, *([str(method["plan"]["name"])] if method.get("plan") else [])]


def _published_addons(method: Tree) -> list[str]:
    """Return the add-ons in the order of the paper, such as la, daso; empty for a method that it does not have."""
    return [name for name in str((method.get("paper") or {}).get("addons") or "").split(";") if name]


def paired_difference(cell: Cell, baseline: Cell) -> PairedDifference | None:
    """Return the differences over seeds that are done in both cells and drew the same split; None without one."""
    ours, theirs = cell.percent_by_seed(cell.main), baseline.percent_by_seed(baseline.main)
    common = [seed for seed in cell.seeds if seed in ours and seed in theirs]
    seeds = [seed for seed in common if _split_digest(cell, seed) == _split_digest(baseline, seed)]
    gains = [ours[seed] - theirs[seed] for seed in seeds]
    statistics = mean_std(gains)
    if statistics is None:
        return None
    wins, ties = sum(gain > _ROUNDING for gain in gains), sum(abs(gain) <= _ROUNDING for gain in gains)
    names = (cell.setting, cell.method, baseline.method)
    return PairedDifference(*names, statistics.mean, statistics.std, min(gains), max(gains), wins, ties, len(gains))


def published_gain(method: Published | None, baseline: Published | None) -> PublishedGain | None:
    """Return the published gain of a method; None if a number is unpublished, in doubt or of a different table."""
    if method is None or baseline is None or method.doubt or baseline.doubt or method.source != baseline.source:
        return None
    error = None
    if method.std is not None and baseline.std is not None:
        error = math.sqrt((method.std**2 + baseline.std**2) / PUBLISHED_RUNS)
    return PublishedGain(method.mean - baseline.mean, error)


def agreement(ours: PairedDifference, published: PublishedGain) -> Agreement:
    """Compare our gain with the published one in sign and size, as defined at the top of this module."""
    difference = ours.mean - published.mean
    sign = SAME_SIGN if ours.mean * published.mean > 0 else OTHER_SIGN
    if published.standard_error is None or ours.standard_error is None:
        return Agreement(sign, NOT_JUDGED, difference, None)
    band = STANDARD_ERRORS * math.hypot(published.standard_error, ours.standard_error)
    if abs(difference) > band + _ROUNDING:
        return Agreement(sign, OTHER_SIZE, difference, band)
    return Agreement(sign, SAME_SIZE if band < abs(published.mean) else UNDECIDED, difference, band)


def _split_digest(cell: Cell, seed: int) -> Any:
    provenance: Mapping[str, Any] = cell.done[seed]["provenance"]
    return provenance.get("drawn_sha256", provenance.get("split_sha256"))
