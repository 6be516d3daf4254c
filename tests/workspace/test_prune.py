"""A checkpoint stays until the results of its key are there, whole."""

from pathlib import Path

import pytest

from daso.workspace import prune
from tests.finished import finish

RUN = "digits/n20/smoke/fixmatch/s0"
STATE, TRAINED = Path("scratch", RUN, "k1.pt"), Path("runs", RUN, "train.json")
FILES = ("config.json", "history.csv", "predictions.npz", "final.pt")


@pytest.fixture(autouse=True)
def ended(tmp_path, monkeypatch):
    """A run that has ended, beside its checkpoint."""
    monkeypatch.chdir(tmp_path)
    finish(TRAINED.parent, dict.fromkeys(FILES, "content"), key="k1")
    STATE.parent.mkdir(parents=True)
    STATE.write_bytes(b"state")


def test_the_checkpoint_of_a_finished_run_goes():
    prune.finished_checkpoints()
    assert not STATE.exists()


STAYS = {
    "a file missing": TRAINED.with_name("final.pt").unlink,
    "no result": TRAINED.unlink,
    "a result of another key": lambda: finish(TRAINED.parent, {}, key="k0"),
    "no readable result": lambda: TRAINED.write_text("{"),
    "an edited result": lambda: TRAINED.write_text(TRAINED.read_text().replace('"final', '"finer')),
}


@pytest.mark.parametrize("why", STAYS)
def test_every_other_state_stays(why):
    STAYS[why]()
    prune.finished_checkpoints()
    assert STATE.exists()


def test_a_checkpoint_that_cannot_be_deleted_is_reported(caplog, monkeypatch):
    def fails(path, missing_ok):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", fails)
    prune.finished_checkpoints()
    line = f"{STATE}: cannot be deleted (Read-only file system); its run is finished, delete it"
    assert [record.getMessage() for record in caplog.records] == [line]
