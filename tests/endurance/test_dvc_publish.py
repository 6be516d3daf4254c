"""`make publish` records the outputs of `snakemake`, and refuses unfinished or damaged ones."""

import json
import os
import re
from collections import Counter

import pytest

from tests.workflow.conftest import set_weight
from tests.workflow.project import METHODS, ROOT, SETTING, Project

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("dvc")]
PUBLISH = ("make", "--no-print-directory", "-o", "setup", "publish")  # `setup` is up to date
DASO = METHODS[1]
RUN = f"digits/{SETTING}/tiny/{DASO}/s0"


@pytest.fixture(scope="module")
def made(built, tmp_path_factory):
    """Return a project with a change made by plain `snakemake`, not yet recorded by DVC and Git."""
    project = built.copy(tmp_path_factory.mktemp("made") / "project")
    project.write("Makefile", (ROOT / "Makefile").read_text())
    project.commit("the commands")
    project.edit(f"methods/{DASO}.yaml", set_weight(0.5))
    project.snakemake()
    return project


@pytest.fixture
def project(made, tmp_path):
    return made.copy(tmp_path / "project")


def test_results_are_recorded_without_running_anything(project, tmp_path):
    project.call("rm", "-r", "journal")  # simulate results copied from elsewhere without their journal
    logs = sorted(project.path.glob("logs/*/**/*.log"))
    times = [log.stat().st_mtime_ns for log in logs]
    output = project.call(*PUBLISH)
    assert [log.stat().st_mtime_ns for log in logs] == times
    assert "not pushed: DVC has no remote; `dvc remote add -d " in output
    add, commit = re.findall(r"^  (git .*)$", output, re.MULTILINE)
    assert add == "git add dvc.lock journal params"
    assert "up to date" in project.dvc("status")
    lock = project.read("dvc.lock")
    repro = project.dvc("repro")
    assert "Running stage" not in repro
    assert project.read("dvc.lock") == lock

    project.call("sh", "-c", f"{add} && {commit}")
    assert project.git("status", "--porcelain") == ""
    project.dvc("remote", "add", "--default", "store", str(tmp_path / "remote"))
    project.commit("a remote")
    again = project.call(*PUBLISH)
    assert "nothing new to commit" in again
    assert again.splitlines()[-2] == "pushed", again

    project.git("clone", "-q", ".", str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    clone.dvc("pull")
    assert clone.results() == project.results()
    assert clone.planned() == Counter()
    for name in (f"runs/{RUN}/final.pt", "reports/tiny/index.html", f"data/splits/digits/{SETTING}/s0.json"):
        assert (clone.path / name).read_bytes() == (project.path / name).read_bytes()
    entry, trained = (json.loads(clone.read(f"{name}.json")) for name in (f"journal/{RUN}", f"runs/{RUN}/train"))
    assert (entry["key"], entry["speed"]) == (trained["key"], trained["speed"])


def test_unfinished_jobs_are_listed_and_nothing_is_recorded(project):
    """First the metrics of a run are deleted, then a seed is added as well."""
    lock = project.read("dvc.lock")
    project.call("rm", f"metrics/digits/{SETTING}/tiny/supervised/s0.json")
    assert remaining_jobs(project.call(*PUBLISH, fails=True)) == {"evaluate 1", "report 1"}
    project.edit("suites/tiny.yaml", lambda tree: tree["seeds"].append(1))
    assert remaining_jobs(project.call(*PUBLISH, fails=True)) == {
        *{"split 1", "train 2", "evaluate 3"},
        *{"correct 1", "report 1"},
    }
    assert project.read("dvc.lock") == lock


def remaining_jobs(output):
    """Return the unfinished jobs named in the only line that `make` itself did not print."""
    (line,) = [line for line in output.splitlines() if not re.match("make|python -m", line)]
    pattern = r"suite 'tiny': missing or stale outputs: snakemake would still run (.*); run `snakemake` first, then "
    return set(re.fullmatch(pattern + "publish again", line)[1].split(", "))


def test_damaged_file_of_a_run_is_not_recorded(project):
    lock = project.read("dvc.lock")
    path = project.path / f"runs/{RUN}/final.pt"
    path.write_bytes(path.read_bytes()[:-1])
    output = project.call(*PUBLISH, fails=True)
    assert f"runs/{RUN}/final.pt: damaged or from a different run: its checksum differs from the recorded" in output
    assert "Traceback" not in output
    assert project.read("dvc.lock") == lock


def with_other_digit(content):
    """Return content with its last digit changed."""
    position = max(content.rfind(b"%d" % digit) for digit in range(10))
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


DAMAGED = {  # file -> error after its name
    "reports/tiny/metrics.json": "damaged: does not match the metrics of the runs",
    "reports/tiny/index.html": "damaged: does not match the metrics of the runs",
    f"metrics/{RUN}.json": "checksum mismatch, the file is damaged or was edited",
    f"data/splits/digits/{SETTING}/s0.json": "checksum mismatch, the file is damaged or was edited",
    "data/store/digits/train_images.npy": "SHA-256 of the images: expected",
}


def test_damaged_file_with_an_unchanged_time_is_not_recorded(project):
    """Keys identify inputs, not content, so Snakemake sees no change. Metrics of a different run replace a file."""
    lock = project.read("dvc.lock")
    changes = [
        (name, message, with_other_digit((project.path / name).read_bytes())) for name, message in DAMAGED.items()
    ]
    for name, message, content in changes:
        path = project.path / name
        whole, times = path.read_bytes(), path.stat()
        path.write_bytes(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert "Nothing to be done" in project.snakemake()
        output = project.call(*PUBLISH, fails=True)
        assert f"{name}: {message}" in output
        assert "; delete " in output
        assert "Traceback" not in output
        assert project.read("dvc.lock") == lock
        path.write_bytes(whole)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    metrics = project.path / f"metrics/{RUN}.json"
    whole = metrics.read_bytes()
    metrics.write_bytes((project.path / f"metrics/digits/{SETTING}/tiny/{METHODS[0]}/s0.json").read_bytes())
    project.snakemake()
    assert metrics.read_bytes() == whole
    project.call(*PUBLISH)


def test_suite_that_dvc_does_not_record_is_refused(project):
    lock = project.read("dvc.lock")
    output = project.call(*PUBLISH, "SUITE=other", fails=True)
    assert (
        "params/pipeline.yaml: expected the suite 'other', got 'tiny', which dvc.yaml records; set `suite: other` "
        "there and publish again"
    ) in output.splitlines()
    assert project.read("dvc.lock") == lock


def test_error_without_a_repository_and_list_of_files_to_commit_without_git(project, tmp_path):
    """First in a copy without .git, then with a PATH without git."""
    bare = project.copy(tmp_path / "bare")
    bare.call("rm", "-r", ".git")
    lock = bare.read("dvc.lock")
    output = bare.call("python", "-m", "daso", "publish", fails=True)
    assert "Traceback" not in output
    assert re.match(r"dvc commit --force: ERROR: .*git", output.splitlines()[-1]), output
    assert bare.read("dvc.lock") == lock
    project.write("no-git/true", "")
    path = os.pathsep.join([str(project.programs), str(project.path / "no-git")])
    output = project.call("python", "-m", "daso", "publish", PATH=path)
    assert output.splitlines()[-1] == "git: not installed; commit dvc.lock, journal, params on a machine that has it"
