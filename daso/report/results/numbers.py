"""Numbers of a report as JSON: mean, standard deviation and number of runs of each cell."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from daso.report.results.collect import Cell

Numbers = dict[str, dict[str, dict[str, dict[str, float]]]]


def cell_numbers(cells: Iterable[Cell]) -> Numbers:
    """Return {table: {setting: {method: {mean, std, n}}}} of cells with a done run, std from two runs on."""
    numbers: Numbers = {}
    for cell in cells:
        if (ours := cell.mean_std()) is not None:
            values = {"mean": round(ours.mean, 4), "n": ours.n}
            if ours.std is not None:
                values["std"] = round(ours.std, 4)
            numbers.setdefault(cell.table, {}).setdefault(cell.setting, {})[cell.method] = values
    return numbers


def numbers_text(numbers: Any) -> str:
    """Return the content of a report's `metrics.json`, whose SHA-256 the report prints."""
    return json.dumps(numbers, indent=1, sort_keys=True) + "\n"
