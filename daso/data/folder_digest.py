"""Files of an image folder by part and class, without opening an image, and what of them is skipped.

Read whenever keys are made: it must be quick, and imports nothing but the standard library.
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
# Written beside images by operating systems and programs; names that begin with a dot are "hidden".
LEFT = {
    **dict.fromkeys(("#recycle", "$recycle.bin", "lost+found", "system volume information"), "system folder"),
    **dict.fromkeys(("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "picasa.ini"), "system file"),
    **{"__macosx": "hidden", "@eadir": "thumbnail folder"},
}
CAMERA = "3fr arw cr2 cr3 crw dcr dng erf iiq kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl sr2 srf srw x3f"
OTHER = (  # never what a user means by an image; files with other suffixes or none are opened
    "7z aac aae avi bak bz2 cfg csv db doc docx flac gz h5 htm html ini ipynb js json jsonl lnk log m4a m4v md mkv mov "
    "mp3 mp4 mpeg mpg npy npz odt ogg parquet pdf pkl ppt pptx pt pth py rar rst rtf sh srt tar toml tsv txt url wav "
    "webm wmv xls xlsx xml xmp yaml yml zip"
)
SUFFIXES = {**dict.fromkeys(CAMERA.split(), RAW), **dict.fromkeys(OTHER.split(), "not an image")}


class Listed(NamedTuple):
    """Files of an image folder."""

    images: dict[str, dict[str, list[str]]]  # part -> folder of a class -> names of its images, below the root
    skipped: dict[str, Counter[str]]  # part, or folder that is not read -> reason -> files


def place(source: Mapping[str, Any]) -> str:
    """Return where a source lies: the environment variable `override`, or else `path`; empty without both."""
    return os.environ.get(source.get("override", ""), "") or str(source.get("path", ""))


def listing(path: Path) -> str | None:
    """Digest the names and sizes of a folder's images, for a zip their CRCs too; None if there is no such file.

    Only files that are read as images count, and names begin with train/ or test/, so that neither the place of the
    folder nor what lies beside the images changes it. A file whose content changes and whose name and size stay is
    noticed in a zip, not in a folder.
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
    """Return the files of a zip by their names, with / also where a program on Windows has packed backslashes."""
    infos = archive.infolist()
    windows = not any("/" in info.filename for info in infos)
    named = [(info.filename.replace("\\", "/") if windows else info.filename, info) for info in infos]
    return [(name, info) for name, info in named if not name.endswith("/")]


def _images(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The name of every image from its part on, and its whole name."""
    for part, classes in sort_files(names).images.items():
        for files in classes.values():
            yield from (("/".join((part, *name.split("/")[-2:])), name) for name in files)


def names_below(path: Path, *, deep: bool = True) -> Iterator[str]:
    """Yield the names of all files below a folder, with / between their parts; links are followed, circles are not.

    Without `deep` neither what lies deeper than top/part/class nor what is skipped by its name. Raises OSError where
    a folder that is to be read cannot be listed.
    """
    followed = set[Path]()

    def enter(at: str, name: str, depth: int) -> bool:
        if not deep and (depth >= 3 or skipped_by_name(name)):
            return False
        if not (link := Path(at, name)).is_symlink():
            return True
        target = link.resolve()
        circle = Path(at).resolve().is_relative_to(target) or (depth >= 3 and target in followed)
        followed.add(target)
        return not circle

    def failed(error: OSError) -> None:
        if deep and not any(map(skipped_by_name, Path(error.filename).relative_to(path).parts)):
            raise error

    for at, folders, files in os.walk(path, followlinks=True, onerror=failed):
        within = Path(at).relative_to(path)
        folders[:] = [name for name in folders if enter(at, name, len(within.parts))]
        yield from ((within / name).as_posix() for name in files)


def sort_files(names: Iterable[str]) -> Listed:
    """Sort files by part and class; count what is skipped, by part or folder and reason."""
    images: dict[str, dict[str, list[str]]] = {}
    skipped: dict[str, Counter[str]] = defaultdict(Counter)
    split = [name.split("/") for name in names]
    shown = [words for words in split if not any(map(skipped_by_name, words))]
    tops = {words[0] for words in shown if len(words) > 1}
    depth = 0 if "train" in tops or len(tops) != 1 else 1
    for words in split:
        inner = words[depth:]
        part = inner[0] if len(inner) > 1 and inner[0] in PARTS else ""
        reason = next(filter(None, map(skipped_by_name, words)), "")
        if not reason and part and len(inner) == 3:
            reason = SUFFIXES.get(inner[2].lower().rpartition(".")[2], "") if "." in inner[2] else ""
            if not reason:
                images.setdefault(part, {}).setdefault(inner[1], []).append("/".join(words))
                continue
        if not reason:
            reason = "outside train/<class>/ and test/<class>/"
            if len(inner) > 1 + bool(part):
                part = f"{'/'.join(inner[: 3 if part else 1])}/"
        skipped[part or "beside the parts"][reason] += 1
    return Listed(images, dict(skipped))


def skipped_by_name(name: str) -> str:
    """Return why a file or folder of this name is skipped, whatever it holds; empty if it is not."""
    return "hidden" if name.startswith(".") else LEFT.get(name.lower(), "")
