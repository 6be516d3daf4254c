"""Ours beside theirs: a verdict for each cell, coverage of a suite, and paired differences between methods.

A cell is judged only where the protocol is the paper's, the images are the official ones and a number is published.
Official images that were read from files have another order than in the archive, so that a seed draws other splits of
them. The published numbers are of random draws too, so such a cell gets a verdict, marked "another draw of the splits".
No setting or protocol names images by their place in the archive; one that did could only be judged on the archive.
With d = ours - published in points, s_p and s_o the standard deviations over seeds, and n_p = 3 and n_o the numbers of
runs behind the two means:

- "inside the spread": |d| <= band, the band being two standard errors of the difference,
  2 sqrt(s_p^2 / n_p + s_o^2 / n_o). A single run of ours borrows the published deviation. A published number without
  one, as those of ablations, has no band: neither its spread nor its number of runs is known.
- "within 1 point": outside the band (or no band), and |d| <= 1.
- "no published spread": no band, and |d| > 1, which may or may not be the draw of the seeds.
- "outside": everything else.
- "not comparable": with the reason.
- "not run": no finished run.

Why standard errors and not the larger deviation: the question is whether two means differ by more than the draw of the
seeds explains, and it gets sharper with more seeds. Why two of them and not Student's quantile: at three runs a side
that would be 2.8 to 4.3, and a noisy cell would hardly ever fail. The price: where nothing is wrong, |t| exceeds 2 in
12 % of cells (4 degrees of freedom) to 18 % (2, as with a single run of ours). A large spread widens the band, so the
band is printed wherever it is used; "inside" is the absence of evidence for a difference, not a proof of equality.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from daso.report.collect import Cell, Spread, Tree, spread
from daso.report.published import RUNS, Published

STANDARD_ERRORS = 2.0
CLOSE = 1.0  # points
_ROUNDING = 1e-9  # so that 77.0 - 76.0 is within 1 point
INSIDE, NEAR, OUTSIDE, BARE = "inside the spread", "within 1 point", "outside", "no published spread"
NOT_COMPARABLE, NOT_RUN = "not comparable", "not run"
OTHER_DRAW = "another draw of the splits"


class Verdict(NamedTuple):
    """What can be said of a cell; `difference` and `band` in points, `reasons` say what limits it."""

    word: str
    difference: float | None = None
    band: float | None = None
    reasons: tuple[str, ...] = ()


class Coverage(NamedTuple):
    """How much of a suite is there; cells and runs that two tables share count once."""

    cells_done: int
    cells: int
    runs_done: int
    runs: int
    running: int
    stale: int


class Paired(NamedTuple):
    """Differences to another method, seed by seed on the same split, in points."""

    setting: str
    method: str
    reference: str
    mean: float
    low: float
    high: float
    wins: int
    ties: int
    n: int


def band(ours: Spread, published: Published) -> float | None:
    """Two standard errors of the difference of the means, in points; None where no deviation is published."""
    if published.std is None:
        return None
    s_p, s_o = published.std, ours.std if ours.std is not None else published.std
    return STANDARD_ERRORS * math.sqrt(s_p**2 / RUNS + s_o**2 / ours.n)


def judge(
    ours: Spread | None, published: Published | None, obstacles: Sequence[str] = (), remarks: Sequence[str] = ()
) -> Verdict:
    """Return the verdict on one cell.

    `obstacles` are reasons against comparing it with a published number, `remarks` go with a verdict that it gets.
    """
    if ours is None:
        return Verdict(NOT_RUN)
    if published is None:
        return Verdict(NOT_COMPARABLE, reasons=("no published number",))
    if published.doubt:
        return Verdict(NOT_COMPARABLE, reasons=(published.doubt, *obstacles))
    if obstacles:
        return Verdict(NOT_COMPARABLE, reasons=tuple(obstacles))
    difference, width = ours.mean - published.mean, band(ours, published)
    near = abs(difference) <= CLOSE + _ROUNDING
    if width is None:
        return Verdict(NEAR if near else BARE, difference, reasons=tuple(remarks))
    few = (f"{ours.n} {'run' if ours.n == 1 else 'runs'} against {RUNS} published",) if ours.n < RUNS else ()
    word = INSIDE if abs(difference) <= width + _ROUNDING else NEAR if near else OUTSIDE
    return Verdict(word, difference, width, (*few, *remarks))


def reasons_not_comparable(protocol: Tree, runs: Iterable[Tree]) -> list[str]:
    """Why the numbers of these runs may not stand beside published ones: their protocol, or their images."""
    found = [] if protocol.get("comparable") else [label(protocol)]
    if not all(in_archive_order(source) or _recognised(source) for source in _sources(runs)):
        found.append("images neither read from the official archive nor recognised as the official ones")
    return found


def remarks(runs: Iterable[Tree]) -> list[str]:
    """Return what a verdict on these runs is marked with: that a seed draws other images than from the archive."""
    return [] if all(map(in_archive_order, _sources(runs))) else [OTHER_DRAW]


def label(protocol: Tree) -> str:
    """What is printed wherever numbers of an incomparable protocol appear; empty for the paper's."""
    if protocol.get("comparable"):
        return ""
    return str(protocol.get("note") or protocol.get("title") or protocol["name"]).strip()


def in_archive_order(source: object) -> bool:
    """Return True if images come from the official archive, so that a seed draws the same images as everywhere else.

    Such a source carries the MD5 that the authors of the dataset publish; images read as files have another order.
    """
    return isinstance(source, Mapping) and bool(source.get("md5"))


def _recognised(source: object) -> bool:
    """Return True if images read as files are those of an official archive, by their pixels and labels."""
    return isinstance(source, Mapping) and bool(source.get("same_images_as"))


def _sources(runs: Iterable[Tree]) -> list[object]:
    return [metrics["provenance"].get("source") for metrics in runs]


def coverage(cells: Iterable[Cell]) -> Coverage:
    """Finished cells and runs of all, each counted once."""
    unique = {cell.run: cell for cell in cells}.values()
    done = [cell for cell in unique if cell.state == "done"]
    counts = [sum(len(getattr(cell, name)) for cell in unique) for name in ("done", "seeds", "running", "stale")]
    return Coverage(len(done), len(unique), *counts)


def references(methods: Sequence[Tree]) -> dict[str, str]:
    """What each method is set against: its learner without add-ons where the table has it, else the first method."""
    bare = {m["paper"]["base"]: m["name"] for m in methods if m.get("paper") and not m["paper"].get("addons")}
    found: dict[str, str] = {}
    for method in methods:
        other = str(bare.get((method.get("paper") or {}).get("base"), method["name"]))
        found[method["name"]] = other if other != method["name"] else str(methods[0]["name"])
    return {name: other for name, other in found.items() if name != other}


def paired(cell: Cell, reference: Cell) -> Paired | None:
    """Differences over the seeds both have finished on the same split as drawn; None where there is no such seed."""
    ours, theirs = cell.values("median"), reference.values("median")
    seeds = [s for s in cell.seeds if s in ours and s in theirs and _split(cell, s) == _split(reference, s)]
    gains = [ours[seed] - theirs[seed] for seed in seeds]
    found = spread(gains)
    if found is None:
        return None
    wins, ties = sum(gain > _ROUNDING for gain in gains), sum(abs(gain) <= _ROUNDING for gain in gains)
    names = (cell.setting, cell.method, reference.method)
    return Paired(*names, found.mean, min(gains), max(gains), wins, ties, len(gains))


def _split(cell: Cell, seed: int) -> Any:
    source = cell.done[seed]["provenance"]
    return source.get("drawn_sha256", source.get("split_sha256"))
