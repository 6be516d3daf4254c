"""Folder of photographs for trials: long-tailed classes of a zip of CIFAR-10 images, few of them labeled.

`python -m tools.photo_folder --zip cifar10.zip --out photos` writes the folders that `daso init` reads: train/,
unlabeled/ and test/. The entries of the zip are `train/<class>/<name>` and `test/<class>/<name>`.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import click
import numpy as np
from PIL import Image

from daso.errors import DasoError

SIDES = (96, 256)  # shortest and longest side of a photo, in pixels
SAVE_OPTIONS: dict[str, dict[str, Any]] = {"jpg": {"quality": 90}, "png": {}}  # by suffix; a photo has one at random


def class_counts(head: int, tail: int, num_classes: int) -> list[int]:
    """Return the images of each class, from `head` down to `tail` by a constant factor."""
    return [round(head * (tail / head) ** (k / (num_classes - 1))) for k in range(num_classes)]


def read_entries(archive: zipfile.ZipFile) -> dict[str, dict[str, list[str]]]:
    """Return the sorted entries of each class of `train` and `test`."""
    entries: dict[str, dict[str, list[str]]] = {"train": defaultdict(list), "test": defaultdict(list)}
    for name in sorted(archive.namelist()):
        part, _, rest = name.partition("/")
        if part in entries and rest.count("/") == 1 and not rest.endswith("/"):
            entries[part][rest.split("/")[0]].append(name)
    return entries


def draw_entries(
    entries: Mapping[str, Mapping[str, Sequence[str]]],
    labeled: tuple[int, int],
    unlabeled: tuple[int, int],
    test: int,
    rng: np.random.Generator,
) -> Iterator[tuple[str, str]]:
    """Yield a folder and an entry for each photo; raises DasoError if a class has too few images."""
    classes = sorted(entries["train"])
    tails = zip(class_counts(*labeled, len(classes)), class_counts(*unlabeled, len(classes)), strict=True)
    mixed = []
    for name, (with_label, without) in zip(classes, tails, strict=True):
        train = _draw(entries["train"][name], with_label + without, rng)
        yield from ((f"train/{name}", entry) for entry in train[:with_label])
        yield from ((f"test/{name}", entry) for entry in _draw(entries["test"].get(name, ()), test, rng))
        mixed += train[with_label:]
    yield from (("unlabeled", mixed[i]) for i in rng.permutation(len(mixed)))


def _draw(entries: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
    if len(entries) < count:
        folder = entries[0].rpartition("/")[0] if entries else "test"
        raise DasoError(f"{folder}: {len(entries)} images are below the {count} to be drawn; choose smaller counts")
    return [entries[i] for i in rng.permutation(len(entries))[:count]]


def save_photo(source: IO[bytes], folder: Path, number: int, rng: np.random.Generator) -> str:
    """Save an image as a square of a random side, in a random format; return the name of the file."""
    side = int(rng.integers(SIDES[0], SIDES[1] + 1))
    suffix = list(SAVE_OPTIONS)[rng.integers(len(SAVE_OPTIONS))]
    folder.mkdir(parents=True, exist_ok=True)
    with Image.open(source) as image:
        photo = image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    name = f"{number:05}.{suffix}"
    photo.save(folder / name, **SAVE_OPTIONS[suffix])
    return name


def write_photos(
    archive: Path, out: Path, labeled: tuple[int, int], unlabeled: tuple[int, int], test: int, seed: int
) -> dict[str, str]:
    """Write the folder, which follows from the seed; return the class of each photo by its path below the folder."""
    rng, classes = np.random.default_rng(seed), {}
    with zipfile.ZipFile(archive) as images:
        photos = draw_entries(read_entries(images), labeled, unlabeled, test, rng)
        for number, (folder, entry) in enumerate(photos):
            with images.open(entry) as source:
                name = save_photo(source, out / folder, number, rng)
            classes[f"{folder}/{name}"] = entry.split("/")[1]
    return classes


def write_classes(path: Path, classes: Mapping[str, str]) -> None:
    """Write the class of each photo as CSV with the columns path and label."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([("path", "label"), *classes.items()])
    path.write_text(text.getvalue(), encoding="utf-8")


@click.command(context_settings={"show_default": True, "max_content_width": 120})
@click.option("--zip", "archive", type=click.Path(exists=True, path_type=Path), required=True, help="CIFAR-10 images.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New folder of photographs.")
@click.option("--labeled", type=(int, int), default=(100, 5), help="Labeled images of the first and the last class.")
@click.option("--unlabeled", type=(int, int), default=(522, 25), help="Unlabeled images of the first and last class.")
@click.option("--test", type=int, default=50, help="Test images of each class.")
@click.option("--seed", type=int, default=0, help="Draws images, sides and formats.")
@click.option("--truth", type=click.Path(path_type=Path), help="New CSV file with the class of each photo.")
def main(
    archive: Path,
    out: Path,
    labeled: tuple[int, int],
    unlabeled: tuple[int, int],
    test: int,
    seed: int,
    truth: Path | None,
) -> None:
    """Write a folder of photographs from a zip of CIFAR-10 images; the default counts make 2,600 photographs."""
    if out.exists():
        raise click.ClickException(f"{out}: exists; choose a new folder")
    try:
        classes = write_photos(archive, out, labeled, unlabeled, test, seed)
    except (DasoError, zipfile.BadZipFile) as error:
        raise click.ClickException(str(error)) from error
    if truth:
        write_classes(truth, classes)
    click.echo(f"{out}: {len(classes)} photographs")


if __name__ == "__main__":
    main()
