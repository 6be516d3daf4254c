"""Images in folders, `train/<class>/<image>` and `test/<class>/<image>`, on disk or in a zip."""

from __future__ import annotations

import os
import stat
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from daso.errors import DataError
from daso.records import ImageArray, IntArray

LAYOUT = "expected train/<class>/<image> and test/<class>/<image>, possibly under one top folder"
LARGEST = 2**28  # bytes of an image file; of its pixels Pillow takes 89 millions at most
Opener = Callable[[str], IO[bytes]]
Tree = dict[str, dict[str, list[str]]]  # part -> class -> names of its images


class Folder(NamedTuple):
    """What an image folder holds."""

    classes: tuple[str, ...]
    parts: dict[str, tuple[ImageArray, IntArray]]  # images uint8 (n, 3, S, S), labels int64 (n,)


def read_image_folder(path: Path, image_size: int) -> Folder:
    """Read both parts, classes and files sorted by name, as RGB of `image_size` pixels a side.

    Any format that Pillow reads, turned upright by its EXIF; of an animation the first picture. Other sizes are
    resized, bilinear with antialiasing, width and height each by itself: nothing is cut off, and the aspect ratio is
    not kept. Hidden files and __MACOSX are passed over. Raises DataError when a part or its classes are missing, test
    has a class that train lacks, a zip has one name twice, or an image cannot be read or is too large.
    """
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder; {LAYOUT}")
    with _listed(path) as (names, opener):
        tree = _tree(names)
        for part in ("train", "test"):
            if not tree.get(part):
                raise DataError(f"{path}: there is no {part}/ with a class in it; {LAYOUT}")
        classes = tuple(sorted(tree["train"]))
        for name in classes:
            if not name.isprintable():
                raise DataError(f"{path}: '{name}' is no name of a class, which reports print; rename the folder")
        unknown = sorted(set(tree["test"]) - set(classes))
        if unknown:
            raise DataError(f"{path}: test/ has the class '{unknown[0]}', which train/ lacks; {LAYOUT}")
        return Folder(
            classes, {part: _part(path, tree[part], classes, image_size, opener) for part in ("train", "test")}
        )


@contextmanager
def _listed(path: Path) -> Iterator[tuple[list[str], Opener]]:
    """The names of all files below, with / between their parts, and what opens one of them."""
    if path.is_dir():
        # No deeper than top/part/class, so that a link in a circle does no harm.
        found = (
            Path(at, name)
            for at, folders, names in os.walk(path, followlinks=True, onerror=_unreadable)
            for name in _here(path, at, folders, names)
        )
        yield [file.relative_to(path).as_posix() for file in found], lambda name: _opened(path / name)
        return
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: neither a folder nor a readable zip ({error}); {LAYOUT}") from error
    with archive:
        files = {info.filename: info for info in archive.infolist() if not info.is_dir()}
        twice = [name for name, times in Counter(archive.namelist()).items() if times > 1 and name in files]
        if twice:
            raise DataError(f"{path}: '{twice[0]}' is there twice, and only one of them can be meant; pack it again")
        yield list(files), lambda name: _packed(archive, files[name])


def _unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be listed ({error.strerror}); make it readable or remove it") from error


def _opened(path: Path) -> IO[bytes]:
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):  # a pipe would never end
        raise OSError("no file")
    _check_size(about.st_size)
    return path.open("rb")


def _packed(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    """A file of a zip, of which never more is unpacked than it says it has."""
    _check_size(info.file_size)
    return archive.open(info)


def _check_size(size: int) -> None:
    if size > LARGEST:
        raise OSError(f"{size:,} bytes are too many for an image")


def _here(path: Path, at: str, folders: list[str], names: list[str]) -> list[str]:
    if len(Path(at).relative_to(path).parts) >= 3:
        folders.clear()
    return names


def _tree(names: list[str]) -> Tree:
    """Sort files by part and class; files that lie elsewhere, such as a README, are no images."""
    split = [name.split("/") for name in names]
    split = [parts for parts in split if not any(word.startswith(".") or word == "__MACOSX" for word in parts)]
    tops = {parts[0] for parts in split if len(parts) > 1}
    depth = 0 if "train" in tops or len(tops) != 1 else 1
    tree: Tree = {}
    for parts in split:
        if len(parts) == depth + 3:
            part, name = parts[depth : depth + 2]
            tree.setdefault(part, {}).setdefault(name, []).append("/".join(parts))
    return tree


def _part(
    path: Path, files: dict[str, list[str]], classes: tuple[str, ...], size: int, opener: Opener
) -> tuple[ImageArray, IntArray]:
    rows = [(name, k) for k, word in enumerate(classes) for name in sorted(files.get(word, []))]
    images = np.empty((len(rows), 3, size, size), dtype=np.uint8)
    for i, (name, _) in enumerate(tqdm(rows, desc=path.name, unit=" images", disable=None)):
        try:
            with opener(name) as file:
                images[i] = _image(file, size)
        except Exception as error:  # decoders raise what they like
            reason = str(error) or type(error).__name__
            raise DataError(f"{path}: {name} is not a readable image ({reason}); mend or remove it") from error
    return images, np.array([k for _, k in rows], dtype=np.int64)


def _image(file: IO[bytes], size: int) -> ImageArray:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", category=UserWarning)  # of metadata, which is not read
        with Image.open(file) as image:
            return _pixels(image, size)


def _pixels(image: Image.Image, size: int) -> ImageArray:
    """RGB uint8 (3, size, size) of an image as viewers show it; raises ValueError where its white is not known.

    Upright, 16 bits scaled to 8, and transparency over white: the color of a transparent pixel is whatever the program
    that saved it left there, and pages are white.
    """
    shown = ImageOps.exif_transpose(image)
    if shown.mode in ("I", "F"):
        raise ValueError(f"32 bits a pixel, mode {shown.mode}, do not tell which value is white; save it with 8 or 16")
    if shown.mode.startswith("I;16"):
        # Pillow's own conversion clips at 255.
        shown = Image.fromarray(np.rint(np.asarray(shown) / 257).astype(np.uint8))
    if shown.has_transparency_data:
        colored = shown.convert("RGBA")
        shown = Image.alpha_composite(Image.new("RGBA", colored.size, "white"), colored)
    rgb = shown.convert("RGB")
    if rgb.size != (size, size):
        rgb = rgb.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(rgb).transpose(2, 0, 1)
