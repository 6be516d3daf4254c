"""Suite with a control: verdict on the unlabeled images, and the file of the recommended model among the outputs."""

import json
from collections import Counter

import pytest

from tests.workflow.project import METHODS

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]
FILE = "reports/tiny/tables/recommended.json"


@pytest.fixture(scope="module")
def project(built, tmp_path_factory):
    """Train FixMatch + DASO and its control under a protocol that keeps predictions."""
    project = built.copy(tmp_path_factory.mktemp("controls") / "project")
    supervised, fixmatch = METHODS
    project.edit("suites/tiny.yaml", lambda tree: tree["tables"][0].update(controls={fixmatch: supervised}))
    project.edit("protocols/tiny.yaml", lambda tree: tree["evaluation"].update(model="ema", predictions=True))
    same = {"optimizer.lr": 0.03, "optimizer.factor": 1.0}
    project.edit("protocols/tiny.yaml", lambda tree: tree["overrides"].update(same))
    project.commit("a control")
    project.snakemake()
    return project


def test_terminal_ends_with_verdict_and_recommended_model(project):
    """Seed 0 alone, on 500 test images of digits, each a group of its own.

    In so few steps no confidence exceeds the threshold, so the method is its control.
    """
    *_, verdict, recommended = project.read("reports/tiny/summary.txt").splitlines()
    assert verdict == (
        "No benefit of the unlabeled images is shown: FixMatch + DASO is as accurate as Supervised (they differ on 0 "
        "of 500 groups of test images, too few to show a difference)"
    )
    (model,) = json.loads(project.read(FILE))["models"]
    titles = {"supervised": "Supervised", "fixmatch_daso": "FixMatch + DASO"}
    assert recommended.startswith(f"Recommended model: {titles[model['method']]}, balanced accuracy ")
    assert model["runs"] == [f"digits/{model['setting']}/tiny/{model['method']}/s0"]
    (comparison,) = model["comparisons"]
    assert (comparison["test_images"], comparison["groups"]) == (500, 500)


def test_report_without_its_recommended_model_is_rendered_again(project):
    content = project.read(FILE)
    assert project.planned(agreed=True) == Counter()
    (project.path / FILE).unlink()
    assert project.planned(agreed=True) == Counter(["report tiny"])
    project.snakemake()
    assert project.read(FILE) == content
