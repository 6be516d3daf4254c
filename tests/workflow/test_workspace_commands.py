"""Commands of a working copy: adopt a bundle, archive a run, delete outputs that no suite refers to."""

import json
import re
import shutil
from collections import Counter

import pytest

from tests.workflow.conftest import set_weight
from tests.workflow.project import METHODS, SETTING

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]
SUPERVISED, DASO = METHODS
RUN = f"digits/{SETTING}/tiny/{DASO}/s1"


def test_trained_bundle_is_adopted_and_not_trained_again(project):
    project.edit("suites/tiny.yaml", lambda tree: tree["seeds"].append(1))
    project.snakemake("splits")
    project.call("python", "-m", "daso", "bundle", RUN, "--out", "bundles/one")
    project.call("python", "-m", "daso", "train", "--bundle", "bundles/one")
    rest = Counter(["train supervised 1", "evaluate supervised 1", "evaluate fixmatch_daso 1"])
    rest += Counter(["correct tiny", "report tiny"])

    project.edit(f"methods/{DASO}.yaml", set_weight(0.5))
    output = project.call("python", "-m", "daso", "adopt", "bundles/one", fails=True)
    assert f"bundles/one/runs/{RUN}: trained with key " in output
    assert "but params/ and code now give" in output
    assert not (project.path / "runs" / RUN).exists()

    project.edit(f"methods/{DASO}.yaml", set_weight(1.0))
    shutil.copytree(project.path / "bundles/one/runs" / RUN, project.path / "runs" / RUN)  # as if adopt was killed here
    assert project.planned() == rest  # the copied run has its key
    output = project.call("python", "-m", "daso", "adopt", "bundles/one")
    assert f"{RUN}: adopted" in output
    assert project.planned() == rest
    entry, trained = (json.loads(project.read(f"{name}.json")) for name in (f"journal/{RUN}", f"runs/{RUN}/train"))
    assert (entry["key"], entry["speed"]) == (trained["key"], trained["speed"])


def test_archived_run_is_untracked_in_git_and_only_the_report_is_rebuilt(project):
    run = f"digits/{SETTING}/tiny/{DASO}/s0"
    assert f"reports/measured/{run}: kept" in project.call("python", "-m", "daso", "keep", run)
    new = project.git("status", "--porcelain", "--untracked-files=all", "--", "reports").splitlines()
    assert new == [f"?? reports/measured/{run}/{name}" for name in ("history.csv", "metrics.json")]
    assert project.planned() == Counter({"report tiny": 1})
    project.snakemake()
    assert project.planned() == Counter()
    commit = project.git("rev-parse", "--short=12", "HEAD~1").strip()  # the second commit holds the results
    assert re.search(f"measured on cpu: .* at commit {commit}", project.read("reports/tiny/report.md"))


def test_outputs_that_no_suite_refers_to_are_listed_and_deleted(project):
    project.edit("suites/tiny.yaml", lambda tree: tree["tables"][0].update(methods=[DASO]))
    project.write("reports/gone/index.html", "")
    project.write("corrections/gone.done", "")
    project.write("reports/contradictions/index.html", "")  # belongs to no suite, but to a rule
    for path in ("store/gone/manifest.json", f"splits/digits/{SETTING}/s7.json", "splits/digits/gone/s0.json"):
        project.write(f"data/{path}", "{}")
    project.write("data/raw/archive.tar.gz", "")
    run = f"digits/{SETTING}/tiny/{SUPERVISED}/s0"
    data = ["data/splits/digits/gone/s0.json", f"data/splits/digits/{SETTING}/s7.json", "data/store/gone"]
    expected = [
        f"corrections/{run}.json",
        "corrections/gone.done",
        *data,
        f"journal/{run}.json",
        f"metrics/{run}.json",
        f"metrics/{run}.key",
        "reports/gone",
        f"runs/{run}",
        f"scratch/{run}",
        f"scratch/{run}.lock",
    ]
    assert project.call("python", "-m", "daso", "prune").splitlines()[:-1] == expected
    assert (project.path / f"runs/{run}/final.pt").exists()
    assert project.call("python", "-m", "daso", "prune", "--yes").splitlines() == [
        *expected,
        "12 paths deleted",
    ]
    assert not (project.path / f"runs/digits/{SETTING}/tiny/{SUPERVISED}").exists()
    assert project.call("python", "-m", "daso", "prune") == "nothing to delete\n"
    assert not (project.path / "data/splits/digits/gone").exists()
    assert (project.path / "data/raw/archive.tar.gz").exists()
    assert project.planned() == Counter({"report tiny": 1})
