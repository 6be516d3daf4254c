"""A disk that is full or cannot be written: told in one line, what was there is whole, and the same command goes on."""

import contextlib
import functools
import http.server
import os
import subprocess
import threading

import pytest

from daso.data.download import fetch
from daso.data.files import file_digest
from daso.errors import DataError
from tests.endurance.blows import KEPT, PLACE, RUNS, call, lengthen
from tests.workflow.project import METHODS, SETTING

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("space")]
RUN = RUNS[1]
FULL, FIXED, ONE = "No space left on device", "Read-only file system", "Operation not permitted"
SPLIT = f"data/splits/digits/{SETTING}/s0.json"


class Disk:
    """A file system of a few bytes in memory, mounted at a folder."""

    def __init__(self, path, size):
        self.path, self.filler = path, path / "filler"
        path.mkdir(parents=True, exist_ok=True)
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        if mounted.returncode:
            pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")

    def fill(self, *, but=0):
        """Leave only so many bytes."""
        free = os.statvfs(self.path)
        self.filler.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - but)))

    def empty(self):
        """Make room."""
        self.filler.unlink()

    def allow(self, *, writing):
        """Let it be written, or not."""
        subprocess.run(["mount", "-o", f"remount,{'rw' if writing else 'ro'}", str(self.path)], check=True)


@pytest.fixture
def disk():
    """Makes disks, which are gone after the test."""
    disks = []

    def make(path, size="8m"):
        disks.append(Disk(path, size))
        return disks[-1]

    yield make
    for made in disks:
        subprocess.run(["umount", "--lazy", str(made.path)], check=False)


