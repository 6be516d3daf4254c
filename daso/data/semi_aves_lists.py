"""Read and verify the lists of Semi-Aves (Su and Maji 2021): the file and the label of every image of each part.

They are text files of the evaluation repository (Su et al. 2021), one line `path label` per image, or are made from the
annotation archive and the solution file of the challenge.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from daso.data import download
from daso.data.files import is_web_page
from daso.data.semi_aves_annotations import ANNOTATIONS, SOLUTION, annotated_labels, has_annotations
from daso.errors import DataError

LABELED_FOLDER = "trainval_images"
FOLDERS = {  # folder of the images of each list
    **dict.fromkeys(("l_train", "val", "l_train_val"), LABELED_FOLDER),
    **{name: name for name in ("u_train_in", "u_train_out", "test")},
}
GET_AGAIN = "get the list of version 2.0 again, without conversion of line ends"


class Listed(NamedTuple):
    """Image of a list: its path below the data set's folder, and its label, -1 if unknown."""

    file: str
    label: int

    @property
    def number(self) -> int:
        """The image's number, which is its file name."""
        return int(Path(self.file).stem)


Rows = list[Listed]


class SemiAvesLists(NamedTuple):
    """Verified lists, the files they were read from, and the SHA-256 of each list as text."""

    rows: dict[str, Rows]
    read_from: str
    sha256: dict[str, str]


def read_lists(folder: Path, source: Mapping[str, Any], num_classes: int, cache: Path) -> SemiAvesLists:
    """Read the lists of a folder and verify them by the counts and digests of `source`.

    Text files come first, then the annotation archive; without both, the text files are downloaded into `cache` if
    `source` has their URL. Raises DataError with all errors; a differing digest is a warning if `strict` is false.
    """
    texts, read_from = _texts(folder, source, cache)
    facts, rows = source["lists"], {name: _parse(folder, name, content) for name, content in texts.items()}
    unlabeled = texts["u_train_in"] + texts["u_train_out"]
    digests = {name: sha256(content).hexdigest() for name, content in {**texts, "u_train": unlabeled}.items()}
    errors = [f"{folder}: {line}" for line in _inconsistencies(rows, facts, num_classes)]
    if (path := folder / "u_train.txt").exists() and path.read_bytes() != unlabeled:
        errors.append(f"{path}: expected the lines of u_train_in, then those of u_train_out; {GET_AGAIN}")
    for name, actual in digests.items():
        if name == "test" and read_from == "annotations":  # they lack the order of the test images
            continue
        errors += digest_errors(f"{folder}: list {name}", facts[name]["sha256"], actual, source)
    if errors:
        raise DataError(*errors)
    return SemiAvesLists(rows, read_from, digests)


def digest_errors(where: str, expected: str, actual: str, source: Mapping[str, Any]) -> Iterator[str]:
    """Yield the error of a list with another digest; if `strict` is false, log it instead."""
    line = f"{where}: expected SHA-256 {expected}, got {actual}"
    if actual != expected and source.get("strict", True):
        yield f"{line}; {GET_AGAIN}, or set `strict: false` beside `path` in the dataset's file"
    elif actual != expected:
        logging.warning("%s; accepted because of `strict: false`", line)


def _texts(folder: Path, source: Mapping[str, Any], cache: Path) -> tuple[dict[str, bytes], str]:
    """Return every list as text and the kind of files that it comes from."""
    if has_annotations(folder) and not any((folder / f"{name}.txt").exists() for name in FOLDERS):
        return _from_annotations(folder, source), "annotations"
    return {name: _text_file(folder, name, source, cache) for name in FOLDERS}, "lists"


def _from_annotations(folder: Path, source: Mapping[str, Any]) -> dict[str, bytes]:
    """Return every list as text: the labeled ones by class and number, all others by number."""
    known = annotated_labels(folder, source.get("annotations_sha256"))
    rows = {name: _parse(folder, name, _text(labels.items())) for name, labels in known.items()}
    rows["l_train_val"] = rows["l_train"] + rows["val"]
    for name in FOLDERS:
        rows[name].sort(key=_class_and_number if FOLDERS[name] == LABELED_FOLDER else _number)
    return {name: _text(rows[name]) for name in FOLDERS}


