"""A short run executes every part of its recipe, on images with all kinds of labels."""

import pytest
import torch

from daso.config.build import UpstreamResults, build
from daso.config.keys import Keys
from daso.config.registry import ADDONS, LEARNERS
from daso.config.resolve import Run, runs, with_upstream
from daso.config.signature import options
from daso.data.files import read_checksummed
from daso.data.open_set import open_store
from daso.data.split import check_split, load_split
from daso.data.store import load_store, verify_store
from daso.engine.resident import load_resident as load_resident
from daso.runs import short_run
from daso.schema import describe
from tests.repository import PARAMS

RUN = Run("digits", "n20-m80-l20-u10r", "smoke", "fixmatch_daso", 0)


def test_every_option_that_is_a_length_is_shortened():
    """Every integer option has an entry in LIMITS, except the two that do not count steps, batches or images."""
    integers = {
        name
        for spec in (*LEARNERS.values(), *ADDONS.values())
        for name, option in options(spec).items()
        if describe(option.type).startswith("an integer")
    }
    assert integers - short_run.LIMITS.keys() == {"epochs", "sweeps"}


def test_thresholds_are_reached_by_an_untrained_network():
    """Of ten classes the largest probability exceeds .2, and the energy of equal logits is negative."""
    part = {"threshold": 0.95, "energy": -8.75}
    short_run.lower_threshold(part, 10)
    assert part == {"threshold": 0.2, "energy": 0.0}


def short(run, folder):
    """Return the trainer of a short run, built as in `train`."""
    config = short_run.shorten_config(Keys(PARAMS).resolved(run), "fp32")
    data = short_run.write_data(config, folder)
    split = check_split(data["split"], verify_store(data["store"]), short_run.NAME)
    sizes = {"darp.estimate": read_checksummed(data["estimate"], "estimate")["sizes"]} if "estimate" in data else {}
    store = open_store(verify_store(data["store"]), split.outside)
    resident = load_resident(store, split.split, torch.device("cpu"))
    return build(config, resident, torch.device("cpu"), "eager", UpstreamResults(None, sizes))


def test_short_run_reaches_every_phase_of_a_whole_run(tmp_path):
    """Only DARP has several phases: before its start, at every period, and in between."""
    learner = short(RUN._replace(method="fixmatch_darp"), tmp_path).learner
    assert {learner.set_phase(t) for t in range(short_run.STEPS)} == {("idle",), ("solve",), ("reuse",)}


@pytest.mark.parametrize(
    "recipe",
    [
        "fixmatch_daso",
        "simmatch",
        "pseudo_label",
        "usadtm",
        "multi_view_debias",
        "fixmatch_abc",
        "fixmatch_boss",
        "loft_linear",
    ],
)
def test_short_run_has_pseudo_labels_above_and_below_the_threshold(tmp_path, recipe):
    """Otherwise the consistency loss or the mask would not be compared."""
    run = short(RUN._replace(method=recipe), tmp_path)
    rows = []
    for end in range(short_run.EVERY, short_run.STEPS + 1, short_run.EVERY):
        run.advance(end)
        rows.append(run.evaluate())
    assert any(0 < row["mask_rate"] < 1 for row in rows)
    assert any(row["loss_consistency"] > 0 for row in rows)


@pytest.mark.parametrize("suite", ["zoo", "simmatch-cifar100"])
def test_every_recipe_has_a_short_run(tmp_path, suite):
    """Its components accept the shortened options, also with 100 classes; cRT needs the encoder of a finished run."""
    for run in with_upstream(PARAMS, runs(PARAMS, suite)):
        if run.seed == 0 and run.method != "supervised_crt":
            assert short(run, tmp_path / run.id).steps == short_run.STEPS


def test_images_include_pseudo_labels_of_a_plan_and_unknown_classes(tmp_path):
    config = Keys(PARAMS).resolved(Run("digits", RUN.setting, "smoke", "fixmatch_crest.g2", 0))
    data = short_run.write_data(short_run.shorten_config(config, "fp32"), tmp_path / "plan")
    assert len(load_split(data["split"]).split.pseudo_labeled) == 10
    config["setting"]["m1"] = "all"
    data = short_run.write_data(short_run.shorten_config(config, "fp32"), tmp_path / "all")
    labels = load_store(data["store"]).labels("train")
    assert set(labels[load_split(data["split"]).split.unlabeled]) == {-1}


def test_short_run_of_an_open_set_has_images_of_no_class(tmp_path):
    """Seven classes with 3, 4, 5, 6, 3, 4 and 5 unlabeled images, and 6 of no class; no such test image."""
    run = short(RUN._replace(setting="n20-m80-l20-u10r-o50"), tmp_path)
    assert torch.bincount(run.data.unlabeled.labels).tolist() == [3, 4, 5, 6, 3, 4, 5, 6]
    assert run.data.test.counts(7) == (2,) * 7
    run.advance(short_run.EVERY)
    assert 0 <= run.evaluate()["mask_rate_outside"] <= 1
