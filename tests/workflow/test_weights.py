"""Runs whose network has pretrained weights; the file has random ones."""

import hashlib
import json

import pytest
import torch
from torchvision.models import resnet18

from tests.workflow.project import METHODS, SETTING

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]
RUN = f"runs/digits/{SETTING}/tiny/{METHODS[0]}/s0/train.json"
FILE = "data/weights/random.pth"


def test_missing_weights_end_the_workflow_before_any_training(project):
    """With the file, the same call trains, and the result records its whole digest."""
    path = project.path / FILE
    path.parent.mkdir()
    torch.save(resnet18().state_dict(), path)
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    path.unlink()
    network = {"name": "resnet", "depth": 18, "weights": FILE, "sha256": digest[:8]}
    project.edit("protocols/tiny.yaml", lambda tree: tree.update(network=network))
    missing = f"{FILE}: missing; download it from https://download.pytorch.org/models/resnet18-f37072fd.pth"
    before = project.results()
    assert [line for line in project.snakemake(fails=True).splitlines() if missing in line]
    assert project.results() == before
    assert f"WARNING: {missing}" in project.call("python", "-m", "daso", "plan")
    assert project.planned()["train supervised 0"] == 1
    path.write_bytes(b"<html>")
    assert "a web page instead of weights" in project.snakemake(fails=True)
    path.write_bytes(content)
    project.snakemake(RUN)
    assert json.loads(project.read(RUN))["provenance"]["weights_sha256"] == digest
    assert project.read(f"{FILE}.sha256") == f"{digest}  random.pth\n"
