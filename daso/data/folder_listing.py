"""List the files of an image folder by part and class, without opening an image.

Every computation of keys imports this module, so it must be fast and imports only the standard library and errors.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from daso.errors import DataError

PARTS = ("train", "test")
UNLABELED_PART = "unlabeled"  # folder of images without a label, of any depth
RAW = "camera raw"
OUTSIDE_PARTS = "outside train/<class>/, test/<class>/ and unlabeled/"
# Names of files and folders that operating systems and programs add; names with a leading dot are "hidden".
SYSTEM_NAMES = {
    **dict.fromkeys(("#recycle", "$recycle.bin", "lost+found", "system volume information"), "system folder"),
    **dict.fromkeys(("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "picasa.ini"), "system file"),
    **{"__macosx": "hidden", "@eadir": "thumbnail folder"},
}
RAW_SUFFIXES = "3fr arw cr2 cr3 crw dcr dng erf iiq kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl sr2 srf srw x3f"
OTHER_SUFFIXES = (  # never images; files with any other suffix, or none, are opened
    "7z aac aae avi bak bz2 cfg csv db doc docx flac gz h5 htm html ini ipynb js json jsonl lnk log m4a m4v md mkv mov "
    "mp3 mp4 mpeg mpg npy npz odt ogg parquet pdf pkl ppt pptx pt pth py rar rst rtf sh srt tar toml tsv txt url wav "
    "webm wmv xls xlsx xml xmp yaml yml zip"
)
SKIPPED_SUFFIXES = {**dict.fromkeys(RAW_SUFFIXES.split(), RAW), **dict.fromkeys(OTHER_SUFFIXES.split(), "not an image")}


class SortedFiles(NamedTuple):
    """Files of an image folder, sorted into images and skipped files."""

    images: dict[str, dict[str, list[str]]]  # part -> class folder, empty for unlabeled -> paths of images below root
    skipped: dict[str, Counter[str]]  # class folder, part or unread folder -> reason -> number of files
    super_classes: dict[str, set[str]]  # class folder -> folders of super-classes that have it, {} without such


def names_below(path: Path, *, strict: bool = True) -> Iterator[str]:
    """Yield the names of all files below a folder, with slashes; follows links except circular ones.

    Raises OSError if a folder that has to be read cannot be listed. Unless `strict`, such folders, and those that are
    skipped by name, are left out.
    """
    followed = set[Path]()

    def should_enter(parent: str, name: str, depth: int) -> bool:
        if not strict and skipped_by_name(name):
            return False
        if not (link := Path(parent, name)).is_symlink():
            return True
        target = link.resolve()
        circular = Path(parent).resolve().is_relative_to(target) or (depth >= 3 and target in followed)
        followed.add(target)
        return not circular

    def on_error(error: OSError) -> None:
        if strict and not any(map(skipped_by_name, Path(error.filename).relative_to(path).parts)):
            raise error

    for parent, folders, files in os.walk(path, followlinks=True, onerror=on_error):
        within = Path(parent).relative_to(path)
        folders[:] = [name for name in folders if should_enter(parent, name, len(within.parts))]
        yield from ((within / name).as_posix() for name in files)


def sort_files(names: Iterable[str], *, super_class_folders: bool = False) -> SortedFiles:
    """Sort files by part and class; count skipped files by class, part or folder, and by reason.

    Class folders are `<part>/<class>/` or, with `super_class_folders`, `<part>/<super-class>/<class>/`.
    Raises DataError if train has class folders, but test, or with `super_class_folders` a folder of a part, has all
    its images at a different level.
    """
    images: dict[str, dict[str, list[str]]] = {}
    super_classes: dict[str, set[str]] = defaultdict(set)
    level = 1 + super_class_folders  # of class folders
    inside, outside = set[str](), set[str]()  # parts and their folders, with images inside or outside class folders
    skipped: dict[str, Counter[str]] = defaultdict(Counter)
    paths = [name.split("/") for name in names]
    depth = _depth_of_root(paths)
    for path in paths:
        inner = path[depth:]
        part = inner[0] if len(inner) > 1 and inner[0] in (*PARTS, UNLABELED_PART) else ""
        folder = inner[level] if part in PARTS and len(inner) > level + 1 else ""
        may_be_image = part == UNLABELED_PART or (folder and len(inner) == level + 2)
        reason = reason_to_skip(path) if may_be_image else _skipped_folder(path)
        if may_be_image and not reason:
            images.setdefault(part, {}).setdefault(folder, []).append("/".join(path))
            inside |= {part, "/".join(inner[:2])}
            if folder and super_class_folders:
                super_classes[folder].add(inner[1])
            continue
        where = f"{part}/{folder}" if folder and not skipped_by_name(folder) else part or "beside the parts"
        if not reason:
            reason = OUTSIDE_PARTS
            if part and not reason_to_skip(path):
                outside.add("/".join(inner[:-1][:2]))
            if len(inner) > 1 + bool(part):
                where = f"{'/'.join(inner[:-1][: 3 if part else 1])}/"
        skipped[where][reason] += 1
    if errors := list(_level_errors(inside, outside, super_class_folders)):
        raise DataError(*errors)
    return SortedFiles(images, dict(skipped), dict(super_classes))


def _level_errors(inside: set[str], outside: set[str], super_class_folders: bool) -> Iterator[str]:
    """Yield the error of each part whose images, or with `super_class_folders` those of a folder, are all outside."""
    for part in PARTS if "train" in inside else ():
        folders = sorted(folder for folder in outside - inside if folder.split("/")[0] == part)
        if folders and (super_class_folders or part not in inside):
            more = f" and {len(folders) - 1} more" if len(folders) > 1 else ""
            expected = f"{part}/<super-class>/<class>/" if super_class_folders else f"{part}/<class>/"
            yield f"{folders[0]}{more}: images outside the expected folders {expected}; move them there or remove them"


def _depth_of_root(paths: list[list[str]]) -> int:
    """Return 1 if all visible files are below one top folder that is not a part, else 0."""
    tops = {path[0] for path in paths if len(path) > 1 and not _skipped_folder(path)}
    return 0 if "train" in tops or len(tops) != 1 else 1


def reason_to_skip(path: list[str]) -> str:
    """Return the reason why a file is skipped by its name or those of its folders; else empty."""
    suffix = path[-1].lower().rpartition(".")[2] if "." in path[-1] else ""
    return _skipped_folder(path) or SKIPPED_SUFFIXES.get(suffix, "")


def _skipped_folder(path: list[str]) -> str:
    return next(filter(None, map(skipped_by_name, path)), "")


def skipped_by_name(name: str) -> str:
    """Return the reason why a file or folder of this name is skipped, regardless of its content; else empty."""
    return "hidden" if name.startswith(".") else SYSTEM_NAMES.get(name.lower(), "")
