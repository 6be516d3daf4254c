"""Plans in the workflow: order of the stages, effect of changes, inputs of a stage."""

import json
import shutil
from collections import Counter

import pytest

from tests.workflow.project import ROOT, SETTING, jobs

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]
METHODS = ("fixmatch_crest", "supervised_crt")
LONGER = {
    **{"steps": 300, "batch_size": 32, "evaluation": {"every": 100, "median_of": 1}},
    "network": {"name": "small_convnet", "channels": [16, 32, 64], "strides": [1, 2, 1]},
}
RUN = f"digits/{SETTING}/tiny"


@pytest.fixture(scope="module")
def generations(built, tmp_path_factory):
    """Add two generations of CReST, and cRT on the finished supervised run, to the built project."""
    project = built.copy(tmp_path_factory.mktemp("generations") / "project")
    for method in METHODS:
        shutil.copy(ROOT / f"params/methods/{method}.yaml", project.path / f"params/methods/{method}.yaml")
        project.edit(f"methods/{method}.yaml", lambda tree: tree.pop("where", None))  # the project has digits alone
    project.edit("protocols/tiny.yaml", lambda tree: tree["overrides"].update({"crest.generations": 2, "crt.steps": 3}))
    project.edit("suites/tiny.yaml", lambda tree: tree["tables"][0]["methods"].extend(METHODS))
    project.first = project.planned()
    project.snakemake()
    return project


@pytest.fixture
def project(generations, tmp_path):
    return generations.copy(tmp_path / "project")


def test_stages_run_once_and_in_order(generations):
    stages = ("fixmatch_crest.g1", *METHODS)
    assert generations.first == Counter(
        [*(f"train {stage} 0" for stage in stages), "derive fixmatch_crest 0"]
        + [*(f"evaluate {method} 0" for method in METHODS), "correct tiny", "report tiny"]
    )
    assert generations.planned() == Counter()
    listed = generations.call("python", "-m", "daso", "list").splitlines()
    assert {line.split("\t")[1] for line in listed} == {"done"}
    assert [line.split("/")[3] for line in listed][-3:] == list(stages)
    assert generations.call("python", "-m", "daso", "prune") == "nothing to delete\n"


def test_generation_trains_on_its_derived_split(generations):
    split = json.loads(generations.read(f"runs/{RUN}/fixmatch_crest/s0/split.json"))
    drawn = json.loads(generations.read(f"data/splits/digits/{SETTING}/s0.json"))
    trained = json.loads(generations.read(f"runs/{RUN}/fixmatch_crest/s0/train.json"))
    first = json.loads(generations.read(f"runs/{RUN}/fixmatch_crest.g1/s0/config.json"))
    assert split["drawn_sha256"] == drawn["sha256"]
    assert split["derivation"] == {"exponent": 1 / 3, "key": first["key"], "of": f"{RUN}/fixmatch_crest.g1/s0"}
    assert split["labeled"][: len(drawn["labeled"])] == drawn["labeled"]
    assert len(split["pseudo_labeled"]) == len(split["labeled"]) - len(drawn["labeled"])
    assert split["unlabeled"] == drawn["unlabeled"]
    assert trained["provenance"]["split_sha256"] == split["sha256"]
    assert trained["provenance"]["drawn_sha256"] == drawn["sha256"]
    assert trained["counts"]["labeled"] == drawn["counts"]["labeled"]


@pytest.mark.parametrize(
    ("gone", "again"),
    [
        (["fixmatch_crest/s0/split.json"], []),  # a finished run does not need it
        (["fixmatch_crest/s0/split.key"], []),
        (["fixmatch_crest.g1/s0"], ["train fixmatch_crest.g1 0"]),  # same key: later stages stay
        (["fixmatch_crest/s0/final.pt"], [f"{rule} fixmatch_crest 0" for rule in ("train", "evaluate")]),
        (["fixmatch_crest/s0"], [f"{rule} fixmatch_crest 0" for rule in ("derive", "train", "evaluate")]),
        (
            ["fixmatch_crest.g1/s0", "fixmatch_crest/s0"],
            ["train fixmatch_crest.g1 0", *(f"{rule} fixmatch_crest 0" for rule in ("derive", "train", "evaluate"))],
        ),
    ],
)
def test_only_missing_outputs_of_a_plan_are_rebuilt(project, gone, again):
    project.call("rm", "-r", *(f"runs/{RUN}/{path}" for path in gone))
    report = ["correct tiny", "report tiny"] if "evaluate fixmatch_crest 0" in again else []
    assert project.planned(agreed=True) == Counter([*again, *report])


def test_change_of_the_exponent_keeps_the_first_generation(project):
    project.edit("methods/fixmatch_crest.yaml", lambda tree: tree["plan"].update(exponent=0.5))
    assert project.planned(agreed=True) == Counter(
        [f"{rule} fixmatch_crest 0" for rule in ("derive", "train", "evaluate")] + ["correct tiny", "report tiny"]
    )


