"""CSV files of lists, which a spreadsheet opens."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from daso.data.files import write_file
from daso.errors import DasoError

FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")  # first characters of cells that a spreadsheet may execute
PATH_COLUMN, LABEL_COLUMN = "path", "label"


def write_list(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a list as UTF-8 with a byte order mark, from which spreadsheets recognise the encoding.

    A cell that would be a formula gets a prefix that does not change what it names: `./` before a path, a space before
    the name of a class, since outer spaces of a label are removed where it is read. Raises DasoError if a file exists
    that has other labels, which somebody has filled in or corrected.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    prefixes = ["./" if column == PATH_COLUMN else " " for column in columns]
    for row in rows:
        writer.writerow([_without_formula(cell, prefix) for cell, prefix in zip(row, prefixes, strict=True)])
    content = b"\xef\xbb\xbf" + text.getvalue().encode("utf-8", "surrogateescape")
    if LABEL_COLUMN in columns and path.exists() and not _labels(path.read_bytes()) <= _labels(content):
        raise DasoError(f"{path}: exists, and its labels would be lost; move it, or name another file with --out")
    write_file(path, content)


def _labels(content: bytes) -> set[tuple[str, str]]:
    """Return path and label of each row with a label; of a table that cannot be compared, its whole text."""
    text = content.decode("utf-8-sig", "replace")
    rows = csv.DictReader(io.StringIO(text, newline=""))
    if not {PATH_COLUMN, LABEL_COLUMN} <= set(rows.fieldnames or ()):
        return {(text, "")}
    return {(row[PATH_COLUMN], row[LABEL_COLUMN]) for row in rows if row[LABEL_COLUMN]}


def _without_formula(cell: str, prefix: str) -> str:
    return f"{prefix}{cell}" if cell.startswith(FORMULA_STARTS) else cell
