"""`revalidate`: every refusal is one line with nothing written; records in the journal."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.resolve import Run, split_config
from daso.config.signature import module_file
from daso.data.catalog import make_store
from daso.data.files import checksummed, format_json
from daso.data.split import load_split, make_split
from daso.engine import journal
from daso.engine.estimate import survey_result
from daso.errors import DasoError, DataError
from daso.planning.status import run_statuses
from daso.workspace import revalidate as module
from daso.workspace.revalidate import UNCOMPARED, revalidate
from tests.engine.fakes import fakes  # noqa: F401 - a fixture
from tests.finished import finish
from tests.repository import PARAMS, ROOT

PACKAGE = f"{ROOT / 'daso'}/"
RUN = Run("digits", "n20-m80-l20-u10r", "smoke", "fixmatch_daso", 0)
FOLDER = f"runs/{RUN.id}"
AGAIN = f"train it again with `snakemake {FOLDER}/train.json`"
SPEED = {"seconds": 1.0, "steps_per_second": 1.0, "images_per_second": 1.0, "share": {}}
UNKNOWN = "1234567890ab"
METHODS = ("fixmatch_daso", "fixmatch_darp", "supervised_survey")
SUITE = f"""\
title: One run
protocol: smoke
seeds: [0]
tables: [{{name: one, title: One, dataset: digits, settings: [{RUN.setting}], methods: [fixmatch_daso]}}]
"""


def git(*arguments):
    who = [word for name in ("name", "email") for word in ("-c", f"user.{name}=test@example.org")]
    done = subprocess.run(["git", *who, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Make a repository with params/, the split of the run and a first commit without code; return the split."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "params/datasets", "params/datasets")  # methods refer to their settings by `where`
    for name in ("protocols/smoke", *(f"methods/{name}" for name in METHODS)):
        Path("params", name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / f"params/{name}.yaml", f"params/{name}.yaml")
    Path("params/suites").mkdir()
    Path("params/suites/one.yaml").write_text(SUITE)
    Path("params/pipeline.yaml").write_text("suite: one\n")
    keys = Keys(load_params())
    store = make_store({"dataset": "digits", "num_classes": 10, "image_size": 8, "source": {"kind": "digits"}}, _STORE)
    split = make_split(_split_config(), store, _SPLIT)
    _SPLIT.with_suffix(".key").write_text(f"{keys.split(*_PLACE)}\n")
    git("init", "-q", "-b", "main")
    git("add", "params")
    git("commit", "-qm", "params")
    return split


_STORE, _PLACE = Path("data/store/digits"), ("digits", RUN.setting, 0)
_SPLIT = Path("data/splits/digits", RUN.setting, "s0.json")


def _split_config():
    return split_config(PARAMS, *_PLACE)


def train(change=lambda config: None, commit=None, split_sha256=None, **provenance):
    """Write a finished run of other code, with changes of its configuration or provenance."""
    config = json.loads(json.dumps(Keys(load_params()).resolved(RUN))) | {"key": "0" * 16, "code": "0" * 64}
    change(config)
    files = {"config.json": format_json(config), "history.csv": "h", "predictions.npz": "p", "final.pt": "f"}
    origin = {"commit": commit or git("rev-parse", "--short=12", "HEAD"), "device": "cpu: X", "mode": "eager"}
    origin |= {"precision": "fp32", "split_sha256": split_sha256 or load_split(_SPLIT).sha256, **provenance}
    finish(Path(FOLDER), files, run=RUN.id, key="0" * 16, speed=SPEED, provenance=origin)


def refusal():
    """Revalidate the run; return the error, after a check that no file has changed."""
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file() and ".git" not in path.parts}
    with pytest.raises(DasoError) as error:
        list(revalidate([RUN.id]))
    after = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file() and ".git" not in path.parts}
    assert after == before
    assert run_statuses(Keys(load_params()), [RUN])[RUN.id] in ("stale", "missing")
    return str(error.value)


def test_unfinished_run_is_refused(project):
    assert refusal() == f"{RUN.id}: not finished, so there is nothing to revalidate; train it with `snakemake`"


@pytest.mark.parametrize("commit", ["1234567890ab-dirty", "unknown"])
def test_run_without_a_clean_commit_is_refused(project, commit):
    train(commit=commit)
    assert refusal() == f"{FOLDER}: expected a clean commit, got '{commit}', so its code is unknown; {AGAIN}"


def test_missing_commit_is_refused_with_the_fetch_command(project):
    train(commit=UNKNOWN)
    line = refusal()
    assert line.startswith("git cat-file: ")
    assert line.endswith(f"; `git fetch` commit {UNKNOWN}, which is missing in this repository")


def test_missing_git_is_reported(project, monkeypatch):
    train()
    monkeypatch.setenv("PATH", "")
    assert refusal() == "git: not installed; install it: the code of a run is read from its commit"


def test_folder_outside_a_repository_is_refused(project, monkeypatch):
    train()
    shutil.rmtree(".git")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(Path().absolute().parent))
    line = refusal()
    assert line.startswith("git rev-parse: fatal: not a git repository")
    assert line.endswith("; run this at the root of the repository")


def test_changed_options_are_refused_by_name(project):
    train(lambda config: config["optimizer"].update(lr=0.5))
    changed = "optimizer.lr 0.5 is now 0.03"
    assert refusal() == f"{FOLDER}: not only code has changed: {changed}; restore params/, or {AGAIN}"


def test_run_of_a_different_split_is_refused(project):
    train(split_sha256="0" * 64)
    assert refusal().startswith(f"{FOLDER}: trained with a different split than {_SPLIT}, from a different source or ")


def test_stale_split_is_refused(project):
    train()
    _SPLIT.with_suffix(".key").write_text("0000\n")
    missing = f"{_SPLIT}: missing or stale, and {FOLDER} was trained with it"
    assert refusal() == f"{missing}; create it with `snakemake {_SPLIT}`"


def test_damaged_run_is_refused(project):
    train()
    Path(FOLDER, "history.csv").write_text("other")
    assert refusal().startswith(
        f"{FOLDER}/history.csv: damaged or from a different run: its checksum differs from the recorded one; "
    )


def test_removed_part_of_a_plan_is_a_changed_option():
    run = SimpleNamespace(folder=Path(FOLDER), config={"plan": {"estimate": {"of": "x", "key": "k"}}, "steps": 1})
    message = (
        "not only code has changed: plan.estimate.key k is now None, plan.estimate.of x is now None, steps 1 is now 2"
    )
    with pytest.raises(DataError, match=message):
        module._check_params(run, {"steps": 2})


def test_run_of_a_different_upstream_run_is_refused(project, monkeypatch):
    """FixMatch + DARP loads the class sizes of a survey whose estimate has a different key now."""
    run = RUN._replace(method="fixmatch_darp")
    monkeypatch.setattr(sys.modules[__name__], "RUN", run)
    monkeypatch.setattr(sys.modules[__name__], "FOLDER", f"runs/{run.id}")
    train(lambda config: config["plan"]["estimate"].update(key="0" * 16))
    upstream = run._replace(method="supervised_survey").id
    fix = f"train it again with `snakemake {FOLDER}/train.json`"
    assert refusal() == f"{FOLDER}: its upstream run {upstream} is not the one it was trained with; {fix}"


def test_old_code_that_fails_is_refused_with_its_last_line(project):
    Path("daso").mkdir()
    Path("daso/__main__.py").write_text("print('loading')\nraise SystemExit('no such option')\n")
    git("add", "daso")
    git("commit", "-qm", "code")
    train()
    commit = git("rev-parse", "--short=12", "HEAD")
    assert refusal() == f"{FOLDER}: commit {commit} fails in a short run: no such option; {AGAIN}"
    assert len(git("worktree", "list").splitlines()) == 1


@pytest.mark.parametrize("made", [{"device": "cuda: X", "mode": "graph"}, {"mode": "compiled"}])
def test_run_on_cuda_or_compiled_is_refused_if_code_of_its_mode_has_changed(project, made):
    for name in UNCOMPARED:
        path = Path(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        changed = "\nX = 1\n" if name == "daso.engine.cuda_graphs" else "\n# a comment\n"
        path.write_text(module_file(name).read_text() + changed)
    git("add", "daso")
    git("commit", "-qm", "code")
    train(**made)
    shutil.rmtree("daso")
    device = made.get("device", "cpu: X")
    assert refusal() == (
        f"{FOLDER}: trained on {device} in mode {made['mode']}, and daso.engine.cuda_graphs has changed, "
        f"which a short run on a CPU cannot compare; {AGAIN}"
    )


def test_record_applies_only_to_the_compared_results(project):
    """It does not apply to results of a different device or training, nor after the run is deleted."""
    train()
    path, entry = Path(FOLDER, "train.json"), journal.entry_path(RUN.id)
    keys, result = Keys(load_params()), json.loads(path.read_text())
    now, metrics = keys.train(RUN), keys.evaluate(RUN)
    earlier = result | {"key": "0" * 16}
    path.write_bytes(checksummed(earlier))
    journal.add_revalidation(entry, earlier, {"keys": {now: "0" * 16}})
    assert Keys(load_params()).train(RUN) == Keys(load_params()).resolved(RUN)["key"] == "0" * 16
    assert Keys(load_params()).evaluate(RUN) != metrics  # the earlier metrics have the run's own key
    assert list(revalidate([RUN.id])) == []  # the run is current
    journal.record_result(entry, earlier)
    assert Keys(load_params()).train(RUN) == "0" * 16  # `publish` keeps the record
    for other in (
        {"files": result["files"] | {"final.pt": "f0"}},
        {"provenance": {**result["provenance"], "device": "x"}},
    ):
        path.write_bytes(checksummed(earlier | other))
        assert Keys(load_params()).train(RUN) == now
    path.unlink()
    assert Keys(load_params()).train(RUN) == now
    path.write_bytes(checksummed(earlier))
    content = entry.read_bytes()
    entry.write_bytes(content.replace(b'"run"', b'<<<<<<< "run"'))
    with pytest.raises(DataError, match=f"resolve the conflict, or restore it: `git checkout {entry}`"):
        Keys(load_params()).train(RUN)
    entry.write_bytes(content)
    journal.record_result(entry, earlier | {"files": result["files"] | {"final.pt": "f0"}})
    path.write_bytes(checksummed(earlier))
    assert Keys(load_params()).train(RUN) == now  # the record was dropped with its results


@pytest.mark.parametrize("same", [True, False])
def test_estimate_is_kept_if_the_present_code_gives_the_same_bytes(project, same):
    run = RUN._replace(method="supervised_survey")
    folder, keys = Path("runs", run.id), Keys(load_params())
    sizes = [f"size_{k}" for k in range(10)]
    history = f"{','.join(sizes)}\n{','.join('1' for _ in sizes)}\n"
    files = {
        "config.json": format_json(keys.resolved(run)),
        "history.csv": history,
        "predictions.npz": "",
        "final.pt": "",
    }
    made = {"commit": "c", "device": "cpu: X", "mode": "eager", "precision": "fp32"}
    finish(folder, files, run=run.id, key=keys.train(run), speed=SPEED, provenance=made)
    estimate = survey_result(folder, "0" * 16) | ({} if same else {"reliable": 0})
    (folder / "estimate.json").write_bytes(checksummed(estimate))
    now = keys.estimate(run)
    module._keep_estimate(load_params(), run)
    assert Keys(load_params()).estimate(run) == ("0" * 16 if same else now)
    assert Keys(load_params()).train(run) == keys.train(run)
