"""A split drawn with a different configuration is refused."""

import json
from pathlib import Path

import pytest

from daso.cli import main
from daso.config.load import load_params
from daso.config.resolve import split_config

SETTING = "n20-m80-l20-u10r"
RUN = f"digits/{SETTING}/smoke/supervised/s0"
STORE, SPLIT = "data/store/digits", f"data/splits/digits/{SETTING}/s0.json"
HINT = f"; delete it and run `snakemake {SPLIT}` again\n"


@pytest.fixture
def draw(workspace, monkeypatch):
    """Store the digits; return `draw(out, ...)`, which draws their split of seed 0 with a changed configuration."""
    monkeypatch.setenv("DASO_GPUS", "0")
    assert main(["download", "digits", "--out", STORE]) == 0
    config = split_config(load_params(), "digits", SETTING, 0)
    assert config["setting"]["m1"] == 80

    def draw(out, setting=None, **changes):
        changed = {**config, **changes, "setting": {**config["setting"], **(setting or {})}}
        Path("config.json").write_text(json.dumps(changed))
        assert main(["split", "--config", "config.json", "--store", STORE, "--out", out]) == 0

    return draw


CHANGES = [{"setting": {"m1": 60}}, {"seed": 1}, {"holdout": 50}, {"class_order": "native"}]


@pytest.mark.parametrize("changes", CHANGES, ids=lambda tree: next(iter(tree)))
def test_split_of_a_different_configuration_is_refused(draw, capsys, changes):
    draw(SPLIT, **changes)
    for words in (
        ["split", "--check", SPLIT, "--store", STORE],
        ["train", RUN],
        ["bundle", RUN, "--out", "bundle"],
    ):
        capsys.readouterr()
        assert main(words) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"{SPLIT}: drawn with a different configuration (setting {SETTING}, seed ")
        assert error.endswith(HINT)
    assert not Path("drafts").exists()


def test_split_of_the_expected_configuration_is_accepted(draw):
    draw(SPLIT)
    check = ["split", "--store", STORE, "--check"]
    assert main([*check, SPLIT]) == 0
    draw("other.json", setting={"m1": 60})  # not a path of the workflow: any configuration
    assert main([*check, "other.json"]) == 0
    assert main([*check, "other.json", "--config", "config.json"]) == 0
    assert main([*check, SPLIT, "--config", "config.json"]) == 1
