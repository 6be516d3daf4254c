"""Find the runs behind a published cell: their status, command and cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from daso.aliases import Tree
from daso.config.explain import TextRow, align_columns, split_setting
from daso.config.keys import Keys
from daso.config.paper_names import Paper, paper_methods, paper_name, same_method
from daso.config.params import Params
from daso.config.resolve import Run, resolve, runs, setting_config, table_protocol, trained_run, with_upstream
from daso.data.dataset_schemas import SPLIT_OPTIONS
from daso.errors import DasoError, did_you_mean
from daso.planning.cost import cost_lines
from daso.planning.status import TO_DO, run_statuses
from daso.report.results.paper_tables import (
    COLUMN_FIELDS,
    METRIC_DEFINITIONS,
    Address,
    PublishedTable,
    address,
    format_table,
    method,
    setting,
    table_of,
)
from daso.report.results.published import (
    CITATION,
    PUBLISHED,
    PUBLISHED_RUNS,
    cell_key,
    look_up,
    printed_number,
    read_published,
    row_key,
)
from daso.report.results.sources import Row

PROTOCOL = "paper"  # of a table that no suite reproduces
OTHER_DRAWS = {"shape", *SPLIT_OPTIONS}  # keys of settings that Oh et al. 2022 do not have


class Match(NamedTuple):
    """Dataset, settings and methods of params/ that match a published cell, and errors if some are missing."""

    dataset: str
    settings: list[str]
    methods: list[str]
    missing: list[str]


def cell(params: Params, words: str, row: str = "", column: str = "") -> Iterator[str]:
    """Yield text about the cell with this address, or the whole table if the address has no row or column.

    `row`, the paper's name of a method, and `column`, a <dataset>/<setting>, may replace the numbers of the address.
    Raises DasoError for an unknown cell and, after the published number, if params/ lack its setting or method.
    """
    rows = read_published(PUBLISHED)
    selected = address(words)
    table = table_of(rows, selected.table)
    selected = selected._replace(row=_row(params, table, row) or selected.row)
    selected = selected._replace(column=_column(params, table, column) or selected.column)
    if not (selected.row and selected.column):
        yield format_table(table)
        return
    printed = table.cell(selected)
    matched = match(params, printed)
    papers = [params.methods[name]["paper"] for name in matched.methods]
    yield "\n".join([*_head(rows, selected, printed, papers), *_other_metrics(table, selected, printed)]) + "\n"
    if matched.missing:
        where = f"table {selected.table}, row {selected.row}, column {selected.column}"
        raise DasoError(f"{where}: {'; '.join(matched.missing)}")
    yield _runs(params, matched, selected.table)


def match(params: Params, printed: Row) -> Match:
    """Return the dataset, settings and methods of params/ that match a published row by their values."""
    dataset, metric, plain_key = printed["dataset"], printed["metric"], row_key({**printed, "unlabeled": ""})
    sizes = {name: printed[name] or None for name in ("gamma_l", "gamma_u", "n1", "m1", "shape")}
    methods = [
        name
        for name, tree in params.methods.items()
        if plain_key in (cell_key(dataset, sizes, paper, metric) for paper in paper_methods(tree.get("paper", {})))
    ]
    settings = [
        name
        for name, own in params.datasets.get(dataset, {}).get("settings", {}).items()
        if not own.keys() & OTHER_DRAWS
        and cell_key(dataset, setting_config(params, dataset, name), printed, metric) == row_key(printed)
    ]
    missing = []
    if dataset not in params.datasets:
        missing.append(f"missing dataset '{dataset}' ({params.file('dataset', dataset)})")
    elif not settings:
        missing.append(f"missing setting of {params.file('dataset', dataset)} with {setting(printed)}")
    if not methods:
        paper = f'paper: {{base: {printed["base"]}, addons: "{printed["addons"]}"}}'
        missing.append(f"missing file of {params.root}/methods with `{paper}`")
    return Match(dataset, settings, methods, missing)


def _row(params: Params, table: PublishedTable, words: str) -> str:
    """Return the number of the row of a method, given as a number, a file of params/methods or the paper's name."""
    if not words or words.isdecimal():
        return words
    paper = params.methods.get(words, {}).get("paper")
    names = [paper_name(name) for name in paper_methods(paper)] if paper else [words]
    for i, printed in enumerate(table.methods, start=1):
        if any(same_method(printed, name) for name in names):
            return str(i)
    raise DasoError(f"table {table.name}: unknown row '{words}'{did_you_mean(names[0], table.methods)}")


