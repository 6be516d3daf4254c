"""Write the report of a suite: an HTML page, a Markdown file, and the numbers as JSON and CSV."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from daso.aliases import Tree
from daso.data.files import write_file
from daso.paths import RECOMMENDED_FILE
from daso.report.figures import figure_groups
from daso.report.headline import build_headline
from daso.report.results import curves, verdicts
from daso.report.results.collect import Cell, cell_numbers, collect, numbers_text
from daso.report.results.controls import recommended_content, unlabeled_verdicts
from daso.report.results.corrections import with_corrections
from daso.report.results.judged import judge_cells
from daso.report.results.project import read_project, training_commits
from daso.report.results.published import PUBLISHED_RUNS, read_published
from daso.report.results.reference import Reference, compare_with_reference
from daso.report.results.round_records import NO_RECORDS, RoundRecords
from daso.report.results.rounds import round_differences
from daso.report.results.summary import NO_UPSTREAM_RUNS, UpstreamRuns, summarize
from daso.report.sections import Section, build_section
from daso.report.tables.cell_details import cell_details
from daso.report.tables.csv_files import (
    HISTORY_COLUMNS,
    RUN_COLUMNS,
    cell_columns,
    cell_rows,
    format_csv,
    format_table_csv,
    run_rows,
)
from daso.report.tables.latex import format_latex
from daso.report.tables.table import NUMBERS, ghost, longest_tails
from daso.report.tables.text import plain_text

TABLES = "tables"  # folder of the tables as CSV and LaTeX, beside the page
TEMPLATES = Path(__file__).resolve().parents[2] / "reports" / "templates"


def build_report(
    suite: dict[str, Any],
    *,
    metrics: Path,
    runs: Path,
    scratch: Path,
    published: Path,
    out: Path,
    stores: Path | None = None,
    expected_keys: dict[str, str] | None = None,
    archived: Path | None = None,
    forecast: Mapping[str, Tree] | None = None,
    home: str = "../..",
    upstream: UpstreamRuns = NO_UPSTREAM_RUNS,
    shared: Mapping[str, int] | None = None,
    reference: Reference | None = None,
    rounds: RoundRecords = NO_RECORDS,
    corrections: Path | None = None,
) -> None:
    """Write pages, `summary.txt`, `metrics.json`, the CSV files and the folder `tables` of a suite into `out`.

    `suite` is an expanded suite: name, title, note, protocol, seeds and tables, with configurations in place of names.
    Any number of runs may be missing. `archived` is the folder of archived runs, `stores` that of the stores, whose
    test images are shown. `forecast` are the expected times of the runs (see `report.tables.forecasts`), `home` is the
    path from `out` to the working copy, for links. `upstream` are the runs that they depend on, and `shared` the number
    of runs that other suites have in common with this one. `reference` are the numbers that this project measured,
    `rounds` the records of rounds of labeling, `corrections` is the folder of the corrections of runs after training.
    The same inputs give the same bytes. Raises DataError for an unusable file.
    """
    cells = collect(suite, metrics, scratch, expected_keys, archived)
    cells = with_corrections(cells, corrections, suite["name"]) if corrections else cells
    published_rows = read_published(published)
    judged_cells = judge_cells(suite, cells, published_rows)
    unlabeled, labeled = unlabeled_verdicts(suite, cells), round_differences(rounds)
    tables = [figure_groups.table_data(suite, table, cells, runs) for table in suite["tables"]]
    compared = compare_with_reference(reference, cells) if reference else None
    shown = [
        build_section(
            index,
            suite,
            data,
            [judged for judged in judged_cells if judged.cell.table == data.table["name"]],
            forecast or {},
            published_rows,
            compared.cells if compared and not compared.same_bytes else (),
            [verdict for verdict in unlabeled if verdict.table == data.table["name"]],
            [each for each in labeled if each.table == data.table["name"]],
            stores,
        )
        for index, data in enumerate(tables)
    ]
    numbers = numbers_text(cell_numbers(cells))
    summary = summarize(judged_cells, forecast or {}, upstream, shared)
    context = _context(suite, cells, shown) | {
        "numbers": hashlib.sha256(numbers.encode()).hexdigest(),
        "headline": build_headline(suite, summary, judged_cells, unlabeled, labeled),
        "upstream_runs": summary.upstream_runs,
        "reference": compared.summary if compared else "",
        "home": home,
        "details": cell_details(judged_cells, published_rows),
    }
    _write(out / "metrics.json", numbers)
    _write(out / "cells.csv", format_csv(cell_columns(judged_cells), cell_rows(judged_cells, published_rows)))
    _write(out / "runs.csv", format_csv(RUN_COLUMNS, run_rows(cells)))
    _write(out / "history.csv", format_csv(HISTORY_COLUMNS, _history_rows(tables)))
    _write_tables(out / TABLES, shown)
    _write_recommended(out / TABLES / RECOMMENDED_FILE, recommended_content(suite, unlabeled) if unlabeled else None)
    for name in ("report.md", "index.html", "summary.txt"):
        _write(out / name, templates().get_template(f"{name}.j2").render(context))


def _history_rows(tables: Sequence[figure_groups.TableData]) -> Iterator[dict[str, object]]:
    for data in tables:
        for name, training in data.curves.items():
            yield from curves.history_rows(data.cells[name], training.accuracy)


def _write_tables(folder: Path, sections: Sequence[Section]) -> None:
    """Write each table as CSV and LaTeX, and delete the files of tables that no longer exist."""
    files: dict[str, str] = {}
    several = len({section.protocol["name"] for section in sections}) > 1
    for section in sections:
        protocol = f"Protocol {section.protocol['name']} ({section.protocol['title']})." if several else ""
        label = f"Not comparable with published numbers: {section.label}." if section.label else ""
        note = " ".join(filter(None, (protocol, label)))
        for name, table in section.tables.items():
            files[f"table-{section.letter}-{name}.csv"] = format_table_csv(table)
            files[f"table-{section.letter}-{name}.tex"] = format_latex(table, f"{section.name}-{name}", note)
    for name, text in files.items():
        _write(folder / name, text, durable=False)
    own = re.compile(rf"table-[A-Z]+-({'|'.join(NUMBERS)})\.(csv|tex)")
    for path in folder.glob("table-*.*"):
        if path.name not in files and own.fullmatch(path.name):
            path.unlink()


def _write_recommended(path: Path, content: Tree | None) -> None:
    """Write the recommended models of a suite; without any, delete the file."""
    if content is None:
        path.unlink(missing_ok=True)
    else:
        _write(path, json.dumps(content, indent=1) + "\n")


def _context(suite: Tree, cells: Sequence[Cell], shown: Sequence[Section]) -> dict[str, Any]:
    """Return the variables of the templates; `label` is that of all tables, empty if it differs."""
    labels = {section.label for section in shown}
    return {
        "suite": suite,
        "note": str(suite.get("note") or "").strip(),
        "label": labels.pop() if len(labels) == 1 else "",
        "protocols": list({section.protocol["name"]: section.protocol for section in shown}.values()),
        "coverage": verdicts.coverage(cells),
        "project": read_project(),
        "commits": training_commits(cells),
        "sections": shown,
        "by_table": {section.name: section for section in shown},
        "published_runs": PUBLISHED_RUNS,
        "first_images": any("selection" in setting for table in suite["tables"] for setting in table["settings"]),
        "near_points": f"{verdicts.NEAR_POINTS:g}",
        "agreement_points": f"{verdicts.AGREEMENT_POINTS:g}",
        "marks": verdicts.MARKS,
        "any_published": any(section.has_verdicts for section in shown),
    }


@cache
def templates() -> Environment:
    """Return the Jinja environment with the templates of the report."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"md": escape_markdown, "code": mark_code, "inline": inline_markdown, "plain": plain_text}
    environment.filters |= {"ghost": ghost, "longest_tails": longest_tails}
    return environment


def escape_markdown(value: object) -> str:
    """Return text for a Markdown table cell: one line, with all markup escaped."""
    escapes = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;"} | {char: f"\\{char}" for char in "\\`*_[]|#~"}
    return "".join(escapes.get(char, char) for char in " ".join(str(value).split()))


def mark_code(text: str) -> Markup:
    """Return text for HTML, with the parts in backticks as code."""
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(text.split("`"))
    )


def inline_markdown(text: str, base: str) -> Markup:
    """Return Markdown text of one line for HTML: code in backticks, and links with targets relative to `base`."""
    code = re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(text)))
    return Markup(re.sub(r"\[([^\]]+)\]\(([^)]+)\)", rf'<a href="{escape(base)}\2">\1</a>', code))


def _write(path: Path, text: str, *, durable: bool = True) -> None:
    write_file(path, text.encode(), durable=durable)
