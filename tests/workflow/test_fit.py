"""Values that are fitted to the labeled images of a split, and passed to the runs of their protocol."""

import hashlib
import json
import shutil

import numpy as np
import pytest

from daso.config.code import RESULT_NEUTRAL
from daso.config.keys import Keys
from daso.config.load import load_params
from tests.workflow.photos import write_photos
from tests.workflow.project import ROOT
from tests.workflow.test_stages import EXEMPT, LIST_MODULES

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]
pytest.importorskip("timm")
METHODS = ("supervised", "supervised_la", "self_training_la")
FIT = "data/fits/own/few/tiny/s0.json"
ARRAYS = FIT.replace(".json", ".npz")
INPUTS = ("--store", "data/store/own", "--split", "data/splits/own/few/s0.json")
FEATURES = ("--features", "data/features/own/tiny/manifest.json")

PRINT_CONFIG = """
import hashlib
import json
from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.resolve import Run
print(json.dumps(Keys(load_params()).fit_config(Run("own", "few", "tiny", "supervised_la", 0))))
"""
KILLED = """
import os, sys
from daso.cli import main
from daso.runs import fit
write = fit.write_file
fit.write_file = lambda path, content: os._exit(9) if path.suffix == ".json" else write(path, content)
main(sys.argv[1:])
"""


@pytest.fixture
def fitted(flowers):
    """Return a project with 16 labels of two classes, whose suite fits to them: decay 0.25, tau 3."""
    for method in METHODS:
        shutil.copy(ROOT / f"params/methods/{method}.yaml", flowers.path / "params/methods")
    flowers.edit("datasets/own.yaml", lambda tree: tree["settings"]["few"].update(n1=8))
    grid = {"weight_decay": [0.25], "tau": [3.0], "folds": 4, "least_labels": 16}
    flowers.edit(
        "protocols/tiny.yaml", lambda tree: tree.update(fit=grid) or tree["evaluation"].update(predictions=True)
    )
    flowers.edit("suites/tiny.yaml", lambda tree: tree["tables"][0].update(methods=list(METHODS)))
    return flowers


def read(project, file):
    return json.loads(project.read(file))


def result(project, method):
    return read(project, f"runs/own/few/tiny/{method}/s0/train.json")


def planned(project):
    """Return the jobs of `snakemake -n` by rule and method."""
    return {job.rpartition(" ")[0] if job[-1].isdigit() else job for job in project.planned()}


def test_fitted_values_reach_the_runs_and_their_metrics(fitted):
    fitted.snakemake()
    fit = read(fitted, FIT)
    assert (fit["weight_decay"], fit["tau"], fit["labels"], fit["scored"], fit["folds"]) == (0.25, 3.0, 16, 16, 4)
    values = {"weight_decay": 0.25, "note": ""}
    values |= {name: fit[name] for name in ("grid", "unlike_threshold", "unlabeled", "unlabeled_unlike")}
    own = (
        {"tau": None, "temperature": None},
        {"tau": 3.0, "temperature": fit["temperature"]},
        {"tau": 3.0, "temperature": fit["self_training_temperature"]},
    )
    for method, expected in zip(METHODS, own, strict=True):
        assert result(fitted, method)["provenance"]["fit"] == values | expected
        metrics = read(fitted, f"metrics/own/few/tiny/{method}/s0.json")
        assert metrics["fit"] == values | expected
        assert metrics["calibration"]["temperature"] == expected["temperature"]
    with np.load(fitted.path / ARRAYS) as arrays:
        assert arrays["rows"].tolist() == read(fitted, "data/splits/own/few/s0.json")["labeled"]
        assert arrays["logits"].shape == (16, 2)
        assert sorted(arrays["folds"].tolist()) == sorted([0, 1, 2, 3] * 4)
        assert arrays["unlabeled_rows"].tolist() == read(fitted, "data/splits/own/few/s0.json")["unlabeled"]
        assert np.isfinite(arrays["self_training_logits"]).all()
        above = (arrays["unlabeled_unlike"] > fit["unlike_threshold"]).sum()
    assert (fit["unlabeled"], fit["unlabeled_unlike"]) == (4, above)
    assert 0.2 <= fit["self_training_temperature"] <= 5
    assert not planned(fitted)
    before = {method: result(fitted, method)["files"]["final.pt"] for method in METHODS}
    fitted.edit("protocols/tiny.yaml", lambda tree: tree["fit"].update(weight_decay=[0.0]))
    rebuilt = (f"{rule} {method}" for rule in ("train", "evaluate") for method in METHODS)
    assert planned(fitted) == {"fit", "derive self_training_la", *rebuilt, "correct tiny", "report tiny"}
    fitted.snakemake()
    assert all(result(fitted, method)["files"]["final.pt"] != before[method] for method in METHODS)


def test_defaults_stay_with_few_labels(fitted):
    fitted.edit("protocols/tiny.yaml", lambda tree: tree["fit"].update(least_labels=17))
    fitted.snakemake()
    note = "16 labels, fewer than fit.least_labels (17): weight decay and tau keep their defaults"
    assert read(fitted, FIT)["note"] == note
    assert note in fitted.read("logs/fit/own/few/tiny/s0.log")
    expected = {"weight_decay": 0.0005, "tau": 1.0, "temperature": 1.0, "grid": [], "note": note}
    assert result(fitted, "supervised_la")["provenance"]["fit"].items() >= expected.items()


