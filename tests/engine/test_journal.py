"""The journal keeps the first occasion of a result, and only as long as everything about it is the same."""

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
    """The result of a second training: a minute longer, from another commit, and changed as told, by `a/b`."""
    tree = copy.deepcopy(RESULT)
    for name, value in {"speed/seconds": 70.0, "provenance/commit": "bbb", **changes}.items():
        *way, last = name.split("/")
        (tree[way[0]] if way else tree)[last] = value
    return tree


@pytest.fixture
def path(tmp_path):
    """An entry of the first training."""
    path = tmp_path / "journal" / "d/s/p/m/s0.json"
    assert journal.reconcile(path, RESULT) == RESULT
    return path


def test_an_entry_holds_the_occasion_and_what_it_led_to(path):
    kept = json.loads(path.read_text())
    assert path.read_bytes() == checksummed(kept)
    del kept["sha256"]
    assert kept == {
        **{"run": "d/s/p/m/s0", "key": "k0"},
        "results": {"final.pt": "f0", "history.csv": "h0", "predictions.npz": "p0"},
        "speed": SPEED,
        "environment": {
            **{"commit": "aaa", "device": "cpu: X", "mode": "eager", "precision": "fp32", "threads": 1},
            "versions": {"torch": "2.11.0"},
        },
    }


def test_the_same_bytes_made_again_add_nothing(path):
    before = path.read_bytes()
    assert journal.reconcile(path, result()) == RESULT
    assert path.read_bytes() == before


def test_what_the_second_training_says_of_its_data_is_its_own(path):
    told = journal.reconcile(path, result(**{"provenance/split_sha256": "s1", "counts": {"labeled": [3, 1]}}))
    assert told["provenance"] == {**RESULT["provenance"], "split_sha256": "s1"}
    assert told["counts"] == {"labeled": [3, 1]}


@pytest.mark.parametrize(
    ("what", "value"),
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
def test_another_result_or_way_replaces_the_entry(path, what, value):
    told = result(**{what: value})
    assert journal.reconcile(path, told) == told
    entry = json.loads(path.read_text())
    assert (entry["speed"]["seconds"], entry["environment"]["commit"]) == (70.0, "bbb")
    assert journal.reconcile(path, result(**{what: value, "speed/seconds": 5.0})) == told


@pytest.mark.parametrize("text", ["", "<<<<<<< ours\n{}", "[]", '{"run": "d/s/p/m/s0"}', '{"environment": []}'])
def test_an_entry_that_says_nothing_is_replaced(path, text):
    path.write_text(text)
    assert journal.reconcile(path, result()) == result()
    assert json.loads(path.read_text())["speed"]["seconds"] == 70.0


def test_an_adopted_result_has_the_last_word(path):
    """Other seconds for the same bytes, from elsewhere: the entry says what `train.json` does."""
    journal.record_result(path, result())
    assert path.read_bytes() == checksummed(journal.make_entry(result()))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *(("speed/steps_per_second", value) for value in ("x", None, True, -1.0, [4.0])),
        *(("speed", value) for value in ({}, None, "fast")),
        *(("environment/commit", value) for value in (None, 7)),
        ("results", ["f0", "h0", "p0"]),
    ],
)
def test_an_entry_of_another_form_is_replaced(path, place, value, caplog):
    """Though its digest is right: what it says would get into `train.json`, which nobody could then read."""
    tree = json.loads(path.read_text())
    *way, last = place.split("/")
    (tree[way[0]] if way else tree)[last] = value
    path.write_bytes(checksummed(tree))
    assert journal.reconcile(path, result()) == result()
    assert f"{path}: not an entry of the journal ({way[0] if way else last}" in caplog.text
    assert path.read_bytes() == checksummed(journal.make_entry(result()))


@pytest.mark.parametrize(("old", "new"), [("4.0", "4.1"), ("10.0", '"x"'), ("aaa", "aab")])
def test_an_entry_that_was_edited_is_replaced(path, old, new):
    """Its digest tells: the occasion of the result is the one that the result tells of."""
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    assert journal.reconcile(path, result()) == result()
    assert path.read_bytes() == checksummed(journal.make_entry(result()))
