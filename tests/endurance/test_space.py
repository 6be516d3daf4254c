"""Full and read-only disks: one error line, earlier files stay intact, and the same command resumes afterwards."""

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
from tests.endurance.faults import PREFIX, RESULT_FILES, RUNS, call, files, lengthen
from tests.workflow.project import METHODS, SETTING

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("space")]
RUN = RUNS[1]
DISK_FULL, READ_ONLY_DISK = "No space left on device", "Read-only file system"
READ_ONLY_FILE = "Operation not permitted"
STORE_FILES = ("manifest.json", *(f"{part}_{kind}.npy" for part in ("train", "test") for kind in ("images", "labels")))
SPLIT = f"data/splits/digits/{SETTING}/s0.json"


class Disk:
    """Small file system in memory, mounted at a folder."""

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
            pytest.skip(f"cannot mount a file system here: {mounted.stderr.strip()}")

    def fill(self, *, leaving=0):
        """Fill the disk up to `leaving` bytes."""
        status = os.statvfs(self.path)
        self.filler.write_bytes(bytes(max(0, status.f_bavail * status.f_frsize - leaving)))

    def free(self):
        """Delete the filler."""
        self.filler.unlink()

    def set_writable(self, *, writing):
        """Remount the disk writable or read-only."""
        subprocess.run(["mount", "-o", f"remount,{'rw' if writing else 'ro'}", str(self.path)], check=True)


@pytest.fixture
def disk():
    """Yield a function that mounts a disk; all are unmounted after the test."""
    disks = []

    def make(path, size="8m"):
        disks.append(Disk(path, size))
        return disks[-1]

    yield make
    for mounted in disks:
        subprocess.run(["umount", "--lazy", str(mounted.path)], check=False)


@pytest.fixture
def read_only():
    """Yield a function that makes a file read-only even for root, or writable again."""
    files = []

    def set_read_only(path, *, writing=False):
        process = subprocess.run(
            ["chattr", "-i" if writing else "+i", str(path)], capture_output=True, text=True, check=False
        )
        if process.returncode:
            pytest.skip(f"a single file cannot be made read-only here: {process.stderr.strip()}")
        files.append(path)

    yield set_read_only
    for path in files:
        subprocess.run(["chattr", "-i", str(path)], check=False)


@pytest.fixture(scope="module")
def reference(built, tmp_path_factory):
    """Return the suite with runs of 24 steps, and the size of their last checkpoint."""
    project = built.copy(tmp_path_factory.mktemp("reference") / "project")
    lengthen(project, 24)
    project.snakemake()
    status, output = call(project, *train("out", "scratch/out"), "--managed")
    assert status == 0, output
    (checkpoint,) = (project.path / "scratch/out").glob("*.pt")
    project.checkpoint_size = checkpoint.stat().st_size
    return project


def train(out, scratch):
    paths = {"config": f"runs/{RUN}/config.json", "store": "data/store/digits", "split": SPLIT}
    paths |= {"out": out, "scratch": scratch}
    return ["python", "-m", "daso", "train", *(f"--{name}={path}" for name, path in paths.items())]


def assert_one_error(output, file, reason):
    """Assert that exactly one line names the file that cannot be written, and the reason."""
    lines = [line for line in output.splitlines() if "cannot be written" in line]
    assert len(lines) == 1, output
    assert file in lines[0]
    assert reason in lines[0]
    assert lines[0].endswith("run the same command again")


def same_run(reference, folder):
    return all(
        (folder / name).read_bytes() == (reference.path / "runs" / RUN / name).read_bytes() for name in RESULT_FILES
    )


