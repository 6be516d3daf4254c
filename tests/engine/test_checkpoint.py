import hashlib
import zipfile
from pathlib import Path

import pytest
import torch

from daso.engine import checkpoint
from daso.errors import CheckpointError


def test_load_returns_the_saved_state(tmp_path):
    state = {"key": "a", "t": 3, "weights": {"w": torch.arange(4.0)}, "history": [{"step": 3, "pl": None}]}
    checkpoint.save(tmp_path / "deep" / "state.pt", state)
    loaded = checkpoint.load_checkpoint(tmp_path / "deep" / "state.pt", "a")
    assert torch.equal(loaded.pop("weights")["w"], torch.arange(4.0))
    assert loaded == {"key": "a", "t": 3, "history": [{"step": 3, "pl": None}]}


def test_equal_states_give_equal_bytes(tmp_path):
    for name in ("one.pt", "two.pt"):
        checkpoint.save(tmp_path / name, {"key": "a", "w": torch.ones(3)})
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "two.pt").read_bytes()


def test_checkpoint_of_another_configuration_is_refused(tmp_path):
    checkpoint.save(tmp_path / "state.pt", {"key": "a"})
    with pytest.raises(CheckpointError, match="belongs to configuration a, this run is b"):
        checkpoint.load_checkpoint(tmp_path / "state.pt", "b")


@pytest.mark.parametrize("length", [0, 10, 64, 200])
def test_truncated_file_is_refused(tmp_path, length):
    checkpoint.save(tmp_path / "state.pt", {"key": "a", "w": torch.ones(100)})
    content = (tmp_path / "state.pt").read_bytes()
    (tmp_path / "state.pt").write_bytes(content[:length])
    with pytest.raises(CheckpointError, match="not a readable checkpoint .*; delete it to start again"):
        checkpoint.load_checkpoint(tmp_path / "state.pt", "a")


def test_any_flipped_bit_is_detected(tmp_path):
    """This includes bits of a weight, which torch.load does not check; torch and zip programs can read a checkpoint."""
    path = tmp_path / "state.pt"
    checkpoint.save(path, {"key": "a", "w": torch.ones(4)})
    content = path.read_bytes()
    assert torch.load(path, weights_only=True)["w"].tolist() == [1.0] * 4
    with zipfile.ZipFile(path) as archive:
        assert archive.comment.decode() == hashlib.sha256(content[:-64]).hexdigest()
    weight = content.index(torch.ones(4).numpy().tobytes())
    path.write_bytes(content[:weight] + bytes([1]) + content[weight + 1 :])
    assert torch.load(path, weights_only=True)["w"][0] != 1.0
    for i in range(len(content)):
        path.write_bytes(content[:i] + bytes([content[i] ^ 1 << i % 8]) + content[i + 1 :])
        with pytest.raises(CheckpointError, match="its checksum is wrong"):
            checkpoint.load_checkpoint(path, "a")


class CodeOnUnpickling:
    """Object that creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_loading_executes_no_code(tmp_path):
    """A checkpoint with code is rejected even if its checksum is right."""
    path, created = tmp_path / "state.pt", tmp_path / "created"
    checkpoint.save(path, {"key": "a", "w": CodeOnUnpickling(created)})
    with pytest.raises(CheckpointError, match=r"not a readable checkpoint \(.*; delete it to start again"):
        checkpoint.load_checkpoint(path, "a")
    assert not created.exists()
    torch.load(path, weights_only=False)
    assert created.exists()


@pytest.mark.parametrize("state", [[1], "text", {"key": None}])
def test_state_without_a_key_is_refused(tmp_path, state):
    checkpoint.save(tmp_path / "state.pt", state)
    with pytest.raises(CheckpointError, match="belongs to configuration None, this run is a"):
        checkpoint.load_checkpoint(tmp_path / "state.pt", "a")
