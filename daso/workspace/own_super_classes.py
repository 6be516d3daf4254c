"""Read the super-classes of one's own images, from a column of labels.csv or from folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from daso.data.image_folder import list_folder
from daso.data.labels_csv import LABELS_FILE
from daso.data.photo_files import photo_files
from daso.errors import DataError, one_line

SuperClassSource = Literal["column", "folders"]
EXPECTED = {
    "column": f"expected a column super_class in {LABELS_FILE}",
    "folders": f"expected train/<super-class>/<class>/<image>, without {LABELS_FILE}",
}


class OwnSuperClasses(NamedTuple):
    """Super-classes of a folder of images, and where they are given."""

    source: SuperClassSource
    classes: dict[str, list[str]]  # of each super-class, sorted


def read_super_classes(path: Path, source: SuperClassSource) -> OwnSuperClasses:
    """Return the super-classes of a folder or zip of images.

    Raises DataError with all classes that have none or several, and if there is only one super-class.
    """
    with photo_files(path) as files:
        listed = list_folder(path, files, source == "folders").super_classes
    if not any(name for names in listed.values() for name in names):
        raise DataError(f"{path}: no super-classes; {EXPECTED[source]}")
    if errors := list(_ambiguous(path, listed)):
        raise DataError(*errors)
    names = sorted(name for (name,) in listed.values())
    if len(set(names)) < 2:
        raise DataError(
            f"{path}: one super-class, '{one_line(names[0])}'; name a second one, or leave super-classes out"
        )
    classes = {name: sorted(each for each, own in listed.items() if own == {name}) for name in dict.fromkeys(names)}
    return OwnSuperClasses(source, classes)


def _ambiguous(path: Path, listed: dict[str, set[str]]) -> Iterator[str]:
    """Yield the error of each class that does not have exactly one super-class."""
    for name, own in sorted(listed.items()):
        if len(own) > 1:
            several = ", ".join(f"'{one_line(each)}'" if each else "none" for each in sorted(own))
            yield f"{path}: class '{one_line(name)}' has several super-classes, {several}; give all its images the same"
        elif own == {""}:
            yield f"{path}: class '{one_line(name)}' has no super-class; give it one"


def describe_super_classes(super_classes: OwnSuperClasses | None) -> Iterator[str]:
    """Yield a line with the classes of each super-class, none without super-classes."""
    if super_classes:
        groups = (f"{name}: {', '.join(own)}" for name, own in super_classes.classes.items())
        yield f"super-classes: {'; '.join(groups)}"
