"""CSV files of lists, which a spreadsheet opens."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence
from pathlib import Path

from daso.data.files import write_file
from daso.errors import DasoError

FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")  # first characters of cells that a spreadsheet may execute
PATH_COLUMN, LABEL_COLUMN = "path", "label"
PATH_PREFIX = "./"


def write_list(
    path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]], known: Collection[tuple[str, str]] = ()
) -> None:
    """Write a list as UTF-8 with a byte order mark, from which spreadsheets recognise the encoding.

    A cell that would be a formula gets a prefix that does not change what it names: `./` before a path, a space before
    the name of a class, since outer spaces of a label are removed where it is read. `known` are path and label of the
    labeled images of the dataset. Raises DasoError if a file exists with other labels, which somebody has filled in.
    """
    if LABEL_COLUMN in columns and path.exists() and _labels(path.read_bytes()) - {*known}:
        fix = "read them by `daso label`, move the file, or name another one with --out"
        raise DasoError(f"{path}: exists, and its labels would be lost; {fix}")
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    prefixes = [PATH_PREFIX if column == PATH_COLUMN else " " for column in columns]
    for row in rows:
        writer.writerow([_without_formula(cell, prefix) for cell, prefix in zip(row, prefixes, strict=True)])
    write_file(path, b"\xef\xbb\xbf" + text.getvalue().encode("utf-8", "surrogateescape"))


def _labels(content: bytes) -> set[tuple[str, str]]:
    """Return path and label of each row with a label; of a table that is not such a list, its whole text."""
    text = content.decode("utf-8-sig", "surrogateescape")
    rows = csv.DictReader(io.StringIO(text, newline=""))
    if not {PATH_COLUMN, LABEL_COLUMN} <= set(rows.fieldnames or ()):
        return {(text, "")}
    cells = (((row[PATH_COLUMN] or "").removeprefix(PATH_PREFIX), (row[LABEL_COLUMN] or "").strip()) for row in rows)
    return {(name, label) for name, label in cells if label}


def _without_formula(cell: str, prefix: str) -> str:
    return f"{prefix}{cell}" if cell.startswith(FORMULA_STARTS) else cell
