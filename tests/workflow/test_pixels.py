"""A suite of photos whose network is trained in part, and a network that starts from one of its runs."""

import hashlib
import json
import shutil

import pytest
from ruamel.yaml import YAML

from tests.workflow.photos import NETWORK, with_photos
from tests.workflow.project import ROOT, Project

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("workflow")]
pytest.importorskip("timm")
METHODS = ["supervised_la", "self_training_la", "fixmatch_la_daso"]
RUN = "own/few/{}/supervised_la/s0"


def test_methods_of_photos_train_on_pixels_and_another_network_starts_from_a_run(tmp_path):
    flowers = with_photos(Project.create(tmp_path / "project"))
    for name in METHODS:
        shutil.copy(ROOT / f"params/methods/{name}.yaml", flowers.path / "params/methods")
    flowers.edit("methods/fixmatch_la_daso.yaml", lambda tree: tree.pop("where"))  # it names other datasets
    pixels = YAML(typ="safe").load((ROOT / "params/protocols/photos-pixels.yaml").read_text())

    def train_in_part(tree):
        optimizer = pixels["optimizer"] | {"warmup": 2}
        evaluation = {**tree["evaluation"], "model": "ema", "predictions": True}
        overrides = tree["overrides"] | {f"optimizer.{name}": optimizer[name] for name in ("lr", "warmup", "factor")}
        network = NETWORK | {"train": "last:1"}
        tree |= {"network": network, "optimizer": optimizer, "evaluation": evaluation, "overrides": overrides}

    flowers.edit("protocols/tiny.yaml", train_in_part)
    controls = {"self_training_la": "supervised_la", "fixmatch_la_daso": "supervised_la"}
    flowers.edit("suites/tiny.yaml", lambda tree: tree["tables"][0].update(methods=METHODS, controls=controls))
    flowers.snakemake()
    for method in METHODS:
        result = json.loads(flowers.read(f"runs/own/few/tiny/{method}/s0/train.json"))
        assert result["provenance"]["weights_sha256"] == NETWORK["sha256"]
    assert flowers.planned() == {}

    again = flowers.path / "params/protocols/again.yaml"
    shutil.copy(flowers.path / "params/protocols/tiny.yaml", again)
    digest = hashlib.sha256((flowers.path / "runs" / RUN.format("tiny") / "final.pt").read_bytes()).hexdigest()
    start = {"weights": RUN.format("tiny"), "sha256": "0" * 64, "train": "all"}
    flowers.edit("protocols/again.yaml", lambda tree: tree["network"].update(start))
    flowers.edit("suites/tiny.yaml", lambda tree: tree.update(protocol="again"))
    flowers.edit("suites/tiny.yaml", lambda tree: tree["tables"][0].pop("controls"))
    flowers.edit("suites/tiny.yaml", lambda tree: tree["tables"][0].update(methods=METHODS[:1]))
    assert f"set sha256 of the network to {digest}" in flowers.snakemake(fails=True)
    flowers.edit("protocols/again.yaml", lambda tree: tree["network"].update(sha256=digest))
    flowers.snakemake()
    result = json.loads(flowers.read(f"runs/{RUN.format('again')}/train.json"))
    assert result["provenance"]["weights_sha256"] == digest
