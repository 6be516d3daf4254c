import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]

DIGITS = """\
title: handwritten digits
source: {kind: digits}
images: {train: 1297, unlabeled: 0, test: 500, smallest_class: 124}
num_classes: 10
image_size: 8
mean: [0.3, 0.3, 0.3]
std: [0.4, 0.4, 0.4]
holdout: 100
class_order: seed
augment: {flip: false, pad: 1, cutout: 2, num_ops: 2, op_probability: 0.5, ops: [rotate]}
settings:
  n20-m80-l20-u10: {n1: 20, m1: 80, gamma_l: 20, gamma_u: 10}
  n20-m80-l20-u10r: {n1: 20, m1: 80, gamma_l: 20, gamma_u: 10, reversed: true}
"""


@pytest.fixture
def params(tmp_path, monkeypatch):
    """Write params/ with only digits to the working directory; return `change(file, edit)`, which edits one file."""
    monkeypatch.chdir(tmp_path)
    for name in ("protocols/digits.yaml", "protocols/smoke.yaml", "suites/smoke.yaml", "suites/quickstart.yaml"):
        _copy(name)
    for method in ("supervised", "fixmatch", "fixmatch_daso"):
        _copy(f"methods/{method}.yaml")
    _copy("pipeline.yaml")
    Path("params/datasets").mkdir()
    Path("params/datasets/digits.yaml").write_text(DIGITS)

    def change(file, edit):
        path = Path("params", file)
        yaml = YAML()
        tree = yaml.load(path.read_text())
        edit(tree)
        with path.open("w") as out:
            yaml.dump(tree, out)

    change("suites/quickstart.yaml", lambda tree: tree.update(protocol="digits"))
    change(
        "methods/fixmatch_daso.yaml", lambda tree: tree.update(where={"digits/*-u10": {"daso.dist_temperature": 1.5}})
    )
    return change


def _copy(name):
    target = Path("params", name)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "params" / name, target)
