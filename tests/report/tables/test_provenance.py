"""Provenance of a table: every distinct value is listed or counted."""

from daso.report.tables.provenance import count_values, format_duration, table_provenance
from daso.report.words import format_provenance


def test_single_values_are_listed_and_mixed_values_counted():
    assert count_values(["a", "a"]) == ["a"]
    assert count_values(["a", "b", "a"]) == ["a (2 runs)", "b (1 run)"]
    assert count_values([str(i) for i in range(7)]) == ["7 different values in 7 runs, listed in the table of runs"]


def test_mixed_devices_and_versions_are_listed(make_metrics):
    runs = [
        make_metrics("d/s/p/m/s0", device="cpu: one"),
        make_metrics("d/s/p/m/s1", device="cuda: two", versions={"torch": "9.9"}),
    ]
    provenance = table_provenance(runs)
    assert provenance["device"] == ["cpu: one (1 run)", "cuda: two (1 run)"]
    assert provenance["versions"] == ["python 3.11.9, torch 2.11.0 (1 run)", "torch 9.9 (1 run)"]
    assert provenance["commit"] == ["abcdef123456"]
    assert provenance["training time"] == ["2.0 min in 2 runs, 60.0 s to 60.0 s a run"]


def test_missing_values_are_unknown():
    provenance = table_provenance([{"run": "r", "key": "k"}])
    assert {tuple(values) for values in provenance.values()} == {("unknown",)}
    assert table_provenance([]) == {}


def test_format_of_values_and_durations():
    assert format_provenance({"kind": "cifar10", "archive": {"md5": "c58f"}}) == "kind cifar10, archive md5 c58f"
    texts = [format_duration(seconds) for seconds in (1.25, 119, 120, 7199, 7200)]
    assert texts == ["1.2 s", "119.0 s", "2.0 min", "120.0 min", "2.0 h"]
