"""A run's last state stays until its results are there, whole, and recorded as those of its key."""

import json
import shutil
from pathlib import Path

import pytest

from daso import provenance, prune
from tests.finished import finish

RUN = "digits/n20/smoke/fixmatch/s0"
STATE, TRAINED = Path("scratch", RUN, "k1.pt"), Path("runs", RUN, "train.json")
FILES = ("config.json", "history.csv", "predictions.npz", "final.pt")


def record(name, text):
    path = provenance.META / provenance.record_name((TRAINED.parent / name).as_posix())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture(autouse=True)
def ended(tmp_path, monkeypatch):
    """A run that has ended, recorded, beside its last state."""
    monkeypatch.chdir(tmp_path)
    finish(TRAINED.parent, dict.fromkeys(FILES, "content"), key="k1")
    for name in (*FILES, TRAINED.name):
        record(name, json.dumps({"params": ["'k1'"]}))
    STATE.parent.mkdir(parents=True)
    STATE.write_bytes(b"state")


def test_the_state_of_a_recorded_run_goes():
    prune.spent()
    assert not STATE.exists()


OLD = json.dumps({"params": ["'k0'"]})
STAYS = {
    "no record": lambda: shutil.rmtree(provenance.META),
    "a damaged record": lambda: record("train.json", ""),
    "a damaged record of another file": lambda: record("predictions.npz", ""),
    "the record of an earlier training": lambda: record("train.json", OLD),
    "that of another file": lambda: record("final.pt", OLD),
    "an open job": lambda: provenance.mark([TRAINED.as_posix()]),
    "a file missing": TRAINED.with_name("final.pt").unlink,
    "no result": TRAINED.unlink,
    "a result of another key": lambda: finish(TRAINED.parent, {}, key="k0"),
    "no readable result": lambda: TRAINED.write_text("{"),
    "an edited result": lambda: TRAINED.write_text(TRAINED.read_text().replace('"final', '"finer')),
}


@pytest.mark.parametrize("why", STAYS)
def test_every_other_state_stays(why):
    STAYS[why]()
    prune.spent()
    assert STATE.exists()
