"""Models of runs that train on pixels predict what these runs have predicted."""

from pathlib import Path

import numpy as np
import pytest
import torch

from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.resolve import Run, data_config, split_config
from daso.data.catalog import make_store
from daso.data.derive import derive
from daso.data.files import checksummed, write_file
from daso.data.split import load_split, make_split
from daso.deploy.assemble import model_of_runs, plain_view
from daso.deploy.predictor import TorchPredictor, network_images
from daso.errors import DataError
from daso.models.network import Preprocessing
from daso.paths import input_files, metrics_file, run_folder, split_file, store_folder
from daso.runs.train import Execution, Job, train

SETTING = "n20-m80-l20-u10r"
CREST_SCAD = """
title: FixMatch + CReST + SCAD
unlabeled_ratio: 2
learner: {name: fixmatch, threshold: 0.95, weight: 1.0, confidence: refined}
addons:
  - {name: scad, tau: 1.0, strength: 1.0, super_tau: 0.5, roles: [pseudo_label, eval]}
plan: {name: crest, generations: 2, exponent: 0.0}
"""
CPU = torch.device("cpu")


@pytest.fixture
def train_method(workspace):
    """Return a function that trains a method on digits for the 60 steps of `smoke`, with metrics of no meaning."""
    params = load_params()
    store = make_store(data_config(params, "digits"), store_folder("digits"))
    drawn = split_file("digits", SETTING, 0)
    make_split(split_config(params, "digits", SETTING, 0), store, drawn)

    def trained(method):
        config = Keys(load_params()).resolved(Run("digits", SETTING, "smoke", method, 0))
        run = config["run"]
        files = {"store": store_folder("digits"), **input_files(run, config["plan"])}
        if options := config["plan"].get("split"):
            derive(options, drawn, store, files["split"], run_folder(options["of"]))
        train([Job(config, out=run_folder(run), scratch=Path("scratch"), **files)], Execution(CPU))
        metrics = {"key": config["key"], "balanced_accuracy": 0.1, "recall": [0.1] * 10, "precision": [0.1] * 10}
        write_file(metrics_file(run), checksummed(metrics))
        return run, store

    return trained


def predictions(model, squares):
    """Return probabilities and `unlike` of stored images."""
    view = plain_view(model.record, Preprocessing(**model.record["preprocessing"]))
    return TorchPredictor(model, CPU).probabilities(network_images(view, np.array(squares)))


def check_predictions(run, store):
    """Compare the predictions of the model of a run with those of the run."""
    with np.load(run_folder(run) / "predictions.npz") as arrays:
        logits = torch.from_numpy(arrays["logits"])
    model = model_of_runs(run, [run])
    assert model.record["temperature"] == 1
    probabilities, unlike = predictions(model, store.images("test"))
    np.testing.assert_allclose(probabilities, logits.softmax(-1).numpy(), atol=1e-5)
    assert (probabilities.argmax(1) == logits.argmax(1).numpy()).all()
    labeled = load_split(split_file("digits", SETTING, 0)).split.labeled
    assert predictions(model, store.images("train", labeled))[1].max() < 1e-5 < np.median(unlike)


@pytest.mark.parametrize("method", ["fixmatch_abc", "fixmatch_la_inf", "decon", "cdmad", "fixmatch_scad"])
def test_model_of_a_run_on_pixels_predicts_as_the_run(train_method, method):
    """ABC and DeCon evaluate a head of their own, DeCon without its mean prediction; LA at inference subtracts
    tau log(prior) from the classifier's logits, CDMAD the logits of a blank image, SCAD a product with the posterior of
    its super-class head.

    Labeled images are like themselves up to the 16 bits of the stored features.
    """
    run, store = train_method(method)
    check_predictions(run, store)


def test_model_of_a_run_on_pseudo_labels_predicts_as_the_run(train_method):
    """Evaluations adjust logits by the drawn class sizes, pseudo-labels by the enlarged ones."""
    Path("params/methods/crest_scad.yaml").write_text(CREST_SCAD)
    smoke = Path("params/protocols/smoke.yaml")
    smoke.write_text(smoke.read_text().replace("crest.generations: 3", "crest.generations: 2"))
    train_method("crest_scad.g1")
    run, store = train_method("crest_scad")
    assert len(load_split(input_files(run, {"split": {}})["split"]).split.pseudo_labeled) > 100
    check_predictions(run, store)


def test_metrics_of_another_training_are_refused(train_method):
    """The model would state the accuracy of the other one."""
    run, _ = train_method("fixmatch_la_inf")
    write_file(metrics_file(run), checksummed({"key": "another"}))
    with pytest.raises(DataError) as error:
        model_of_runs(run, [run])
    path = metrics_file(run)
    assert str(error.value) == f"{path}: not the metrics of {run_folder(run)}; run `snakemake {path}`"
