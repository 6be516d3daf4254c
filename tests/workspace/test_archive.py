"""Archive of runs: metrics and history are copied, or the run is refused and nothing is copied."""

import json
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
def project(workspace):
    """Make a project with one evaluated run."""
    finish(FOLDER, {"history.csv": HISTORY}, run=RUN, key="abc")
    METRICS.parent.mkdir(parents=True)
    write_metrics()


def write_metrics(run=RUN, commit="0123456789ab", history=HISTORY):
    """Write the metrics of a run with this history."""
    origin, digests = {"commit": commit, "device": "cuda: X"}, {"history.csv": sha256(history.encode()).hexdigest()}
    METRICS.write_bytes(checksummed({"run": run, "key": "abc", "provenance": origin, "files": digests}))


def test_metrics_and_history_are_copied_byte_for_byte():
    assert keep(RUN) == KEPT
    assert {path.name for path in KEPT.iterdir()} == {"metrics.json", "history.csv"}
    assert (KEPT / "metrics.json").read_bytes() == METRICS.read_bytes()
    assert (KEPT / "history.csv").read_text() == HISTORY


def test_later_results_replace_earlier_ones():
    keep(RUN)
    later = HISTORY.replace("0.5", "0.6")
    write_metrics(commit="ba9876543210", history=later)
    finish(FOLDER, {"history.csv": later}, run=RUN, key="abc")
    keep(RUN)
    assert json.loads((KEPT / "metrics.json").read_text())["provenance"]["commit"] == "ba9876543210"
    assert "0.6" in (KEPT / "history.csv").read_text()


@pytest.mark.parametrize("commit", ["0123456789ab-dirty", "unknown", "", None])
def test_run_without_a_clean_commit_is_refused(commit):
    write_metrics(commit=commit)
    with pytest.raises(DataError, match=f"expected a run trained from a commit, got {commit};"):
        keep(RUN)
    assert not KEPT.exists()


@pytest.mark.parametrize("other", [{"history": "step,test_top1\n60,0.6\n"}, {"run": RUN.replace("s0", "s1")}])
def test_metrics_of_a_different_training_are_refused(other):
    write_metrics(**other)
    with pytest.raises(DataError, match=f"not the metrics of runs/{RUN}; delete it and run `snakemake {METRICS}`"):
        keep(RUN)
    assert not KEPT.exists()


def test_result_of_a_different_run_is_refused():
    finish(FOLDER, {"history.csv": HISTORY}, run="another", key="abc")
    with pytest.raises(
        DataError, match=f"{FOLDER}/train.json: expected the result of .*, got another; delete it and run `snakemake"
    ):
        keep(RUN)
    assert not KEPT.exists()


@pytest.mark.parametrize("path", [METRICS, FOLDER / "train.json", FOLDER / "history.csv"])
def test_damaged_file_is_refused(path):
    path.write_bytes(path.read_bytes().replace(b"5", b"6"))
    with pytest.raises(DataError, match=f"{path}: .*; delete it and run `snakemake {path}` again"):
        keep(RUN)
    assert not KEPT.exists()


@pytest.mark.parametrize("path", [METRICS, FOLDER / "train.json", FOLDER / "history.csv"])
def test_missing_file_is_refused(path):
    path.unlink()
    with pytest.raises(DataError, match=f"{path}: missing; create it with `snakemake {path}`, or `dvc pull` it"):
        keep(RUN)
    assert not KEPT.exists()


def test_unknown_run_is_refused():
    with pytest.raises(ParamsError, match="unknown method 'fixmatc'; did you mean 'fixmatch'"):
        keep(RUN.replace("fixmatch", "fixmatc"))


def test_command_prints_one_line(capsys):
    assert main(["keep", RUN]) == 0
    assert (KEPT / "metrics.json").exists()
    assert main(["keep", RUN.replace("s0", "s7")]) == 1
    error = capsys.readouterr().err.splitlines()
    assert [line for line in error if ": missing; create it with" in line] == error[-1:]
