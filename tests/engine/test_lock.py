import errno
import fcntl
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest

from daso.engine import lock
from daso.engine.lock import device_slot, run_lock
from daso.errors import BusyError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def isolated_devices(no_gpus, monkeypatch):
    """Give each test its own locks, on a machine without GPUs."""
    monkeypatch.setattr(tempfile, "tempdir", str(no_gpus))
    monkeypatch.setenv("TMPDIR", str(no_gpus))


def another_process(code, *, wait_for="ready"):
    """Start a process that runs `code`, and wait until it prints a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline().strip() == wait_for
    return process


HOLD_RUN = """
    import sys; from pathlib import Path; from daso.engine.lock import run_lock
    with run_lock(Path({scratch!r})):
        print("ready", flush=True); sys.stdin.read()
"""


def test_locked_run_cannot_be_locked_again_until_it_is_released(tmp_path):
    scratch = tmp_path / "scratch" / "digits" / "s0"
    with (
        run_lock(scratch),
        pytest.raises(BusyError, match=rf"s0.lock: process {os.getpid()} on \S+ is training this run; wait"),
        run_lock(scratch),
    ):
        pass
    with run_lock(scratch), run_lock(scratch.with_name("s1")):
        pass


def test_killed_process_releases_its_run(tmp_path):
    scratch = tmp_path / "s0"
    with another_process(HOLD_RUN.format(scratch=str(scratch))) as process:
        with pytest.raises(BusyError), run_lock(scratch):
            pass
        process.kill()
        process.wait()
        with run_lock(scratch):
            pass


def test_waiting_process_gets_the_run_when_its_holder_ends(tmp_path, caplog):
    scratch, attempts = tmp_path / "s0", []
    with another_process(HOLD_RUN.format(scratch=str(scratch))) as process:

        def keep_waiting():
            attempts.append(1)
            if len(attempts) == 2:
                process.kill()
                process.wait()
            return len(attempts) < 20

        with caplog.at_level("INFO"), run_lock(scratch, keep_waiting):
            assert 2 <= len(attempts) < 20
        assert f"waiting for process {process.pid} on" in caplog.text


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_on_a_file_system_without_locks_a_warning_is_printed(tmp_path, monkeypatch, capsys, number):
    """The run is trained without waiting, as a folder shared by machines may have no locks."""

    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with run_lock(tmp_path / "s0", keep_waiting=lambda: pytest.fail("waits")):
        assert f"s0.lock: this file system has no locks ({os.strerror(number)})" in capsys.readouterr().err


def test_without_gpus_there_is_no_slot():
    with device_slot() as name:
        assert name is None
        assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_held_slot_is_the_only_visible_gpu(monkeypatch):
    monkeypatch.setenv("DASO_GPUS", "2")
    with device_slot() as name:
        assert os.environ["CUDA_VISIBLE_DEVICES"] == name == "0"
        assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"  # the numbering of nvidia-smi
    assert not {"CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"} & os.environ.keys()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,6")
    with device_slot() as name:
        assert os.environ["CUDA_VISIBLE_DEVICES"] == name == "5"
        assert "CUDA_DEVICE_ORDER" not in os.environ  # the user's numbers are CUDA's
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5,6"


def test_gpu_is_held_once_and_no_free_slot_is_an_error(monkeypatch):
    monkeypatch.setenv("DASO_GPUS", "2")
    (first, held), (second, other) = (lock._take_free_slot(["0", "1"], 0) for _ in range(2))
    assert (first, second) == ("0", "1")
    with held:
        other.close()
        with device_slot(wait=0) as name:
            assert name == "1"
            with pytest.raises(BusyError, match="every slot of GPU 0, 1 is in use"):
                lock._take_free_slot(["0", "1"], 0)


def test_every_gpu_is_used_before_one_is_shared(monkeypatch):
    monkeypatch.setenv("DASO_GPUS", "2")
    monkeypatch.setenv("DASO_SLOTS", "2")
    held = [lock._take_free_slot(["0", "1"], 0) for _ in range(4)]
    assert [name for name, _ in held] == ["0", "1", "0", "1"]
    for _, file in held:
        file.close()


def test_limit_of_zero_hides_all_gpus(monkeypatch):
    monkeypatch.setenv("DASO_GPUS", "0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with device_slot() as name:
        assert name is None
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"


def test_slurm_job_keeps_its_gpus(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    with device_slot() as name:
        assert name is None
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"


WORK = """
    import time; from daso.engine.lock import device_slot
    with device_slot() as name:
        begin = time.monotonic(); time.sleep(0.3); print(name, begin, time.monotonic())
"""


def test_processes_never_share_a_gpu_at_a_time(monkeypatch):
    monkeypatch.setenv("DASO_GPUS", "2")
    command = [sys.executable, "-c", textwrap.dedent(WORK)]
    started = time.monotonic()
    jobs = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    spans = [(name, float(begin), float(end)) for name, begin, end in (job.communicate()[0].split() for job in jobs)]
    assert {name for name, *_ in spans} == {"0", "1"}
    for device in ("0", "1"):
        own = sorted((begin, end) for name, begin, end in spans if name == device)
        assert all(end <= begin for (_, end), (begin, _) in zip(own, own[1:], strict=False))
    assert time.monotonic() - started < 60
