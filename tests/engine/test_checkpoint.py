import hashlib
import zipfile
from pathlib import Path

import pytest
import torch

from daso.engine import checkpoint
from daso.errors import CheckpointError


def test_there_and_back(tmp_path):
    state = {"key": "a", "t": 3, "weights": {"w": torch.arange(4.0)}, "history": [{"step": 3, "pl": None}]}
    checkpoint.save(tmp_path / "deep" / "state.pt", state)
    loaded = checkpoint.load(tmp_path / "deep" / "state.pt", "a")
    assert torch.equal(loaded.pop("weights")["w"], torch.arange(4.0))
    assert loaded == {"key": "a", "t": 3, "history": [{"step": 3, "pl": None}]}


def test_equal_states_give_equal_bytes(tmp_path):
    for name in ("one.pt", "two.pt"):
        checkpoint.save(tmp_path / name, {"key": "a", "w": torch.ones(3)})
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "two.pt").read_bytes()


def test_another_configuration_is_refused(tmp_path):
    checkpoint.save(tmp_path / "state.pt", {"key": "a"})
    with pytest.raises(CheckpointError, match="belongs to configuration a, this run is b"):
        checkpoint.load(tmp_path / "state.pt", "b")


@pytest.mark.parametrize("keep", [0, 10, 64, 200])
def test_a_damaged_file_is_refused(tmp_path, keep):
    checkpoint.save(tmp_path / "state.pt", {"key": "a", "w": torch.ones(100)})
    whole = (tmp_path / "state.pt").read_bytes()
    (tmp_path / "state.pt").write_bytes(whole[:keep])
    with pytest.raises(CheckpointError, match="not a readable checkpoint .*; delete it to start again"):
        checkpoint.load(tmp_path / "state.pt", "a")


def test_any_flipped_bit_is_noticed(tmp_path):
    """In a weight too, where torch itself sees nothing; the file stays one that torch and zip programs read."""
    path = tmp_path / "state.pt"
    checkpoint.save(path, {"key": "a", "w": torch.ones(4)})
    whole = path.read_bytes()
    assert torch.load(path, weights_only=True)["w"].tolist() == [1.0] * 4
    with zipfile.ZipFile(path) as archive:
        assert archive.comment.decode() == hashlib.sha256(whole[:-64]).hexdigest()
    place = whole.index(torch.ones(4).numpy().tobytes())
    path.write_bytes(whole[:place] + bytes([1]) + whole[place + 1 :])
    assert torch.load(path, weights_only=True)["w"][0] != 1.0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        with pytest.raises(CheckpointError, match="does not have the digest it names"):
            checkpoint.load(path, "a")


class Malice:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_no_state_runs_code(tmp_path):
    """One that wants to is refused even with its digest right."""
    path, made = tmp_path / "state.pt", tmp_path / "made"
    checkpoint.save(path, {"key": "a", "w": Malice(made)})
    with pytest.raises(CheckpointError, match=r"not a readable checkpoint \(.*; delete it to start again"):
        checkpoint.load(path, "a")
    assert not made.exists()
    torch.load(path, weights_only=False)
    assert made.exists()


@pytest.mark.parametrize("state", [[1], "text", {"key": None}])
def test_what_is_no_state(tmp_path, state):
    checkpoint.save(tmp_path / "state.pt", state)
    with pytest.raises(CheckpointError, match="belongs to configuration None, this run is a"):
        checkpoint.load(tmp_path / "state.pt", "a")