def test_test_images_do_not_change_the_fit(fitted):
    """Another photo of the class a in the test part gives a new key, and the same values bit for bit."""
    fitted.snakemake("fits")
    before, arrays = read(fitted, FIT), (fitted.path / ARRAYS).read_bytes()
    write_photos(fitted.path / "images/test/a", 5, 900)
    assert "fit" in planned(fitted)
    fitted.snakemake("fits")
    after = read(fitted, FIT)
    assert before["key"] != after["key"]
    assert (fitted.path / ARRAYS).read_bytes() == arrays
    names = before.keys() - {"key", "split_sha256", "sha256"}
    assert {name: after[name] for name in names} == {name: before[name] for name in names}


def test_run_refuses_a_missing_or_different_fit(fitted):
    fitted.snakemake("fits")
    run = "own/few/tiny/supervised_la/s0"
    fitted.write("config.json", fitted.call("python", "-m", "daso", "resolve", run))
    train = ("python", "-m", "daso", "train", "--config", "config.json", *INPUTS, *FEATURES)
    train += ("--out", "new", "--scratch", "new/scratch")
    line = fitted.call(*train, fails=True).splitlines()[-1]
    assert line == f"{run}: --fit: missing; name the file"
    fitted.edit("protocols/tiny.yaml", lambda tree: tree["fit"].update(tau=[1.0]))
    key = read(fitted, "config.json")["plan"]["fit"]["key"]
    fitted.snakemake("fits")
    line = fitted.call(*train, "--fit", FIT, fails=True).splitlines()[-1]
    assert line == f"{FIT}: not the fit {key}; delete it and run `snakemake {FIT}` again"
    (fitted.path / FIT).unlink()
    line = fitted.call("python", "-m", "daso", "train", run, fails=True).splitlines()[-1]
    assert line == f"{FIT}: missing fit of {run}; create it with `snakemake {FIT}`"


def test_killed_fit_leaves_no_result(fitted):
    """The process ends after the arrays are written; the same call again gives the same bytes."""
    fitted.snakemake("fits")
    whole = {path.name: path.read_bytes() for path in (fitted.path / FIT).parent.iterdir()}
    fitted.write("stage.json", fitted.call("python", "-c", PRINT_CONFIG))
    for name in whole:
        (fitted.path / FIT).with_name(name).unlink()
    arguments = ("fit", "--config", "stage.json", *INPUTS, *FEATURES, "--out", FIT)
    fitted.call("python", "-c", KILLED, *arguments, fails=True)
    assert [path.name for path in (fitted.path / FIT).parent.iterdir()] == ["s0.npz"]
    assert "fit" in planned(fitted)
    fitted.snakemake("fits")
    assert {path.name: path.read_bytes() for path in (fitted.path / FIT).parent.iterdir()} == whole


def test_unused_fits_are_pruned(fitted):
    fitted.snakemake("fits")
    assert "data/fits" not in fitted.call("python", "-m", "daso", "prune")
    fitted.edit("suites/tiny.yaml", lambda tree: tree.update(seeds=[1]))
    files = {f"data/fits/own/few/tiny/s0.{suffix}" for suffix in ("json", "npz", "key")}
    assert files <= set(fitted.call("python", "-m", "daso", "prune").split())


def test_key_covers_the_imports_of_the_stage(fitted, monkeypatch):
    fitted.snakemake("fits")
    fitted.write("stage.json", fitted.call("python", "-c", PRINT_CONFIG))
    output = fitted.call(
        "python", "-c", LIST_MODULES, "fit", "--config", "stage.json", *INPUTS, *FEATURES, "--out", "new/s0.json"
    )
    imported = set(output.splitlines()[-1].removeprefix("modules ").split())
    monkeypatch.chdir(fitted.path)
    covered = set(Keys(load_params(), fitted.path).modules("fit"))
    assert imported - covered - EXEMPT - RESULT_NEUTRAL - {"daso.runs.fit", "daso.config"} == set()
    assert "daso.engine.fit" in imported
    assert (fitted.path / "new/s0.json").read_bytes() == (fitted.path / FIT).read_bytes()


def test_network_of_the_control_is_trained_further(fitted):
    """Only the method itself is trained again after a change of its plan."""
    shutil.copy(ROOT / "params/methods/alpha_tim.yaml", fitted.path / "params/methods")
    fitted.edit("methods/alpha_tim.yaml", lambda tree: tree["plan"].update(steps=6))
    fitted.edit("suites/tiny.yaml", lambda tree: tree["tables"][0].update(methods=["alpha_tim"]))
    fitted.snakemake()
    control = (fitted.path / "runs/own/few/tiny/supervised_la/s0/final.pt").read_bytes()
    trained = result(fitted, "alpha_tim")["provenance"]
    assert trained["upstream"]["network"] == hashlib.sha256(control).hexdigest()
    assert (trained["fit"]["weight_decay"], trained["fit"]["tau"]) == (0.25, 3.0)
    fitted.edit("methods/alpha_tim.yaml", lambda tree: tree["plan"].update(rate=0.01))
    assert planned(fitted) == {"train alpha_tim", "evaluate alpha_tim", "correct tiny", "report tiny"}
