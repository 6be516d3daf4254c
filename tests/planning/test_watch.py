"""Progress of trainings from made-up logs; times left are computed by hand."""

import os
from pathlib import Path

import pytest

from daso.cli import main
from daso.config.load import load_params
from daso.config.resolve import runs
from daso.planning.watch import TrainingProgress, is_training, training, view, views

RUN = "digits/n1/p/fixmatch/s0"


def write(path, text, when=None):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if when is not None:
        os.utime(path, (when, when))


@pytest.fixture
def started(tmp_path, monkeypatch):
    """Start a job at 1,000 s, whose log ends at 1,200 s."""
    monkeypatch.chdir(tmp_path)
    write(f"runs/{RUN}/config.json", "{}", 1000)

    def log(*lines):
        write(f"logs/train/{RUN}.log", "".join(f"{line}\n" for line in lines), 1200)

    return log


def test_run_without_a_log_or_an_evaluation_has_no_progress(started):
    assert training(RUN, 1200) == TrainingProgress(RUN)
    started("digits: 487 train images")
    assert training(RUN, 1200) == TrainingProgress(RUN)


def test_progress_is_that_of_the_last_evaluation(started):
    """200 steps in 200 s: 1,000 s are left for 1,000 steps, 970 s of them after 30 s more."""
    started(f"{RUN} step 100/1200 test 0.5000 x 1.0", f"{RUN} step 200/1200 test 0.7812 val 0.7 x 0.9")
    assert training(RUN, 1230) == TrainingProgress(RUN, "200/1,200", "78.1 %", "17 min")


def test_resumed_run_is_timed_from_its_checkpoint(started):
    """100 of the 600 steps in these 200 s: 2 s a step, 1,200 s for the other 600."""
    started(f"{RUN}: resumes at step 500 of 1200", f"{RUN} step 600/1200 test 0.5000")
    assert training(RUN, 1200).left == "20 min"


def test_run_is_training_while_the_process_of_its_lock_exists(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not is_training(RUN)
    here = os.uname().nodename
    for holder, expected in ((f"process {os.getpid()} on {here}", True), (f"process 9999999 on {here}", False)):
        write(f"scratch/{Path(RUN).parent}/s0.lock", f"{holder}\n")
        assert is_training(RUN) == expected
    write(f"scratch/{Path(RUN).parent}/s0.lock", "process 9999999 on another\n")
    assert is_training(RUN)


def test_view_lists_runs_in_training():
    assert view("smoke", 4, 6, [], 2) == "smoke: 4 of 6 runs done, 0 training, 2 to do\n"
    assert view("smoke", 4, 6, [TrainingProgress(RUN, "200/1,200", "78.1 %", "17 min")], 1) == (
        "smoke: 4 of 6 runs done, 1 training, 1 to do\n"
        "run                      step       accuracy  left\n"
        "digits/n1/p/fixmatch/s0  200/1,200  78.1 %    17 min\n"
    )


def test_command_prints_once_if_it_is_not_on_a_terminal(read_params, monkeypatch, capsys):
    monkeypatch.chdir(read_params)
    assert main(["watch", "smoke"]) == 0
    assert capsys.readouterr().out == "smoke: 0 of 6 runs done, 0 training, 6 to do\n"


def test_views_end_when_all_runs_are_done(read_params, monkeypatch):
    monkeypatch.chdir(read_params)
    params, done = load_params(), set()
    monkeypatch.setattr(
        "daso.planning.watch.Current",
        lambda keys: type("All", (), {"status": staticmethod(lambda run: "done" if run in done else "missing")}),
    )
    shown = views(params, "smoke")
    assert next(shown).startswith("smoke: 0 of 6")
    done.update(runs(params, "smoke"))
    assert list(shown) == ["smoke: 6 of 6 runs done, 0 training, 0 to do\n"]
