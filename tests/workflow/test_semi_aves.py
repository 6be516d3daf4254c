"""Table 4 of the paper from images to its report, on the small data set in the form of Semi-Aves."""

import csv
import json
import shutil

import pytest
from ruamel.yaml import YAML

from tests import semi_aves
from tests.repository import ROOT
from tests.workflow.project import Project

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]
METHODS = ("supervised", "fixmatch", "fixmatch_darp", "fixmatch_crest", "fixmatch_crest_plus", "fixmatch_daso")
PROTOCOL = """\
title: six epochs
comparable: false
note: six epochs of 46 images
steps: 6 epochs
batch_size: 4
unlabeled_ratio: 2
precision: fp32
network: {name: small_convnet, channels: [4, 4], strides: [2, 2]}
optimizer:
  lr: 0.04
  momentum: 0.9
  nesterov: true
  weight_decay: 0.0003
  warmup: 2 epochs
  staircase: 1 epoch
  milestones: [2 epochs, 4 epochs]
  factor: 0.1
teacher: {decay: 0.9, bn: authors}
evaluation: {every: 1 epoch, median_of: 4}
checkpoint_every: 3 epochs
overrides:
  daso.queue_length: 8
  daso.period: 1 epoch
  daso.warmup: 1 epoch
  crest.generations: 3
  crest.milestones: [1 epoch]
  optimizer.warmup: 2 epochs
  optimizer.milestones: [2 epochs, 4 epochs]
  optimizer.factor: 0.1
"""
SUITE = {
    **{"title": "Table 4, small", "protocol": "aves", "seeds": [0]},
    "tables": [
        {
            **{"name": "aves", "title": "Semi-Aves, small", "paper": {"table": 4}, "dataset": "semi-aves"},
            **{"settings": ["in", "in-out"], "methods": list(METHODS), "metrics": ["last", "median"]},
        }
    ],
}


@pytest.fixture(scope="module")
def aves(tmp_path_factory):
    """Build the report of a project that has only the small data set, with the methods of table 4."""
    project = Project.create(tmp_path_factory.mktemp("aves") / "project")
    semi_aves.write(project.path / "data/raw/semi_aves")
    project.write("params/protocols/aves.yaml", PROTOCOL)
    for name in (*METHODS, "supervised_survey"):
        shutil.copy(ROOT / f"params/methods/{name}.yaml", project.path / "params/methods")
        if name != "supervised" and name != "supervised_survey" and name != "fixmatch":
            project.edit(f"methods/{name}.yaml", keep_own_settings)
    for name, tree in (("datasets/semi-aves", semi_aves.params("data/raw/semi_aves")), ("suites/aves", SUITE)):
        with (project.path / f"params/{name}.yaml").open("w") as file:
            YAML().dump(tree, file)
    project.log = project.snakemake("--config", "suite=aves")
    return project


def keep_own_settings(tree):
    """Keep only the options for Semi-Aves; the project has no other dataset but digits."""
    for pattern in [pattern for pattern in tree.get("where", {}) if pattern != "semi-aves/*"]:
        del tree["where"][pattern]


def config(project, run):
    return json.loads(project.read(f"runs/semi-aves/{run}/s0/config.json"))


def test_steps_follow_the_images_of_each_setting(aves):
    """Steps of an epoch: floor(23 / 4) = 5 labeled, floor(30 / 8) = 3 in, floor(46 / 8) = 5 in and out."""
    steps = {"in/aves/supervised": 30, "in/aves/fixmatch": 18, "in-out/aves/fixmatch": 30, "in/aves/fixmatch_crest": 6}
    assert {run: config(aves, run)["protocol"]["steps"] for run in steps} == steps
    crest = config(aves, "in/aves/fixmatch_crest.g2")
    assert (crest["optimizer"]["milestones"], crest["optimizer"]["warmup"], crest["optimizer"]["staircase"]) == (
        [3],
        6,
        3,
    )
    assert config(aves, "in-out/aves/fixmatch_crest_plus")["plan"]["split"]["exponent"] == 0.7
    assert config(aves, "in/aves/fixmatch_darp")["method"]["addons"][0]["prior"] == "labeled"
    (daso,) = config(aves, "in-out/aves/fixmatch_daso")["method"]["addons"]
    assert (daso["period"], daso["warmup"], daso["dist_temperature"]) == (5, 5, 0.5)


def test_mask_rates_of_the_lists_are_apart_where_a_run_has_both(aves):
    def subsets(run):
        columns = aves.read(f"runs/semi-aves/{run}/s0/history.csv").splitlines()[0].split(",")
        return [name.removeprefix("mask_rate_") for name in columns if name.startswith("mask_rate_")]

    assert subsets("in/aves/fixmatch") == []
    assert subsets("in/aves/supervised") == []
    assert subsets("in-out/aves/fixmatch") == subsets("in-out/aves/fixmatch_crest") == ["in", "out"]
    groups = json.loads(aves.read("metrics/semi-aves/in-out/aves/fixmatch/s0.json"))["open_set"]["subsets"]
    assert {name: 0 <= group["mask_rate"] <= 1 for name, group in groups.items()} == {"in": True, "out": True}


def test_supervised_run_is_trained_once(aves):
    runs = {path.parent.relative_to(aves.path / "runs").as_posix() for path in aves.path.glob("runs/**/train.json")}
    assert "semi-aves/in/aves/supervised/s0" in runs
    assert "semi-aves/in-out/aves/supervised/s0" not in runs
    assert len(runs) == 1 + 2 * (1 + 1 + 3 + 3 + 1)


def test_report_has_last_and_median_beside_the_published_numbers(aves):
    rows = list(csv.DictReader(aves.read("reports/aves/cells.csv").splitlines()))
    assert len(rows) == 6 * 2 * 2
    published = {(row["setting"], row["method"], row["metric"]): row["published"] for row in rows}
    assert published["in", "fixmatch_daso", "last"] == "54.5"
    assert published["in-out", "fixmatch_crest_plus", "median"] == "45.2"
    metrics = json.loads(aves.read("metrics/semi-aves/in-out/aves/fixmatch_daso/s0.json"))
    ours = {row["metric"]: float(row["mean"]) for row in rows if row["run"].endswith("in-out/aves/fixmatch_daso")}
    assert ours == {name: pytest.approx(100 * metrics["top1"][name], abs=1e-4) for name in ("last", "median")}
    assert {row["verdict"] for row in rows} == {"not comparable"}
    assert "Oh et al. 2022, table 4, columns 1 to 4" in aves.read("reports/aves/index.html")
