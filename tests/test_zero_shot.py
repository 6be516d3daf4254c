"""Debiasing of saved logits: numbers computed independently, files, and a biased trained classifier."""

import json
from pathlib import Path

import numpy as np
import pytest

from daso.cli import main
from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.resolve import data_config, parse_run, split_config
from daso.data.catalog import make_store
from daso.data.split import make_split
from daso.data.store import load_store
from daso.engine.environment import choose_device
from daso.errors import ParamsError
from daso.runs.train import Execution, Job, train
from daso.zero_shot import analysis, debias_file, debias_logits

# Six images, three classes; the first class is predicted five times.
LOGITS = np.array([(2, 1.9, 0), (1.5, 1.4, 0.2), (1.2, 1.1, 1), (0.5, 0.45, 0.4), (1, 0.2, 0.9), (0, 2, 0.1)])


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_debias_subtracts_log_mean_of_six_predictions(strength):
    result = debias_logits(LOGITS, strength)
    assert result.mean.tolist() == pytest.approx([0.366138, 0.415582, 0.218281], abs=1e-6)
    assert result.before.argmax(1).tolist() == [0, 0, 0, 0, 0, 1]
    assert result.after.argmax(1).tolist() == [0, 0, 2, 2, 2, 1]
    assert result.after.sum(1).tolist() == pytest.approx([1.0] * 6)
    measures = analysis(result)
    assert (measures["before"]["histogram"], measures["after"]["histogram"]) == ([5, 1, 0], [2, 1, 3])
    assert (measures["before"]["imbalance"], measures["after"]["imbalance"]) == (
        None,
        3.0,
    )  # a class without predictions: no ratio
    assert measures["changed"] == 3


def test_debias_of_one_image_flattens_its_own_prediction():
    """Of one image (.5, .3, .2) the mean is itself: p^(1 - strength), normalized; with strength 1 uniform."""
    logits = np.log([[0.5, 0.3, 0.2]])
    assert debias_logits(logits, 1.0).after[0].tolist() == pytest.approx([1 / 3] * 3)
    roots = np.sqrt([0.5, 0.3, 0.2])
    assert debias_logits(logits, 0.5).after[0].tolist() == pytest.approx((roots / roots.sum()).tolist())


def test_running_mean_starts_uniform_and_averages_batches_of_256():
    """Two batches of (.8, .2): .9 x .5 + .1 x .8 = .53, then .9 x .53 + .1 x .8 = .557."""
    logits = np.tile(np.log([[0.8, 0.2]]), (512, 1))
    assert debias_logits(logits, 0.4, momentum=0.9).mean.tolist() == pytest.approx([0.557, 0.443])
    assert debias_logits(logits[:256], 0.4, momentum=0.9).mean.tolist() == pytest.approx([0.53, 0.47])


def test_seed_draws_the_order_of_the_running_mean():
    logits = np.random.default_rng(1).normal(size=(600, 4))
    one, again, other = (debias_logits(logits, 0.4, 0.5, seed).mean for seed in (0, 0, 1))
    assert one.tolist() == again.tolist()
    assert one.tolist() != other.tolist()


def test_analysis_with_labels_has_accuracy_recall_and_precision():
    """Truth 0 0 2 2 1 1: before 3 of 6 right, recall 1, .5, 0; after 5 of 6, recall 1, .5, 1, precision 1, 1, 2/3."""
    measures = analysis(debias_logits(LOGITS, 0.5), np.array([0, 0, 2, 2, 1, 1]))
    assert (measures["before"]["accuracy"], measures["after"]["accuracy"]) == (0.5, 0.8333)
    assert (measures["before"]["recall"], measures["after"]["recall"]) == ([1.0, 0.5, 0.0], [1.0, 0.5, 1.0])
    assert measures["after"]["precision"] == [1.0, 1.0, 0.6667]
    assert measures["after"]["balanced_accuracy"] == 0.8333
    assert measures["after"]["errors_to_first"] == [None, 1.0, None]  # the one error of class 1 goes to class 2


