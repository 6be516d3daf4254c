"""Forecast time of a suite's runs, saved before they ran, beside the time that they took.

`journal/plans/<suite>.json` holds the forecast with the key of each run; that of a done run never changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from daso.aliases import Tree
from daso.config.keys import PLANS_FOLDER
from daso.data.files import format_json, read_json, write_file
from daso.report.results.collect import Cell
from daso.report.tables.provenance import format_duration
from daso.report.tables.speed import device_of, format_significant
from daso.report.tables.table import ABSENT, Column, Table, TableRow

Forecast = dict[str, dict[str, Any]]  # run id -> key, device, how, seconds_per_step, seconds


def forecast_path(suite: str) -> Path:
    """Return the path of a suite's forecast."""
    return Path(PLANS_FOLDER, f"{suite}.json")


def read_forecast(suite: str) -> Forecast:
    """Return the forecast of a suite; empty without one. Raises DataError for a damaged file."""
    path = forecast_path(suite)
    return dict(read_json(path, "forecast of a suite").get("runs", {})) if path.exists() else {}


def write_forecast(suite: str, forecast: Forecast) -> None:
    """Write the forecast of a suite atomically."""
    write_file(forecast_path(suite), format_json({"suite": suite, "runs": forecast}))


def forecast_table(cells: Iterable[Cell], forecast: Mapping[str, Tree], titles: Mapping[str, str]) -> Table:
    """Return forecast and measured times by method, grouped by device, over the done runs forecast with their key."""
    times: dict[tuple[str, str, bool], list[tuple[float, float]]] = {}
    for cell in cells:
        for seed, run in cell.done.items():
            expected, seconds = forecast.get(cell.run_id(seed), {}), (run.get("speed") or {}).get("seconds")
            if expected.get("key") == run["key"] and seconds is not None:
                device = device_of(run.get("provenance") or {})
                same = expected["device"] == device
                where = device if same else f"{device}, forecast on {expected['device']}"
                times.setdefault((where, titles[cell.method], same), []).append((expected["seconds"], seconds))
    rows = [_row(*group, pairs) for group, pairs in times.items()]
    columns = [
        *(Column("Device", "text"), Column("Method", "text")),
        *map(Column, ("n", "Forecast", "Measured", "Measured/forecast")),
    ]
    caption = "Device time that `daso plan` forecast for the n runs, and the time from first to last step."
    return Table("forecast", "Forecast and measured time", caption, columns, rows, groups=1)


def _row(device: str, method: str, same_device: bool, times: Sequence[tuple[float, float]]) -> TableRow:
    """Return the sums of the runs' times, and measured / forecast, a dash if the devices differ."""
    expected, measured = (sum(column) for column in zip(*times, strict=True))
    ratio = format_significant(measured / expected) if same_device else ABSENT
    return device, method, str(len(times)), format_duration(expected), format_duration(measured), ratio
