"""The journal keeps the first training of a result as long as results and environment stay the same."""

import copy
import json

import pytest

from daso.data.files import checksummed
from daso.engine import journal

FILES = {"config.json": "c0", "final.pt": "f0", "history.csv": "h0", "predictions.npz": "p0"}
SPEED = {"seconds": 10.0, "steps_per_second": 4.0, "images_per_second": 32.0, "share": {"augment": 0.5}, "replicas": 1}
RESULT = {
    "run": "d/s/p/m/s0",
    "key": "k0",
    "files": FILES,
    "counts": {"labeled": [2, 1]},
    "speed": SPEED,
    "provenance": {
        **{"commit": "aaa", "device": "cpu: X", "mode": "eager", "precision": "fp32", "threads": 1},
        **{"versions": {"torch": "2.11.0"}, "split_sha256": "s0"},
    },
}


def result(**changes):
    """Return the result of a second training: a minute longer, from a different commit, with changes at paths `a/b`."""
    tree = copy.deepcopy(RESULT)
    for name, value in {"speed/seconds": 70.0, "provenance/commit": "bbb", **changes}.items():
        *parent, key = name.split("/")
        (tree[parent[0]] if parent else tree)[key] = value
    return tree


@pytest.fixture
def path(tmp_path):
    """Return the path of an entry of the first training."""
    path = tmp_path / "journal" / "d/s/p/m/s0.json"
    assert journal.reconcile(path, RESULT) == RESULT
    return path


def test_entry_holds_results_speed_and_environment(path):
    entry = json.loads(path.read_text())
    assert path.read_bytes() == checksummed(entry)
    del entry["sha256"]
    assert entry == {
        **{"run": "d/s/p/m/s0", "key": "k0"},
        "results": {"final.pt": "f0", "history.csv": "h0", "predictions.npz": "p0"},
        "speed": SPEED,
        "environment": {
            **{"commit": "aaa", "device": "cpu: X", "mode": "eager", "precision": "fp32", "threads": 1},
            "versions": {"torch": "2.11.0"},
        },
    }


def test_bit_identical_rerun_leaves_the_entry_unchanged(path):
    before = path.read_bytes()
    assert journal.reconcile(path, result()) == RESULT
    assert path.read_bytes() == before


def test_rerun_keeps_its_own_data_provenance_and_counts(path):
    written = journal.reconcile(path, result(**{"provenance/split_sha256": "s1", "counts": {"labeled": [3, 1]}}))
    assert written["provenance"] == {**RESULT["provenance"], "split_sha256": "s1"}
    assert written["counts"] == {"labeled": [3, 1]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("files/" + name, "other") for name in ("final.pt", "history.csv", "predictions.npz")),
        ("key", "k1"),
        ("run", "d/s/p/m/s1"),
        ("provenance/device", "cuda: Y"),
        ("provenance/mode", "graph"),
        ("provenance/precision", "bf16"),
        ("provenance/threads", 2),
        ("provenance/versions", {"torch": "2.12.0"}),
    ],
)
def test_another_result_or_environment_replaces_the_entry(path, name, value):
    changed = result(**{name: value})
    assert journal.reconcile(path, changed) == changed
    entry = json.loads(path.read_text())
    assert (entry["speed"]["seconds"], entry["environment"]["commit"]) == (70.0, "bbb")
    assert journal.reconcile(path, result(**{name: value, "speed/seconds": 5.0})) == changed


@pytest.mark.parametrize("text", ["", "<<<<<<< ours\n{}", "[]", '{"run": "d/s/p/m/s0"}', '{"environment": []}'])
def test_damaged_or_incomplete_entry_is_replaced(path, text):
    path.write_text(text)
    assert journal.reconcile(path, result()) == result()
    assert json.loads(path.read_text())["speed"]["seconds"] == 70.0


def test_recorded_result_replaces_the_entry(path):
    """An adopted result may have the same bytes and other seconds; the entry then equals its `train.json`."""
    journal.record_result(path, result())
    assert path.read_bytes() == checksummed(journal.make_entry(result()))


@pytest.mark.parametrize(("old", "new"), [("4.0", "4.1"), ("10.0", '"x"'), ("aaa", "aab")])
def test_entry_with_a_wrong_checksum_is_replaced(path, old, new):
    """The result then keeps its own commit and speed."""
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    assert journal.reconcile(path, result()) == result()
    assert path.read_bytes() == checksummed(journal.make_entry(result()))
