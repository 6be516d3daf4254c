"""Lead labels that were made elsewhere back to the photos of a folder, and write them into its labels.csv."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from daso.data.files import write_file
from daso.data.folder_listing import PARTS, UNLABELED_PART, reason_to_skip
from daso.data.labels_csv import LABELS_FILE
from daso.data.photo_files import PhotoFiles, photo_files
from daso.data.photo_list import Photo, list_photos
from daso.errors import DataError, one_line
from daso.report.words import with_noun
from daso.workspace.label_lists import GivenLabel, LabelList, read_label_list, read_list
from daso.workspace.label_paths import PhotoNames
from daso.workspace.label_table import table_content, table_name


class LabelChange(NamedTuple):
    """Photo of a list with its label before, empty if it had none, and now."""

    name: str
    before: str
    now: str


class LabelUpdate(NamedTuple):
    """Labels to be written into a folder."""

    table: Path  # labels.csv
    content: bytes  # empty if no label changes
    is_new: bool  # True if the folder has no labels.csv yet
    photos: list[LabelChange]  # of the list, the unchanged ones too
    unlabeled: int  # entries of the list without a label
    sizes: dict[str, int]  # class -> number of its training photos, with the labels given
    new_classes: list[str]

    def write(self) -> None:
        """Write labels.csv atomically, unless no label changes."""
        if self.content:
            write_file(self.table, self.content)


def plan_labels(
    folder: Path, file: Path, *, change_test: bool = False, super_class_folders: bool = False
) -> LabelUpdate:
    """Return the table of a folder of photos with the labels of a list; nothing is written.

    Labels of test photos are changed only if `change_test`. For `super_class_folders` see `sort_files`. Raises
    DataError with all errors: unknown files and those that may be several photos, different labels of one photo, class
    names that differ only in case.
    """
    labels = read_label_list(file)
    if folder.is_file():
        raise DataError(f"{folder}: a zip, which labels cannot be added to; unpack it and give the folder as `path`")
    with photo_files(folder) as files:
        photos = _listed(folder, files, super_class_folders)
        table = table_name(files.names, photos)
        given, errors = _match(file, labels, _names(files, photos))
        old = {name: photos.get(name, Photo(UNLABELED_PART, "", name)) for name in given}
        new = {
            name: photo._replace(label=given[name].label, part=photo.part if photo.part in PARTS else "train")
            for name, photo in old.items()
        }
        sizes = Counter(photo.label for photo in (photos | new).values() if photo.part == "train")
        errors += [
            *_other_classes(file, photos.values(), labels.given),
            *_changed_tests(file, old, new, given, change_test),
            *_lost_classes(file, photos.values(), sizes),
        ]
        if errors:
            raise DataError(*errors)
        changed = {name: photo for name, photo in new.items() if photo != old[name]}
        return LabelUpdate(
            folder / table,
            table_content(folder, files, photos, changed) if changed else b"",
            table not in files.names,
            [LabelChange(name, photo.label, new[name].label) for name, photo in old.items()],
            labels.unlabeled,
            dict(sorted(sizes.items())),
            sorted(sizes.keys() - {photo.label for photo in photos.values()}),
        )


def tasks_of_list(
    folder: Path, file: Path, *, super_class_folders: bool = False
) -> tuple[list[dict[str, str]], list[str]]:
    """Return the rows of a list, each with the `path` of its photo below a folder, and the classes of the folder.

    Raises DataError with all rows that do not name one photo.
    """
    rows = read_list(file)
    with photo_files(folder) as files:
        photos = _listed(folder, files, super_class_folders)
        names = _names(files, photos)
    entries = [GivenLabel(f"line {line}", row["path"], "") for line, row in rows]
    if errors := list(_unmatched(file, entries, names)):
        raise DataError(*errors)
    classes = {photo.label for photo in photos.values() if photo.part == "train"}
    return [{**row, "path": names.find(row["path"])[0]} for _, row in rows], sorted(classes)


def describe_update(update: LabelUpdate, dataset: str, num_classes: int) -> Iterator[str]:
    """Yield what an update changes: by class, then the classes that the dataset's file does not count yet."""
    by_class = defaultdict[str, list[LabelChange]](list)
    for change in update.photos:
        by_class[change.now].append(change)
    for name, changes in sorted(by_class.items()):
        new = sum(not change.before for change in changes)
        former = Counter(change.before for change in changes if change.before not in ("", name))
        of = ", ".join(f"{count} from {one_line(other)}" for other, count in sorted(former.items()))
        same = len(changes) - new - former.total()
        yield (
            f"{one_line(name)}: {with_noun(new, 'new label')}, {former.total()} changed{f' ({of})' if of else ''}, "
            f"{same} unchanged"
        )
    if update.unlabeled:
        yield f"without a label: {with_noun(update.unlabeled, 'row')}"
    for name in update.new_classes:
        yield f"new class {one_line(name)}: {with_noun(update.sizes[name], 'photo')}"
    if len(update.sizes) != num_classes:
        yield f"params/datasets/{dataset}.yaml: num_classes is {num_classes}; set it to {len(update.sizes)}"
    if update.is_new and update.content:
        yield f"{update.table} gives the labels from now on: photos added to train/ or test/ need a row"


