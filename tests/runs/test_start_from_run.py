"""Networks that start from the encoder of a finished run: which model, errors before training, bundles."""

import hashlib
import json
import shutil
from contextlib import chdir
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML

from daso.cli import main
from daso.config.build import build
from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.resolve import Run, data_config, split_config
from daso.data.catalog import make_store
from daso.data.files import checksummed
from daso.data.split import make_split
from daso.errors import DataError, ParamsError
from daso.paths import input_files, run_folder, store
from daso.planning.synthetic import random_data
from daso.runs.train import Execution, Job, train
from daso.runs.train_bundle import train_bundle
from tests.engine.world import CPU

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("finished")]
SETTING = "n20-m80-l20-u10r"
RESNET = {"name": "resnet", "depth": 18}
FIRST, SECOND = (Run("digits", SETTING, name, "supervised", 0) for name in ("first", "second"))
FIXMATCH = FIRST._replace(method="fixmatch")


def protocol(name, **changes):
    """Write a protocol of two steps, the protocol `smoke` with changes."""
    yaml = YAML(typ="safe")
    tree = yaml.load(Path("params/protocols/smoke.yaml").read_text())
    tree |= {"steps": 2, "batch_size": 4, "evaluation": {"every": 2, "median_of": 1}, "overrides": {}}
    tree["optimizer"]["lr"] = 0.001
    for option in ("lr", "warmup", "milestones", "factor"):
        tree["overrides"][f"optimizer.{option}"] = tree["optimizer"][option]
    yaml.dump(tree | changes, Path(f"params/protocols/{name}.yaml"))


def start_from(run, sha256, **options):
    """Write the protocol `second`, whose network starts from a run or a file."""
    protocol("second", network={**RESNET, "weights": run, "sha256": sha256, **options})


def train_run(run):
    config = Keys(load_params()).resolved(run)
    paths = {"store": store(run.id), **input_files(run.id, config["plan"])}
    train([Job(config, out=run_folder(run.id), scratch=Path("scratch", run.id), **paths)], Execution(CPU))


def digest(run):
    return hashlib.sha256((run_folder(run.id) / "final.pt").read_bytes()).hexdigest()


def built(run):
    config = Keys(load_params()).resolved(run)
    return build(config, random_data(config, CPU, unlabeled=20, test=8), CPU)


@pytest.fixture(scope="module")
def trained(read_params, tmp_path_factory):
    """Return a working copy in which FIRST, whose student is evaluated, and FIXMATCH are finished."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(read_params, folder, dirs_exist_ok=True)
    with chdir(folder):
        protocol("first", network=RESNET)
        params = load_params()
        images = make_store(data_config(params, "digits"), Path("data/store/digits"))
        make_split(split_config(params, "digits", SETTING, 0), images, Path(f"data/splits/digits/{SETTING}/s0.json"))
        for run in (FIRST, FIXMATCH):
            train_run(run)
    return folder


@pytest.fixture
def finished(trained, tmp_path, monkeypatch):
    """Change to a copy of the working copy."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


def test_encoder_is_that_of_the_model_that_the_run_evaluates():
    """Supervised learning evaluates the student, FixMatch the EMA model; the classifier is drawn anew."""
    for run, model in ((FIRST, "student"), (FIXMATCH, "teacher")):
        start_from(run.id, digest(run))
        saved = torch.load(run_folder(run.id) / "final.pt", weights_only=True)
        other = saved["teacher" if model == "student" else "student"]
        trainer = built(SECOND)
        assert trainer.weights_sha256 == digest(run)
        weights = {f"encoder.{name}": value for name, value in trainer.models.student.encoder.named_parameters()}
        assert all(torch.equal(value, saved[model][name]) for name, value in weights.items())
        assert not all(torch.equal(value, other[name]) for name, value in weights.items())
        assert not torch.equal(trainer.models.student.classifier.weight, saved[model]["classifier.weight"])


def test_errors_are_one_line_before_training():
    folder, file = run_folder(FIRST.id), run_folder(FIRST.id) / "final.pt"
    content, sha256 = file.read_bytes(), digest(FIRST)

    def error():
        with pytest.raises(DataError) as raised:
            built(SECOND)
        assert "\n" not in str(raised.value)
        return str(raised.value)

    missing = FIRST._replace(seed=1)
    start_from(missing.id, sha256)
    result = run_folder(missing.id) / "train.json"
    assert error() == f"{result}: missing, and weights of the network name its run; create it with `snakemake {result}`"
    start_from(FIRST.id, "0" * 64)
    assert f"got {sha256}: another run, or trained again; to start from it, set sha256 of the network to" in error()
    start_from(FIRST.id, sha256, depth=34)
    assert "not weights of this network: " in error()
    start_from(FIRST.id, sha256)
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert error().startswith(f"{file}: damaged or from a different run")
    file.write_bytes(content)
    rewrite_config(folder, lambda tree: tree["dataset"].update(mean=[0.5] * 3))
    assert "trained on images with mean: [0.5, 0.5, 0.5], got [" in error()
    rewrite_config(folder, lambda tree: tree["protocol"]["network"].update(train="head"))
    assert error() == f"{FIRST.id}: trained on features, so it has no encoder; name a run that trains its network"


def rewrite_config(folder, change):
    """Change the configuration of a finished run, and its digest."""
    tree, result = (json.loads((folder / name).read_text()) for name in ("config.json", "train.json"))
    change(tree)
    text = json.dumps(tree).encode()
    (folder / "config.json").write_bytes(text)
    result["files"]["config.json"] = hashlib.sha256(text).hexdigest()
    (folder / "train.json").write_bytes(checksummed({k: v for k, v in result.items() if k != "sha256"}))


def test_missing_digest_is_printed_for_the_params_file():
    protocol("second", network={**RESNET, "weights": FIRST.id})
    with pytest.raises(ParamsError) as error:
        load_params()
    line = f"params/protocols/second.yaml: network.sha256: missing; set it to {digest(FIRST)}, that of the weights"
    assert str(error.value) == line


def test_bundle_carries_the_encoder_of_a_run():
    """The bundled run trains without the other run's folder, to the same bits."""
    sha256 = digest(FIRST)
    start_from(FIRST.id, sha256)
    assert main(["bundle", SECOND.id, "--out", "bundle"]) == 0
    train_run(SECOND)
    run_folder(FIRST.id).rename("elsewhere")
    train_bundle(Path("bundle"), Execution(CPU))
    result = json.loads((Path("bundle") / run_folder(SECOND.id) / "train.json").read_text())
    assert result["provenance"]["weights_sha256"] == sha256
    for name in ("final.pt", "history.csv"):
        one, two = (folder / run_folder(SECOND.id) / name for folder in (Path(), Path("bundle")))
        assert one.read_bytes() == two.read_bytes()


def test_prune_keeps_a_run_that_a_network_starts_from(capsys):
    start_from(FIRST.id, digest(FIRST))
    assert main(["prune"]) == 0
    assert FIRST.id not in capsys.readouterr().out
    protocol("second", network=RESNET)
    assert main(["prune"]) == 0
    assert FIRST.id in capsys.readouterr().out
