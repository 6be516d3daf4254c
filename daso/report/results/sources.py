"""Sources of the published accuracies: citation, link, and how each table's numbers were obtained and read."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from daso.data.files import read_file
from daso.errors import DataError

SOURCES = Path(__file__).resolve().parents[3] / "reports" / "paper" / "sources.csv"
READ_IN = ("paper", "slides", "repository", "third party", "memory")  # values of the column `read`
MAX_CSV_BYTES = 2**24
FIX = "restore it with git"
Row = Mapping[str, str]


class PublishedSource(NamedTuple):
    """Row of `sources.csv`: one table of a publication, or with an empty `table` all tables without their own row."""

    source: str  # its name in results.csv, such as "daso_paper"
    table: str
    citation: str  # "Oh et al. 2022"
    link: str  # DOI, paper or repository; empty if there is none
    protocol: str  # network, steps, batch, optimizer
    statistic: str  # the averaged evaluations and runs
    splits: str
    read: str  # source of the numbers, one of READ_IN


Sources = Mapping[tuple[str, str], PublishedSource]


def read_sources(path: Path = SOURCES) -> dict[tuple[str, str], PublishedSource]:
    """Return the rows of `reports/paper/sources.csv` by (source, table), in order of publication.

    Raises DataError for an unreadable file, a missing column, a duplicate or an invalid value.
    """
    rows = read_rows(path, PublishedSource._fields, _row_error)
    sources: dict[tuple[str, str], PublishedSource] = {}
    for number, row in enumerate(rows, start=1):
        key = row["source"], row["table"]
        if key in sources:
            raise DataError(f"{path}: row {number}: duplicate source '{' '.join(filter(None, key))}'; {FIX}")
        sources[key] = PublishedSource(*(row[name] for name in PublishedSource._fields))
    return sources


def source_of(sources: Sources, row: Row) -> PublishedSource | None:
    """Return the source of a row of `results.csv`: that of its table, else that of all tables, else None."""
    return sources.get((row["source"], row["table"])) or sources.get((row["source"], ""))


def read_rows(
    path: Path, columns: Sequence[str], find_error: Callable[[Mapping[str, Any]], str | None]
) -> list[dict[str, str]]:
    """Return the rows of a CSV file of `reports/paper`, each as its cells by column.

    Raises DataError for an unreadable file, a missing column, a wrong number of cells, or an error that `find_error`
    returns for a row.
    """
    try:
        text = read_file(path, MAX_CSV_BYTES).decode()
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        rows = list(reader)
    except OSError as error:
        raise DataError(f"{path}: cannot read the published numbers ({error.strerror}); {FIX}") from error
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path}: cannot read the published numbers ({error}); {FIX}") from error
    names = reader.fieldnames or ()
    if missing := [name for name in columns if name not in names]:
        raise DataError(f"{path}: missing column {', '.join(missing)}; {FIX}")
    for number, row in enumerate(rows, start=1):
        complete = None not in row and None not in row.values() and len(row) == len(names)
        if wrong := find_error(row) if complete else f"expected {len(names)} cells":
            raise DataError(f"{path}: row {number}: {wrong}; {FIX}")
    return rows


def _row_error(row: Row) -> str | None:
    if not (row["source"] and row["citation"]):
        return "missing source or citation"
    if row["link"] and not row["link"].startswith("https://"):
        return f"link: expected https://..., got '{row['link']}'"
    if row["read"] not in READ_IN:
        return f"read: expected one of {', '.join(READ_IN)}, got '{row['read']}'"
    return None
