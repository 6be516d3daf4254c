"""Caches of links, as somebody who may not write everywhere: right decisions, and no byte of the cache is written.

Run by root, the commands run as `nobody`, who may read all that root may (this Python may lie in root's home) and
write nothing of it.
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

from tests.endurance.blows import assert_objects_are_whole
from tests.forks import Forks
from tests.workflow.conftest import weigh
from tests.workflow.project import METHODS, REAL, SETTING, Project, jobs, runs

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("dvc")]
NOTHING = Counter()
DASO = METHODS[1]
RUN = f"digits/{SETTING}/tiny/{DASO}/s0"
METRICS = f"metrics/{RUN}.json"


class Owned(Project):
    """A project of a user with no special rights."""

    def environment(self, **more):
        home = str(self.path.parent)
        return super().environment(**{"HOME": home, "TMPDIR": home, "USER": "nobody", "LOGNAME": "nobody", **more})

    def call(self, *command, **options):
        return super().call(*as_nobody(), *command, **options)

    def edit(self, file, change):
        """As the user, who may write the folder: a new file takes the place of the old one."""
        super().edit(file, change)
        shutil.chown(self.path / "params" / file, *("nobody",) if os.getuid() == 0 else (os.getuid(),))


def as_nobody():
    """The words before a command that take the rights of root away but for reading."""
    if os.getuid():
        return ()
    user = pwd.getpwnam("nobody")
    who = (f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    return ("setpriv", *who, "--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search")


def own(path):
    """Give a folder, and all in it, to the user that the commands run as."""
    if os.getuid() == 0:
        user = pwd.getpwnam("nobody")
        for each in (path, *path.rglob("*")):
            os.lchown(each, user.pw_uid, user.pw_gid)


def obstacle():
    """Why the commands cannot run as another user here; nothing where they can."""
    if os.getuid():
        return ""
    if not shutil.which("setpriv"):
        return "no setpriv to take the rights of root away"
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
        return "no user nobody"
    return "" if done.stdout.strip().isdecimal() and done.stdout.strip() != "0" else done.stderr.strip()


@pytest.fixture(scope="module")
def place():
    """A folder of that user, for pytest's own are closed to others; the commands are forks of a server of the user."""
    if why := obstacle():
        pytest.skip(why)
    place = Path(tempfile.mkdtemp(prefix="daso-links-"))
    (place / "forks").mkdir()
    own(place)
    server = Forks(place / "forks", *as_nobody(), "env", f"HOME={place}", f"TMPDIR={place}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Owned, "programs", server.bin)
        yield place
    server.close()
    shutil.rmtree(place)


@pytest.fixture(scope="module", params=["hardlink", "symlink"])
def linked(request, changed, place):
    """Two revisions whose files are links into the cache of DVC, and belong to a user with no special rights."""
    project = Owned(place / "project")
    changed.copy(project.path)
    own(project.path)
    project.kind, project.before = request.param, changed.before
    project.dvc("config", "cache.type", project.kind)
    project.commit("links")
    project.dvc("checkout", "--relink")
    assert kind(project.path / f"runs/{RUN}/final.pt") == project.kind
    yield project
    shutil.rmtree(project.path)


@pytest.fixture
def project(linked):
    """A copy to be changed, beside the original."""
    copy = Owned(linked.path.with_name("copy"))
    linked.copy(copy.path)
    own(copy.path)
    copy.kind, copy.before = linked.kind, linked.before
    copy.dvc("checkout", "--relink", "--force")  # a copied symlink leads into the cache of the original
    yield copy
    shutil.rmtree(copy.path)


def kind(path):
    """How a file is kept: as a link of which kind, or as itself."""
    return "symlink" if path.is_symlink() else "hardlink" if path.stat().st_nlink > 1 else "copy"


def weight(project):
    config = json.loads(project.read(f"runs/{RUN}/config.json"))
    assert json.loads(project.read(METRICS))["key"] == config["key"]
    return config["method"]["learner"]["weight"]


def test_nothing_is_stale_and_nothing_may_be_written(linked):
    path = linked.path / f"runs/{RUN}/final.pt"
    said = linked.call("python", "-c", f"import os; print(os.access({str(path)!r}, os.W_OK), os.getuid() == 0)")
    assert said.split() == ["False", "False"]
    assert linked.planned() == NOTHING
    assert "up to date" in linked.dvc("status")


def test_repro_runs_what_a_change_touches(project):
    before = project.results()
    project.edit(f"methods/{DASO}.yaml", weigh(0.25))
    assert jobs(project.dvc("repro")) == runs(DASO)
    assert weight(project) == 0.25
    after = project.results()
    assert [name for name in after if after[name] != before[name]] == [METRICS]
    assert kind(project.path / f"runs/{RUN}/final.pt") == project.kind
    assert project.planned() == NOTHING
    assert "up to date" in project.dvc("status")
    assert_objects_are_whole(project.path / ".dvc/cache")


def test_an_old_revision_and_back(project):
    now = project.results()
    project.git("checkout", "-q", "HEAD~2")
    project.dvc("config", "--local", "cache.type", project.kind)
    project.dvc("checkout")
    assert project.results() == project.before
    assert project.planned() == NOTHING
    project.git("checkout", "-q", "main")
    project.dvc("checkout")
    assert project.results() == now
    assert project.planned() == NOTHING
    assert "up to date" in project.dvc("status")
    assert_objects_are_whole(project.path / ".dvc/cache")


def test_a_fresh_clone(project):
    place = project.path.with_name("clone")
    try:
        project.dvc("remote", "add", "--default", "--local", "store", str(place / "remote"))
        project.dvc("push")
        project.git("clone", "-q", ".", str(place / "project"))
        clone = Owned(place / "project")
        clone.dvc("remote", "add", "--default", "--local", "store", str(place / "remote"))
        clone.dvc("pull")
        assert clone.results() == project.results()
        assert kind(clone.path / f"runs/{RUN}/final.pt") == project.kind
        assert clone.planned() == NOTHING
        clone.edit(f"methods/{DASO}.yaml", weigh(0.125))
        assert jobs(clone.dvc("repro")) == runs(DASO)
        assert weight(clone) == 0.125
        assert_objects_are_whole(clone.path / ".dvc/cache")
    finally:
        shutil.rmtree(place, ignore_errors=True)


def test_by_hand_it_works_or_refuses(project):
    """Hard links cannot be written, which Snakemake takes for protection, says, and trains nothing."""
    before = project.results()
    project.edit(f"methods/{DASO}.yaml", weigh(0.25))
    if project.kind == "hardlink":
        said = project.snakemake(fails=True)
        assert "ProtectedOutputException" in said
        # Snakemake names the outputs of the job that it happens to look at first: training, evaluation or report.
        assert any(name in said for name in (f"runs/{RUN}/final.pt", f"metrics/{RUN}.json", "reports/tiny/report.md"))
        assert project.results() == before
        project.call("dvc", "unprotect", "runs", "metrics", "reports/tiny")  # and then it works
    assert jobs(project.snakemake()) == runs(DASO)
    assert weight(project) == 0.25
    assert jobs(project.dvc("repro")) == NOTHING
    assert "up to date" in project.dvc("status")
    assert_objects_are_whole(project.path / ".dvc/cache")
