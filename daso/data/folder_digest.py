"""List the files of an image folder by part and class, without opening an image, and digest the list.

Every computation of keys imports this module, so it must be fast and imports only the standard library.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

PARTS = ("train", "test")
RAW = "camera raw"
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

    images: dict[str, dict[str, list[str]]]  # part -> class folder -> paths of its images below the root
    skipped: dict[str, Counter[str]]  # part or unread folder -> reason -> number of files


def source_path(source: Mapping[str, Any]) -> str:
    """Return the path of a source: the environment variable `override` if set, else `path`; empty without both."""
    return os.environ.get(source.get("override", ""), "") or str(source.get("path", ""))


def digest_folder(path: Path) -> str | None:
    """Digest the names and sizes of a folder's images, for a zip also their CRCs; None if the path does not exist.

    Only files that are read as images count, by names that begin with train/ or test/, so neither the folder's path nor
    other files change the digest. If the content of a file changes but not its name and size, only the digest of a zip
    changes.
    """
    if not path.exists():
        return None
    entries = sorted(_folder(path) if path.is_dir() else _zip(path))
    return hashlib.sha256(json.dumps(entries).encode()).hexdigest()[:16]


def _folder(path: Path) -> Iterator[tuple[str | int, ...]]:
    for within, name in _images(names_below(path, deep=False)):
        file = path / name
        yield within, file.stat().st_size if file.exists() else -1


def _zip(path: Path) -> Iterator[tuple[str | int, ...]]:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = dict(zip_entries(archive))
    except (OSError, zipfile.BadZipFile):
        yield "unreadable", path.stat().st_size  # reading the images raises the error
        return
    for within, name in _images(infos):
        yield within, infos[name].file_size, infos[name].CRC


def zip_entries(archive: zipfile.ZipFile) -> list[tuple[str, zipfile.ZipInfo]]:
    """Return the files of a zip by name; backslashes, which some programs on Windows write, become slashes."""
    infos = archive.infolist()
    windows = not any("/" in info.filename for info in infos)
    named = [(info.filename.replace("\\", "/") if windows else info.filename, info) for info in infos]
    return [(name, info) for name, info in named if not name.endswith("/")]


def _images(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the name of every image from its part on, and its full name."""
    for part, classes in sort_files(names).images.items():
        for files in classes.values():
            yield from (("/".join((part, *name.split("/")[-2:])), name) for name in files)


def names_below(path: Path, *, deep: bool = True) -> Iterator[str]:
    """Yield the names of all files below a folder, with slashes; follows links except circular ones.

    Without `deep`, folders below top/part/class and those skipped by name are left out. Raises OSError if a folder
    that has to be read cannot be listed.
    """
    followed = set[Path]()

    def should_enter(parent: str, name: str, depth: int) -> bool:
        if not deep and (depth >= 3 or skipped_by_name(name)):
            return False
        if not (link := Path(parent, name)).is_symlink():
            return True
        target = link.resolve()
        circular = Path(parent).resolve().is_relative_to(target) or (depth >= 3 and target in followed)
        followed.add(target)
        return not circular

    def on_error(error: OSError) -> None:
        if deep and not any(map(skipped_by_name, Path(error.filename).relative_to(path).parts)):
            raise error

    for parent, folders, files in os.walk(path, followlinks=True, onerror=on_error):
        within = Path(parent).relative_to(path)
        folders[:] = [name for name in folders if should_enter(parent, name, len(within.parts))]
        yield from ((within / name).as_posix() for name in files)


def sort_files(names: Iterable[str]) -> SortedFiles:
    """Sort files by part and class; count skipped files by part or folder and by reason."""
    images: dict[str, dict[str, list[str]]] = {}
    skipped: dict[str, Counter[str]] = defaultdict(Counter)
    paths = [name.split("/") for name in names]
    visible = [path for path in paths if not any(map(skipped_by_name, path))]
    tops = {path[0] for path in visible if len(path) > 1}
    depth = 0 if "train" in tops or len(tops) != 1 else 1
    for path in paths:
        inner = path[depth:]
        part = inner[0] if len(inner) > 1 and inner[0] in PARTS else ""
        reason = next(filter(None, map(skipped_by_name, path)), "")
        if not reason and part and len(inner) == 3:
            reason = SKIPPED_SUFFIXES.get(inner[2].lower().rpartition(".")[2], "") if "." in inner[2] else ""
            if not reason:
                images.setdefault(part, {}).setdefault(inner[1], []).append("/".join(path))
                continue
        if not reason:
            reason = "outside train/<class>/ and test/<class>/"
            if len(inner) > 1 + bool(part):
                part = f"{'/'.join(inner[: 3 if part else 1])}/"
        skipped[part or "beside the parts"][reason] += 1
    return SortedFiles(images, dict(skipped))


def skipped_by_name(name: str) -> str:
    """Return the reason why a file or folder of this name is skipped, regardless of its content; else empty."""
    return "hidden" if name.startswith(".") else SYSTEM_NAMES.get(name.lower(), "")
