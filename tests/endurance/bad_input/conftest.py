"""A tiny project with one finished run, in which bad input is given to every reader."""

import contextlib
import io
import json
import shutil
from pathlib import Path

import pytest

from daso.cli import main
from daso.config.load import load
from daso.config.resolve import data_config, split_config
from tests.endurance.bad_input.cases import METRICS, TESTED, RUN, SPLIT, STORE, TRAINED, remove
from tests.workflow.project import METHODS, PROTOCOL, ROOT, SETTING, SUITE


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """A tiny project with one finished run; all tests work in it, and leave it as it was."""
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
        params = load()
        Path("data.json").write_text(json.dumps(data_config(params, "digits")))
        Path("split.json").write_text(json.dumps(split_config(params, "digits", SETTING, 0)))
        patch.setenv("DASO_GPUS", "0")
        words = f"resolve {RUN}".split()
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert main(words) == 0
        Path("config.json").write_text(out.getvalue())
        for argv in (
            ["download", "digits", "--out", str(STORE)],
            ["split", "--config", "split.json", "--store", str(STORE), "--out", str(SPLIT)],
            ["train", RUN, "--out", str(TRAINED), "--scratch", "scratch/run"],
            ["evaluate", "--run", str(TRAINED), "--out", str(METRICS)],
            ["bundle", RUN, "--out", "bundle"],
        ):
            assert main(argv) == 0
    return folder


@pytest.fixture(autouse=True)
def here(project, request, monkeypatch):
    """Remember which tests have been here: only after all of them the inputs can be counted."""
    monkeypatch.chdir(project)
    monkeypatch.setenv("DASO_GPUS", "0")
    yield project
    TESTED.add(request.node.originalname)
    left = [name for name in ("out", "out.json", "harm", "s") if remove(name)]
    assert not left, f"half a result: {left}"
