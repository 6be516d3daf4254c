"""Table of test images that the recommended models predict wrongly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from daso.report.results.errors import ERRORS_OF_CLASS
from daso.report.results.gallery import Gallery
from daso.report.tables.table import ABSENT, Column, Table

ERRORS_DEFINITIONS = (
    (
        "Probability",
        "of the wrong prediction, mean over the seeds that make it, after the temperature if the model has one.",
    ),
    ("Seeds", "those with a wrong prediction, of those that test the image. Images wrong for most seeds come first."),
)


def errors_table(galleries: Sequence[Gallery], titles: Mapping[str, str]) -> Table:
    """Return a row for each example of an error of the recommended model of each setting."""
    rows = [
        [
            *(gallery.setting, titles[gallery.method], example.error.label, example.error.predicted),
            *(example.probability, example.seeds or ABSENT, example.file),
        ]
        for gallery in galleries
        for each in gallery.classes
        for example in each.examples
    ]
    columns = [
        *(Column(name, "text") for name in ("Setting", "Model", "Class", "Taken for")),
        *(Column("Probability"), Column("Seeds"), Column("File", "code")),
    ]
    order = f"at most {ERRORS_OF_CLASS} of each class, the class with the lowest recall first."
    caption = f"Test images that the recommended model predicts wrongly: {order}"
    notes = [("Images", note) for note in dict.fromkeys(gallery.note for gallery in galleries) if note]
    definitions = [*ERRORS_DEFINITIONS, *notes]
    return Table("errors", "Example errors", caption, columns, rows, groups=2, definitions=definitions)