def test_debias_command_writes_probabilities_and_analysis(tmp_path, capsys):
    np.save(tmp_path / "logits.npy", LOGITS.astype(np.float32))
    np.save(tmp_path / "labels.npy", np.array([0, 0, 2, 2, 1, 1]))
    files = ["--logits", str(tmp_path / "logits.npy"), "--labels", str(tmp_path / "labels.npy")]
    assert main(["debias", *files, "--strength", "0.5", "--out", str(tmp_path / "out")]) == 0
    probs = np.load(tmp_path / "out/probs.npy")
    assert (probs.shape, probs.dtype) == ((6, 3), np.float32)
    assert probs.argmax(1).tolist() == [0, 0, 2, 2, 2, 1]
    assert json.loads((tmp_path / "out/analysis.json").read_text())["after"]["accuracy"] == 0.8333
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "6 images, 3 with a different predicted class"
    assert lines[-2].split() == ["accuracy", "0.500", "0.833"]


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros(3), None, "logits.npy: expected logits, an array (images, classes) of numbers"),
        (np.zeros((0, 3)), None, "logits.npy: expected finite logits of at least one image and two classes"),
        (np.zeros((4, 1)), None, "logits.npy: expected finite logits of at least one image and two classes"),
        (np.array([[1.0, np.nan]]), None, "logits.npy: expected finite logits of at least one image and two classes"),
        (np.array([["a", "b"]]), None, "logits.npy: expected logits"),
        (np.array([[{}, {}]]), None, "logits.npy: not readable as logits"),  # pickled: not opened
        (np.zeros((2, 3)), np.array([0.0, 1.0]), "labels.npy: expected labels"),
        (np.zeros((2, 3)), np.array([0]), "labels.npy: 1 labels do not match 2 images of 3 classes"),
        (np.zeros((2, 3)), np.array([], dtype=int), "labels.npy: 0 labels do not match 2 images of 3 classes"),
        (np.zeros((2, 3)), np.array([0, 3]), "labels.npy: 2 labels from 0 to 3 do not match 2 images of 3 classes"),
        (np.zeros((2, 3)), np.array([-1, 1]), "labels.npy: 2 labels from -1 to 1 do not match 2 images of 3 classes"),
    ],
)
def test_invalid_logits_or_labels_are_refused_in_one_line(tmp_path, capsys, logits, labels, message):
    np.save(tmp_path / "logits.npy", logits)
    arguments = ["debias", "--logits", str(tmp_path / "logits.npy"), "--strength", "0.4"]
    arguments += ["--out", str(tmp_path / "out")]
    if labels is not None:
        np.save(tmp_path / "labels.npy", labels)
        arguments += ["--labels", str(tmp_path / "labels.npy")]
    assert main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(str(tmp_path / message))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["int8", "uint8", "uint64"])
def test_labels_may_have_any_integer_type(tmp_path, kind):
    """100 classes: image k is predicted as class k and labeled k, except the last, which is labeled 0."""
    labels = np.array([*range(99), 0], kind)
    np.save(tmp_path / "logits.npy", np.eye(100))
    np.save(tmp_path / "labels.npy", labels)
    result = debias_file(tmp_path / "logits.npy", tmp_path / "labels.npy", tmp_path / "out", 0.0, None, 0)
    assert result["before"]["accuracy"] == 0.99
    assert result["before"]["recall"][:2] == [0.5, 1.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strength": -1.0}, "strength"),
        ({"strength": float("nan")}, "strength"),
        ({"strength": float("inf")}, "strength"),
        ({"momentum": 1.0}, "momentum"),
        ({"momentum": float("nan")}, "momentum"),
    ],
)
def test_invalid_options_are_refused(options, message):
    with pytest.raises(ParamsError, match=message):
        debias_logits(LOGITS, **{"strength": 0.4} | options)


@pytest.mark.slow
def test_debiasing_a_classifier_of_a_long_tail_lowers_bias_and_raises_balanced_accuracy(tmp_path, monkeypatch):
    """Train on 20 down to 1 labels per class, test on 50 images per class: the recall of the rare classes rises."""
    params = load_params()
    monkeypatch.chdir(tmp_path)
    run = parse_run(params, "digits/n20-m80-l20-u10r/smoke/supervised/s0")
    make_store(data_config(params, "digits"), Path("store"))
    make_split(split_config(params, "digits", run.setting, 0), load_store(Path("store")), Path("split.json"))
    places = [Path(name) for name in ("store", "split.json", "run", "scratch")]
    train([Job(Keys(params).resolved(run), *places)], Execution(choose_device("cpu")))
    with np.load("run/predictions.npz") as kept:
        logits, labels = kept["logits"].astype(np.float64), kept["labels"]
    measures = analysis(debias_logits(logits, 1.0), labels)
    assert measures["before"]["divergence"] > 0.1
    assert measures["after"]["divergence"] < measures["before"]["divergence"]
    assert measures["after"]["balanced_accuracy"] > measures["before"]["balanced_accuracy"]
    rare = json.loads(Path("run/train.json").read_text())["class_order"][-3:]
    before, after = (np.mean([measures[when]["recall"][k] for k in rare]) for when in ("before", "after"))
    assert after > before
