"""Read labels.csv: path, label, split, group and super-class of each image.

Names stay text. Byte order mark, semicolons, tabs and backslashes are accepted with a remark; anything else that is not
as expected is an error, and all errors of one kind are reported at once.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from daso.errors import DataError, did_you_mean, one_line

LABELS_FILE = "labels.csv"
LABEL_COLUMNS = ("path", "label", "split", "group", "super_class")
SPLITS = ("train", "test", "unlabeled")
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
BOM = b"\xef\xbb\xbf"
FORMAT = "expected the columns path,label[,split][,group][,super_class]"


class CsvRow(NamedTuple):
    """Row of labels.csv."""

    line: int
    path: str
    label: str  # empty if unlabeled
    split: str  # train, test or unlabeled
    group: str
    super_class: str  # of the label; empty if unknown


class LabelTable(NamedTuple):
    """Rows of labels.csv, with paths of existing images, and remarks on what was assumed."""

    rows: list[CsvRow]
    remarks: list[str]


def read_labels(content: bytes, files: Collection[str]) -> LabelTable:
    """Return the rows of labels.csv, whose paths must name `files`, paths relative to its folder.

    Raises DataError with all unknown files, duplicates or other errors of a kind.
    """
    remarks = ["a byte order mark"] if content.startswith(BOM) else []
    lines, delimiter = _records(content)
    if delimiter != ",":
        remarks.append(DELIMITERS[delimiter])
    columns = _columns(lines[0][1])
    rows = [_row(line, record, columns) for line, record in lines[1:]]
    if any("\\" in row.path for row in rows):
        remarks.append("backslashes as slashes")
    remarks = [f"assumed {', '.join(remarks)}"] if remarks else []
    if ignored := [name for name in lines[0][1] if name.strip().casefold() not in LABEL_COLUMNS]:
        remarks.append(f"columns not read: {', '.join(map(one_line, ignored))}")
    spaces = sum(record[columns["label"]] != record[columns["label"]].strip() for _, record in lines[1:])
    if spaces:
        remarks.append(f"removed outer spaces of {spaces} labels")
    if unused := sum(bool(row.label) for row in rows if row.split == "unlabeled"):
        remarks.append(f"{unused} labels of images of the split unlabeled are not used")
    rows = _with_files(rows, files)
    _check(rows)
    return LabelTable(
        [row._replace(label="") if row.split == "unlabeled" else row for row in rows],
        [f"{LABELS_FILE}: {remark}" for remark in remarks],
    )


def _records(content: bytes) -> tuple[list[tuple[int, list[str]]], str]:
    """Return number and cells of each line that is not empty, the header first, and the delimiter."""
    try:
        text = content.removeprefix(BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{LABELS_FILE}: line {line}: not UTF-8, but perhaps Windows-1252 (byte {content[error.start]:#04x}); save "
            "it as `CSV UTF-8`"
        ) from error
    header = text.partition("\n")[0].casefold()
    delimiter = next((each for each in DELIMITERS if "path" in map(str.strip, header.strip().split(each))), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        lines = [(reader.line_num, record) for record in reader if any(record)]
    except csv.Error as error:
        raise DataError(f"{LABELS_FILE}: line {reader.line_num}: {error}; correct the quotes of this line") from error
    if not lines:
        raise DataError(f"{LABELS_FILE}: empty; {FORMAT}")
    if wrong := [f"{line} ({len(record)})" for line, record in lines if len(record) != len(lines[0][1])]:
        raise DataError(
            f"{LABELS_FILE}: expected {len(lines[0][1])} cells in each line, got another number in line "
            f"{', '.join(wrong)}; put cells that contain {DELIMITERS[delimiter]} in quotes"
        )
    return lines, delimiter


def _columns(header: Sequence[str]) -> dict[str, int]:
    """Return the number of each column by name."""
    names = [name.strip().casefold() for name in header]
    if duplicates := [name for name in LABEL_COLUMNS if names.count(name) > 1]:
        raise DataError(f"{LABELS_FILE}: duplicate column '{duplicates[0]}'; rename one of them")
    if "path" not in names or "label" not in names:
        raise DataError(f"{LABELS_FILE}: {FORMAT}, got {', '.join(map(one_line, header))}; correct its first line")
    return {name: names.index(name) for name in LABEL_COLUMNS if name in names}


def _row(line: int, record: Sequence[str], columns: Mapping[str, int]) -> CsvRow:
    cells = {name: unicodedata.normalize("NFC", record[i].strip()) for name, i in columns.items()}
    path, label, split = record[columns["path"]], cells["label"], cells.get("split", "").casefold()
    split = split or ("train" if label else "unlabeled")
    return CsvRow(line, path, label, split, cells.get("group", ""), cells.get("super_class", ""))


def _with_files(rows: Sequence[CsvRow], files: Collection[str]) -> list[CsvRow]:
    """Return the rows with the names of their files; raises DataError for all unknown and duplicate ones."""
    by_name = {unicodedata.normalize("NFC", name): name for name in files}
    found, unknown = list[CsvRow](), list[CsvRow]()
    for row in rows:
        path = unicodedata.normalize("NFC", row.path.strip())
        if name := by_name.get(path) or by_name.get(path.replace("\\", "/").removeprefix("./")):
            found.append(row._replace(path=name))
        else:
            unknown.append(row)
    errors = list(_unknown_files(unknown, files)) if unknown else []
    lines: dict[str, list[str]] = {}
    for row in found:
        lines.setdefault(row.path, []).append(str(row.line))
    errors += [
        f"{LABELS_FILE}: duplicate file '{one_line(name)}' in lines {', '.join(numbers)}; keep one of them"
        for name, numbers in lines.items()
        if len(numbers) > 1
    ]
    if errors:
        raise DataError(*errors)
    return found


def _unknown_files(rows: Sequence[CsvRow], files: Collection[str]) -> Iterator[str]:
    """Yield the error of each row without a file, with the files that differ from it only in case or folder."""
    named: dict[str, list[str]] = {}
    for name in sorted(files):
        named.setdefault(name.casefold(), []).append(name)
        if "/" in name:
            named.setdefault(name.rpartition("/")[2].casefold(), []).append(name)
    for row in rows:
        path = row.path.strip().replace("\\", "/").casefold()
        likely = named.get(path) or named.get(path.rpartition("/")[2], [])
        listed = " or ".join(f"'{one_line(name)}'" for name in likely[:3])
        fix = f"did you mean {listed}?" if likely else f"correct its path, relative to the folder of {LABELS_FILE}"
        yield f"{LABELS_FILE}: line {row.line}: unknown file '{one_line(row.path)}'; {fix}"


def _check(rows: Sequence[CsvRow]) -> None:
    """Raise DataError for unknown splits and missing labels."""
    errors = [
        f"{LABELS_FILE}: line {row.line}: unknown split '{one_line(row.split)}'{did_you_mean(row.split, SPLITS)}"
        for row in rows
        if row.split not in SPLITS
    ]
    errors += [
        f"{LABELS_FILE}: line {row.line}: missing label of an image of the split {row.split}; add it"
        for row in rows
        if row.split in ("train", "test") and not row.label
    ]
    if errors:
        raise DataError(*errors)
