"""Head of a report: the summary as text, with the figure of differences. HTML, Markdown and terminal print the text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from daso.aliases import Tree
from daso.data.class_sizes import setting_kind
from daso.report.figures.differences import TablePanels, difference_blocks, drawn
from daso.report.results.collect import Cell
from daso.report.results.controls import UnlabeledVerdict
from daso.report.results.gains import table_gains
from daso.report.results.judged import JudgedCell, main_cells, measure_label
from daso.report.results.published import CITATION, PUBLISHED_RUNS
from daso.report.results.ranks import table_ranks
from daso.report.results.rounds import RoundDifference
from daso.report.results.summary import ColumnProgress, Remainder, Summary, chance_line, tally_line
from daso.report.results.verdicts import MARKS, OTHER_DRAW, difference_and_band, format_signed
from daso.report.tables.controls import recommended_sentence, verdict_sentence
from daso.report.tables.gains import gains_line
from daso.report.tables.provenance import format_duration
from daso.report.tables.ranks import ranks_line
from daso.report.tables.remarks import setting_remarks
from daso.report.tables.rounds import rounds_sentences
from daso.report.words import with_noun


class SummaryLine(NamedTuple):
    """Line of the summary: its topic, and text with commands in backticks."""

    term: str
    text: str


class LargestDifference(NamedTuple):
    """Cell with a large difference, as printed."""

    anchor: str  # id of the cell in the page
    name: str  # method on setting
    mark: str
    verdict: str
    difference: str


@dataclass(frozen=True)
class Headline:
    """Head of a report, as printed; parts that do not apply are empty."""

    answer: str
    recommended: str  # recommended model; empty without controls
    chance: str  # cells outside the band, and the number that chance alone would give
    verdicts: list[tuple[str, str, int]]  # mark, verdict and number of its cells
    largest: list[LargestDifference]
    further: list[SummaryLine]  # remarks on the first setting; verdicts, models and remarks of further ones; labels
    lines: list[SummaryLine]
    departures: list[SummaryLine]  # differences from the paper
    blocks: list[TablePanels]
    legend: list[tuple[str, str]]  # mark and verdict
    elsewhere: bool  # True if the figure shows archived runs
    progress: list[ColumnProgress]  # by column; empty for a complete suite


def build_headline(
    suite: Tree,
    summary: Summary,
    judged_cells: Sequence[JudgedCell],
    unlabeled: Sequence[UnlabeledVerdict] = (),
    rounds: Sequence[RoundDifference] = (),
) -> Headline:
    """Return the head of a suite's report; `unlabeled` are the verdicts on its unlabeled images.

    `rounds` are its rounds of labeling.
    """
    counts, titles, main = summary.tally.counts, _titles(suite), main_cells(judged_cells)
    shown = [(judged, one) for judged in judged_cells if (one := drawn(judged))]
    verdicts = {one.verdict.text for _, one in shown}
    gains = _one_line(_by_protocol(suite, lambda tables: _gains(tables, main, titles)))
    return Headline(
        answer=_answer(suite, unlabeled[0], titles)
        if unlabeled
        else _first_sentence(suite, summary, judged_cells, gains),
        recommended=recommended_sentence(unlabeled[0], titles) if unlabeled else "",
        chance=f"{chance_line(summary.tally)}." if summary.tally.banded else "",
        verdicts=[(MARKS[verdict], verdict, counts[verdict]) for verdict in counts if counts[verdict]],
        largest=[_largest_difference(judged, titles, suite) for judged in summary.largest],
        further=[
            *_further_settings(suite["name"], unlabeled, [judged.cell for judged in main], titles),
            *(SummaryLine("Labels", sentence) for sentence in rounds_sentences(rounds)),
        ],
        lines=list(_lines(suite, summary, judged_cells, gains, answered=bool(unlabeled))),
        departures=list(departures(suite, judged_cells)),
        blocks=difference_blocks(suite, judged_cells),
        legend=[(mark, verdict) for verdict, mark in MARKS.items() if verdict in verdicts],
        elsewhere=any(one is not judged for judged, one in shown),
        progress=list(summary.progress) if summary.remainder.runs else [],
    )


def _answer(suite: Tree, verdict: UnlabeledVerdict, titles: Mapping[str, str]) -> str:
    """Return the verdict on the unlabeled images, with its setting if the suite has several."""
    several = sum(len(table["settings"]) for table in suite["tables"]) > 1
    return (f"Setting {verdict.setting}: " if several else "") + verdict_sentence(verdict, titles)


def _first_sentence(suite: Tree, summary: Summary, judged_cells: Sequence[JudgedCell], gains: str) -> str:
    """Return the first sentence of a report: its tally, or, where nothing could be compared, its measured gains."""
    if summary.tally.judged:
        return tally_line(summary.tally)
    if not any(judged.ours for judged in judged_cells):
        return "No run of this suite is finished here"
    if any("controls" in table for table in suite["tables"]):
        return (
            "No verdict on the unlabeled images: it requires a method, its control and the control of most methods, "
            "finished with a common seed, and two classes with two groups of test images each"
        )
    counted, _, _ = gains.partition(": ")
    return f"Gains: {counted}" if gains else f"No verdict: {_reason(judged_cells)}"


def _reason(judged_cells: Sequence[JudgedCell]) -> str:
    """Return why no cell of a suite has a verdict."""
    numbers = [judged.published for judged in judged_cells if judged.ours and judged.published]
    if not numbers:
        return "nothing is published for these cells"
    if any(number.doubt for number in numbers):
        return "the published numbers are not confirmed"
    return "the numbers are not comparable with published ones"


def _largest_difference(judged: JudgedCell, titles: Mapping[str, str], suite: Tree) -> LargestDifference:
    cell, verdict = judged.cell, judged.verdict
    table = next(table for table in suite["tables"] if table["name"] == cell.table)
    label = measure_label(table, judged.measure)
    name = ", ".join(filter(None, (f"{titles[cell.method]} on {cell.setting}", label)))
    text = difference_and_band(verdict.difference or 0.0, verdict.band)
    return LargestDifference(judged.anchor, name, MARKS[verdict.text], verdict.text, text)


def _titles(suite: Tree) -> dict[str, str]:
    return {method["name"]: str(method["title"]) for table in suite["tables"] for method in table["methods"]}


def _further_settings(
    suite: str, verdicts: Sequence[UnlabeledVerdict], cells: Sequence[Cell], titles: Mapping[str, str]
) -> Iterable[SummaryLine]:
    for verdict in verdicts:
        if verdict is not verdicts[0]:
            yield SummaryLine(f"Setting {verdict.setting}", verdict_sentence(verdict, titles))
            yield SummaryLine("Recommended model", recommended_sentence(verdict, titles))
        of_table = [cell for cell in cells if cell.table == verdict.table]
        yield from (SummaryLine(*remark) for remark in setting_remarks(suite, of_table, verdict))


def _lines(
    suite: Tree, summary: Summary, judged_cells: Sequence[JudgedCell], gains: str, *, answered: bool
) -> Iterable[SummaryLine]:
    if summary.mean_difference is not None:
        text = f"{format_signed(summary.mean_difference, 2)} points over {with_noun(summary.tally.judged, 'cell')}"
        yield SummaryLine("Mean difference", text)
    main, titles = main_cells(judged_cells), _titles(suite)
    yield from _gains_lines(summary, judged_cells, gains, answered=answered)
    if not gains:
        yield from _protocol_lines("Gains", _by_protocol(suite, lambda tables: _gains(tables, main, titles)))
    yield from _protocol_lines("Ranks", _by_protocol(suite, lambda tables: _ranks(tables, main)))
    if summary.remainder.runs:
        yield SummaryLine("Missing", _missing(suite["name"], summary, judged_cells))
        if any(judged.cell.stale for judged in judged_cells):
            text = f"`daso revalidate {suite['name']}` keeps stale runs whose bits the present code reproduces"
            yield SummaryLine("Stale", text)
        command = f"snakemake --config suite={suite['name']}"
        yield SummaryLine("Command", f"`{command}` trains them and renders this report; `{command} -n` only lists them")
    if summary.archived_cells:
        text = f"{with_noun(summary.archived_cells, 'cell')} measured elsewhere, counted in none of the numbers above"
        if summary.archived.judged:
            text += f"; where nothing is measured here, {tally_line(summary.archived)}"
        yield SummaryLine("Other machines", text)
    if summary.shared and 2 * summary.remainder.runs > _total(judged_cells):
        names = ", ".join(f"`{name}` ({with_noun(runs, 'run')})" for name, runs in summary.shared.items())
        yield SummaryLine(
            "Shared runs", f"with the suites {names}" if len(summary.shared) > 1 else f"with the suite {names}"
        )


def _by_protocol(suite: Tree, line_of: Callable[[Sequence[Tree]], str]) -> dict[str, str]:
    """Return a line on the tables of each protocol of a suite; protocols whose line is empty are left out."""
    tables: dict[str, list[Tree]] = {}
    for table in suite["tables"]:
        tables.setdefault(str(table["protocol"]["name"]), []).append(table)
    lines = {name: line_of(group) for name, group in tables.items()}
    return {name if len(tables) > 1 else "": line for name, line in lines.items() if line}


def _one_line(lines: Mapping[str, str]) -> str:
    """Return the line of a suite with one protocol; empty for several, whose lines name their protocols."""
    return lines.get("", "")


def _protocol_lines(term: str, lines: Mapping[str, str]) -> Iterable[SummaryLine]:
    for protocol, line in lines.items():
        yield SummaryLine(f"{term}, protocol {protocol}" if protocol else term, line)


def _gains(tables: Sequence[Tree], judged_cells: Sequence[JudgedCell], titles: Mapping[str, str]) -> str:
    return gains_line([gain for table in tables for gain in table_gains(table, judged_cells)], titles)


def _ranks(tables: Sequence[Tree], judged_cells: Sequence[JudgedCell]) -> str:
    return ranks_line([ranks for table in tables for ranks in table_ranks(table, judged_cells).values()])


def _gains_lines(
    summary: Summary, judged_cells: Sequence[JudgedCell], gains: str, *, answered: bool
) -> Iterable[SummaryLine]:
    """Yield gains and verdicts on published numbers, unless the first sentence of the report has them.

    If `answered`, it is a verdict on the unlabeled images instead.
    """
    if answered and summary.tally.judged:
        yield SummaryLine("Published numbers", tally_line(summary.tally))
    if gains and (answered or summary.tally.judged):
        yield SummaryLine("Other gains" if answered else "Gains", gains)
    elif gains:
        _, _, named = gains.partition(": ")
        yield from [SummaryLine("Gains", named)] if named else []
        yield SummaryLine("Verdicts", f"none: {_reason(judged_cells)}")


def _missing(suite: str, summary: Summary, judged_cells: Sequence[JudgedCell]) -> str:
    """Return the missing runs, and their device time as far as it is forecast."""
    remainder = summary.remainder
    upstream = f" and {remainder.upstream} of {summary.upstream_runs} upstream runs" if remainder.upstream else ""
    stale = len({judged.cell.run_id(seed) for judged in judged_cells for seed in judged.cell.stale})
    runs = (
        f"{remainder.runs} of {with_noun(_total(judged_cells), 'run')}{f' ({stale} stale)' if stale else ''}{upstream}"
    )
    return f"{runs}, {_cost(suite, remainder)}"


def _total(judged_cells: Sequence[JudgedCell]) -> int:
    return len({judged.cell.run_id(seed) for judged in judged_cells for seed in judged.cell.seeds})


def _cost(suite: str, remainder: Remainder) -> str:
    if not remainder.seconds:
        return f"device time unknown (`daso plan {suite} --measure` forecasts it)"
    time = f"about {format_duration(remainder.seconds)} of device time on {' and '.join(remainder.devices)}"
    return f"{time}, without {with_noun(remainder.unknown, 'run')} of unknown time" if remainder.unknown else time


def departures(suite: Tree, judged_cells: Sequence[JudgedCell]) -> Iterable[SummaryLine]:
    """Yield the differences from Oh et al. 2022 in the runs whose numbers stand beside theirs."""
    shown = [*judged_cells, *(one for judged in judged_cells for _, one in judged.archived)]
    compared = [
        judged
        for judged in shown
        if judged.verdict.difference is not None and judged.published and judged.published.source.startswith(CITATION)
    ]
    if not compared:
        return
    runs = {judged.cell.run_id(seed): run for judged in compared for seed, run in judged.cell.done.items()}
    of_runs = [run.get("provenance") or {} for run in runs.values()]
    if other := _others([source.get("precision") for source in of_runs], "fp32"):
        yield SummaryLine(
            "Precision", f"{other}; the authors' code trains in fp32 (`docs/benchmarks/precision.md` compares both)"
        )
    if other := _others([source.get("mode") for source in of_runs], "eager"):
        yield SummaryLine("Mode", f"{other}; the authors' code runs each operation eagerly")
    fixed = all(setting_kind(setting) == "lists" for table in suite["tables"] for setting in table["settings"])
    yield SummaryLine(
        "Seeds",
        f"{', '.join(map(str, suite['seeds']))}, {'all with the same' if fixed else 'each with its own'} split; the "
        f"paper's {PUBLISHED_RUNS} seeds differ from these; one of them (5491305) is known",
    )
    if redrawn := sum(OTHER_DRAW in judged.verdict.reasons for judged in compared):
        text = (
            f"images read from files in {with_noun(redrawn, 'cell')}: "
            "a seed draws different images than from the archive"
        )
        yield SummaryLine("Splits", text)
    yield SummaryLine("Verdicts", "this project's own rule; the paper makes no such comparison")
    yield SummaryLine(
        "Code", "`docs/fidelity.md` lists every known difference between the paper, the authors' code and this one"
    )


def _others(values: Sequence[object], usual: str) -> str:
    """Return the values other than the usual one with their numbers of runs; empty if there is none."""
    counts = Counter(str(value) for value in values if value and value != usual)
    return ", ".join(f"{value} in {runs} of {with_noun(len(values), 'run')}" for value, runs in counts.items())
