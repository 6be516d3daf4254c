"""Thumbnails of test images that the recommended model predicts wrongly, embedded in the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from daso.aliases import ImageArray, Tree
from daso.report.results.collect import Cell, format_mean_std
from daso.report.results.controls import UnlabeledVerdict
from daso.report.results.errors import ErrorExample, SettingErrors, error_examples
from daso.report.results.test_images import load_test_images

THUMBNAIL_SIDE, JPEG_QUALITY = 96, 80  # longest side of a thumbnail in pixels; of JPEG
SHOWN_CLASSES = 12  # classes that a page shows; others on request


class NamedExample(NamedTuple):
    """Error with the name of its file, and its thumbnail as a data URI; empty if it is left out."""

    error: ErrorExample
    file: str
    uri: str

    @property
    def file_name(self) -> str:
        """Return the last part of the path of the file."""
        return self.file.rpartition("/")[2]

    @property
    def probability(self) -> str:
        """Return the confidence of the prediction in percent; no prediction is certain."""
        return probability_text(self.error.confidence)

    @property
    def seeds(self) -> str:
        """Return the number of seeds that are wrong; empty if a single one tests the image."""
        return f"{self.error.wrong} of {self.error.seeds}" if self.error.seeds > 1 else ""

    @property
    def description(self) -> str:
        """Return the text for screen readers."""
        return f"{self.error.label} taken for {self.error.predicted}: {self.file_name}"


class GalleryClass(NamedTuple):
    """Class with its recall as text, and its errors."""

    name: str
    recall: str  # empty if it is not measured
    examples: list[NamedExample]


class Gallery(NamedTuple):
    """Errors of the recommended model of a setting by class, and the reason why thumbnails are left out."""

    setting: str
    method: str
    classes: list[GalleryClass]
    note: str

    @property
    def shown(self) -> list[GalleryClass]:
        """Return the classes that the page shows, the lowest recall first."""
        return self.classes[:SHOWN_CLASSES]

    @property
    def folded(self) -> list[GalleryClass]:
        """Return the classes that it shows on request."""
        return self.classes[SHOWN_CLASSES:]


def build_galleries(
    table: Tree, cells: Sequence[Cell], verdicts: Sequence[UnlabeledVerdict], stores: Path | None
) -> list[Gallery]:
    """Return the errors of the recommended models of a table, with file names and thumbnails from a folder of stores.

    Without the folder, or where the images are missing, the thumbnails are left out.
    """
    dataset, settings = table["dataset"], {setting["name"]: setting for setting in table["settings"]}
    folder = (stores or Path()) / dataset["name"]
    return [_gallery(errors, dataset, settings[errors.setting], folder) for errors in error_examples(cells, verdicts)]


def _gallery(errors: SettingErrors, dataset: Tree, setting: Tree, store: Path) -> Gallery:
    listed = [error for each in errors.classes for error in each.examples]
    loaded = load_test_images(store, dataset, setting, [each.image for each in listed], errors.images_sha256)
    uris = [""] * len(listed) if loaded.images is None else [thumbnail(image) for image in loaded.images]
    named = iter([NamedExample(*each) for each in zip(listed, loaded.names, uris, strict=True)])
    classes = [
        GalleryClass(name, format_mean_std(*recall) if recall else "", [next(named) for _ in examples])
        for name, recall, examples in errors.classes
    ]
    return Gallery(errors.setting, errors.method, classes, loaded.note)


def thumbnail(image: ImageArray) -> str:
    """Return an image uint8 (3, H, W) as a data URI of a JPEG of at most THUMBNAIL_SIDE pixels."""
    picture = Image.fromarray(image.transpose(1, 2, 0))
    picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    picture.save(content, "jpeg", quality=JPEG_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"


def probability_text(share: float) -> str:
    """Return a probability in whole percent, between `< 1 %` and `> 99 %`."""
    percent = round(100 * share)
    return "< 1 %" if percent < 1 else "> 99 %" if percent > 99 else f"{percent} %"
