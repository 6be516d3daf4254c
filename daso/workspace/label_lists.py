"""Read labels that were made elsewhere: a list with its label column filled in, or an export of a labeling tool.

A CSV file has a column for the file of an image and one for its label. JSON is that of Label Studio, with annotations
(JSON) or with one object for each annotation (JSON-MIN). Predictions of a task are no labels.
"""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from daso.data.files import MAX_JSON_BYTES, read_file
from daso.errors import DataError, one_line

# Names of columns in the order of preference; what a tool adds comes before what its task had.
LABEL_NAMES = ("choice", "choices", "label", "class", "category")
PREDICTED = "probability"  # column of a list whose column `class` is a prediction
PATH_NAMES = ("path", "image", "file", "filename", "file_name", "img", "photo", "url", "$undefined$")
CELL_DELIMITERS = ",;\t"


class GivenLabel(NamedTuple):
    """Label of an image, as a list gives it."""

    where: str  # such as `line 2`
    path: str
    label: str


class LabelList(NamedTuple):
    """Labels of a list, and the number of its images without a label."""

    given: list[GivenLabel]
    unlabeled: int


class CsvTable(NamedTuple):
    """Cells of a CSV file, and how they are written."""

    header: list[str]
    rows: list[tuple[int, list[str]]]  # number of the last line of each row, and its cells
    delimiter: str
    start: bytes  # byte order mark, or empty
    end: str  # of a line


def read_label_list(path: Path) -> LabelList:
    """Read the labels of a CSV or JSON file; raises DataError with all errors of the file."""
    content = _content(path)
    is_json = content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"[", b"{")
    entries = list(_json_entries(path, content) if is_json else _csv_entries(path, content))
    errors, given = list[str](), list[GivenLabel]()
    for where, name, labels in entries:
        if len(labels) > 1:
            listed = ", ".join(f"'{one_line(label)}'" for label in labels)
            errors.append(f"{path}: {where}: {len(labels)} labels of one image, {listed}; keep one of them")
        elif labels and not name.strip():
            errors.append(f"{path}: {where}: missing path of an image with the label '{labels[0]}'; add it")
        elif labels:
            given.append(GivenLabel(where, name, labels[0]))
    if errors:
        raise DataError(*errors)
    if not given:
        raise DataError(
            f"{path}: no label in {len(entries)} entries; expected a column or question named "
            f"{' or '.join(LABEL_NAMES[:3])}; fill it in or rename it"
        )
    return LabelList(given, len(entries) - len(given))


