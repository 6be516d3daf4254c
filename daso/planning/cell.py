"""The runs behind a published cell: which they are, how far they are, which command makes them and what they cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from daso.config.explain import Row as Line
from daso.config.explain import aligned, place_of
from daso.config.keys import Keys
from daso.config.paper_names import Paper, paper_methods, paper_name, same_method
from daso.config.params import Params, Tree, did_you_mean
from daso.config.resolve import Run, resolve, runs, setting_config, with_upstream
from daso.errors import DasoError
from daso.planning.cost import lines
from daso.planning.paper_tables import COLUMN, METRICS, Address, Table, address, grid, method, setting, table_of
from daso.planning.status import TO_DO, run_statuses
from daso.report.published import PUBLISHED, RUNS, SOURCE, Row, cell_key, look_up, read_published, row_key, value

PROTOCOL = "paper"


class Match(NamedTuple):
    """A cell in params/: its place and method, or what of them is missing."""

    dataset: str
    settings: list[str]
    methods: list[str]
    missing: list[str]


def cell(params: Params, words: str, row: str = "", place: str = "") -> Iterator[str]:
    """Text on the cell that the words name, or on the whole table where they name no cell.

    `row`, a method in the paper's words, and `place`, a <dataset>/<setting>, may take the place of numbers. Raises
    DasoError when there is no such cell, and, at the end, when params/ lack what it needs.
    """
    rows = read_published(PUBLISHED)
    named = address(words)
    table = table_of(rows, named.table)
    named = named._replace(row=_row(params, table, row) or named.row)
    named = named._replace(column=_column(params, table, place) or named.column)
    if not (named.row and named.column):
        yield grid(table)
        return
    printed = table.cell(named)
    found = match(params, printed)
    yield "\n".join(_head(rows, named, printed, [params.methods[name]["paper"] for name in found.methods])) + "\n"
    if found.missing:
        raise DasoError(f"table {named.table}, row {named.row}, column {named.column}: {'; '.join(found.missing)}")
    yield _runs(params, found)


def match(params: Params, printed: Row) -> Match:
    """The dataset, setting and method of params/ that a published row is about, by what they hold."""
    dataset, metric, plain = printed["dataset"], printed["metric"], row_key({**printed, "unlabeled": ""})
    sizes = {name: printed[name] or None for name in ("gamma_l", "gamma_u", "n1", "m1")}
    methods = [
        name
        for name, tree in params.methods.items()
        if plain in (cell_key(dataset, sizes, paper, metric) for paper in paper_methods(tree.get("paper", {})))
    ]
    settings = [
        name
        for name in params.datasets.get(dataset, {}).get("settings", {})
        if cell_key(dataset, setting_config(params, dataset, name), printed, metric) == row_key(printed)
    ]
    missing = []
    if dataset not in params.datasets:
        missing.append(f"there is no dataset {dataset} ({params.file('dataset', dataset)})")
    elif not settings:
        missing.append(f"{params.file('dataset', dataset)} has no setting with {setting(printed)}")
    if not methods:
        words = f'paper: {{base: {printed["base"]}, addons: "{printed["addons"]}"}}'
        missing.append(f"no file of {params.root}/methods has `{words}`")
    return Match(dataset, settings, methods, missing)


def _row(params: Params, table: Table, words: str) -> str:
    """The number of the row of a method in words."""
    if not words or words.isdecimal():
        return words
    paper = params.methods.get(words, {}).get("paper")
    said = [paper_name(name) for name in paper_methods(paper)] if paper else [words]
    found = [
        str(i) for i, method in enumerate(table.methods, start=1) if any(same_method(method, name) for name in said)
    ]
    if not found:
        raise DasoError(f"table {table.name} has no row '{words}'{did_you_mean(said[0], table.methods)}")
    return found[0]


def _column(params: Params, table: Table, place: str) -> str:
    """The number of the column of a <dataset>/<setting>."""
    if not place or place.isdecimal():
        return place
    dataset, name = place_of(params, place)
    numbers = [
        column
        for column, fields in enumerate(table.settings, start=1)
        if match(params, table.cells[1, column]).settings == [name] and fields[0] == dataset
    ]
    if not numbers:
        raise DasoError(f"table {table.name} has no column of {place}; `cell 'table {table.name}'` shows its columns")
    return str(numbers[0])


def _head(rows: list[dict[str, str]], named: Address, printed: Row, papers: list[Paper]) -> Iterator[str]:
    """What is published, where, and what other tables say of the same method, which may have other words for it."""
    where = f"table {named.table}, row {named.row}, column {named.column} of {SOURCE}"
    yield f"{where}: {method(printed)} on {setting(printed)}"
    yield f"published: {value(printed)}, {METRICS[printed['metric']]}" + (f" of {RUNS} runs" if printed["std"] else "")
    if printed["note"]:
        yield f"note: {printed['note']}"
    sizes = {name: printed[name] or None for name in COLUMN[1:5]}
    other = look_up(rows, printed["dataset"], sizes, papers[0] if papers else printed)
    if other and other.source != f"{SOURCE}, table {named.table}" and other.mean != float(printed["mean"]):
        yield f"reports compare with {other.source}: {other.mean}" + (f" ± {other.std}" if other.std else "")


def _trained(params: Params, run: Run) -> Run:
    """The run, or one of a suite that differs in its method's name alone, as an ablation may from its base."""

    def what(run: Run) -> Tree:
        config = resolve(params, run)
        return {**config, "run": "", "method": {**config["method"], "name": ""}}

    named = [other for suite in params.suites for other in runs(params, suite) if other[:3] == run[:3]]
    alike = (other for other in named if other.seed == run.seed and what(other) == what(run))
    return run if run in named else next(alike, run)


def _runs(params: Params, found: Match) -> str:
    """The runs of a cell, what comes before them, and their suites, command and cost."""
    own = [_trained(params, Run(found.dataset, found.settings[0], PROTOCOL, found.methods[0], i)) for i in range(RUNS)]
    chain = with_upstream(params, own)
    far = run_statuses(Keys(params), chain)
    rows: list[Line] = [(f"run {run.id}", far[run.id], "" if run in own else "comes before") for run in chain]
    suites = [name for name in params.suites if set(own) <= set(runs(params, name))]
    rows.append((f"suites: {', '.join(suites) or 'none'}",))
    seeds = ",".join(str(run.seed) for run in own)
    rows.append((f"command: snakemake metrics/{'/'.join(own[0][:4])}/s{{{seeds}}}.json",))
    todo = [run for run in chain if far[run.id] in TO_DO]
    rows += ((f"cost: {line}",) for line in lines(params, chain, todo))
    return aligned(rows)
