"""Write labels.csv with new labels: its own rows with their other columns, or rows of the photos of the folders."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection
from pathlib import Path

from daso.data.folder_listing import PARTS, UNLABELED_PART
from daso.data.labels_csv import LABELS_FILE, read_labels
from daso.data.photo_files import PhotoFiles
from daso.data.photo_list import Photo, list_photos
from daso.errors import DataError, one_line
from daso.workspace.label_lists import CsvTable, known_column, read_csv

WRITTEN_COLUMNS = ("path", "label", "split")


def table_name(names: Collection[str], photos: Collection[str]) -> str:
    """Return the name of the labels.csv that `list_photos` reads among the files of a folder, or will read."""
    if tables := [name for name in names if name.rpartition("/")[2] == LABELS_FILE and name.count("/") <= 1]:
        return min(tables, key=lambda name: (name.count("/"), name))
    top = next(iter(photos), "").partition("/")[0]
    return LABELS_FILE if top in ("", *PARTS, UNLABELED_PART) else f"{top}/{LABELS_FILE}"


def table_content(folder: Path, files: PhotoFiles, photos: dict[str, Photo], changed: dict[str, Photo]) -> bytes:
    """Return the content of labels.csv for the present `photos`, with those `changed`.

    Without a table, the new one has a row for each labeled photo; photos below unlabeled/ need none. Raises DataError
    if a name or label would be read as another one, as it is with outer spaces.
    """
    name = table_name(files.names, photos)
    table = _with_rows(folder, name, files, changed) if name in files.names else _of_folders(name, photos, changed)
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=table.delimiter, lineterminator=table.end)
    writer.writerows([table.header, *(cells for _, cells in table.rows)])
    content = table.start + text.getvalue().encode("utf-8", "surrogateescape")
    read = list_photos({*files.names, name}, lambda each: content if each == name else files.read(each)).photos
    if other := sorted({*(photos | changed).values()} ^ {*read}):
        raise DataError(
            f"{folder}: '{one_line(other[0].name)}' of class '{one_line(other[0].label)}' cannot be listed in "
            f"{LABELS_FILE}; rename it, without spaces at the ends, backslashes and text that is not UTF-8"
        )
    return content


def _with_rows(folder: Path, name: str, files: PhotoFiles, changed: dict[str, Photo]) -> CsvTable:
    """Return the table of a folder, with changed rows, and further ones for photos that it does not list."""
    root, content = name.removesuffix(LABELS_FILE), files.read(name)
    below = {each.removeprefix(root) for each in files.names if each.startswith(root) and each != name}
    listed = {row.line: root + row.path for row in read_labels(content, below).rows}
    table = read_csv(folder / name, content, WRITTEN_COLUMNS)
    columns = {each: i for each in WRITTEN_COLUMNS if (i := known_column(table.header, (each,))) is not None}
    rows = [(listed[line], cells) for line, cells in table.rows]
    for each in sorted(changed.keys() - set(listed.values())):
        rows.append((each, [""] * len(table.header)))
        rows[-1][1][columns["path"]] = each.removeprefix(root)
    for each, cells in rows:
        if photo := changed.get(each):
            cells[columns["label"]] = photo.label
            if "split" in columns:
                cells[columns["split"]] = photo.part
    return table._replace(rows=[(0, cells) for _, cells in rows])


def _of_folders(name: str, photos: dict[str, Photo], changed: dict[str, Photo]) -> CsvTable:
    """Return a table of the photos of the folders train/ and test/, and of those with a new label."""
    root = name.removesuffix(LABELS_FILE)
    labeled = sorted((photo.name, photo) for photo in (photos | changed).values() if photo.part in PARTS)
    rows = [(0, [each.removeprefix(root), photo.label, photo.part]) for each, photo in labeled]
    return CsvTable(list(WRITTEN_COLUMNS), rows, ",", b"", "\n")
