"""The code in the key of a stage includes all modules that the stage imports."""

import json

import pytest

from daso.config.code import RESULT_NEUTRAL
from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.registry import specs_of
from tests.finished import finish
from tests.workflow.project import METHODS, SETTING

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]
# Modules that pass files on, print progress, schedule runs, lock, check keys or schemas, describe the machine, cache
# digests of code, or record time and place; and names, which are in the key by themselves.
EXEMPT = {
    *{
        "daso.__main__",
        "daso.cli",
        "daso.commands",
        "daso.commands.options",
        "daso.commands.data",
        "daso.commands.debias",
        "daso.commands.deploy",
        "daso.commands.export",
        "daso.commands.inspect",
        "daso.commands.labels",
        "daso.commands.lists",
        "daso.commands.results",
        "daso.commands.train",
    },
    "daso.data.trained_images",
    *{"daso.machine", "daso.paths", "daso.locks", "daso.runs", "daso.runs.train"},
    *{"daso.engine.journal", "daso.engine.lock", "daso.engine.progress", "daso.engine.round_robin"},
    *{"daso.config.code", "daso.config.validate", "daso.config.cache", "daso.config.registry", "daso.config.signature"},
    *{"daso.config.network", "daso.config.params_schemas", "daso.config.run_schema", "daso.config.epochs"},
    "daso.config.fit",
}
RUN = f"digits/{SETTING}/tiny/{METHODS[1]}/s0"
STORE, SPLIT = "data/store/digits", f"data/splits/digits/{SETTING}/s0.json"
LIST_MODULES = """
import sys
from daso.cli import main
assert main(sys.argv[1:]) == 0
print("\\nmodules", *sorted(name for name in sys.modules if name == "daso" or name.startswith("daso.")))
"""


@pytest.mark.parametrize("stage", ["data", "split", "derive", "train", "estimate", "evaluate", "corrections", "report"])
def test_key_covers_the_imports_of_a_stage(project, stage, monkeypatch):
    monkeypatch.chdir(project.path)
    keys = Keys(load_params(), project.path)
    config = json.loads(project.read(f"runs/{RUN}/config.json"))
    if stage in ("data", "split"):
        from daso.config.resolve import data_config, split_config
        from daso.data.files import canonical_json

        resolved = (
            data_config(keys.params, "digits") if stage == "data" else split_config(keys.params, "digits", SETTING, 0)
        )
        project.write("stage.json", canonical_json(resolved))
    if stage == "corrections":
        project.write("stage.json", json.dumps({RUN: "k"}))
    if stage == "derive":
        project.write("stage.json", '{"held_out": 1}')
    if stage == "estimate":  # a survey with one evaluation, of uniform sizes
        sizes = [f"size_{k}" for k in range(10)]
        history = f"{','.join(sizes)}\n{','.join('1' for _ in sizes)}\n"
        finish(project.path / "survey", {"config.json": json.dumps(config), "history.csv": history}, key="k")
    arguments = {
        "data": ["download", "--config", "stage.json", "--out", "new/store"],
        "split": ["split", "--config", "stage.json", "--store", STORE, "--out", "new/split.json"],
        "train": ["train", "--config", f"runs/{RUN}/config.json", "--store", STORE, "--split", SPLIT]
        + ["--out", "new/run", "--scratch", "new/scratch"],
        "derive": ["derive", "--config", "stage.json", "--store", STORE, "--split", SPLIT, "--out", "new/split.json"],
        "estimate": ["estimate", "--run", "survey", "--key", "k", "--out", "new/estimate.json"],
        "evaluate": ["evaluate", "--run", f"runs/{RUN}", "--out", "new/metrics.json"],
        "corrections": ["corrections", "--keys", "stage.json", "--out", "new/corrections"],
        "report": ["report", "--suite", "tiny", "--out", "new/report"],
    }
    output = project.call("python", "-c", LIST_MODULES, *arguments[stage])
    imported = set(output.splitlines()[-1].removeprefix("modules ").split())
    covered = set(keys.modules(stage, specs_of(config) if stage in ("train", "corrections") else ()))
    assert imported - covered - EXEMPT - RESULT_NEUTRAL == set()
    assert len(imported) > 5
