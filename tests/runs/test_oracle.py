"""Oracle labels: metrics read them, training and the keys of data, splits and runs do not."""

import numpy as np
import pytest

from daso.cli import main
from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.resolve import Run
from daso.data.files import digest
from daso.data.oracle_lists import write_oracle
from daso.data.split import make_split
from daso.data.store import Writer, load_store
from daso.engine.metrics import run_metrics
from daso.errors import DataError
from daso.planning.synthetic import with_changes
from daso.runs import train as training
from daso.runs.train import Execution, Job
from tests.engine.world import CONFIG, CPU

LABELS = np.array([0] * 6 + [1] * 3 + [-1] * 9)  # rows 9 to 13 are the subset `in`, 14 to 17 `out`
SETTING = {"name": "s", "n1": 3, "m1": "all", "gamma_l": 1, "reversed": False}
SPLIT = {"dataset": "tiny", "setting": SETTING, "seed": 0, "num_classes": 2, "holdout": 0, "class_order": "native"}
IN, OUT = ["1 1", "0 0", "3 0", "4 1", "2 0"], ["3 7", "0 2", "1 2", "2 5"]  # image and label
FILES = ("config.json", "history.csv", "predictions.npz", "final.pt")


@pytest.fixture
def folder(tmp_path):
    """Write the store `tiny` in data/store with the subsets `in` and `out`, and lists of their oracle labels."""
    noise = np.random.default_rng(0).integers(0, 256, (18, 3, 4, 4), dtype=np.uint8)
    parts = {"train": (noise, LABELS), "test": (noise[:4], np.array([0, 1, 0, 1]))}
    path = tmp_path / "data/store/tiny"
    with Writer(path) as writer:
        writer.write("tiny", ["a", "b"], parts, {"kind": "noise"}, subsets={"in": [9, 14], "out": [14, 18]})
    lists = {"in": IN, "out": OUT}
    (tmp_path / "lists").mkdir()
    for name, lines in lists.items():
        text = "".join(f"u_train_{name}/{line.split()[0]}.jpg {line.split()[1]}\n" for line in lines)
        (tmp_path / f"lists/u_train_{name}_oracle.txt").write_text(text)
    return path


