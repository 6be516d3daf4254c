"""What may be kept with the project, and that nothing is copied where it may not."""

import json
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from daso.cli import main
from daso.data.files import checksummed
from daso.errors import DataError, ParamsError
from daso.workspace.archive import keep
from tests.finished import finish

RUN = "digits/n20-m80-l20-u10r/smoke/fixmatch/s0"
METRICS, FOLDER, KEPT = Path("metrics", f"{RUN}.json"), Path("runs", RUN), Path("reports/measured", RUN)
HISTORY = "step,test_top1\n60,0.5\n"


@pytest.fixture(autouse=True)
def here(read_params, tmp_path, monkeypatch):
    """A project with one evaluated run."""
    shutil.copytree(read_params, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    finish(FOLDER, {"history.csv": HISTORY}, run=RUN, key="abc")
    METRICS.parent.mkdir(parents=True)
    evaluated()


def evaluated(run=RUN, commit="0123456789ab", history=HISTORY):
    """Metrics as they are made of a run with this history."""
    origin, digests = {"commit": commit, "device": "cuda: X"}, {"history.csv": sha256(history.encode()).hexdigest()}
    METRICS.write_bytes(checksummed({"run": run, "key": "abc", "provenance": origin, "files": digests}))


def test_metrics_and_history_are_copied_byte_for_byte():
    assert keep(RUN) == KEPT
    assert {path.name for path in KEPT.iterdir()} == {"metrics.json", "history.csv"}
    assert (KEPT / "metrics.json").read_bytes() == METRICS.read_bytes()
    assert (KEPT / "history.csv").read_text() == HISTORY


def test_a_later_measurement_takes_the_place_of_an_earlier_one():
    keep(RUN)
    later = HISTORY.replace("0.5", "0.6")
    evaluated(commit="ba9876543210", history=later)
    finish(FOLDER, {"history.csv": later}, run=RUN, key="abc")
    keep(RUN)
    assert json.loads((KEPT / "metrics.json").read_text())["provenance"]["commit"] == "ba9876543210"
    assert "0.6" in (KEPT / "history.csv").read_text()


@pytest.mark.parametrize("commit", ["0123456789ab-dirty", "unknown", "", None])
def test_a_commit_that_nobody_can_check_out(commit):
    evaluated(commit=commit)
    with pytest.raises(DataError, match=f"trained from {commit}, not a commit"):
        keep(RUN)
    assert not KEPT.exists()


@pytest.mark.parametrize("other", [{"history": "step,test_top1\n60,0.6\n"}, {"run": RUN.replace("s0", "s1")}])
def test_metrics_of_another_training(other):
    evaluated(**other)
    with pytest.raises(DataError, match=f"not the metrics of runs/{RUN}; delete it and run `snakemake {METRICS}`"):
        keep(RUN)
    assert not KEPT.exists()


def test_the_result_of_another_run():
    finish(FOLDER, {"history.csv": HISTORY}, run="another", key="abc")
    with pytest.raises(
        DataError, match=f"{FOLDER}/train.json: expected the result of .*, got another; delete it and run `snakemake"
    ):
        keep(RUN)
    assert not KEPT.exists()


@pytest.mark.parametrize("path", [METRICS, FOLDER / "train.json", FOLDER / "history.csv"])
def test_a_damaged_file(path):
    path.write_bytes(path.read_bytes().replace(b"5", b"6"))
    with pytest.raises(DataError, match=f"{path}: .*; delete it and run `snakemake {path}` again"):
        keep(RUN)
    assert not KEPT.exists()


@pytest.mark.parametrize("path", [METRICS, FOLDER / "train.json", FOLDER / "history.csv"])
def test_a_run_that_is_not_whole(path):
    path.unlink()
    with pytest.raises(DataError, match=f"{path}: there is no such file to keep; make it with `snakemake {path}`"):
        keep(RUN)
    assert not KEPT.exists()


def test_a_run_that_params_do_not_know():
    with pytest.raises(ParamsError, match="no method 'fixmatc'; did you mean 'fixmatch'"):
        keep(RUN.replace("fixmatch", "fixmatc"))


def test_the_verb_says_one_line(capsys):
    assert main(["keep", RUN]) == 0
    assert (KEPT / "metrics.json").exists()
    assert main(["keep", RUN.replace("s0", "s7")]) == 1
    error = capsys.readouterr().err.splitlines()
    assert [line for line in error if "there is no such file to keep" in line] == error[-1:]
