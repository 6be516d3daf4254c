"""What the templates print: a suite and its cells as plain records, every number already a string."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from daso.data.class_sizes import setting_kind
from daso.report.analyses import Findings
from daso.report.archived import Place, archived_reasons, parts
from daso.report.collect import MEASURES, Cell, Spread, Tree, plus_minus
from daso.report.figure_groups import Plate
from daso.report.planned import Expected, compared
from daso.report.provenance import Fact, Origin, facts, origins
from daso.report.published import RUNS, Published, Row, look_up
from daso.report.speed import Pace, paces
from daso.report.verdicts import (
    INSIDE,
    NEAR,
    NOT_COMPARABLE,
    OUTSIDE,
    Verdict,
    judge,
    label,
    paired,
    reasons_not_comparable,
    references,
    remarks,
)

MARKS = {INSIDE: "●", NEAR: "◐", OUTSIDE: "○"}  # all others are "–"


class Judged(NamedTuple):
    """A cell with its number, the published one, and what is said of the two."""

    cell: Cell
    ours: Spread | None
    published: Published | None
    verdict: Verdict
    measured: tuple[tuple[Place, Judged], ...] = ()  # the runs kept of it, by device and commit, judged alike


@dataclass(frozen=True)
class Field:
    """A cell as printed."""

    state: str
    ours: str
    count: str  # "n = 3", "n = 2 of 3"
    remark: str  # stale or running seeds
    published: str
    mark: str
    verdict: str
    difference: str
    reason: str
    measured: list[tuple[Place, Field]]


@dataclass(frozen=True)
class Section:
    """A table with everything that stands under it."""

    number: int
    name: str
    title: str
    dataset: str
    label: str  # of a protocol that is not comparable; empty for the paper's
    settings: list[dict[str, str]]
    methods: list[dict[str, Any]]
    rows: list[list[Field]]  # [method][setting]
    has_published: bool
    has_verdicts: bool  # whether a published number is beyond doubt
    has_measured: bool
    sources: list[str]
    notes: list[str]
    reasons: list[str]
    measures: list[dict[str, str]]
    pairs: list[dict[str, str]]
    plates: list[Plate]
    findings: Findings | None  # of the analyses that the suite asks for
    paces: list[Pace]
    planned: list[Expected]
    facts: list[Fact]
    origins: list[Origin]
    missing_histories: int


def judged(suite: Tree, cells: Sequence[Cell], published: Sequence[Row]) -> list[Judged]:
    """Every cell beside its published number."""
    tables = {table["name"]: table for table in suite["tables"]}
    found = []
    for cell in cells:
        table = tables[cell.table]
        setting = next(s for s in table["settings"] if s["name"] == cell.setting)
        method = next(m for m in table["methods"] if m["name"] == cell.method)
        target = look_up(published, table["dataset"]["name"], setting, method.get("paper"))
        ours = cell.spread()
        runs = cell.done.values()
        verdict = judge(ours, target, reasons_not_comparable(suite["protocol"], runs), remarks(runs))
        measured = [(place, _kept(part, target, suite["protocol"])) for place, part in parts(cell).items()]
        found.append(Judged(cell, ours, target, verdict, tuple(measured)))
    return found


def _kept(part: Cell, target: Published | None, protocol: Tree) -> Judged:
    ours, runs = part.spread(), part.done.values()
    return Judged(part, ours, target, judge(ours, target, archived_reasons(protocol, runs), remarks(runs)))


def section(
    number: int,
    suite: Tree,
    table: Tree,
    judgements: Sequence[Judged],
    plates: list[Plate],
    findings: Findings | None,
    missing_histories: int,
    plan: Mapping[str, Tree],
) -> Section:
    """One table of a suite as printed; `judgements` are those of its cells."""
    at = {(j.cell.setting, j.cell.method): j for j in judgements}
    rows = [[_field(at[s["name"], m["name"]]) for s in table["settings"]] for m in table["methods"]]
    runs = [metrics for j in judgements for metrics in j.cell.done.values()]
    known = [j for j in judgements if j.published]
    comparable = any(j.verdict.word != NOT_COMPARABLE for j in known if j.ours)
    titles = {method["name"]: str(method["title"]) for method in table["methods"]}
    return Section(
        number=number,
        name=table["name"],
        title=str(table["title"]),
        dataset=str(table["dataset"].get("title", table["dataset"]["name"])),
        label=label(suite["protocol"]),
        settings=[described(setting) for setting in table["settings"]],
        methods=list(table["methods"]),
        rows=rows,
        has_published=bool(known),
        has_verdicts=any(not j.published.doubt for j in known if j.published),
        has_measured=any(j.measured for j in judgements),
        sources=sorted({j.published.source for j in known if j.published}),
        notes=[
            f"{titles[j.cell.method]}, {j.cell.setting}: {j.published.note}"
            for j in known
            if j.published and j.published.note
        ],
        reasons=_reasons(judgements, label(suite["protocol"])),
        measures=_measures(judgements, titles),
        pairs=[] if comparable else _pairs(table, at, titles),
        plates=plates,
        findings=findings,
        paces=paces([j.cell for j in judgements], titles),
        planned=compared([j.cell for j in judgements], plan, titles),
        facts=facts(runs),
        origins=origins(j.cell for j in judgements),
        missing_histories=missing_histories,
    )


def described(setting: Tree) -> dict[str, str]:
    """A setting in words: sizes of the largest classes and the two imbalance ratios, or that they are as found."""
    if "labeled" in setting:
        sizes = {"n1": f"{100 * setting['labeled']:g} % of each class", "m1": "the rest of it"}
        return {"name": str(setting["name"]), **sizes, "gamma_l": "as found", "gamma_u": "as found", "reversed": ""}
    if setting_kind(setting) == "share":
        sizes = {"n1": f"{100 * setting['share']:g} % of {setting['n']}", "m1": "the rest of it"}
        gammas = dict.fromkeys(("gamma_l", "gamma_u"), f"{setting['gamma']:g}")
        return {"name": str(setting["name"]), **sizes, **gammas, "reversed": ""}
    gamma_u = setting.get("gamma_u")
    unlabeled = "unknown" if gamma_u is None else f"{gamma_u:g}"
    if setting_kind(setting) == "whole":
        setting, unlabeled = {**setting, "m1": "every training image"}, "as found"
    if setting.get("reversed") and gamma_u is not None:
        unlabeled = f"1/{gamma_u:g}" if Fraction(str(gamma_u)) != 1 else "1"
    gamma_l = setting.get("gamma_l")
    return {
        "name": str(setting["name"]),
        "n1": str(setting.get("n1", "unknown")),
        "m1": str(setting.get("m1", "unknown")),
        "gamma_l": "unknown" if gamma_l is None else f"{gamma_l:g}",
        "gamma_u": unlabeled,
        "reversed": "reversed" if setting.get("reversed") else "",
    }


def signed(points: float) -> str:
    """`+0.4`, `−1.2`, `0.0` with a true minus sign."""
    text = f"{points:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")


def _field(judged: Judged) -> Field:
    cell, ours, published, verdict, measured = judged
    done, wanted = len(cell.done), len(cell.seeds)
    count = f"n = {done}" if done == wanted else f"n = {done} of {wanted}"
    remarks = [f"{len(cell.running)} under way"] if cell.running and ours else []
    remarks += [f"{len(cell.stale)} out of date, left out"] if cell.stale else []
    width = "" if verdict.band is None else f" (band ±{verdict.band:.1f})"
    return Field(
        state=cell.state,
        ours=plus_minus(*ours) if ours else "",
        count=count if ours else "not run" if cell.state == "missing" else "under way",
        remark=", ".join(remarks),
        published="" if published is None else _printed(published),
        mark=MARKS.get(verdict.word, "–"),
        verdict=verdict.word,
        difference="" if verdict.difference is None else signed(verdict.difference) + width,
        reason="; ".join(verdict.reasons),
        measured=[(place, _field(kept)) for place, kept in measured],
    )


def _printed(published: Published) -> str:
    """A published number; to two digits, as it was printed, where it has no spread; as recalled, with its doubt."""
    if published.doubt:
        return f"{published.printed}, {published.doubt}"
    bare = published.std is None
    return f"{published.mean:.2f}" if bare else plus_minus(published.mean, published.std, RUNS)


def _reasons(judgements: Sequence[Judged], protocol: str) -> list[str]:
    """Why cells cannot be compared, besides the protocol, each reason with the number of cells it holds for."""
    kept = [j.verdict.reasons for j in judgements if j.verdict.word == NOT_COMPARABLE]
    single = [why for reasons in kept for why in reasons if why != protocol]
    return [f"{part} ({single.count(part)} of {len(judgements)} cells)" for part in dict.fromkeys(single)]


def _measures(judgements: Sequence[Judged], titles: Mapping[str, str]) -> list[dict[str, str]]:
    """Every measure of every cell that has a run."""
    found = []
    for cell in (j.cell for j in judgements if j.ours):
        spreads = {name: cell.spread(name) for name in MEASURES}
        row = {name: plus_minus(*value) if value else "–" for name, value in spreads.items()}
        found.append({"setting": cell.setting, "method": titles[cell.method], "n": str(len(cell.done)), **row})
    return found


def _pairs(table: Tree, at: Mapping[tuple[str, str], Judged], titles: Mapping[str, str]) -> list[dict[str, str]]:
    found = []
    for setting in table["settings"]:
        for method, reference in references(table["methods"]).items():
            pair = paired(at[setting["name"], method].cell, at[setting["name"], reference].cell)
            if pair is not None:
                ties = f", {pair.ties} equal" if pair.ties else ""
                found.append(
                    {
                        "setting": pair.setting,
                        "method": titles[method],
                        "reference": titles[reference],
                        "mean": signed(pair.mean),
                        "range": f"{signed(pair.low)} to {signed(pair.high)}" if pair.n > 1 else "–",
                        "wins": f"{pair.wins} of {pair.n}{ties}",
                    }
                )
    return found