@pytest.fixture
def train(folder, tmp_path, monkeypatch):
    """Return `train(name)`, which trains one run from its files into the folder `name`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "check_code", lambda config: None)
    changes = {"setting": SETTING, "split_config_sha256": digest(SPLIT), "dataset.name": "tiny"}
    make_split(SPLIT, load_store(folder), tmp_path / "split.json")

    def train(name):
        config = with_changes(CONFIG, changes)
        training.train(
            [Job(config, folder, tmp_path / "split.json", tmp_path / name, tmp_path / "scratch")], Execution(CPU)
        )
        return tmp_path / name

    return train


def test_oracle_labels_are_stored_by_row_and_labels_from_k_on_are_of_no_class(folder, tmp_path):
    assert write_oracle(folder, tmp_path / "lists", {}) == {"in": 5, "out": 4}
    assert np.load(folder / "train_oracle.npy").tolist() == [-1] * 9 + [0, 1, 0, 0, 1] + [2] * 4


def test_training_files_are_equal_with_and_without_oracle_labels(train, folder, tmp_path):
    without = train("without")
    write_oracle(folder, tmp_path / "lists", {})
    with_oracle = train("with")
    for name in FILES:
        assert (without / name).read_bytes() == (with_oracle / name).read_bytes(), name


def test_metrics_read_oracle_labels(train, folder, tmp_path):
    finished = train("run")
    before = run_metrics(finished, store=folder)
    assert before == run_metrics(finished)
    assert "oracle_sha256" not in before
    assert before["analysis"]["confusion"] is None
    assert set(before["open_set"]["subsets"]) == {"in", "out"}
    assert all(0 <= group["mask_rate"] <= 1 for group in before["open_set"]["subsets"].values())
    write_oracle(folder, tmp_path / "lists", {})
    after = run_metrics(finished, store=folder)
    assert after["counts"]["unlabeled"] == [3, 2]
    assert np.array(after["analysis"]["confusion"]).sum(1).tolist() == [3, 2, 4]
    assert after["open_set"]["subsets"]["in"]["accuracy"] is not None
    same = ("top1", "confusion", "groups", "key", "files", "pseudo_label")
    assert {name: before[name] for name in same} == {name: after[name] for name in same}


def test_metrics_read_oracle_labels_without_the_images(train, folder, tmp_path):
    finished = train("run")
    write_oracle(folder, tmp_path / "lists", {})
    expected = run_metrics(finished, store=folder)
    for part in ("train", "test"):
        (folder / f"{part}_images.npy").unlink()
    assert run_metrics(finished, store=folder) == expected
    assert expected["counts"]["unlabeled"] == [3, 2]


def test_oracle_labels_of_a_different_store_are_refused(train, folder, tmp_path):
    finished = train("run")
    write_oracle(folder, tmp_path / "lists", {})
    noise = np.zeros((18, 3, 4, 4), np.uint8)
    with Writer(folder) as writer:
        parts = {"train": (noise, LABELS), "test": (noise[:2], np.array([0, 1]))}
        writer.write("tiny", ["a", "b"], parts, {"kind": "noise"}, subsets={"in": [9, 14], "out": [14, 18]})
    with pytest.raises(
        DataError, match=r"oracle\.json: oracle labels of a different store than that of .*run; run `daso"
    ):
        run_metrics(finished, store=folder)


def test_damaged_oracle_labels_are_refused(train, folder, tmp_path):
    finished = train("run")
    write_oracle(folder, tmp_path / "lists", {})
    np.save(folder / "train_oracle.npy", np.zeros(18, np.int64))
    with pytest.raises(
        DataError, match=r"train_oracle\.npy: damaged: its checksum differs from oracle\.json; run `daso"
    ):
        run_metrics(finished, store=folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "u_train_in/0.jpg 0\n",
            r"expected the images 0 to 4 once each, got 1 lines of 1 images; give the list of this",
        ),
        ("".join(f"u_train_in/{i}.jpg 0\n" for i in (0, 1, 2, 3, 3)), r"got 5 lines of 4 images"),
        ("u_train_in/0.jpg -1\n", r"line 1: expected `u_train_in/<number>\.jpg <label>`, got 'u_train_in/0\.jpg -1'"),
    ],
)
def test_bad_list_is_refused(folder, tmp_path, text, message):
    (tmp_path / "lists/u_train_in_oracle.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        write_oracle(folder, tmp_path / "lists", {})
    assert not (folder / "oracle.json").exists()


def test_command_stores_oracle_labels_and_reports_a_missing_list(folder, tmp_path, monkeypatch, capsys, caplog):
    source = {"oracle_lists": {"in": {"sha256": "0" * 64, "labels": [0, 1]}}}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("daso.commands.data.resolved_data", lambda dataset, command: {"source": source})
    assert main(["oracle-labels", "tiny", "data"]) == 1
    assert "data: expected a list of oracle labels (u_train_in_oracle.txt, u_train_out_oracle.txt), got none" in (
        capsys.readouterr().err
    )
    assert main(["oracle-labels", "tiny", "lists"]) == 1
    assert f"u_train_in_oracle.txt: expected SHA-256 {'0' * 64}, got " in capsys.readouterr().err
    caplog.set_level("INFO")
    del source["oracle_lists"]
    assert main(["oracle-labels", "tiny", "lists"]) == 0
    assert "tiny: oracle labels of 5 images of the subset in" in caplog.messages


def test_only_the_key_of_the_metrics_depends_on_oracle_labels(folder, tmp_path):
    params = load_params()
    params = type(params)(tmp_path / "params", *list(vars(params).values())[1:])
    run = Run("digits", "n20-m80-l20-u10", "smoke", "fixmatch", 0)

    def keys():
        computed = Keys(params)
        parts = {"data": computed.data("digits"), "split": computed.split("digits", "n20-m80-l20-u10", 0)}
        return {**parts, "train": computed.train(run), "evaluate": computed.evaluate(run)}

    before = keys()
    folder.rename(folder.with_name("digits"))
    assert keys() == before
    write_oracle(folder.with_name("digits"), tmp_path / "lists", {})
    after = keys()
    assert {name for name in before if before[name] != after[name]} == {"evaluate"}


def test_no_code_of_a_training_can_read_oracle_labels():
    keys, code = Keys(load_params()), {"daso.data.oracle", "daso.data.oracle_record", "daso.data.oracle_lists"}
    for stage in ("data", "split", "derive", "train"):
        assert not code & set(keys.modules(stage))
    assert code & set(keys.modules("evaluate"))