def test_full_disk_keeps_the_first_checkpoint(reference, disk, tmp_path):
    project = reference.copy(tmp_path / "project")
    small = disk(project.path / "scratch/small")
    small.fill(leaving=3 * reference.checkpoint_size // 2)  # room for one checkpoint, not for a second
    status, output = call(project, *train("small", "scratch/small/run"))
    assert status == 1
    assert_one_error(output, "scratch/small/run/", DISK_FULL)
    (checkpoint,) = small.path.glob("run/*.pt")
    size = checkpoint.stat().st_size
    assert reference.checkpoint_size / 2 < size < reference.checkpoint_size  # later evaluations add rows to the history
    assert not list(small.path.glob("run/*.part"))
    assert not list((project.path / "small").glob("*"))
    small.free()
    status, output = call(project, *train("small", "scratch/small/run"))
    assert status == 0
    assert f"{RUN}: resumes at step 4 of 24" in output
    assert same_run(reference, project.path / "small")


def test_read_only_checkpoint_is_kept_and_resumed(reference, disk, read_only, tmp_path):
    """The checkpoint of step 8 cannot replace the checkpoint of step 4."""
    project = reference.copy(tmp_path / "project")
    small = disk(project.path / "scratch/small")
    small.fill(leaving=3 * reference.checkpoint_size // 2)
    assert call(project, *train("out", "scratch/small/run"))[0] == 1
    (early,) = small.path.glob("run/*.pt")
    checkpoint = project.path / "scratch/fixed" / early.name
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(early.read_bytes())
    read_only(checkpoint)
    status, output = call(project, *train("out", "scratch/fixed"))
    assert status == 1
    assert_one_error(output, f"scratch/fixed/{checkpoint.name}", READ_ONLY_FILE)
    assert checkpoint.read_bytes() == early.read_bytes()
    assert [path.name for path in checkpoint.parent.iterdir()] == [checkpoint.name]
    read_only(checkpoint, writing=True)
    status, output = call(project, *train("out", "scratch/fixed"))
    assert status == 0
    assert f"{RUN}: resumes at step 4 of 24" in output
    assert same_run(reference, project.path / "out")


def test_full_disk_at_results_resumes_after_the_last_step(reference, disk, tmp_path):
    project = reference.copy(tmp_path / "project")
    small = disk(project.path / "small")
    small.fill(leaving=12 * 1024)
    status, output = call(project, *train("small", "scratch/small"))
    assert status == 1
    assert_one_error(output, "small/", DISK_FULL)
    assert not (small.path / "train.json").exists()
    small.free()
    status, output = call(project, *train("small", "scratch/small"))
    assert status == 0
    assert f"{RUN}: resumes at step 24 of 24" in output
    assert same_run(reference, small.path)


def test_unwritable_scratch_fails_and_then_trains(reference, disk, tmp_path):
    project = reference.copy(tmp_path / "project")
    small = disk(project.path / "scratch/small")
    small.set_writable(writing=False)
    status, output = call(project, *train("small", "scratch/small/run"))
    assert status == 1
    assert_one_error(output, "scratch/small/run", READ_ONLY_DISK)
    small.set_writable(writing=True)
    status, output = call(project, *train("small", "scratch/small/run"))
    assert status == 0
    assert same_run(reference, project.path / "small")


@pytest.mark.parametrize("reason", [DISK_FULL, READ_ONLY_DISK])
def test_store_of_images_is_completed_after_an_unwritable_disk(reference, disk, tmp_path, reason):
    project = reference.copy(tmp_path / "project")
    small = disk(project.path / "new")
    (small.path / "store").mkdir()
    # the training images have 249,024 bytes
    small.fill(leaving=150_000) if reason == DISK_FULL else small.set_writable(writing=False)
    download = ["python", "-m", "daso", "download", "digits", "--out", "new/store"]
    status, output = call(project, *download)
    assert status == 1
    file = "new/store/train_images.npy" if reason == DISK_FULL else "new/store/manifest.json"
    assert_one_error(output, file, reason)
    assert not (small.path / "store/manifest.json").exists()
    small.free() if reason == DISK_FULL else small.set_writable(writing=True)
    status, output = call(project, *download)
    assert status == 0
    for name in STORE_FILES:  # the workflow's store has also its key and the record of its verification
        assert (small.path / "store" / name).read_bytes() == (project.path / "data/store/digits" / name).read_bytes()


def test_download_is_completed_after_a_full_disk(disk, tmp_path):
    served = tmp_path / "served"
    served.mkdir()
    (served / "images.bin").write_bytes(os.urandom(3_000_000))
    md5 = file_digest(served / "images.bin", "md5")
    small = disk(tmp_path / "small")
    small.fill(leaving=1_000_000)
    with serving(served) as urls:
        with pytest.raises(DataError, match=rf"images.bin: cannot be written .*{DISK_FULL}.*; free disk space and"):
            fetch(urls, small.path / "images.bin", md5=md5, pause=0.0)
        assert not (small.path / "images.bin").exists()
        small.free()
        assert fetch(urls, small.path / "images.bin", md5=md5, pause=0.0).stat().st_size == 3_000_000
        assert file_digest(small.path / "images.bin", "md5") == md5


def test_read_only_first_half_of_a_download_is_kept(read_only, tmp_path):
    served, half = tmp_path / "served", tmp_path / "raw/images.bin.part"
    served.mkdir()
    half.parent.mkdir()
    content = os.urandom(300_000)
    (served / "images.bin").write_bytes(content)
    half.write_bytes(content[:150_000])
    md5 = file_digest(served / "images.bin", "md5")
    read_only(half)
    with serving(served) as urls:
        with pytest.raises(
            DataError, match=rf"images.bin: cannot be written .*{READ_ONLY_FILE}.*; free disk space and"
        ):
            fetch(urls, tmp_path / "raw/images.bin", md5=md5, pause=0.0)
        assert half.read_bytes() == content[:150_000]
        read_only(half, writing=True)
        assert fetch(urls, tmp_path / "raw/images.bin", md5=md5, pause=0.0).read_bytes() == content


@contextlib.contextmanager
def serving(folder):
    """Serve a folder; yield the URLs of `images.bin` in it."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield [f"http://127.0.0.1:{server.server_port}/images.bin"]
        server.shutdown()


@pytest.mark.parametrize("reason", [DISK_FULL, READ_ONLY_DISK])
def test_unwritable_disk_keeps_the_earlier_report(reference, disk, tmp_path, reason):
    project = reference.copy(tmp_path / "project")
    small = disk(project.path / "drafts")
    report = ["python", "-m", "daso", "report", "--suite", "tiny"]
    assert call(project, *report)[0] == 0
    before = files(small.path / "reports/tiny")
    small.fill() if reason == DISK_FULL else small.set_writable(writing=False)
    status, output = call(project, *report)
    assert status == 1
    assert_one_error(output, "drafts/reports/tiny/", reason)
    assert files(small.path / "reports/tiny") == before
    small.free() if reason == DISK_FULL else small.set_writable(writing=True)
    assert call(project, *report)[0] == 0
    assert files(small.path / "reports/tiny") == before


def test_suite_resumes_when_there_is_room_again(reference, disk, tmp_path):
    project = reference.copy(tmp_path / "project")
    project.edit(f"methods/{METHODS[1]}.yaml", lambda tree: tree["learner"].update(weight=0.5))
    small = disk(project.path / "scratch" / PREFIX / METHODS[1])
    small.fill(leaving=3 * reference.checkpoint_size // 2)
    status, output = call(project, "snakemake", "--cores", "2")
    assert status == 1
    assert_one_error(output, f"scratch/{RUN}/", DISK_FULL)
    small.free()
    status, output = call(project, "snakemake", "--cores", "2")
    assert status == 0
    assert "resumes at step 4 of 24" in project.read(f"logs/train/{RUN}.log")
    assert "Nothing to be done" in project.snakemake()
