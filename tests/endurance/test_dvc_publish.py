"""`make publish` records what `snakemake` has made, and refuses what is not finished."""

import json
import os
import re
from collections import Counter

import pytest

from tests.workflow.conftest import weigh
from tests.workflow.project import METHODS, ROOT, SETTING, Project

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("dvc")]
PUBLISH = ("make", "--no-print-directory", "-o", "setup", "publish")  # the environment is there
DASO = METHODS[1]
RUN = f"digits/{SETTING}/tiny/{DASO}/s0"


@pytest.fixture(scope="module")
def made(built, tmp_path_factory):
    """A change carried out by a plain `snakemake`; DVC and Git do not know of it yet."""
    project = built.copy(tmp_path_factory.mktemp("made") / "project")
    project.write("Makefile", (ROOT / "Makefile").read_text())
    project.commit("the commands")
    project.edit(f"methods/{DASO}.yaml", weigh(0.5))
    project.snakemake()
    return project


@pytest.fixture
def project(made, tmp_path):
    return made.copy(tmp_path / "project")


def test_results_are_recorded_without_running_anything(project, tmp_path):
    project.call("rm", "-r", "journal")  # as when they came without it
    logs = sorted(project.path.glob("logs/*/**/*.log"))
    times = [log.stat().st_mtime_ns for log in logs]
    said = project.call(*PUBLISH)
    assert [log.stat().st_mtime_ns for log in logs] == times
    assert "not pushed: DVC has no remote; `dvc remote add -d " in said
    add, commit = re.findall(r"^  (git .*)$", said, re.MULTILINE)
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


def test_what_would_still_run_is_not_recorded(project):
    """The metrics of a run are gone, which no report needs any more; then a seed is added as well."""
    lock = project.read("dvc.lock")
    project.call("rm", f"metrics/digits/{SETTING}/tiny/supervised/s0.json")
    assert todo(project.call(*PUBLISH, fails=True)) == {"evaluate 1", "report 1"}
    project.edit("suites/tiny.yaml", lambda tree: tree["seeds"].append(1))
    assert todo(project.call(*PUBLISH, fails=True)) == {"split 1", "train 2", "evaluate 3", "report 1"}
    assert project.read("dvc.lock") == lock


def todo(said):
    """The jobs that are said to be left, in the one line that is no output of make."""
    (line,) = [line for line in said.splitlines() if not re.match("make|python -m", line)]
    pattern = r"suite 'tiny': missing or stale outputs: snakemake would still run (.*); run `snakemake` first, then "
    return set(re.fullmatch(pattern + "publish again", line)[1].split(", "))


def test_a_file_that_a_run_has_not_left_is_not_recorded(project):
    lock = project.read("dvc.lock")
    path = project.path / f"runs/{RUN}/final.pt"
    path.write_bytes(path.read_bytes()[:-1])
    said = project.call(*PUBLISH, fails=True)
    assert f"runs/{RUN}/final.pt: missing or damaged: not the digest in train.json; `rm runs/{RUN}/tr" in said
    assert "Traceback" not in said
    assert project.read("dvc.lock") == lock


def flipped(content):
    """The last digit of the file is another one."""
    place = max(content.rfind(b"%d" % digit) for digit in range(10))
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


DAMAGED = {  # file -> what is told of it besides its name
    "reports/tiny/metrics.json": "damaged: the metrics of the runs give another file",
    "reports/tiny/index.html": "damaged: the metrics of the runs give another file",
    f"metrics/{RUN}.json": "the content does not have the digest it names",
    f"data/splits/digits/{SETTING}/s0.json": "the content does not have the digest it names",
    "data/store/digits/train_images.npy": "the images have SHA-256",
}


def test_what_is_damaged_under_the_time_of_the_whole_file_is_not_recorded(project):
    """Keys say what a file was made from, not that it is whole; metrics of another run are replaced."""
    lock = project.read("dvc.lock")
    changes = [(name, says, flipped((project.path / name).read_bytes())) for name, says in DAMAGED.items()]
    for name, says, content in changes:
        path = project.path / name
        whole, times = path.read_bytes(), path.stat()
        path.write_bytes(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert "Nothing to be done" in project.snakemake()
        said = project.call(*PUBLISH, fails=True)
        assert f"{name}: {says}" in said
        assert "; delete " in said
        assert "Traceback" not in said
        assert project.read("dvc.lock") == lock
        path.write_bytes(whole)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    metrics = project.path / f"metrics/{RUN}.json"
    whole = metrics.read_bytes()
    metrics.write_bytes((project.path / f"metrics/digits/{SETTING}/tiny/{METHODS[0]}/s0.json").read_bytes())
    project.snakemake()
    assert metrics.read_bytes() == whole
    project.call(*PUBLISH)


def test_another_suite_than_that_of_dvc(project):
    lock = project.read("dvc.lock")
    said = project.call(*PUBLISH, "SUITE=other", fails=True)
    assert (
        "params/pipeline.yaml: expected the suite 'other', got 'tiny', which dvc.yaml records; set `suite: other` "
        "there and publish again"
    ) in said.splitlines()
    assert project.read("dvc.lock") == lock


def test_without_a_repository_it_stops_in_a_line_and_without_git_it_says_what_to_commit(project, tmp_path):
    """As in a copy of the files alone, then on a machine whose PATH has no git."""
    bare = project.copy(tmp_path / "bare")
    bare.call("rm", "-r", ".git")
    lock = bare.read("dvc.lock")
    said = bare.call("python", "-m", "daso", "publish", fails=True)
    assert "Traceback" not in said
    assert re.match(r"dvc commit --force: ERROR: .*git", said.splitlines()[-1]), said
    assert bare.read("dvc.lock") == lock
    project.write("no-git/true", "")
    path = os.pathsep.join([str(project.programs), str(project.path / "no-git")])
    said = project.call("python", "-m", "daso", "publish", PATH=path)
    assert said.splitlines()[-1] == "git: not installed; commit dvc.lock, journal, params on a machine that has it"
