"""Help, examples, errors, exit status and completion of the command line."""

import os
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from daso import cli
from daso.cli import PANELS, daso, main
from daso.errors import DasoError
from tools.bench.__main__ import bench

RUN = "digits/n20-m80-l20-u10r/smoke/supervised/s0"
COMMANDS = [(group, name) for group, names in (("daso", daso), ("bench", bench)) for name in names.commands]


@pytest.mark.parametrize(("group", "name"), COMMANDS)
def test_command_has_summary_help_lines_and_examples_that_parse(group, name):
    command = {"daso": daso, "bench": bench}[group].commands[name]
    summary = command.help.splitlines()[0]
    assert summary[0].isupper()
    assert summary.endswith(".")
    assert len(summary) <= 62  # one line of the help on a terminal of 80 columns
    for parameter in command.params:
        assert parameter.help, parameter.name
        assert parameter.help.endswith("."), parameter.name
    title, *examples = command.epilog.removeprefix("\b\n").splitlines()
    assert title == ("Example:" if len(examples) == 1 else "Examples:")
    for example in examples:
        _, _, words = example.partition({"daso": "daso", "bench": "tools.bench"}[group] + " ")
        command.make_context(name, shlex.split(words.removeprefix(f"{name}")))


def test_help_groups_the_commands_in_panels(capsys):
    assert main([]) == 0
    text = capsys.readouterr().out
    assert [line[:-1] for line in text.splitlines() if line.endswith(":")] == ["Options", *PANELS]
    assert text.count("\n  train ") == 1
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("words", "usage", "error"),
    [
        ("trian", "daso [OPTIONS] COMMAND [ARGS]...", "No such command 'trian'. Did you mean 'train'?"),
        (
            "train --bundel x",
            "daso train [OPTIONS] [RUN]",
            "No such option '--bundel'. Did you mean '--bundle'?",
        ),
        ("plan --suit smoke", "daso plan [OPTIONS] [SUITE]", "No such option '--suit'. Give SUITE without an option."),
        ("plan --no", "daso plan [OPTIONS] [SUITE]", "No such option '--no'. Choose one of --measure, --help."),
        ("resolve", "daso resolve [OPTIONS] RUN", "Missing argument 'RUN'."),
        ("debias --logits l.npy", "daso debias [OPTIONS]", "Missing option '--strength'."),
        (
            f"train {RUN} --resume nope",
            "daso train [OPTIONS] [RUN]",
            "Invalid value for '--resume': File 'nope' does not exist.",
        ),
        (
            f"train {RUN} --replicas 0",
            "daso train [OPTIONS] [RUN]",
            "--replicas: not allowed without --bundle; leave it out",
        ),
        (f"train {RUN} --bundle b --out o", "daso train [OPTIONS] [RUN]", "RUN, --out: not allowed with --bundle"),
        (
            "debias --logits l.npy --strength 0.4 --seed 0",
            "daso debias [OPTIONS]",
            "--seed: not allowed without --momentum, since the mean over all images draws nothing; leave it out",
        ),
        (
            "split --store s --check c --out o",
            "daso split [OPTIONS]",
            "--out: not allowed with --check, which draws nothing; leave it out",
        ),
        ("cell t1 --row 3", "daso cell [OPTIONS] [CELL]", "--row: not allowed with CELL; give one of both"),
    ],
)
def test_misuse_prints_usage_and_one_error(capsys, words, usage, error):
    assert main(words.split()) == 2
    name = usage.partition(" [")[0]
    expected = f"Usage: {usage}\nTry '{name} --help' for help.\n\nError: {error}\n"
    assert capsys.readouterr() == ("", expected)


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, 130), (DasoError("x"), 1), (BrokenPipeError, 141)])
def test_exit_status(error, status, monkeypatch, capfd):
    def fail(**arguments):
        raise error

    monkeypatch.setattr(daso.commands["prune"], "callback", fail)
    monkeypatch.setattr(os, "dup2", lambda *files: None)
    assert main(["prune"]) == status


def test_code_of_another_working_copy_is_refused(tmp_path, monkeypatch, capsys):
    (tmp_path / "daso").mkdir()
    (tmp_path / "daso/cli.py").touch()
    monkeypatch.chdir(tmp_path)
    assert main(["list", "methods"]) == 1
    assert capsys.readouterr().err == (
        f"daso: this folder, {tmp_path}, is not the working copy that is installed, {Path(cli.__file__).parents[1]}; "
        "run `python -m daso` here, or install it: `pip install --no-deps --no-build-isolation -e .`\n"
    )


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("tra", "train"),
        ("explain fixmatch_das", "fixmatch_daso"),
        ("list smo", "smoke"),
        ("list set", "settings"),
        ("watch smo", "smoke"),
        ("train --resu", "--resume"),
        ("resolve digits/n20-m80-l20-u10r/smoke/sup", RUN),
        ("revalidate digits/n20-m80-l20-u10r/smoke/sup", RUN),
    ],
)
def test_completion(line, word):
    words = f"daso {line}"
    environment = {"_DASO_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    completed = CliRunner().invoke(daso, env=environment, prog_name="daso")
    assert f"plain,{word}" in completed.output.splitlines()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_of_each_shell_calls_daso(shell):
    script = CliRunner().invoke(daso, env={"_DASO_COMPLETE": f"{shell}_source"}, prog_name="daso").output
    assert f"_DASO_COMPLETE={shell}_complete" in script


def test_names_that_are_neither_run_nor_suite_are_refused(capsys):
    assert main(["revalidate", "smok"]) == 1
    assert capsys.readouterr().err == "smok: neither a run nor a suite; did you mean 'smoke'?\n"


RUN = "digits/n20-m80-l20-u10r/smoke/fixmatch/s0"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], "corrections: expected runs, or --keys and --out; give one of these"),
        ([RUN, "--out", "x"], "corrections: expected runs, or --keys and --out; give one of these"),
        (["zoo"], "zoo: not a run id; write <dataset>/<setting>/<protocol>/<method>/s<seed>"),
        (
            [f"{RUN}/"],
            f"runs/{RUN}/train.json: missing result of a run; create it with `snakemake runs/{RUN}/train.json`",
        ),
    ],
)
def test_corrections_need_runs(words, error, workspace, capsys):
    assert main(["corrections", "--device", "cpu", *words]) == 1
    assert capsys.readouterr().err == f"{error}\n"


def test_contradictions_prints_its_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(Path(cli.__file__).parents[1])
    assert main(["contradictions", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "index.html").exists()
    assert capsys.readouterr().out == f"written: {tmp_path / 'index.html'}\n"


@pytest.mark.parametrize(
    ("lines", "last"),
    [(["a: kept"], "1 runs marked as current"), ([], "0 runs marked as current; no finished run is stale")],
)
def test_revalidate_prints_each_run_and_their_number(lines, last, tmp_path, monkeypatch, capsys, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("daso.workspace.revalidate.revalidate", lambda names: iter(lines))
    with caplog.at_level("INFO"):
        assert main(["revalidate"]) == 0
    assert capsys.readouterr().out.splitlines() == lines
    assert caplog.messages[-1] == last
