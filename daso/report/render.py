"""Write the report of a suite: one page to read, one Markdown file, and the numbers for machines."""

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

from daso.data.files import atomic_write
from daso.report import analyses, curves, figure_groups, sections, verdicts
from daso.report.collect import Cell, Tree, collect
from daso.report.published import RUNS, read_all
from daso.report.sections import Judged, Section

TEMPLATES = Path(__file__).resolve().parents[2] / "reports" / "templates"
CELLS = ("run", "table", "setting", "method", "mean", "std", "n", "published", "difference", "verdict", "state")
HISTORY = ("table", "setting", "method", "step", "mean", "std", "n")


def build_report(
    suite: dict[str, Any],
    *,
    metrics: Path,
    runs: Path,
    scratch: Path,
    published: Path,
    out: Path,
    expected_keys: dict[str, str] | None = None,
    measured: Path | None = None,
    plan: Mapping[str, Tree] | None = None,
) -> None:
    """Read what there is of a suite and write `index.html`, `report.md`, `metrics.json`, `cells.csv`, `history.csv`.

    `suite` holds name, title, note, protocol, seeds and tables, names already replaced by what they name. Any number of
    runs may be missing. `plan` is what its runs were expected to take: `report.planned`. The same files give the same
    bytes. DataError where a file that is there cannot be used.
    """
    cells = collect(suite, metrics, scratch, expected_keys, measured)
    judgements = sections.judged(suite, cells, read_all(published))
    order = _order(suite)
    scenes = [figure_groups.scene(table, cells, order, runs) for table in suite["tables"]]
    shown = [
        _section(number, suite, stage, [j for j in judgements if j.cell.table == stage.table["name"]], plan or {})
        for number, stage in enumerate(scenes, 1)
    ]
    rows = [row for stage in scenes for row in _curve_rows(stage)]
    numbers = json.dumps(_metrics(judgements), indent=1, sort_keys=True) + "\n"
    page = _page(suite, cells, shown, order) | {"numbers": hashlib.sha256(numbers.encode()).hexdigest()}
    _write(out / "metrics.json", numbers)
    _write(out / "cells.csv", _csv(CELLS, (_cell_row(judged) for judged in judgements)))
    _write(out / "history.csv", _csv(HISTORY, rows))
    environment = _environment()
    for name in ("report.md", "index.html"):
        _write(out / name, environment.get_template(f"{name}.j2").render(page))


def _order(suite: Tree) -> dict[str, int]:
    """Index of each method in the suite: one colour for a method in every figure."""
    names = dict.fromkeys(method["name"] for table in suite["tables"] for method in table["methods"])
    return {name: index for index, name in enumerate(names)}


def _section(
    number: int, suite: Tree, stage: figure_groups.Scene, judgements: Sequence[Judged], plan: Mapping[str, Tree]
) -> Section:
    found, traced = figure_groups.plates(stage), analyses.findings(stage, suite.get("analyses", ()))
    missing = sum(len(stage.cells[key].done) > 0 and seen.accuracy is None for key, seen in stage.watched.items())
    return sections.section(number, suite, stage.table, judgements, found, traced, missing, plan)


def _page(suite: Tree, cells: Sequence[Cell], shown: Sequence[Section], order: Mapping[str, int]) -> dict[str, Any]:
    titles = {method["name"]: str(method["title"]) for table in suite["tables"] for method in table["methods"]}
    return {
        "suite": suite,
        "note": str(suite.get("note") or "").strip(),
        "label": verdicts.label(suite["protocol"]),
        "protocol": suite["protocol"],
        "coverage": verdicts.coverage(cells),
        "sections": shown,
        "titles": [titles[name] for name in order],
        "published_runs": RUNS,
        "close": f"{verdicts.CLOSE:g}",
        "any_published": any(section.has_verdicts for section in shown),
    }


@cache
def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters["md"] = escape_markdown
    return found


def escape_markdown(value: object) -> str:
    """Text for a Markdown cell: one line, nothing in it read as markup."""
    marks = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;"} | {mark: f"\\{mark}" for mark in "\\`*_[]|#~"}
    return "".join(marks.get(mark, mark) for mark in " ".join(str(value).split()))


def _metrics(judgements: Iterable[Judged]) -> dict[str, Any]:
    """{table: {setting: {method: {mean, std, n}}}} of the cells that have a run; std from two runs on."""
    found: dict[str, Any] = {}
    for cell, ours, *_ in judgements:
        if ours is not None:
            numbers = {"mean": round(ours.mean, 4), "n": ours.n}
            if ours.std is not None:
                numbers["std"] = round(ours.std, 4)
            found.setdefault(cell.table, {}).setdefault(cell.setting, {})[cell.method] = numbers
    return found


def _cell_row(judged: Judged) -> dict[str, object]:
    cell, ours, published, verdict, _ = judged
    return {
        **{"run": cell.run, "table": cell.table, "setting": cell.setting, "method": cell.method},
        "mean": _four(ours.mean if ours else None),
        "std": _four(ours.std if ours else None),
        "n": len(cell.done),
        "published": "" if published is None or published.doubt else published.mean,
        "difference": _four(verdict.difference),
        "verdict": verdict.word,
        "state": cell.state,
    }


def _four(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _curve_rows(stage: figure_groups.Scene) -> Iterable[dict[str, object]]:
    for key, watched in stage.watched.items():
        yield from curves.rows(stage.cells[key], watched.accuracy)


def _csv(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as file:
        file.write(text.encode())
