"""The schemas' lists of names are those of the code, which reading params/ must not import."""

import json
import shutil
from pathlib import Path

import pytest

from daso.augment.randaugment import COLOURS, MOVES
from daso.config.params import load
from daso.errors import ParamsError

ROOT = Path(__file__).resolve().parents[2]


def test_operations():
    schema = json.loads((ROOT / "workflow/schemas/dataset.schema.json").read_text())
    ops = schema["properties"]["augment"]["properties"]["ops"]["items"]["enum"]
    assert ops == sorted([*COLOURS, *MOVES])


def test_an_unknown_operation_names_its_neighbour(tmp_path):
    shutil.copytree(ROOT / "params", tmp_path / "params")
    file = tmp_path / "params/datasets/digits.yaml"
    file.write_text(file.read_text().replace("rotate", "rotat"))
    with pytest.raises(ParamsError, match=r"digits.yaml: augment.ops.*rotat.*did you mean 'rotate'"):
        load(tmp_path / "params")
