"""Records of rounds of labeling: the one of the present metrics is no part of the report's key, all others are."""

import pytest

from daso.data.files import checksummed, file_digest, write_file
from daso.errors import DataError
from daso.report.results.round_records import metrics_digest, other_records, read_records, record_path

RUNS = ["birds/all/photos/supervised_la/s0", "birds/all/photos/supervised_la/s1"]


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return `write(labels, metrics, order)`: write a record of the suite `birds`."""
    monkeypatch.chdir(tmp_path)

    def call(labels, metrics, order):
        path = record_path("birds", labels)
        write_file(path, checksummed({"suite": "birds", "metrics": metrics, "order": order}))
        return path

    return call


def test_only_records_of_other_metrics_enter_the_key(write):
    assert other_records("birds", "m1") == []
    write("aa", "m1", 1)
    assert other_records("birds", "m1") == []
    other = write("bb", "m2", 2)
    assert other_records("birds", "m1") == [file_digest(other, "sha256")]
    assert other_records("birds", "m3") != other_records("birds", "m1")
    assert other_records("wrens", "m3") == []


def test_records_are_read_in_their_order(write):
    write("aa", "m2", 2)
    write("bb", "m1", 1)
    records = read_records("birds", "m2")
    assert [record["order"] for record in records.all] == [1, 2]
    assert records.present is records.all[1]
    assert read_records("birds", "m3").present is None


def test_damaged_record_is_named_with_its_fix(write):
    path = write("aa", "m1", 1)
    path.write_text(path.read_text().replace('"order": 1', '"order": 2'))
    with pytest.raises(DataError, match=r"journal/rounds/birds/aa.json: checksum mismatch, .*; restore it: `git check"):
        read_records("birds", "m1")
    path.write_text("<<<<<<< HEAD\n")
    assert len(other_records("birds", "m1")) == 1  # the report is rendered, and then names it


def test_digest_of_metrics_follows_each_file(write, tmp_path):
    missing = metrics_digest(RUNS)
    for run in RUNS:
        write_file(tmp_path / f"metrics/{run}.json", checksummed({"run": run}))
    first = metrics_digest(RUNS)
    write_file(tmp_path / f"metrics/{RUNS[1]}.json", checksummed({"run": RUNS[1], "key": "k"}))
    assert len({missing, first, metrics_digest(RUNS)}) == 3
