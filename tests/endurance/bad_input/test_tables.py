"""Invalid tables and arrays."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from daso.report.results.published import PUBLISHED
from tests.endurance.bad_input import bad_archives
from tests.endurance.bad_input.cases import CHECK, SPECIAL, STORE
from tests.endurance.bad_input.checker import expect_error, replaced_file

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("bad input")]
BAD_CSVS = {
    "nothing": "",
    "a heading": "source,table,dataset\n",
    "only a NUL": "\0",
    "a short row": "{head}\n{row}\ndaso_paper,1\n",
    "a long row": "{head}\n{row},more,and,more\n",
    "an open quote": '{head}\n"{row}\n{row}\n',
    "text after a quote": "{head}\n{row}x\n",
    "a NUL": "{head}\n{row}\0\n",
    "no mean": "{head}\n{blank}\n",
    "a mean in words": "{head}\n{words}\n",
    "an infinite mean": "{head}\n{infinite}\n",
    "a division by zero": "{head}\n{fraction}\n",
    "duplicate columns": "{head},mean\n{row},1\n",
    "latin-1": "{head}\n{row}ü\n",
    "a very long field": "{head}\n" + "x" * 200_000 + "\n",
    "a huge number": "{head}\n{huge}\n",
}


def test_invalid_published_numbers_are_refused(tmp_path, monkeypatch):
    with PUBLISHED.open(newline="") as file:
        rows = list(csv.DictReader(file))
    head, row = ",".join(rows[0]), next(row for row in rows if row["table"] == "1")

    def line(**changes):
        return ",".join(f'"{value}"' for value in {**row, **changes}.values())

    parts = {
        "head": head,
        "row": line(),
        "blank": line(mean=""),
        "words": line(mean="abc"),
        "infinite": line(mean="inf"),
    }
    parts |= {"fraction": line(gamma_l="1/0"), "huge": line(mean="9" * 5000)}
    path = tmp_path / "results.csv"
    for module in ("daso.planning.cell", "daso.report.suite_report"):
        monkeypatch.setattr(f"{module}.PUBLISHED", path)
    for text in BAD_CSVS.values():
        content = text
        for name, part in parts.items():
            content = content.replace(f"{{{name}}}", part)
        path.write_bytes(content.encode("latin-1"))
        expect_error("cell", "table 1", message="results.csv")
        expect_error("report", "--suite", "tiny", "--out", "out", message="results.csv")
    for make in SPECIAL.values():
        path.unlink()
        make(path)
        expect_error("cell", "table 1", message="results.csv")
        path.rmdir() if path.is_dir() else path.unlink()
        path.touch()


def test_invalid_arrays_of_a_store_are_refused():
    for name in ("train_labels.npy", "train_images.npy"):
        original, objects = (STORE / name).read_bytes(), io.BytesIO()
        np.save(objects, np.array([bad_archives.WritesFile()] * 5, object), allow_pickle=True)
        contents = [
            b"",
            bytes(200),
            original[:5],
            original[:100],
            original[:-9],
            objects.getvalue(),
            b"\x93NUMPY\x09\x00" + original[8:],
        ]
        contents += [original.replace(b"'shape': (", b"'shape': (9", 1), original.replace(b"descr", b"descx", 1)]
        contents += [
            original[:8] + b"\xff\xff" + original[10:],
            original.replace(b"{", b"[", 1),
            original.replace(b"<i8", b"|O8"),
            original.replace(b"|u1", b"|V1"),
        ]
        for content in set(contents) - {original}:
            with replaced_file(STORE / name, content):
                expect_error(*CHECK, message=name)
    assert not Path("harm").exists()
