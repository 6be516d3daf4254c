"""A network never starts from a run that has trained on the test images which a split holds out."""

import json
from pathlib import Path

import numpy as np
import pytest

from daso.data.bundle import write_bundle
from daso.data.split import save_split
from daso.data.split_rows import Split
from daso.data.store import Writer
from daso.errors import DataError
from daso.runs import train as training
from daso.runs.train import Job
from tests.engine.world import CONFIG, CPU
from tests.finished import finish

FIRST, SECOND = "own/all/first/m/s{}", "own/all/second/m/s{}"
# 12 images, two in each group. Seed 1 tests the groups 4 and 5 of seed 0's labeled ones, and seed 2 those of its
# unlabeled ones.
GROUPS = np.repeat(np.arange(6), 2)
SPLITS = {
    0: {"labeled": [2, 3, 4, 5, 8, 10], "unlabeled": [6, 7], "test": [0, 1]},
    1: {"labeled": [0, 1, 2, 3, 4, 5], "unlabeled": [6, 7], "test": [9, 10, 11]},
    2: {"labeled": [0, 1, 2, 3, 4, 5], "unlabeled": [8, 9, 10, 11], "test": [6, 7]},
    3: {"labeled": [2, 3, 4, 5, 8, 10], "unlabeled": [6, 7], "test": [0, 1]},
}


def config_of(run, weights, ratio=0):
    network = CONFIG["protocol"]["network"] | ({"weights": weights, "sha256": "0" * 64} if weights else {})
    changes = {"run": run, "split_config_sha256": "c", "plan": {}, "method": {"name": "m", "unlabeled_ratio": ratio}}
    changes |= {"dataset": CONFIG["dataset"] | {"name": "own"}, "protocol": CONFIG["protocol"] | {"network": network}}
    return CONFIG | changes


def save(store, seed, **parts):
    """Save a split; return its digest."""
    path = Path(f"data/splits/own/all/s{seed}.json")
    head = {"dataset": "own", "setting": "all", "seed": seed, "config_sha256": "c", "source_sha256": store.sha256}
    rows = {"validation": np.empty(0, np.int64)} | {part: np.array(each, np.int64) for part, each in parts.items()}
    return save_split(head | {"class_order": [0, 1]}, Split(**rows), store.labels("train"), path).sha256


def trained(store, run, split_sha256, weights=None, ratio=0, **provenance):
    """Write a finished run."""
    config = json.dumps(config_of(run, weights, ratio))
    provenance = {"data_sha256": store.sha256, "split_sha256": split_sha256} | provenance
    finish(Path("runs", run), {"config.json": config}, run=run, key="k", provenance=provenance)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (12, 3, 4, 4), dtype=np.uint8)
    none = np.empty((0, 3, 4, 4), np.uint8), np.empty(0, np.int64)
    with Writer(Path("data/store/own")) as writer:
        writer.groups = {"train": GROUPS, "test": none[1]}
        parts = {"train": (images, np.arange(12) % 2), "test": none}
        return writer.write("own", ["a", "b"], parts, {"kind": "image_folder"})


@pytest.fixture
def splits(store):
    """Save all splits; return their digests."""
    return {seed: save(store, seed, **parts) for seed, parts in SPLITS.items()}


def load(seed, weights):
    """Read the data of a run that starts from another run, as its training does."""
    config = config_of(SECOND.format(seed), weights)
    split = Path(f"data/splits/own/all/s{seed}.json")
    training.load_data([Job(config, Path("data/store/own"), split, Path("out"), Path("scratch"))], CPU)


def error(seed, weights):
    with pytest.raises(DataError) as raised:
        load(seed, weights)
    return str(raised.value)


def test_images_of_a_group_count_as_trained(store, splits):
    """Row 10 is labeled in seed 0, and so are images of the groups of 9 and 11: all three test images of seed 1."""
    run = FIRST.format(0)
    trained(store, run, splits[0])
    assert error(1, run) == (
        f"{SECOND.format(1)}: its network starts from {run}, and {run} has trained on 3 of its 3 test images or on "
        "others of their groups; start runs of that seed alone from it, or move the test images to test/ and remove "
        "test_share"
    )
    for seed in (0, 3):
        load(seed, run)


def test_unlabeled_images_count_if_the_method_uses_them(store, splits):
    run = FIRST.format(0)
    trained(store, run, splits[0])
    load(2, run)
    trained(store, run, splits[0], ratio=2)
    assert "has trained on 2 of its 2 test images" in error(2, run)


def test_pseudo_labeled_images_of_a_derived_split_count(store, splits):
    """The plan adds rows 6 and 7, which are in the test part of seed 2, to the labeled images."""
    run = FIRST.format(0)
    trained(store, run, splits[0])
    folder = Path("runs", run)
    config = config_of(run, None) | {"plan": {"split": {"of": "r", "key": "k", "exponent": 1}}}
    head = {"dataset": "own", "setting": "all", "seed": 0, "config_sha256": "c", "source_sha256": store.sha256}
    rows = {part: np.array(each, np.int64) for part, each in SPLITS[0].items()} | {"validation": np.empty(0, np.int64)}
    rows["labeled"] = np.array([*SPLITS[0]["labeled"], 6, 7])
    split = Split(**rows, pseudo_labeled=np.array([0, 1]))
    saved = save_split(head | {"class_order": [0, 1]}, split, store.labels("train"), folder / "split.json")
    provenance = {"data_sha256": store.sha256, "split_sha256": saved.sha256}
    finish(folder, {"config.json": json.dumps(config)}, run=run, key="k", provenance=provenance)
    assert "has trained on 2 of its 2 test images" in error(2, run)


def test_run_from_which_the_named_run_started_counts(store, splits):
    trained(store, FIRST.format(0), splits[0])
    trained(store, FIRST.format(1), splits[1], FIRST.format(0))
    assert f"starts from {FIRST.format(1)}, and {FIRST.format(0)} has trained on 3 of its 3" in error(
        1, FIRST.format(1)
    )


def test_run_of_an_unknown_split_is_allowed(store, splits):
    run = FIRST.format(0)
    load(1, run)
    trained(store, run, splits[0], data_sha256="that of another store")
    load(1, run)
    trained(store, run, "that of another split")
    load(1, run)
    trained(store, run, splits[0])
    Path("data/splits/own/all/s0.json").unlink()
    load(1, run)


def test_split_that_holds_no_test_images_out_is_allowed(store, splits):
    run = FIRST.format(0)
    trained(store, run, splits[0])
    save(store, 1, **SPLITS[1] | {"test": []})
    load(1, run)


def test_bundle_of_such_a_run_is_not_packed(store, splits):
    run = FIRST.format(0)
    trained(store, run, splits[0])
    with pytest.raises(DataError, match="has trained on 3 of its 3 test images"):
        write_bundle(Path("bundle"), [config_of(SECOND.format(1), run)])