def test_classifier_is_trained_again_if_its_encoder_is(project):
    project.edit("methods/supervised.yaml", lambda tree: tree["optimizer"].update(weight_decay=0.1))
    methods = ("supervised", "supervised_crt")
    assert project.planned(agreed=True) == Counter(
        [f"{rule} {method} 0" for rule in ("train", "evaluate") for method in methods] + ["correct tiny", "report tiny"]
    )


def test_classifier_of_a_different_encoder_is_not_published(project):
    """The upstream run has different bits under the same key; the classifier of its first encoder is still current."""
    project.trained_elsewhere(f"{RUN}/supervised/s0", "final.pt")
    assert jobs(project.snakemake()) == Counter(["evaluate supervised 0", "correct tiny", "report tiny"])
    output = project.call("python", "-m", "daso", "publish", fails=True)
    line = f"trained with a different encoder than runs/{RUN}/supervised/s0/final.pt"
    assert f"runs/{RUN}/supervised_crt/s0: {line}" in output.splitlines()[-1]


def test_bundle_of_plans_is_trained_and_adopted(project):
    """Upstream runs are packed too and trained first; after `adopt` all runs are current."""
    project.edit("suites/tiny.yaml", lambda tree: tree["seeds"].append(1))
    runs = [f"{RUN}/{method}/s1" for method in METHODS]
    project.snakemake("splits")
    project.call("python", "-m", "daso", "bundle", *runs, "--out", "bundles/plans")
    project.call("python", "-m", "daso", "train", "--bundle", "bundles/plans")
    output = project.call("python", "-m", "daso", "adopt", "bundles/plans")
    stages = ("fixmatch_crest.g1", "fixmatch_crest", "supervised", "supervised_crt")
    assert sorted(line for line in output.splitlines() if line.endswith(": adopted")) == sorted(
        f"{RUN}/{stage}/s1: adopted" for stage in stages
    )
    assert not {f"train {stage} 1" for stage in stages} & project.planned().keys()


def with_darp(project):
    """Add the files of DARP and its survey, whose estimate it uses on digits only."""
    for method in ("fixmatch_darp", "supervised_survey"):
        shutil.copy(ROOT / f"params/methods/{method}.yaml", project.path / f"params/methods/{method}.yaml")
        project.edit(f"methods/{method}.yaml", lambda tree: tree.pop("where", None))  # the project has digits alone
    project.edit(
        "methods/fixmatch_darp.yaml", lambda tree: tree.update(where={"digits/*": {"darp.prior": "estimated"}})
    )


def test_unreliable_estimate_stops_darp_only(project):
    """A survey of six steps has learned nothing."""
    with_darp(project)
    project.edit("suites/tiny.yaml", lambda tree: tree["tables"][0]["methods"].append("fixmatch_darp"))
    output = project.snakemake(fails=True)
    assert "supervised_survey/s0: none of 2 estimates of the unlabeled classes' sizes is reliable" in output
    assert not (project.path / f"runs/{RUN}/fixmatch_darp/s0/train.json").exists()


@pytest.mark.endurance
def test_darp_uses_the_class_sizes_of_a_survey(project):
    """300 steps are enough on digits with four labeled images in the rarest class."""
    with_darp(project)
    project.edit("protocols/tiny.yaml", lambda tree: tree.update(LONGER))
    table = {"settings": ["n40-m60-l10-u5r"], "methods": ["fixmatch_darp"]}
    project.edit("suites/tiny.yaml", lambda tree: tree["tables"][0].update(table))
    project.snakemake()
    run = "digits/n40-m60-l10-u5r/tiny"
    survey = json.loads(project.read(f"runs/{run}/supervised_survey/s0/estimate.json"))
    assert sum(survey["sizes"]) == pytest.approx(302)  # 60 50 41 35 29 24 20 17 14 12
    config = json.loads(project.read(f"runs/{run}/fixmatch_darp/s0/config.json"))
    assert config["plan"]["estimate"]["key"] == survey["key"]

    project.edit("suites/tiny.yaml", lambda tree: tree["seeds"].append(1))
    project.snakemake("splits")
    project.call("python", "-m", "daso", "bundle", f"{run}/fixmatch_darp/s1", "--out", "bundles/darp")
    project.call("python", "-m", "daso", "train", "--bundle", "bundles/darp")
    project.call("python", "-m", "daso", "adopt", "bundles/darp")
    assert (project.path / f"runs/{run}/supervised_survey/s1/estimate.json").exists()
    assert project.planned(agreed=True) == Counter(["evaluate fixmatch_darp 1", "correct tiny", "report tiny"])
    project.edit("suites/tiny.yaml", lambda tree: tree["seeds"].remove(1))
    project.edit("methods/supervised_survey.yaml", lambda tree: tree["plan"].update(held_out=9))
    rules = ("train fixmatch_darp 0", "evaluate fixmatch_darp 0", "correct tiny", "report tiny")
    again = ("derive", "train", "estimate")
    assert project.planned(agreed=True) == Counter([*rules, *(f"{rule} supervised_survey 0" for rule in again)])