def read_list(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Return line and values by column of each row of a CSV file with a column `path`.

    Raises DataError for any other file.
    """
    table = read_csv(path, _content(path), ("path",))
    names = [name.strip().casefold() for name in table.header]
    if "path" not in names:
        raise DataError(f"{path}: expected a column path, got {', '.join(map(one_line, table.header))}; rename it")
    return [(line, dict(zip(names, cells, strict=True))) for line, cells in table.rows]


def read_csv(path: Path, content: bytes, known: Sequence[str]) -> CsvTable:
    """Return the cells of a CSV file; its delimiter is the one that shows one of the `known` columns in its header.

    Raises DataError for another encoding, wrong quotes, and lines of another number of cells.
    """
    start = b"\xef\xbb\xbf" if content.startswith(b"\xef\xbb\xbf") else b""
    try:
        text = content.removeprefix(start).decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(f"{path}: line {line}: not UTF-8; save it as `CSV UTF-8`") from error
    first = text.partition("\n")[0]
    headers = ((each, next(csv.reader([first], delimiter=each), [])) for each in CELL_DELIMITERS)
    delimiter = next((each for each, cells in headers if known_column(cells, known) is not None), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        rows = [(reader.line_num, cells) for cells in reader if any(cells)]
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: {error}; correct the quotes of this line") from error
    if not rows:
        raise DataError(f"{path}: empty; expected a header with a column {known[0]}")
    (_, header), *rows = rows
    if wrong := [f"{line} ({len(cells)})" for line, cells in rows if len(cells) != len(header)]:
        raise DataError(
            f"{path}: expected {len(header)} cells in each line, got another number in line {', '.join(wrong)}; put "
            "cells that contain the delimiter in quotes"
        )
    return CsvTable(header, rows, delimiter, start, "\r\n" if first.endswith("\r") else "\n")


def known_column(header: Sequence[str], known: Sequence[str]) -> int | None:
    """Return the number of the first known column of a header; None without one."""
    names = [name.strip().casefold() for name in header]
    return next((names.index(name) for name in known if name in names), None)


def _content(path: Path) -> bytes:
    try:
        return read_file(path, MAX_JSON_BYTES)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; correct its name") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable list ({error}); correct its name") from error


def _csv_entries(path: Path, content: bytes) -> Iterator[tuple[str, str, list[str]]]:
    """Yield place, path and labels of each row."""
    table = read_csv(path, content, PATH_NAMES)
    names = LABEL_NAMES[:3] if known_column(table.header, (PREDICTED,)) is not None else LABEL_NAMES
    of_path, of_label = (known_column(table.header, known) for known in (PATH_NAMES, names))
    if of_path is None or of_label is None:
        raise DataError(
            f"{path}: expected a column path or image and a column label or choice, got "
            f"{', '.join(map(one_line, table.header))}; rename the columns"
        )
    for line, cells in table.rows:
        yield f"line {line}", cells[of_path], _labels(cells[of_label])


def _json_entries(path: Path, content: bytes) -> Iterator[tuple[str, str, list[str]]]:
    """Yield place, path and labels of each annotation, or of a task without one."""
    try:
        tree = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not readable JSON ({' '.join(str(error).split())}); export it again") from error
    for i, task in enumerate(tree if isinstance(tree, list) else [tree], 1):
        where = f"task {task['id']}" if isinstance(task, dict) and "id" in task else f"entry {i}"
        if not isinstance(task, dict):
            raise DataError(f"{path}: {where}: expected a task of Label Studio, got {type(task).__name__}")
        data = task["data"] if isinstance(task.get("data"), dict) else task
        name = _first(data, PATH_NAMES)
        if name is None:
            raise DataError(f"{path}: {where}: expected a key path or image, got {', '.join(data)}; rename it")
        annotations = task.get("annotations", task.get("completions"))
        if annotations is None:
            yield where, str(name), [] if data is not task else _labels(_first(task, LABEL_NAMES))
        else:
            if not _are_annotations(annotations):
                raise DataError(f"{path}: {where}: expected annotations with a list of results each; export it again")
            finished = [each for each in annotations if not (each.get("was_cancelled") or each.get("skipped"))]
            for annotation in finished or [{}]:
                yield where, str(name), _chosen(annotation.get("result", []))


def _are_annotations(value: Any) -> bool:
    """Return True for a list of objects whose `result`, if given, is a list of objects."""
    return _are_objects(value) and all(_are_objects(each.get("result", [])) for each in value)


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _chosen(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the labels that an annotation chose; other questions of the tool, such as a remark, are left out."""
    choices = [each for each in results if each.get("type") == "choices"]
    named = [each for each in choices if str(each.get("from_name", "")).casefold() in LABEL_NAMES]
    return _labels([each.get("value") for each in named or choices])


def _first(tree: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Return the value of the first of these keys in any case; None without one."""
    values = {str(key).strip().casefold(): value for key, value in tree.items()}
    return next((values[name] for name in names if name in values), None)


def _labels(value: Any) -> list[str]:
    """Return the different labels in a value: text, or JSON such as {"choices": ["a", "b"]}, also as text."""
    if isinstance(value, str) and value.lstrip().startswith(('{"choices"', '[{"choices"', '["')):
        with suppress(ValueError):
            value = json.loads(value)
    if isinstance(value, Mapping):
        value = value.get("choices")
    parts = [_labels(part) for part in value] if isinstance(value, list) else []
    text = "" if value is None or isinstance(value, list) else unicodedata.normalize("NFC", str(value).strip())
    return list(dict.fromkeys([*([text] if text else []), *(label for part in parts for label in part)]))
