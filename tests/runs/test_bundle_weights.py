"""Bundle of a run with pretrained weights, trained where the file that its configuration names is missing."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models import resnet18

from daso.cli import main
from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.resolve import data_config, parse_run, split_config
from daso.data.catalog import make_store
from daso.data.files import checksummed, write_file
from daso.data.split import make_split
from daso.errors import DataError
from daso.runs.corrections import correct_runs
from daso.runs.train import Execution
from daso.runs.train_bundle import train_bundle
from tests.engine.world import CPU

RUN = "digits/n20-m80-l20-u10r/smoke/supervised/s0"
BUNDLE = Path("bundle")
URL = "https://download.pytorch.org/models/resnet18-f37072fd.pth"


@pytest.fixture
def weights(workspace):
    """Write the inputs of RUN, two steps of a ResNet-18, and its file of weights, outside of the working copy."""
    path = workspace.parent / f"{workspace.name}-weights.pth"
    torch.save(resnet18().state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    protocol = workspace / "params/protocols/smoke.yaml"
    network = f"network: {{name: resnet, depth: 18, weights: {path}, sha256: '{digest[:8]}'}}"
    text = protocol.read_text().replace("steps: 60", "steps: 2").replace("every: 20", "every: 1")
    text = text.replace("median_of: 3", "median_of: 1")
    protocol.write_text(
        "".join(network + "\n" if line.startswith("network") else line for line in text.splitlines(True))
    )
    params, run = load_params(), parse_run(load_params(), RUN)
    store = make_store(data_config(params, "digits"), Path("data/store/digits"))
    make_split(split_config(params, "digits", run.setting, 0), store, Path(f"data/splits/digits/{run.setting}/s0.json"))
    return path, digest


def test_bundle_trains_with_its_own_file_of_weights(weights):
    path, digest = weights
    assert main(["bundle", RUN, "--out", str(BUNDLE)]) == 0
    packed = BUNDLE / f"data/weights/{digest[:8]}.pth"
    assert packed.read_bytes() == path.read_bytes()
    assert json.loads((BUNDLE / "bundle.json").read_text())["files"][f"data/weights/{digest[:8]}.pth"] == digest
    path.unlink()
    train_bundle(BUNDLE, Execution(CPU))
    result = json.loads((BUNDLE / "runs" / RUN / "train.json").read_text())
    assert result["provenance"]["weights_sha256"] == digest
    assert result["key"] == Keys(load_params()).train(parse_run(load_params(), RUN))
    assert json.loads((BUNDLE / "runs" / RUN / "config.json").read_text())["protocol"]["network"]["weights"] == str(
        path
    )


def test_corrections_need_no_pretrained_weights(weights):
    """The weights of the trained run replace them: its accuracy is that of its predictions."""
    path, _ = weights
    assert main(["bundle", RUN, "--out", str(BUNDLE)]) == 0
    path.unlink()
    train_bundle(BUNDLE, Execution(CPU))
    shutil.copytree(BUNDLE / "runs", "runs")
    (corrected,) = correct_runs([RUN], CPU)
    with np.load(f"runs/{RUN}/predictions.npz") as arrays:
        right = arrays["logits"].argmax(1) == arrays["labels"]
    assert corrected["corrections"]["uncorrected"]["accuracy"] == pytest.approx(right.mean())


def test_corrections_of_other_weights_or_of_another_split_are_refused(weights):
    assert main(["bundle", RUN, "--out", str(BUNDLE)]) == 0
    train_bundle(BUNDLE, Execution(CPU))
    shutil.copytree(BUNDLE / "runs", "runs")
    final, result = (Path("runs", RUN, name) for name in ("final.pt", "train.json"))
    content, tree = final.read_bytes(), json.loads(result.read_text())
    final.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DataError, match=r"final\.pt: damaged or from a different run"):
        list(correct_runs([RUN], CPU))
    final.write_bytes(content)
    del tree["sha256"]
    tree["provenance"]["split_sha256"] = "another"
    write_file(result, checksummed(tree))
    with pytest.raises(DataError, match=rf"split or images have changed since runs/{RUN} was trained; run `snakemake "):
        list(correct_runs([RUN], CPU))


def test_damaged_weights_of_a_bundle_are_refused_on_arrival(weights):
    _, digest = weights
    assert main(["bundle", RUN, "--out", str(BUNDLE)]) == 0
    packed = BUNDLE / f"data/weights/{digest[:8]}.pth"
    content = packed.read_bytes()
    packed.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(
        DataError, match=rf"{digest[:8]}\.pth: damaged or from a different bundle: .*; copy the bundle ag"
    ):
        train_bundle(BUNDLE, Execution(CPU))
    assert not (BUNDLE / "runs" / RUN).exists()


def test_missing_weights_end_the_packing(weights, capsys):
    path, digest = weights
    path.unlink()
    assert main(["bundle", RUN, "--out", str(BUNDLE)]) == 1
    assert f"{path}: missing; download it from {URL}" in capsys.readouterr().err
    path.write_bytes(b"other")
    assert main(["bundle", RUN, "--out", str(BUNDLE)]) == 1
    assert (
        f"{path}: expected SHA-256 {digest[:8]}, got {hashlib.sha256(b'other').hexdigest()}" in capsys.readouterr().err
    )
    assert not BUNDLE.exists()
