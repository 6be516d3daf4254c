"""Write the report of a suite: an HTML page, a Markdown file, and the numbers as JSON and CSV."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from daso.data.files import atomic_write
from daso.report.figures import figure_groups
from daso.report.figures.figure_groups import TableData
from daso.report.results import curves, verdicts
from daso.report.results.collect import Cell, Tree, collect
from daso.report.results.judged import JudgedCell, judge_cells
from daso.report.results.published import PUBLISHED_RUNS, read_all_published
from daso.report.sections import Section, build_section
from daso.report.tables import alignment

TEMPLATES = Path(__file__).resolve().parents[2] / "reports" / "templates"
CELL_COLUMNS = (
    *("run", "table", "setting", "method", "mean", "std", "n"),
    *("published", "difference", "verdict", "state"),
)
HISTORY_COLUMNS = ("table", "setting", "method", "step", "mean", "std", "n")


def build_report(
    suite: dict[str, Any],
    *,
    metrics: Path,
    runs: Path,
    scratch: Path,
    published: Path,
    out: Path,
    expected_keys: dict[str, str] | None = None,
    archived: Path | None = None,
    plan: Mapping[str, Tree] | None = None,
) -> None:
    """Write `index.html`, `report.md`, `metrics.json`, `cells.csv` and `history.csv` of a suite into `out`.

    `suite` is an expanded suite: name, title, note, protocol, seeds and tables, with configurations in place of names.
    Any number of runs may be missing. `archived` is the folder of archived runs, `plan` the planned times of the runs
    (see `report.planned`). The same inputs give the same bytes. Raises DataError for an unusable file.
    """
    cells = collect(suite, metrics, scratch, expected_keys, archived)
    judged_cells = judge_cells(suite, cells, read_all_published(published))
    method_indices = _method_indices(suite)
    tables = [figure_groups.table_data(table, cells, method_indices, runs) for table in suite["tables"]]
    shown = [
        build_section(index, suite, data, [j for j in judged_cells if j.cell.table == data.table["name"]], plan or {})
        for index, data in enumerate(tables)
    ]
    history_rows = [row for data in tables for row in _history_rows(data)]
    numbers = json.dumps(_metrics(judged_cells), indent=1, sort_keys=True) + "\n"
    context = _context(suite, cells, shown, method_indices) | {"numbers": hashlib.sha256(numbers.encode()).hexdigest()}
    _write(out / "metrics.json", numbers)
    _write(out / "cells.csv", _csv(CELL_COLUMNS, (_csv_row(judged) for judged in judged_cells)))
    _write(out / "history.csv", _csv(HISTORY_COLUMNS, history_rows))
    environment = _environment()
    for name in ("report.md", "index.html"):
        _write(out / name, environment.get_template(f"{name}.j2").render(context))


def _method_indices(suite: Tree) -> dict[str, int]:
    """Return the index of each method in the suite, so that a method has the same colour in every figure."""
    names = dict.fromkeys(method["name"] for table in suite["tables"] for method in table["methods"])
    return {name: index for index, name in enumerate(names)}


def _context(
    suite: Tree, cells: Sequence[Cell], shown: Sequence[Section], method_indices: Mapping[str, int]
) -> dict[str, Any]:
    """Return the variables of the templates."""
    titles = {method["name"]: str(method["title"]) for table in suite["tables"] for method in table["methods"]}
    return {
        "suite": suite,
        "note": str(suite.get("note") or "").strip(),
        "label": verdicts.protocol_label(suite["protocol"]),
        "protocol": suite["protocol"],
        "coverage": verdicts.coverage(cells),
        "sections": shown,
        "titles": [titles[name] for name in method_indices],
        "published_runs": PUBLISHED_RUNS,
        "near_points": f"{verdicts.NEAR_POINTS:g}",
        "any_published": any(section.has_verdicts for section in shown),
    }


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = escape_markdown
    environment.filters |= {"code": mark_code, "ghost": alignment.ghost, "longest_tails": alignment.longest_tails}
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


def _metrics(judged_cells: Iterable[JudgedCell]) -> dict[str, Any]:
    """Return {table: {setting: {method: {mean, std, n}}}} of cells with a done run; std from two runs on."""
    metrics: dict[str, Any] = {}
    for cell, ours, *_ in judged_cells:
        if ours is not None:
            numbers = {"mean": round(ours.mean, 4), "n": ours.n}
            if ours.std is not None:
                numbers["std"] = round(ours.std, 4)
            metrics.setdefault(cell.table, {}).setdefault(cell.setting, {})[cell.method] = numbers
    return metrics


def _csv_row(judged: JudgedCell) -> dict[str, object]:
    cell, ours, published, verdict, _ = judged
    return {
        **{"run": cell.run, "table": cell.table, "setting": cell.setting, "method": cell.method},
        "mean": _four_decimals(ours.mean if ours else None),
        "std": _four_decimals(ours.std if ours else None),
        "n": len(cell.done),
        "published": "" if published is None or published.doubt else published.mean,
        "difference": _four_decimals(verdict.difference),
        "verdict": verdict.text,
        "state": cell.status,
    }


def _four_decimals(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _history_rows(data: TableData) -> Iterable[dict[str, object]]:
    for name, training_curves in data.curves.items():
        yield from curves.history_rows(data.cells[name], training_curves.accuracy)


def _csv(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as file:
        file.write(text.encode())