def _names(files: PhotoFiles, photos: Collection[str]) -> PhotoNames:
    """Return the names of all files that may be photos, whether labeled or not."""
    root = table_name(files.names, photos).removesuffix(LABELS_FILE)
    return PhotoNames(name for name in files.names if name.startswith(root) and not reason_to_skip(name.split("/")))


def _listed(folder: Path, files: PhotoFiles, super_class_folders: bool) -> dict[str, Photo]:
    try:
        listed = list_photos(files.names, files.read, super_class_folders=super_class_folders)
        return {photo.name: photo for photo in listed.photos}
    except DataError as error:
        raise DataError(*(f"{folder}: {line}" for line in str(error).splitlines())) from error


def _match(file: Path, labels: LabelList, photos: PhotoNames) -> tuple[dict[str, GivenLabel], list[str]]:
    """Return the label of each photo of a list, and the errors of all entries that do not give a label to one photo."""
    errors, given = list(_unmatched(file, labels.given, photos)), dict[str, GivenLabel]()
    for label in labels.given:
        name, *others = photos.find(label.path) or ["", ""]
        if not others and (other := given.setdefault(name, label)).label != label.label:
            errors.append(
                f"{file}: {label.where}: label '{one_line(label.label)}' of '{one_line(name)}', but {other.where} has "
                f"'{one_line(other.label)}'; keep one of them"
            )
    return given, errors


def _unmatched(file: Path, entries: Iterable[GivenLabel], photos: PhotoNames) -> Iterator[str]:
    """Yield the error of each entry whose path names no photo or may name several."""
    for where, path, _ in entries:
        found, start = photos.find(path), f"{file}: {where}: "
        if len(found) > 1:
            yield f"{start}'{one_line(path)}' may be {_quoted(found)}; write the path of the photo instead"
        elif not found:
            likely = photos.likely(path)
            fix = f"did you mean {_quoted(likely)}?" if likely else "correct its path, relative to the folder of photos"
            yield f"{start}unknown file '{one_line(path)}'; {fix}"


def _other_classes(file: Path, photos: Iterable[Photo], given: Iterable[GivenLabel]) -> Iterator[str]:
    """Yield the error of each class name that differs from another one only in case or spaces, or is unprintable."""
    known = {photo.label.strip().casefold(): photo.label for photo in photos if photo.label}
    first = dict[str, GivenLabel]()
    for label in given:
        first.setdefault(label.label, label)
    for name, label in first.items():
        if not name.isprintable():
            yield f"{file}: {label.where}: class name '{one_line(name)}' has unprintable characters; rename it"
        elif (other := known.setdefault(name.casefold(), name)) != name:
            yield f"{file}: {label.where}: class '{name}' differs from '{other}' only in case or spaces; rename it"


def _changed_tests(
    file: Path, old: Mapping[str, Photo], new: Mapping[str, Photo], given: Mapping[str, GivenLabel], allowed: bool
) -> Iterator[str]:
    """Yield the error of each test photo whose label would change, unless that is `allowed`."""
    for name, photo in old.items():
        if photo.part == "test" and new[name] != photo and not allowed:
            yield (
                f"{file}: {given[name].where}: '{one_line(name)}' is a test photo of class '{photo.label}', and its "
                f"label '{given[name].label}' would change what the accuracy is measured on; give --test to change it"
            )


def _lost_classes(file: Path, photos: Iterable[Photo], sizes: Mapping[str, int]) -> Iterator[str]:
    """Yield the error of each class that would lose its last training photo."""
    for name in sorted({photo.label for photo in photos if photo.part == "train"} - sizes.keys()):
        yield f"{file}: class '{name}' would have no training photo any more; keep one of them, or remove the class"


def _quoted(names: Sequence[str]) -> str:
    return " or ".join(f"'{one_line(name)}'" for name in names)
