"""Files of numbers beside the page: `cells.csv`, `runs.csv`, `history.csv`, and each table as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import pandas as pd

from daso.report.results.collect import BEST_ON_TEST, MEASURES, Cell
from daso.report.results.judged import JudgedCell, main_cells
from daso.report.results.paper_tables import cell_address
from daso.report.results.published import CITATION, PUBLISHED_RUNS, Published
from daso.report.results.sources import Row
from daso.report.results.verdicts import NOT_COMPARABLE
from daso.report.tables.table import Table
from daso.report.words import format_provenance

CELL_COLUMNS = (
    *("run", "table", "setting", "method", "mean", "std", "n"),
    *("published", "published_std", "published_n", "source", "cell"),
    *("difference", "band", "verdict", "not_comparable", "remarks", "device", "status"),
    "best_on_test",  # not used for selection
)
PROVENANCE = ("commit", "config_sha256", "split_sha256", "data_sha256", "device", "threads", "precision", "mode")
RUN_COLUMNS = (
    *("table", "setting", "method", "seed", "run", "status", *MEASURES),
    *("key", *PROVENANCE, "versions", "seconds"),
)
CELL_PARTS = ("ours", "count", "published", "difference", "verdict")  # of a cell of the accuracy table
HISTORY_COLUMNS = ("table", "setting", "method", "step", "mean", "std", "n")
Values = dict[str, object]


def cell_columns(judged_cells: Sequence[JudgedCell]) -> tuple[str, ...]:
    """Return the columns of `cells.csv`; only a table with several measures needs the column `metric`."""
    several = len(main_cells(judged_cells)) < len(judged_cells)
    return (*CELL_COLUMNS[:4], "metric", *CELL_COLUMNS[4:]) if several else CELL_COLUMNS


def cell_rows(judged_cells: Iterable[JudgedCell], published: Sequence[Row]) -> Iterator[Values]:
    """Yield a row of `cells.csv` for each cell: both numbers and all that its verdict depends on.

    `published` are the rows of `results.csv`. `source` and `cell` are the address that `daso cell` reads.
    A number that is in doubt is left out, as no verdict uses it.
    """
    for cell, ours, target, verdict, _, measure in judged_cells:
        reasons = "; ".join(verdict.reasons)
        blocked = verdict.text == NOT_COMPARABLE
        devices = (format_provenance(run.get("provenance", {}).get("device")) for run in cell.done.values())
        yield {
            **{"run": cell.run, "table": cell.table, "setting": cell.setting, "method": cell.method},
            "metric": measure,
            "mean": four_decimals(ours.mean if ours else None),
            "std": four_decimals(ours.std if ours else None),
            "n": len(cell.done),
            **_published_values(target, published),
            "difference": four_decimals(verdict.difference),
            "band": four_decimals(verdict.band),
            "verdict": verdict.text,
            "not_comparable": reasons if blocked else "",
            "remarks": "" if blocked else reasons,
            "device": "; ".join(dict.fromkeys(devices)),
            "status": cell.status,
            "best_on_test": four_decimals(best.mean if (best := cell.mean_std(BEST_ON_TEST)) else None),
        }


def _published_values(target: Published | None, published: Sequence[Row]) -> Values:
    if target is None or target.doubt:
        return {}
    address = cell_address(published, target.row) if target.row and target.table else None
    return {
        "published": target.mean,
        "published_std": "" if target.std is None else target.std,
        "published_n": "" if target.std is None or target.reason else PUBLISHED_RUNS,
        "source": CITATION if address else target.source,
        "cell": f"table {address.table}, row {address.row}, column {address.column}" if address else "",
    }


def run_rows(cells: Iterable[Cell]) -> Iterator[Values]:
    """Yield a row of `runs.csv` for each done run, with every measure in percent, and for each archived run."""
    for cell in cells:
        for status, runs in (("done", cell.done), ("archived", cell.archived)):
            percent = {name: replace(cell, done=runs).percent_by_seed(name) for name in MEASURES}
            for seed, run in runs.items():
                provenance = run.get("provenance", {})
                yield {
                    **{"table": cell.table, "setting": cell.setting, "method": cell.method, "seed": seed},
                    **{"run": run["run"], "status": status, "key": run["key"]},
                    **{name: four_decimals(values.get(seed)) for name, values in percent.items()},
                    **{name: provenance.get(name, "") for name in PROVENANCE},
                    "versions": format_provenance(provenance.get("versions")),
                    "seconds": run.get("speed", {}).get("seconds", ""),
                }


def format_csv(columns: Sequence[str], rows: Iterable[Values]) -> str:
    """Return CSV with a header; a value that a row lacks is empty."""
    return pd.DataFrame(list(rows), columns=list(columns), dtype=object).to_csv(index=False, lineterminator="\n")


def format_table_csv(table: Table) -> str:
    """Return a table as CSV with its printed values; a setting of the accuracy table has a column for each of PARTS."""
    if table.name == "accuracy":
        settings = [setting.title for setting in table.columns[1:]]
        header = [table.columns[0].title, *(f"{setting}: {part}" for setting in settings for part in CELL_PARTS)]
        rows = [[row[0], *(getattr(cell, part) for cell in row[1:] for part in CELL_PARTS)] for row in table.rows]
    else:
        header, rows = [column.title for column in table.columns], [list(row) for row in table.rows]
    return pd.DataFrame(rows, dtype=object).to_csv(header=header, index=False, lineterminator="\n")


def four_decimals(value: float | None) -> str:
    """Return a number with four decimals; an empty text for None."""
    return "" if value is None else f"{value:.4f}"