def _column(params: Params, table: PublishedTable, words: str) -> str:
    """Return the number of the first column of a <dataset>/<setting>; a number is returned unchanged."""
    if not words or words.isdecimal():
        return words
    dataset, name = split_setting(params, words)
    numbers = [
        column
        for column, fields in enumerate(table.settings, start=1)
        if match(params, table.cells[1, column]).settings == [name] and fields[0] == dataset
    ]
    if not numbers:
        raise DasoError(f"table {table.name}: unknown column '{words}'; `daso cell t{table.name}` lists its columns")
    return str(numbers[0])


def _head(rows: list[dict[str, str]], selected: Address, printed: Row, papers: list[Paper]) -> Iterator[str]:
    """Yield the published number and its note, with the tables that print a different number."""
    where = f"table {selected.table}, row {selected.row}, column {selected.column} of {CITATION}"
    yield f"{where}: {method(printed)} on {setting(printed)}"
    yield _published(printed)
    sizes = {name: printed[name] or None for name in COLUMN_FIELDS[1:5]}
    sizes |= {name: printed[name] for name in ("unlabeled", "shape")}
    paper = papers[0] if papers else printed
    found = look_up(rows, printed["dataset"], sizes, paper, [printed["metric"]], selected.table)
    note = found.note if found and found.table == selected.table else printed["note"]
    if note:
        yield f"note: {note}"


def _published(printed: Row) -> str:
    runs = f" of {PUBLISHED_RUNS} runs" if printed["std"] else ""
    return f"published: {printed_number(printed)}, {METRIC_DEFINITIONS[printed['metric']]}{runs}"


def _other_metrics(table: PublishedTable, selected: Address, printed: Row) -> Iterator[str]:
    """Yield the published numbers of the same runs in other columns, such as the median beside the last evaluation."""
    for (row, column), other in table.cells.items():
        same = all(other[name] == printed[name] for name in COLUMN_FIELDS if name != "metric")
        if row == int(selected.row) and same and other["metric"] != printed["metric"]:
            yield f"{_published(other)} (column {column})"


def _trained(params: Params, run: Run) -> Run:
    """Return the run, or a run of a suite that differs only in its method's name, as an ablation may from its base."""

    def nameless(run: Run) -> Tree:
        config = resolve(params, run)
        return {**config, "run": "", "method": {**config["method"], "name": ""}}

    candidates = [other for suite in params.suites for other in runs(params, suite) if other[:3] == run[:3]]
    equal = (other for other in candidates if other.seed == run.seed and nameless(other) == nameless(run))
    return run if run in candidates else next(equal, run)


def _protocol(params: Params, table: str) -> str:
    """Return the protocol of the suites that reproduce a table of the paper."""
    for suite in params.suites.values():
        for each in suite["tables"]:
            protocol = table_protocol(suite, each)
            reproduced = str(each["paper"]["table"]) if "paper" in each else ""
            if reproduced == table and params.protocols[protocol]["comparable"]:
                return protocol
    return PROTOCOL


def _runs(params: Params, matched: Match, table: str) -> str:
    """Return the runs of a cell of a table, their upstream runs, and their suites, command and cost."""
    row = matched.dataset, matched.settings[0], _protocol(params, table), matched.methods[0]
    own = [_trained(params, trained_run(params, Run(*row, seed))) for seed in range(PUBLISHED_RUNS)]
    chain = with_upstream(params, own)
    status = run_statuses(Keys(params), chain)
    rows: list[TextRow] = [(f"run {run.id}", status[run.id], "" if run in own else "upstream run") for run in chain]
    suites = [name for name in params.suites if set(own) <= set(runs(params, name))]
    rows.append((f"suites: {', '.join(suites) or 'none'}",))
    seeds = ",".join(str(run.seed) for run in own)
    rows.append((f"command: snakemake metrics/{'/'.join(own[0][:4])}/s{{{seeds}}}.json",))
    todo = [run for run in chain if status[run.id] in TO_DO]
    rows += ((f"cost: {line}",) for line in cost_lines(params, chain, todo))
    return align_columns(rows)
