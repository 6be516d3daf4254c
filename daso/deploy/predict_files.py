"""Predict the classes of image files and folders, and write them as a CSV file."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from daso.aliases import FloatArray, ImageArray
from daso.data.decode_pool import File, decode_files
from daso.data.files import file_digest, write_file
from daso.data.folder_listing import names_below, reason_to_skip
from daso.data.photo_files import open_file
from daso.data.pixels import decode
from daso.deploy.assemble import plain_view
from daso.deploy.partial_rows import PartialRows
from daso.deploy.predictor import Predictor, network_images
from daso.deploy.prior import ratios, shifted
from daso.errors import DasoError
from daso.models.network import Preprocessing

SUPER_CLASS = "super_class"  # column
FILES_AT_ONCE = 64  # images that are decoded, predicted and written at once
LOWEST, HIGHEST = 0.0001, 0.9999  # printed probabilities; no finite number of labels makes a class certain


class PredictionOptions(NamedTuple):
    """Options of predictions."""

    top: int = 3  # classes of a row
    abstain_below: float | None = None  # probability; None: that of the model
    prior: str | None = None  # see `prior.ratios`
    back_off: bool = False  # name the super-class of an image whose class the model abstains from


class PredictionSummary(NamedTuple):
    """Numbers of images and files."""

    predicted: int
    abstained: int
    unlike: int
    unreadable: int
    skipped: Mapping[str, int]  # by reason
    backed_off: int = 0  # of those abstained

    def __str__(self) -> str:
        """Return a line for the user."""
        skipped = [f"{count} {reason}" for reason, count in sorted(self.skipped.items())]
        named = f", {self.backed_off} of them with a super-class" if self.backed_off else ""
        abstained = f"{self.abstained} abstained{named}"
        return (
            f"{self.predicted} images predicted ({abstained}, {self.unlike} unlike the labeled images), "
            f"{self.unreadable} unreadable; skipped files: {', '.join(skipped) or 'none'}"
        )


def predict_files(
    predictor: Predictor, inputs: Sequence[str], out: Path | None, options: PredictionOptions
) -> tuple[str, PredictionSummary]:
    """Predict the images of files and folders of any depth; return the CSV text and its summary.

    One row is written for each image file, sorted by path; the path is the input with the path below it. An image that
    cannot be read has an `error` in its row. A killed call leaves `<out>.partial`, from which the same call resumes.
    Raises DasoError if there is nothing to predict, and for unusable options.
    """
    rows, (files, skipped) = PredictionRows(predictor, options), image_files(inputs)
    if not files:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(skipped.items()))
        raise DasoError(f"{', '.join(inputs)}: no images{f' ({reasons})' if reasons else ''}; name files or folders")
    with (
        PartialRows(out, f"{predictor.record['digest']} {options} {rows.ratio.tolist()}") as done,
        tqdm(desc="predict", total=len(files), unit=" images", disable=None) as progress,
    ):
        for first in range(0, len(files), FILES_AT_ONCE):
            block = files[first : first + FILES_AT_ONCE]
            contents = {path: content for path in block if not done.has(path, content := _digest(path))}
            done.add(contents, rows.predict(list(contents)))
            progress.update(len(block))
        table = [done.row(path) for path in files]
        text = _csv([rows.columns, *table])
        if out is not None:
            write_file(out, text.encode("utf-8", "surrogateescape"))
            done.remove()
    return text, _summary([dict(zip(rows.columns, row, strict=True)) for row in table], skipped)


def image_files(inputs: Sequence[str]) -> tuple[list[str], Counter[str]]:
    """Return the paths of image files, each once and sorted, and count the files that are skipped by name.

    Raises DasoError if an input is missing or a folder cannot be read.
    """
    found, skipped = set[str](), Counter[str]()
    for given in inputs:
        path = Path(given)
        if not path.exists():
            raise DasoError(f"{given}: no such file or folder; correct the path")
        if not path.is_dir():
            found.add(path.as_posix())
            continue
        try:
            names = list(names_below(path))
        except OSError as error:
            raise DasoError(f"{error.filename}: not a readable folder ({error.strerror}); make it readable") from error
        for name in names:
            if reason := reason_to_skip(name.split("/")):
                skipped[reason] += 1
            else:
                found.add((path / name).as_posix())
    return sorted(found), skipped


def _digest(path: str) -> str:
    """Return the SHA-256 of a file, empty if it cannot be read."""
    try:
        with open_file(Path(path)):  # raises an error for what is not a regular file
            return file_digest(Path(path), "sha256")
    except Exception:  # reading the image raises it again
        return ""


class PredictionRows:
    """Rows of predictions of image files, with the columns `columns`."""

    def __init__(self, predictor: Predictor, options: PredictionOptions) -> None:
        self.predictor, self.record = predictor, predictor.record
        self.ratio = ratios(self.record, options.prior)
        self.view = plain_view(self.record, Preprocessing(**self.record["preprocessing"]))
        below = options.abstain_below
        self.abstain_below = self.record["abstain_below"] if below is None else below
        self.top = min(options.top, len(self.record["classes"]))
        further = [f"{name}_{k}" for k in range(2, self.top + 1) for name in ("class", "probability")]
        self.super_classes = np.array(_super_classes(self.record)) if options.back_off else None
        back_off = [] if self.super_classes is None else [SUPER_CLASS, f"{SUPER_CLASS}_probability"]
        flags = ["abstain", *back_off, "unlike", "is_unlike"]
        self.columns = ["path", "class", "probability", *further, *flags, "error"]

    def predict(self, files: Sequence[str]) -> Iterator[list[str]]:
        """Yield the row of each file."""
        squares, errors = decode_squares(files, self.record)
        readable = [i for i, error in enumerate(errors) if not error]
        predictions: Iterator[tuple[FloatArray, float]] = iter(())
        if readable:
            probabilities, unlike = self.predictor.probabilities(network_images(self.view, squares[readable]))
            predictions = zip(shifted(probabilities, self.ratio), unlike, strict=True)
        for path, error in zip(files, errors, strict=True):
            cells = [""] * (len(self.columns) - 2) if error else self._cells(*next(predictions))
            yield [path, *cells, error]

    def _cells(self, probabilities: FloatArray, unlike: float) -> list[str]:
        """Return the cells of an image between path and error."""
        order = np.argsort(-probabilities, kind="stable")[: self.top]
        named = [cell for k in order for cell in (self.record["classes"][k], format_probability(probabilities[k]))]
        above = self.record["unlike_above"]
        abstains, is_unlike = probabilities[order[0]] < self.abstain_below, above is not None and unlike > above
        back_off = self._back_off(probabilities, int(order[0]), abstains)
        return [*named, _yes(abstains), *back_off, f"{unlike:.4f}", _yes(is_unlike)]

    def _back_off(self, probabilities: FloatArray, best: int, abstains: bool) -> list[str]:
        """Return the super-class of the most probable class with its probability, the sum of those of its classes.

        Both are empty if the model does not abstain from the class, or would abstain from the super-class too.
        """
        if self.super_classes is None:
            return []
        name = self.super_classes[best]
        total = float(probabilities[self.super_classes == name].sum())
        return [str(name), format_probability(total)] if abstains and total >= self.abstain_below else ["", ""]


def _super_classes(record: Mapping[str, Any]) -> list[str]:
    if "super_classes" not in record:
        raise DasoError(
            f"--back-off: {record['name']} has no super-classes; list super_classes in the file of its dataset, or "
            "leave the option out"
        )
    names: list[str] = record["super_classes"]
    return names


def decode_squares(files: Sequence[str], record: Mapping[str, Any]) -> tuple[ImageArray, list[str]]:
    """Decode files as those of the training images; return squares uint8 (n, 3, S, S), and the error of each file."""
    size, fit, bits = (record["reading"][name] for name in ("image_size", "fit", "bits"))
    squares, errors = np.zeros((len(files), 3, size, size), np.uint8), []

    decoding = (File(path, partial(open_file, Path(path)), squares, i) for i, path in enumerate(files))
    for i, result in enumerate(decode_files(decoding, fit)):
        errors.append("" if result.error is None else result.error.kind)
        if result.grey and bits < 16:  # the rule of the data set for grey images of 16 bits
            with open_file(Path(files[i])) as file:
                squares[i] = decode(file, size, bits, fit).pixels
    return squares, errors


def format_probability(value: float) -> str:
    """Return a probability with four decimals, never 0 or 1."""
    return f"{min(max(value, LOWEST), HIGHEST):.4f}"


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"


def _csv(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _summary(rows: Sequence[Mapping[str, str]], skipped: Counter[str]) -> PredictionSummary:
    unreadable = sum(bool(row["error"]) for row in rows)
    counts = [sum(row[name] == "yes" for row in rows) for name in ("abstain", "is_unlike")]
    backed_off = sum(bool(row.get(SUPER_CLASS)) for row in rows)
    return PredictionSummary(len(rows) - unreadable, counts[0], counts[1], unreadable, dict(skipped), backed_off)