def _text(rows: Iterable[tuple[str, int]]) -> bytes:
    return "".join(f"{file} {label}\n" for file, label in rows).encode()


def _text_file(folder: Path, name: str, source: Mapping[str, Any], cache: Path) -> bytes:
    path = folder / f"{name}.txt"
    if not path.exists():
        hint = f"; put {', '.join(f'{each}.txt' for each in FOLDERS)}, or {ANNOTATIONS} with {SOLUTION}, into {folder}"
        if "lists_url" not in source:
            raise DataError(f"{path}: missing list{hint}")
        digest = source["lists"][name]["sha256"]
        url, target = f"{source['lists_url']}/{name}.txt", cache / "semi_aves" / path.name
        path = download.fetch([url], target, sha256=digest, hint=hint)
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: not a readable list ({error.strerror}); {GET_AGAIN}") from error


def _parse(folder: Path, name: str, content: bytes) -> Rows:
    """Return the rows of a list; raises DataError for the first line of another form."""
    if is_web_page(content):
        raise DataError(f"{folder}: list {name}: a web page saved as a list; {GET_AGAIN}")
    inner = r"\d+/\d+\.jpg" if FOLDERS[name] == LABELED_FOLDER else r"\d+\.jpg"
    form = re.compile(rf"({FOLDERS[name]}/{inner}) (-1|\d{{1,6}})")
    rows = []
    for i, line in enumerate(content.decode(errors="replace").splitlines(), 1):
        if not (match := form.fullmatch(line)):
            expected = f"'{FOLDERS[name]}/{'<class>/' if FOLDERS[name] == LABELED_FOLDER else ''}<number>.jpg <label>'"
            raise DataError(f"{folder}: list {name}: line {i}: expected {expected}, got '{line[:80]}'; {GET_AGAIN}")
        rows.append(Listed(match[1], int(match[2])))
    return rows


def _inconsistencies(rows: Mapping[str, Rows], facts: Mapping[str, Any], num_classes: int) -> Iterator[str]:
    """Yield the errors in the numbers, labels, orders and relations of the lists."""
    for name, each in rows.items():
        if len(each) != facts[name]["images"]:
            yield f"list {name}: expected {facts[name]['images']} images, got {len(each)}; {GET_AGAIN}"
        if duplicates := [file for file, n in Counter(row.file for row in each).items() if n > 1]:
            yield f"list {name}: duplicate file {duplicates[0]} ({len(duplicates)} in all); {GET_AGAIN}"
        yield from (f"list {name}: {problem}; {GET_AGAIN}" for problem in _problems(name, each, num_classes))
    train, validation, both = (set(rows[name]) for name in ("l_train", "val", "l_train_val"))
    if shared := {row.file for row in train} & {row.file for row in validation}:
        yield f"lists l_train and val share {len(shared)} images, such as {min(shared)}; {GET_AGAIN}"
    if both != train | validation:
        differ = len(both ^ (train | validation))
        yield f"list l_train_val is not the union of l_train and val: {differ} lines differ; {GET_AGAIN}"


def _problems(name: str, rows: Rows, num_classes: int) -> Iterator[str]:
    """Yield the problems of the labels and of the order of one list."""
    labels = [row.label for row in rows]
    if name.startswith("u_"):
        if set(labels) - {-1}:
            yield f"expected label -1 of every unlabeled image, got {max(labels)}"
        if [row.number for row in rows] != list(range(len(rows))):
            yield "expected the numbers 0, 1, 2, ... in order"
        return
    if unexpected := sorted(set(labels) ^ set(range(num_classes))):
        yield f"expected the labels 0 to {num_classes - 1}, unexpected or missing: {unexpected[0]}"
    sizes = Counter(labels)
    if name in ("val", "test") and len(set(sizes.values())) > 1:
        few, many = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
        yield f"expected equal classes, got {sizes[few]} images of class {few} and {sizes[many]} of class {many}"
    if name == "test":
        return
    if wrong := [row for row in rows if Path(row.file).parts[1] != str(row.label)]:
        yield f"expected the folder's name as label, got '{wrong[0].file} {wrong[0].label}'"
    if rows != sorted(rows, key=_class_and_number):
        yield "expected the order of classes, then numbers"


def _number(row: Listed) -> int:
    return row.number


def _class_and_number(row: Listed) -> tuple[int, int]:
    return row.label, row.number
