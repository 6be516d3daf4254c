"""A checkpoint is deleted only when the results of its key are complete and undamaged."""

from pathlib import Path

import pytest

from daso.workspace import prune
from tests.finished import finish

RUN = "digits/n20/smoke/fixmatch/s0"
CHECKPOINT, TRAINED = Path("scratch", RUN, "k1.pt"), Path("runs", RUN, "train.json")
FILES = ("config.json", "history.csv", "predictions.npz", "final.pt")


@pytest.fixture(autouse=True)
def finished_run(tmp_path, monkeypatch):
    """Make a finished run and its checkpoint."""
    monkeypatch.chdir(tmp_path)
    finish(TRAINED.parent, dict.fromkeys(FILES, "content"), key="k1")
    CHECKPOINT.parent.mkdir(parents=True)
    CHECKPOINT.write_bytes(b"state")


def test_checkpoint_of_finished_run_is_deleted():
    prune.finished_checkpoints()
    assert not CHECKPOINT.exists()


KEPT = {
    "a file missing": TRAINED.with_name("final.pt").unlink,
    "no result": TRAINED.unlink,
    "a result of another key": lambda: finish(TRAINED.parent, {}, key="k0"),
    "no readable result": lambda: TRAINED.write_text("{"),
    "an edited result": lambda: TRAINED.write_text(TRAINED.read_text().replace('"final', '"finer')),
}


@pytest.mark.parametrize("reason", KEPT)
def test_every_other_checkpoint_is_kept(reason):
    KEPT[reason]()
    prune.finished_checkpoints()
    assert CHECKPOINT.exists()


def test_checkpoint_that_cannot_be_deleted_is_logged(caplog, monkeypatch):
    def fails(path, missing_ok):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", fails)
    prune.finished_checkpoints()
    line = f"{CHECKPOINT}: cannot be deleted (Read-only file system); its run is finished, delete it"
    assert [record.getMessage() for record in caplog.records] == [line]