@pytest.fixture
def fixed():
    """Makes single files ones that nobody writes, not even root, and lets them be written again."""
    files = []

    def fix(path, *, writing=False):
        done = subprocess.run(
            ["chattr", "-i" if writing else "+i", str(path)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"no single file can be made read-only here: {done.stderr.strip()}")
        files.append(path)

    yield fix
    for path in files:
        subprocess.run(["chattr", "-i", str(path)], check=False)


@pytest.fixture(scope="module")
def whole(built, tmp_path_factory):
    """The suite with runs of 24 steps, and the size of their last state."""
    project = built.copy(tmp_path_factory.mktemp("whole") / "project")
    lengthen(project, 24)
    project.snakemake()
    status, said = call(project, *train("out", "scratch/out"), "--managed")
    assert status == 0, said
    (state,) = (project.path / "scratch/out").glob("*.pt")
    project.state = state.stat().st_size
    return project


def train(out, scratch):
    places = {"config": f"runs/{RUN}/config.json", "store": "data/store/digits", "split": SPLIT}
    places |= {"out": out, "scratch": scratch}
    return ["python", "-m", "daso", "train", *(f"--{name}={path}" for name, path in places.items())]


def told(said, file, why):
    """The one line that says what cannot be written, and why."""
    lines = [line for line in said.splitlines() if "cannot be written" in line]
    assert len(lines) == 1, said
    assert file in lines[0]
    assert why in lines[0]
    assert lines[0].endswith("run the same command again")


def same_run(whole, folder):
    return all((folder / name).read_bytes() == (whole.path / "runs" / RUN / name).read_bytes() for name in KEPT)


def test_no_room_for_a_second_checkpoint(whole, disk, tmp_path):
    project = whole.copy(tmp_path / "project")
    small = disk(project.path / "scratch/small")
    small.fill(but=3 * whole.state // 2)  # one state has room, a second one beside it has not
    status, said = call(project, *train("small", "scratch/small/run"))
    assert status == 1
    told(said, "scratch/small/run/", FULL)
    (state,) = small.path.glob("run/*.pt")
    assert whole.state / 2 < state.stat().st_size < whole.state  # without what later evaluations add
    assert not list(small.path.glob("run/*.part"))
    assert not list((project.path / "small").glob("*"))
    small.empty()
    status, said = call(project, *train("small", "scratch/small/run"))
    assert status == 0
    assert f"{RUN}: resumes at step 4 of 24" in said
    assert same_run(whole, project.path / "small")


def test_a_checkpoint_that_is_read_only(whole, disk, fixed, tmp_path):
    """The state of step 4 cannot be replaced by that of step 8."""
    project = whole.copy(tmp_path / "project")
    small = disk(project.path / "scratch/small")
    small.fill(but=3 * whole.state // 2)
    assert call(project, *train("out", "scratch/small/run"))[0] == 1
    (early,) = small.path.glob("run/*.pt")
    state = project.path / "scratch/fixed" / early.name
    state.parent.mkdir()
    state.write_bytes(early.read_bytes())
    fixed(state)
    status, said = call(project, *train("out", "scratch/fixed"))
    assert status == 1
    told(said, f"scratch/fixed/{state.name}", ONE)
    assert state.read_bytes() == early.read_bytes()
    assert [path.name for path in state.parent.iterdir()] == [state.name]
    fixed(state, writing=True)
    status, said = call(project, *train("out", "scratch/fixed"))
    assert status == 0
    assert f"{RUN}: resumes at step 4 of 24" in said
    assert same_run(whole, project.path / "out")


def test_no_room_for_the_results(whole, disk, tmp_path):
    project = whole.copy(tmp_path / "project")
    small = disk(project.path / "small")
    small.fill(but=12 * 1024)
    status, said = call(project, *train("small", "scratch/small"))
    assert status == 1
    told(said, "small/", FULL)
    assert not (small.path / "train.json").exists()
    small.empty()
    status, said = call(project, *train("small", "scratch/small"))
    assert status == 0
    assert f"{RUN}: resumes at step 24 of 24" in said
    assert same_run(whole, small.path)


def test_a_scratch_that_cannot_be_written(whole, disk, tmp_path):
    project = whole.copy(tmp_path / "project")
    small = disk(project.path / "scratch/small")
    small.allow(writing=False)
    status, said = call(project, *train("small", "scratch/small/run"))
    assert status == 1
    told(said, "scratch/small/run", FIXED)
    small.allow(writing=True)
    status, said = call(project, *train("small", "scratch/small/run"))
    assert status == 0
    assert same_run(whole, project.path / "small")


@pytest.mark.parametrize("why", [FULL, FIXED])
def test_no_room_for_the_images(whole, disk, tmp_path, why):
    project = whole.copy(tmp_path / "project")
    small = disk(project.path / "new")
    (small.path / "store").mkdir()
    small.fill(but=150_000) if why == FULL else small.allow(writing=False)  # the images of train have 249,024 bytes
    download = ["python", "-m", "daso", "download", "digits", "--out", "new/store"]
    status, said = call(project, *download)
    assert status == 1
    told(said, "new/store/train_images.npy" if why == FULL else "new/store/manifest.json", why)
    assert not (small.path / "store/manifest.json").exists()
    small.empty() if why == FULL else small.allow(writing=True)
    status, said = call(project, *download)
    assert status == 0
    for path in (project.path / "data/store/digits").glob("*.*"):  # the key comes with the workflow
        assert (small.path / "store" / path.name).read_bytes() == path.read_bytes()


def test_no_room_for_a_download(disk, tmp_path):
    served = tmp_path / "served"
    served.mkdir()
    (served / "images.bin").write_bytes(os.urandom(3_000_000))
    md5 = file_digest(served / "images.bin", "md5")
    small = disk(tmp_path / "small")
    small.fill(but=1_000_000)
    with serving(served) as urls:
        with pytest.raises(
            DataError, match=rf"images.bin: cannot be written .*{FULL}.*; free disk space and try again"
        ):
            fetch(urls, small.path / "images.bin", md5=md5, pause=0.0)
        assert not (small.path / "images.bin").exists()
        small.empty()
        assert fetch(urls, small.path / "images.bin", md5=md5, pause=0.0).stat().st_size == 3_000_000
        assert file_digest(small.path / "images.bin", "md5") == md5


def test_a_download_whose_first_half_is_read_only(fixed, tmp_path):
    served, half = tmp_path / "served", tmp_path / "raw/images.bin.part"
    served.mkdir()
    half.parent.mkdir()
    content = os.urandom(300_000)
    (served / "images.bin").write_bytes(content)
    half.write_bytes(content[:150_000])
    md5 = file_digest(served / "images.bin", "md5")
    fixed(half)
    with serving(served) as urls:
        with pytest.raises(DataError, match=rf"images.bin: cannot be written .*{ONE}.*; free disk space and try again"):
            fetch(urls, tmp_path / "raw/images.bin", md5=md5, pause=0.0)
        assert half.read_bytes() == content[:150_000]
        fixed(half, writing=True)
        assert fetch(urls, tmp_path / "raw/images.bin", md5=md5, pause=0.0).read_bytes() == content


@contextlib.contextmanager
def serving(folder):
    """URLs of `images.bin` in a folder, while it is served."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield [f"http://127.0.0.1:{server.server_port}/images.bin"]
        server.shutdown()


@pytest.mark.parametrize("why", [FULL, FIXED])
def test_no_room_for_a_report(whole, disk, tmp_path, why):
    project = whole.copy(tmp_path / "project")
    small = disk(project.path / "drafts")
    report = ["python", "-m", "daso", "report", "--suite", "tiny"]
    assert call(project, *report)[0] == 0
    before = {path.name: path.read_bytes() for path in (small.path / "reports/tiny").iterdir()}
    small.fill() if why == FULL else small.allow(writing=False)
    status, said = call(project, *report)
    assert status == 1
    told(said, "drafts/reports/tiny/", why)
    assert {path.name: path.read_bytes() for path in (small.path / "reports/tiny").iterdir()} == before
    small.empty() if why == FULL else small.allow(writing=True)
    assert call(project, *report)[0] == 0
    assert {path.name: path.read_bytes() for path in (small.path / "reports/tiny").iterdir()} == before


def test_a_page_that_is_read_only(whole, fixed, tmp_path):
    project = whole.copy(tmp_path / "project")
    report = ["python", "-m", "daso", "report", "--suite", "tiny"]
    assert call(project, *report)[0] == 0
    page = project.path / "drafts/reports/tiny/index.html"
    before = page.read_bytes()
    fixed(page)
    status, said = call(project, *report)
    assert status == 1
    told(said, "drafts/reports/tiny/index.html", ONE)
    assert page.read_bytes() == before
    fixed(page, writing=True)
    assert call(project, *report)[0] == 0
    assert page.read_bytes() == before


def test_a_suite_goes_on_when_there_is_room_again(whole, disk, tmp_path):
    project = whole.copy(tmp_path / "project")
    project.edit(f"methods/{METHODS[1]}.yaml", lambda tree: tree["learner"].update(weight=0.5))
    small = disk(project.path / "scratch" / PLACE / METHODS[1])
    small.fill(but=3 * whole.state // 2)
    status, said = call(project, "snakemake", "--cores", "2")
    assert status == 1
    told(said, f"scratch/{RUN}/", FULL)
    small.empty()
    status, said = call(project, "snakemake", "--cores", "2")
    assert status == 0
    assert "resumes at step 4 of 24" in project.read(f"logs/train/{RUN}.log")
    assert "Nothing to be done" in project.snakemake()
