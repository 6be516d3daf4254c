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


@pytest.mark.parametrize("keep", [0, 10, 200])
def test_a_damaged_file_is_refused(tmp_path, keep):
    checkpoint.save(tmp_path / "state.pt", {"key": "a", "w": torch.ones(100)})
    whole = (tmp_path / "state.pt").read_bytes()
    (tmp_path / "state.pt").write_bytes(whole[:keep])
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        checkpoint.load(tmp_path / "state.pt", "a")
