"""Messages of `snakemake` on the terminal, from plain values; tests/workflow shows them of real calls."""

import io
import json
import logging
from types import SimpleNamespace

import pytest

from daso.planning import messages
from daso.planning.forecast import Preview
from daso.planning.messages import CallProgress, format_left, install, job_line, log_lines, run_line

A, B, C = (f"digits/n1/p/{name}" for name in ("fixmatch/s0", "fixmatch/s1", "daso/s0"))
TRAINED = [f"runs/{A}/config.json", f"runs/{A}/train.json"]


def test_time_left_follows_the_pace_of_finished_runs():
    """Two at once. After 100 s the first ends, 10 s a unit. The second has run for 100 of its 100 s, so nothing of it
    is left; the third needs 20 x 10 = 200 s, half of that with two at once, but it cannot be split: 200 s."""
    state = CallProgress({A: 10.0, B: 10.0, C: 20.0})
    state.start(A, 0.0)
    state.start(B, 0.0)
    state.finish(A, 100.0)
    assert state.seconds_left(100.0) == 200.0
    state.start(C, 100.0)
    assert state.seconds_left(150.0) == 150.0
    state.finish(B, 160.0)  # 260 s for 20 units of this method, but C is of another: all finished runs give 13 s a unit
    assert state.seconds_left(160.0) == 260.0 - 60.0


def test_runs_of_a_method_are_expected_to_take_as_long_as_its_finished_ones():
    """Two of fixmatch took 10 s a unit and one of daso 1 s: a further one of daso of 4 units needs 4 s."""
    further = "digits/n1/p/daso/s1"
    state = CallProgress({A: 1.0, C: 4.0, further: 4.0})
    for run, seconds in ((A, 10.0), (C, 4.0)):
        state.start(run, 0.0)
        state.finish(run, seconds)
    assert state.seconds_left(10.0) == 4.0


def test_start_up_does_not_grow_with_the_cost_of_a_run():
    """Of 14 s, 10 s were start-up and 4 s trained 1 unit: 20 units need 10 + 80 s."""
    state = CallProgress({A: 1.0, C: 20.0})
    state.start(A, 0.0)
    state.finish(A, 14.0, training=4.0)
    assert state.seconds_left(14.0) == 90.0


def test_failed_run_is_not_waited_for_unless_it_starts_again():
    state = CallProgress({A: 1.0, B: 1.0})
    state.start(A, 0.0)
    state.finish(A, 60.0)
    state.start(B, 60.0)
    state.fail(B)
    assert state.seconds_left(60.0) == 0.0
    state.start(B, 60.0)
    assert state.seconds_left(60.0) == 60.0


def test_line_of_a_finished_run():
    state = CallProgress({A: 1.0, B: 1.0, **{f"digits/n1/p/longer/s{seed}": 1.0 for seed in range(8)}})
    state.start(A, 0.0)
    state.finish(A, 90.0)  # nine others of 90 s: 13.5 min
    assert run_line(A, state, 0.8012, 90.0) == " 1/10  digits/n1/p/fixmatch/s0  80.1 %, 14 min left"
    assert run_line(A, state, None, 90.0) == " 1/10  digits/n1/p/fixmatch/s0  14 min left"
    assert [format_left(s) for s in (5, 61, 7200, 200_000)] == ["1 min", "2 min", "2.0 h", "2.3 days"]


@pytest.mark.parametrize(
    ("reason", "ours"),
    [
        ("Missing output files: a; Input files updated by another job: b", "missing"),
        (
            "Updated input files: .snakemake/daso/dry/key-differs; Input files updated by another job: b",
            "stale: params/, code or inputs have changed",
        ),
        ("Input files updated by another job: b", "its inputs will change"),
        ("Forced execution; Missing output files: a", "forced"),
        ("Something new", "Something new"),
    ],
)
def test_line_of_a_job_in_a_dry_run(reason, ours):
    assert job_line("train", TRAINED, reason) == f"train     {A}  ({ours})"
    assert job_line("split", ["data/splits/s0.json"], reason) == f"split     data/splits/s0.json  ({ours})"


def test_end_of_a_log_is_shown(tmp_path):
    (tmp_path / "long").write_text("".join(f"{i}\n" for i in range(1, 26)))
    lines = log_lines([f"{tmp_path}/long", f"{tmp_path}/none"])
    assert lines[0] == f"  {tmp_path}/long, last 20 of 25 lines:"
    assert lines[1:21] == [f"    {i}" for i in range(6, 26)]
    assert lines[21:] == [f"  {tmp_path}/none: No such file or directory"]


