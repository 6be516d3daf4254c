"""A setting with images of no class from another dataset: stores, bundles, oracle labels of the workflow."""

import json
from collections import Counter

import pytest

from tests.workflow.project import SETTING

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]
RUN = "digits/open/tiny/fixmatch_daso/s0"


@pytest.fixture(scope="module")
def project(built, tmp_path_factory):
    """Train FixMatch + DASO on digits, with a quarter of the unlabeled images from the dataset `shapes`."""
    project = built.copy(tmp_path_factory.mktemp("open") / "project")
    digits = project.read("params/datasets/digits.yaml")
    project.write("params/datasets/shapes.yaml", digits)
    project.edit("datasets/shapes.yaml", lambda tree: tree.update(settings={"all": tree["settings"][SETTING]}))
    project.edit(
        "datasets/digits.yaml",
        lambda tree: tree["settings"].update(
            open={**tree["settings"][SETTING], "outside": {"dataset": "shapes", "share": 0.25}}
        ),
    )
    table = {"settings": ["open"], "methods": ["fixmatch_daso"]}
    project.edit("suites/tiny.yaml", lambda tree: tree["tables"][0].update(table))
    project.commit("an open set")
    project.first = project.planned()
    project.snakemake()
    return project


def test_store_of_the_other_dataset_is_made_first(project):
    assert project.first == Counter(
        ["download shapes", "split 0", "train fixmatch_daso 0", "evaluate fixmatch_daso 0"]
        + ["correct tiny", "report tiny"]
    )
    assert project.planned() == Counter()
    assert "data/store/shapes" not in project.call("python", "-m", "daso", "prune")


def test_metrics_report_images_of_no_class_apart(project):
    """The tails of 80 and 10 have 323 unlabeled images, so 108 more are a quarter of all."""
    subsets = json.loads(project.read(f"metrics/{RUN}.json"))["open_set"]["subsets"]
    assert {name: subset["images"] for name, subset in subsets.items()} == {"inside": 323, "outside": 108}
    assert "mask_rate_outside" in project.read(f"runs/{RUN}/history.csv").splitlines()[0]
    assert "of no class" in project.read("reports/tiny/tables/table-A-open-set.csv")


def test_bundle_trains_with_images_of_both_datasets(project):
    project.call("python", "-m", "daso", "bundle", RUN, "--out", "bundle")
    project.call("python", "-m", "daso", "train", "--bundle", "bundle", "--device", "cpu")
    assert project.read(f"bundle/runs/{RUN}/history.csv") == project.read(f"runs/{RUN}/history.csv")
