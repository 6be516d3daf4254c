"""Caches of links, for a user without special rights: decisions are right, and no byte of the cache is written.

If the tests run as root, commands run as `nobody` with root's right to read (this Python may be in root's home) but not
to write.
"""

import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from tests.endurance.faults import assert_cache_is_intact
from tests.forks import Forks
from tests.workflow.conftest import set_weight
from tests.workflow.project import METHODS, REAL, SETTING, Project, jobs, runs

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("dvc")]
NOTHING = Counter()
DASO = METHODS[1]
RUN = f"digits/{SETTING}/tiny/{DASO}/s0"
METRICS = f"metrics/{RUN}.json"


class UserProject(Project):
    """Project of a user without special rights."""

    def environment(self, **more):
        home = str(self.path.parent)
        return super().environment(**{"HOME": home, "TMPDIR": home, "USER": "nobody", "LOGNAME": "nobody", **more})

    def call(self, *command, **options):
        return super().call(*as_nobody(), *command, **options)

    def edit(self, file, change):
        """Edit a file of params/, and give the new file to the user."""
        super().edit(file, change)
        shutil.chown(self.path / "params" / file, *("nobody",) if os.getuid() == 0 else (os.getuid(),))


def as_nobody():
    """Return the prefix of a command that drops root's rights except for reading."""
    if os.getuid():
        return ()
    user = pwd.getpwnam("nobody")
    who = (f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    return ("setpriv", *who, "--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search")


def give_to_user(path):
    """Give a folder and its contents to the user who runs the commands."""
    if os.getuid() == 0:
        user = pwd.getpwnam("nobody")
        for file in (path, *path.rglob("*")):
            os.lchown(file, user.pw_uid, user.pw_gid)


def skip_reason():
    """Return the reason why commands cannot run as a different user, or an empty string if they can."""
    if os.getuid():
        return ""
    if not shutil.which("setpriv"):
        return "setpriv is missing"
    try:
        done = subprocess.run(
            [*as_nobody(), "python", "-c", "import os; print(os.getuid())"],
            **{
                "cwd": "/",
                "capture_output": True,
                "text": True,
                "check": False,
                "env": Project(Path("/")).environment(PATH=REAL),
            },
        )
    except KeyError:
        return "user nobody is missing"
    return "" if done.stdout.strip().isdecimal() and done.stdout.strip() != "0" else done.stderr.strip()


@pytest.fixture(scope="module")
def place():
    """Yield a folder of the user, because pytest's are private; a server that runs as the user forks the commands."""
    if reason := skip_reason():
        pytest.skip(reason)
    place = Path(tempfile.mkdtemp(prefix="daso-links-"))
    (place / "forks").mkdir()
    give_to_user(place)
    server = Forks(place / "forks", *as_nobody(), "env", f"HOME={place}", f"TMPDIR={place}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(UserProject, "programs", server.bin)
        yield place
    server.close()
    shutil.rmtree(place)


@pytest.fixture(scope="module", params=["hardlink", "symlink"])
def linked(request, changed, place):
    """Yield two revisions whose files are links into DVC's cache and belong to a user without special rights."""
    project = UserProject(place / "project")
    changed.copy(project.path)
    give_to_user(project.path)
    project.link_kind, project.before = request.param, changed.before
    project.dvc("config", "cache.type", project.link_kind)
    project.commit("links")
    project.dvc("checkout", "--relink")
    assert link_kind(project.path / f"runs/{RUN}/final.pt") == project.link_kind
    yield project
    shutil.rmtree(project.path)


@pytest.fixture
def project(linked):
    """Yield a copy beside the original, for a test to change."""
    copy = UserProject(linked.path.with_name("copy"))
    linked.copy(copy.path)
    give_to_user(copy.path)
    copy.link_kind, copy.before = linked.link_kind, linked.before
    copy.dvc("checkout", "--relink", "--force")  # a copied symlink points into the original's cache
    yield copy
    shutil.rmtree(copy.path)


def link_kind(path):
    """Return the kind of a file: symlink, hard link or copy."""
    return "symlink" if path.is_symlink() else "hardlink" if path.stat().st_nlink > 1 else "copy"


def weight(project):
    config = json.loads(project.read(f"runs/{RUN}/config.json"))
    assert json.loads(project.read(METRICS))["key"] == config["key"]
    return config["method"]["learner"]["weight"]


def test_outputs_are_current_and_read_only(linked):
    path = linked.path / f"runs/{RUN}/final.pt"
    output = linked.call("python", "-c", f"import os; print(os.access({str(path)!r}, os.W_OK), os.getuid() == 0)")
    assert output.split() == ["False", "False"]
    assert linked.planned() == NOTHING
    assert "up to date" in linked.dvc("status")


def test_repro_runs_only_affected_jobs(project):
    before = project.results()
    project.edit(f"methods/{DASO}.yaml", set_weight(0.25))
    assert jobs(project.dvc("repro")) == runs(DASO)
    assert weight(project) == 0.25
    after = project.results()
    assert [name for name in after if after[name] != before[name]] == [METRICS]
    assert link_kind(project.path / f"runs/{RUN}/final.pt") == project.link_kind
    assert project.planned() == NOTHING
    assert "up to date" in project.dvc("status")
    assert_cache_is_intact(project.path / ".dvc/cache")


def test_checkout_of_an_old_revision_and_back(project):
    now = project.results()
    project.git("checkout", "-q", "HEAD~2")
    project.dvc("config", "--local", "cache.type", project.link_kind)
    project.dvc("checkout")
    assert project.results() == project.before
    assert project.planned() == NOTHING
    project.git("checkout", "-q", "main")
    project.dvc("checkout")
    assert project.results() == now
    assert project.planned() == NOTHING
    assert "up to date" in project.dvc("status")
    assert_cache_is_intact(project.path / ".dvc/cache")


def test_fresh_clone_pulls_the_results(project):
    place = project.path.with_name("clone")
    try:
        project.dvc("remote", "add", "--default", "--local", "store", str(place / "remote"))
        project.dvc("push")
        project.git("clone", "-q", ".", str(place / "project"))
        clone = UserProject(place / "project")
        clone.dvc("remote", "add", "--default", "--local", "store", str(place / "remote"))
        clone.dvc("pull")
        assert clone.results() == project.results()
        assert link_kind(clone.path / f"runs/{RUN}/final.pt") == project.link_kind
        assert clone.planned() == NOTHING
        clone.edit(f"methods/{DASO}.yaml", set_weight(0.125))
        assert jobs(clone.dvc("repro")) == runs(DASO)
        assert weight(clone) == 0.125
        assert_cache_is_intact(clone.path / ".dvc/cache")
    finally:
        shutil.rmtree(place, ignore_errors=True)


def test_snakemake_by_hand_trains_or_refuses_protected_outputs(project):
    """Snakemake treats read-only hard links as protected outputs, prints an error and trains nothing."""
    before = project.results()
    project.edit(f"methods/{DASO}.yaml", set_weight(0.25))
    if project.link_kind == "hardlink":
        output = project.snakemake(fails=True)
        assert "ProtectedOutputException" in output
        # Snakemake names the outputs of an arbitrary first job: training, evaluation or report.
        assert any(name in output for name in (f"runs/{RUN}/final.pt", f"metrics/{RUN}.json", "reports/tiny/report.md"))
        assert project.results() == before
        project.call("dvc", "unprotect", "runs", "metrics", "corrections", "reports/tiny")  # then it trains
    assert jobs(project.snakemake()) == runs(DASO)
    assert weight(project) == 0.25
    assert jobs(project.dvc("repro")) == NOTHING
    assert "up to date" in project.dvc("status")
    assert_cache_is_intact(project.path / ".dvc/cache")