def test_accuracy_and_time_of_a_finished_run(tmp_path):
    assert messages.accuracy(tmp_path) is None
    (tmp_path / "config.json").write_text(json.dumps({"protocol": {"evaluation": {"median_of": 3}}}))
    (tmp_path / "history.csv").write_text("step,test_top1\n1,0.9\n2,0.1\n3,0.5\n4,0.3\n")
    assert messages.accuracy(tmp_path) == 0.3
    assert messages.training_seconds(tmp_path) is None
    (tmp_path / "train.json").write_text('{"speed": {"seconds": 12.5}}')
    assert messages.training_seconds(tmp_path) == 12.5


class Terminal:
    """Logger with Snakemake's handler replaced, whose default formatter prints the bare message."""

    def __init__(self, *, dry_run=False):
        self.stream, self.logger = io.StringIO(), logging.Logger("snakemake")
        handler = logging.StreamHandler(self.stream)
        handler.name = "DefaultStreamHandler"
        self.logger.addHandler(handler)
        preview = Preview(["2 runs to train"], {A: 1.0, B: 1.0})
        self.messages = install(self.logger, lambda: preview, lambda: ["the results"], dry_run=dry_run)

    def log(self, text, event=None, level=logging.INFO, **values):
        """Log as Snakemake does and return the new output."""
        before = len(self.stream.getvalue())
        self.logger.log(level, text, extra={"event": SimpleNamespace(value=event) if event else None, **values})
        return self.stream.getvalue()[before:]


def test_messages_of_a_call(monkeypatch):
    monkeypatch.setattr(messages, "accuracy", lambda folder: 0.5)
    terminal = Terminal()
    job = {"jobid": 1, "rule_name": "train", "output": TRAINED, "reason": "Missing output files", "log": []}
    assert terminal.log("Building DAG of jobs...") == ""
    assert terminal.log("Job stats", "run_info") == "2 runs to train\n"
    assert terminal.log(None, "job_info", **job) == ""
    assert terminal.log("Finished", "job_finished", job_id=1) == f"1/2  {A}  50.0 %, 1 min left\n"
    assert terminal.log("Finished", "job_finished", job_id=2) == ""  # not a training
    assert terminal.log("Job 5 is slow", level=logging.WARNING) == "Job 5 is slow\n"
    queue = {**job, "rule_msg": "SLURM sbatch failed"}
    assert terminal.log("Error", "job_error", logging.ERROR, **queue) == f"FAILED train {A}\n  SLURM sbatch failed\n"
    assert terminal.log("Exiting because a job execution failed. Look above", level=logging.ERROR) == ""
    terminal.messages.finish(succeeded=False)
    expected = f"1 of 2 runs finished; failed: train {A}; run the same command again to continue\n"
    assert terminal.stream.getvalue().endswith(expected)
    stopped = "Terminating processes on user request, this might take some time."
    assert terminal.log(stopped) == f"{stopped}\n"
    assert terminal.log("Error", "job_error", logging.ERROR, **{**job, "output": []}) == ""


def test_failed_job_that_succeeds_later_is_not_listed(monkeypatch):
    monkeypatch.setattr(messages, "accuracy", lambda folder: 0.5)
    terminal = Terminal()
    job = {"jobid": 1, "rule_name": "train", "output": TRAINED, "reason": "Missing output files", "log": []}
    terminal.log("Job stats", "run_info")
    terminal.log(None, "job_info", **job)
    terminal.log("Error", "job_error", logging.ERROR, **job)
    terminal.log(None, "job_info", **job)
    terminal.log("Finished", "job_finished", job_id=1)
    terminal.messages.finish(succeeded=False)
    assert "failed" not in terminal.stream.getvalue().splitlines()[-1]


def test_results_are_printed_if_nothing_is_to_be_done_but_not_by_a_dry_run():
    nothing = "Nothing to be done (all requested files are present and up to date)."
    assert Terminal().log(nothing) == f"{nothing}\nthe results\n"
    assert Terminal(dry_run=True).log(nothing) == f"{nothing}\n"


def test_messages_of_snakemake_can_be_requested(monkeypatch):
    monkeypatch.setenv("DASO_MESSAGES", "snakemake")
    terminal = Terminal()
    assert terminal.messages is None
    assert terminal.log("Building DAG of jobs...") == "Building DAG of jobs...\n"
