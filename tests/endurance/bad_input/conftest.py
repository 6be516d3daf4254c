"""A tiny project with one finished run, in which each command gets bad input."""

import contextlib
import io
import json
import shutil
from pathlib import Path

import pytest

from daso.cli import main
from daso.config.load import load_params
from daso.config.resolve import data_config, split_config
from tests.endurance.bad_input.cases import METRICS, RUN, SPLIT, STORE, TRAINED, remove
from tests.workflow.project import METHODS, PROTOCOL, ROOT, SETTING, SUITE


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """Return a tiny project with one finished run; all tests share it and leave it unchanged."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("datasets/digits.yaml", *(f"methods/{method}.yaml" for method in METHODS)):
        (folder / "params" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "params" / name, folder / "params" / name)
    text = (folder / "params/methods/fixmatch_daso.yaml").read_text()
    (folder / "params/methods/fixmatch_daso.yaml").write_text(text.partition("where:")[0])
    for name, text in (("pipeline", "suite: tiny\n"), ("protocols/tiny", PROTOCOL), ("suites/tiny", SUITE)):
        path = folder / f"params/{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        params = load_params()
        Path("data.json").write_text(json.dumps(data_config(params, "digits")))
        Path("split.json").write_text(json.dumps(split_config(params, "digits", SETTING, 0)))
        Path("keys.json").write_text(json.dumps({RUN: "k"}))
        patch.setenv("DASO_GPUS", "0")
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert main(["resolve", RUN]) == 0
        Path("config.json").write_text(out.getvalue())
        for argv in (
            ["download", "digits", "--out", str(STORE)],
            ["split", "--config", "split.json", "--store", str(STORE), "--out", str(SPLIT)],
            ["train", RUN, "--out", str(TRAINED), "--scratch", "scratch/run"],
            ["evaluate", "--run", str(TRAINED), "--out", str(METRICS)],
            ["corrections", "--keys", "keys.json", "--out", "corrections"],
            ["bundle", RUN, "--out", "bundle"],
        ):
            assert main(argv) == 0
    return folder


@pytest.fixture(autouse=True)
def in_project(project, monkeypatch):
    """Enter the project; a refused input must leave no outputs in it."""
    monkeypatch.chdir(project)
    monkeypatch.setenv("DASO_GPUS", "0")
    yield project
    outputs = [name for name in ("out", "out.json", "harm", "s") if remove(name)]
    assert not outputs, f"outputs after an error: {outputs}"
