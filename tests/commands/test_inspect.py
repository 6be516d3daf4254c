"""Read-only commands on the command line."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from daso.cli import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def root_folder(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("list methods", "fixmatch_daso"),
        ("list settings", "stl10-lt/n150-l10"),
        ("list smoke", "digits/n20-m80-l20-u10r/smoke/supervised/s0"),
        ("explain fixmatch+la+daso", "FixMatch + LA + DASO: params/methods/fixmatch_la_daso.yaml"),
        ("explain fixmatch --setting digits/n20-m80-l20-u10 --protocol digits", "setting.n1"),
        ("cell table 1, row 6, column 3", "published: 70.1 ± 1.81"),
        ("cell --table 1 --row fixmatch+daso --setting cifar10-lt/n500-m4000-l150-u150", "published: 70.1 ± 1.81"),
        ("cell t1", "column 3: cifar10-lt, N1 500, M1 4000, gamma_l 150, gamma_u 150"),
    ],
)
def test_commands_print_a_line_with(capsys, words, line):
    assert main(words.split()) == 0
    output = capsys.readouterr()
    assert any(printed.startswith(line) for printed in output.out.splitlines())
    assert output.err == ""


def test_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert re.fullmatch(r"daso \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("explain nothing", "params/methods: unknown method 'nothing'; `daso list methods` lists them"),
        ("list runs nothing", "params/suites: unknown suite 'nothing'; `daso list suites` lists them"),
        (
            "explain fixmatch --setting digits",
            "params/datasets: unknown <dataset>/<setting> 'digits'; `daso list settings` lists them",
        ),
        (
            "list nothing",
            "list: unknown kind or suite 'nothing'; "
            "choose one of methods, datasets, settings, suites, protocols, runs or a suite",
        ),
        ("adopt nothing", "nothing: not a bundle (no bundle.json); create one with `daso bundle <run ids>`"),
        ("cell", "cell: expected `table 1, row 6, column 3` or `t1 r6 c3`; `daso cell t1` lists them"),
    ],
)
def test_errors_are_one_line(capsys, words, error):
    assert main(words.split()) == 1
    assert capsys.readouterr().err == f"{error}\n"


def test_impossible_combination_is_explained_and_refused(capsys, monkeypatch, tmp_path):
    shutil.copytree(ROOT / "params", tmp_path / "params", ignore=shutil.ignore_patterns("paper-*"))
    path = tmp_path / "params/methods/fixmatch_darp.yaml"
    path.write_text(path.read_text().replace("prior: estimated", "prior: true_counts"))
    monkeypatch.chdir(tmp_path)
    assert main(["explain", "fixmatch_darp", "--setting", "stl10-lt/n150-l10"]) == 1
    output = capsys.readouterr()
    assert "darp.prior" in output.out
    place = "params/methods/fixmatch_darp.yaml: stl10-lt/n150-l10"
    assert output.err.startswith(f"{place}: add-on 'darp': prior 'true_counts' needs")
    assert output.err.count("\n") == 1


def test_commands_do_not_import_torch_and_end_with_a_closed_pipe():
    code = "import sys; from daso.cli import main; main(sys.argv[1:]); assert 'torch' not in sys.modules"
    for words in (["list", "settings"], ["explain", "fixmatch+daso"], ["cell", "t1", "r6", "c3"]):
        subprocess.run([sys.executable, "-c", code, *words], check=True, stdout=subprocess.DEVNULL)
    closed = subprocess.run(
        f"{sys.executable} -m daso cell t1 | true", shell=True, check=True, stderr=subprocess.PIPE, text=True
    )
    assert closed.stderr == ""


def test_output_equals_the_examples_of_the_page(capsys, monkeypatch, tmp_path):
    """The folder has no runs."""
    for name in ("params", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    samples = re.findall(r"^\$ daso (.*)\n((?:.+\n)+)", (ROOT / "docs/running.md").read_text(), re.MULTILINE)
    assert [words.split()[0] for words, _ in samples] == ["list", "explain", "cell"]
    for words, lines in samples:
        assert main(shlex.split(words)) == 0
        output = capsys.readouterr().out.splitlines()
        assert [line for line in lines.splitlines() if line not in (*output, "```")] == [], words


def run_python(folder, *code):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DASO_GPUS": "0"}
    for lines in code:
        subprocess.run(
            [sys.executable, "-c", lines], check=True, cwd=folder, env=environment, stdout=subprocess.DEVNULL
        )


def test_plan_parses_each_file_of_params_once(tmp_path):
    shutil.copytree(ROOT / "params", tmp_path / "params")
    code = """
from collections import Counter
from daso.config import params as reader
from daso.cli import main
parsed, real = Counter(), reader._read_tree
reader._read_tree = lambda path, *rest: (parsed.update([str(path)]), real(path, *rest))[1]
assert main(["plan", "smoke"]) == 0
assert len(parsed) > 50 and set(parsed.values()) == {1}, parsed
"""
    run_python(tmp_path, code)


def test_repeated_plan_and_resolve_do_not_import_torch(tmp_path):
    """The first plan builds networks to measure their files; the modules that the Snakefile imports come last."""
    shutil.copytree(ROOT / "params", tmp_path / "params")
    (tmp_path / "Snakefile").touch()  # only a working copy caches the sizes
    plan = """
from daso.cli import main
assert main(["plan", "smoke"]) == 0
"""
    code = """
import sys
assert main(["resolve", "digits/n20-m80-l20-u10r/smoke/fixmatch/s0"]) == 0
for name in ("current", "prune", "slots", "targets", "workflow_lock"):
    __import__(f"daso.workspace.{name}")
for name in ("paths", "planning.walltime"):
    __import__(f"daso.{name}")
assert "torch" not in sys.modules
"""
    run_python(tmp_path, plan, plan + code)
