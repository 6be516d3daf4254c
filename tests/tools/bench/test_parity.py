"""Parity check: selection of a suite's pairs, reuse of trained runs, and the page."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.resolve import Run, data_config, expand_suite
from daso.data.catalog import make_store
from daso.data.files import checksummed
from daso.data.run_files import load_finished_run
from daso.data.split import load_split
from daso.errors import DasoError
from tests.finished import finish
from tests.repository import PARAMS, ROOT
from tools.bench import parity
from tools.bench.__main__ import main
from tools.bench.parity import with_precision
from tools.bench.parity_page import Outcome, Pair, Setup, markdown, section

SETTING = "n20-m80-l20-u10r"
SMOKE = Run("digits", SETTING, "smoke", "fixmatch", 0)
ORIGIN = {"commit": "c", "device": "cpu: made up", "threads": 1, "mode": "eager", "versions": {"torch": "9.9"}}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Return a project with the digits' store and cached params, and without trained runs."""
    path = tmp_path_factory.mktemp("fresh")
    (path / "Snakefile").touch()
    (path / "params").symlink_to(ROOT / "params")
    make_store(data_config(PARAMS, "digits"), path / "data/store/digits")
    load_params(path / "params")
    return path


@pytest.fixture
def in_project(fresh, tmp_path, monkeypatch):
    """Return a copy of the fresh project, as the current directory."""
    shutil.copytree(fresh, tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class FakeTraining:
    """Stand-in for training: writes the files of a run with an accuracy, in percent, and records its calls."""

    def __init__(self, accuracy, fails=()):
        self.accuracy, self.fails, self.calls = accuracy, set(fails), []

    def __call__(self, task, device):
        call = (task.run.method, task.run.seed, task.precision)
        self.calls.append(call)
        if call in self.fails:
            raise DasoError("training failed")
        task.folder.mkdir(parents=True)
        report = {
            **{"key": task.config["key"], "class_order": list(range(10)), "classes": [], "counts": {}},
            "speed": {"steps_per_second": 100.0 if task.precision == "fp32" else 200.0},
            "provenance": {**ORIGIN, "split_sha256": task.split_sha256, "precision": task.precision},
        }
        value = self.accuracy(*call) / 100
        history = f"step,test_top1,test_top1_la\n60,{value},{value}\n"
        arrays = io.BytesIO()
        np.savez(arrays, logits=np.eye(10), labels=np.arange(10))
        files = {"history.csv": history, "predictions.npz": arrays.getvalue(), "config.json": json.dumps(task.config)}
        finish(task.folder, files, **report)


def results(out="docs/benchmarks/precision.json"):
    return json.loads(Path(out).read_text())["suites"]


def pair(method, seed, standard, other, milliseconds=(10.0, 5.0), setting="s", dataset="d"):
    outcomes = (
        Outcome("k", value, 20, time, ORIGIN) for value, time in zip((standard, other), milliseconds, strict=True)
    )
    return Pair(Run(dataset, setting, "p", method, seed), "bf16", *outcomes)


def setup(**changes):
    options = {
        **{"suite": "demo", "methods": None, "settings": None, "seeds": 3, "variants": ["bf16"], "margin": 1.0},
        **{"jobs": 2, "steps": None, "out": Path("page.md"), "device": "cpu"},
    }
    return Setup(**{**options, **changes})


DEMO = {"title": "A demonstration", "tables": [{"protocol": {"name": "p", "title": "short", "steps": 1200}}]}


def test_rows_and_pooled_rows_by_hand():
    """A: d 0, 1, 2, mean 1, sd 1. B: d -3, -3, 0, mean -2, squares 1 + 1 + 4 over 2, sd sqrt(3). Pooled: mean -0.5."""
    pairs = [pair("a", seed, 80.0, 80.0 + d, (10, 5)) for seed, d in enumerate((0.0, 1.0, 2.0))]
    pairs += [pair("b", seed, 70.0 + seed, 70.0 + seed + d, (8, 10)) for seed, d in enumerate((-3.0, -3.0, 0.0))]
    record = section(setup(), DEMO, pairs)
    first, second = record["rows"]
    assert [first[name] for name in ("setting", "method", "variant", "n")] == ["s", "a", "bf16", 3]
    assert (first["standard"], first["other"], first["mean"], first["sd"]) == (80.0, 81.0, 1.0, 1.0)
    assert first["lower"] == pytest.approx(1 - 2.920 / 3**0.5, abs=1e-3)
    assert (first["milliseconds"], first["times_as_fast"], first["verdict"]) == ([10, 5], 2.0, "non-inferior")
    assert (second["standard"], second["other"], second["mean"]) == (71.0, 69.0, pytest.approx(-2.0))
    assert (second["sd"], second["times_as_fast"]) == (pytest.approx(3**0.5), 0.8)
    (pooled,) = record["pooled"]
    assert (pooled["dataset"], pooled["n"], pooled["mean"]) == ("d", 6, pytest.approx(-0.5))
    assert pooled["times_as_fast"] == 1.4  # between 0.8 and 2
    assert len(record["pairs"]) == 6


def test_each_dataset_is_pooled_separately():
    pairs = [pair("a", seed, 80.0, 80.0 - seed, dataset=name) for name in ("d", "e") for seed in range(3)]
    record = section(setup(), DEMO, pairs)
    assert [(row["dataset"], row["n"], row["mean"]) for row in record["pooled"]] == [("d", 3, -1.0), ("e", 3, -1.0)]
    page = markdown({"suites": {"demo": record}})
    assert "| dataset | setting | method | variant |" in page


def test_page_has_command_budget_provenance_and_rows():
    pairs = [pair("a", seed, 80.0, 80.0 + d) for seed, d in enumerate((0.0, 1.0, 2.0))]
    page = markdown({"suites": {"demo": section(setup(), DEMO, pairs)}})
    options = "--seeds 3 --variants bf16 --margin 1 --jobs 2 --device cpu --out page.md"
    assert f"python -m tools.bench parity demo {options}" in page
    assert "`p` (short), 1,200 steps per run; accuracy is the median of the last 20 evaluations. 3 seeds" in page
    assert "bf16 against fp32: non-inferior in 1 of 1 rows, inferior in 0 of 1 rows, not shown in 0 of 1 rows." in page
    assert "device: cpu: made up; threads: 1; mode: eager; versions: torch 9.9." in page
    row = "| s | a | bf16 | 3 | 80.00 | 81.00 | +1.00 | 1.00 | -0.69 to +2.69 | non-inferior | 10.0 | 5.00 | 2.00 |"
    assert row in page


def test_page_names_reduced_steps_seeds_and_margin():
    shortened = setup(methods=["a", "b"], settings=["s"], steps=20, margin=0.5, seeds=1, jobs=1)
    page = markdown({"suites": {"demo": section(shortened, DEMO, [pair("a", 0, 80.0, 79.0)])}})
    assert "demo --methods a,b --settings s --seeds 1 --variants bf16 --margin 0.5 --steps 20 --jobs 1" in page
    assert "**20 steps per run instead of its 1,200**" in page
    assert "1 seed, 1 run at a time. Margin: 0.5 points." in page
    assert "| s | a | bf16 | 1 | 80.00 | 79.00 | -1.00 | – | – | **not shown** | 10.0 | 5.00 | 2.00 |" in page


@pytest.mark.parametrize(
    "changes",
    [{}, {"methods": ["a", "b"], "settings": ["s"], "variants": ["bf16", "fp16"], "steps": 20, "margin": 0.5}],
)
def test_command_on_the_page_reproduces_the_options(changes, monkeypatch):
    """The command line parses it to the same options."""
    parsed = {}
    monkeypatch.setattr(parity, "run", lambda suite, **options: parsed.update(suite=suite, **options))
    original = setup(**changes)
    assert main(original.command.removeprefix("python -m tools.bench ").split()) == 0
    assert parsed == original._asdict()


def test_each_precision_and_budget_has_its_own_key():
    """The suite's protocol is fp32, so the keys in fp32 equal the keys of the suite's own runs."""
    keys = [
        Keys(with_precision(PARAMS, "smoke", precision, 5, steps)).train(SMOKE)
        for precision, steps in (("fp32", None), ("bf16", None), ("fp32", 20), ("bf16", 20))
    ]
    assert len(set(keys)) == 4
    assert keys[0] == Keys(PARAMS).train(SMOKE)
    assert PARAMS.protocols["smoke"]["precision"] == "fp32"  # unchanged
    assert expand_suite(with_precision(PARAMS, "smoke", "bf16", 4), "smoke")["seeds"] == [0, 1, 2, 3]


def test_trained_runs_are_reused(in_project, monkeypatch):
    def check(fake, **options):
        monkeypatch.setattr(parity, "_train", fake)
        parity.run("smoke", methods=["fixmatch"], **options)
        return sorted(fake.calls)

    def level(method, seed, precision):
        return 80.0 - seed - 0.5 * (precision == "bf16")

    first = [("fixmatch", seed, precision) for seed in range(2) for precision in ("bf16", "fp32")]
    assert check(FakeTraining(level), seeds=2) == first
    assert check(FakeTraining(level), seeds=2) == []
    assert check(FakeTraining(level), seeds=3) == [("fixmatch", 2, "bf16"), ("fixmatch", 2, "fp32")]
    (row,) = results()["smoke"]["rows"]
    assert (row["n"], row["mean"], row["standard"]) == (3, pytest.approx(-0.5), pytest.approx(79.0))
    assert len(check(FakeTraining(level), seeds=2, steps=20)) == 4  # other runs
    assert check(FakeTraining(level), seeds=3) == []  # the first runs are kept


def test_failed_check_resumes(in_project, monkeypatch):
    broken = FakeTraining(lambda *call: 80.0, fails=[("fixmatch", 1, "fp32")])
    monkeypatch.setattr(parity, "_train", broken)
    with pytest.raises(DasoError, match="training failed"):
        parity.run("smoke", methods=["fixmatch"], seeds=2)
    assert not Path("docs").exists()
    assert broken.calls[:3] == [("fixmatch", 0, "fp32"), ("fixmatch", 0, "bf16"), ("fixmatch", 1, "fp32")]
    working = FakeTraining(lambda *call: 80.0)
    monkeypatch.setattr(parity, "_train", working)
    parity.run("smoke", methods=["fixmatch"], seeds=2)
    assert not {("fixmatch", 0, "fp32"), ("fixmatch", 0, "bf16")} & set(working.calls)
    assert ("fixmatch", 1, "fp32") in working.calls


def test_run_on_a_different_split_is_trained_again(in_project, monkeypatch):
    fake = FakeTraining(lambda *call: 80.0)
    monkeypatch.setattr(parity, "_train", fake)
    parity.run("smoke", methods=["fixmatch"], seeds=1)
    path = next(Path("drafts/parity").glob("digits/**/fp32-*/train.json"))
    tree = load_finished_run(path.parent).result
    tree["provenance"]["split_sha256"] = "another"
    path.write_bytes(checksummed(tree))
    fake.calls.clear()
    with pytest.raises(FileExistsError):  # the stand-in cannot create a run's folder twice
        parity.run("smoke", methods=["fixmatch"], seeds=1)
    assert fake.calls == [("fixmatch", 0, "fp32")]


def test_results_of_other_suites_are_kept(in_project, monkeypatch):
    monkeypatch.setattr(parity, "_train", FakeTraining(lambda *call: 80.0))
    parity.run("smoke", methods=["fixmatch"], seeds=1)
    parity.run("quickstart", methods=["fixmatch", "supervised"], settings=[SETTING], seeds=1)
    parity.run("smoke", methods=["supervised"], seeds=1)
    suites = results()
    assert {name: [row["method"] for row in suite["rows"]] for name, suite in suites.items()} == {
        "smoke": ["supervised"],
        "quickstart": ["supervised", "fixmatch"],
    }
    page = Path("docs/benchmarks/precision.md").read_text()
    assert page.index("## quickstart") < page.index("## smoke")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ["fixmach"]}, "suite 'smoke': unknown method 'fixmach'; did you mean 'fixmatch'"),
        ({"methods": ["fixmatch_la"]}, "suite 'smoke': unknown method 'fixmatch_la'"),
        ({"settings": ["n1"]}, "suite 'smoke': unknown setting 'n1'"),
        ({"seeds": 0}, "seeds: 0 is below the minimum 1"),
        ({"jobs": 0}, "jobs: 0 is below"),
        ({"steps": 0}, "steps: 0 is below"),
        ({"margin": 0.0}, "margin: 0 is not above 0"),
        ({"variants": ["fp32"]}, "unknown variant 'fp32' of fp32"),
        ({"variants": []}, "no variant to compare with fp32"),
    ],
)
def test_invalid_options_are_refused_before_any_work(in_project, options, message):
    with pytest.raises(DasoError, match=message):
        parity.run("smoke", **options)
    assert not Path("drafts").exists()


def test_missing_store_is_reported_with_a_fix(in_project):
    (in_project / "data/store/digits/manifest.json").unlink()
    with pytest.raises(DasoError, match="create it with `snakemake data/store/digits/manifest.json`"):
        parity.run("smoke", seeds=1)


@pytest.mark.slow
@pytest.mark.xdist_group("workflow")
@pytest.mark.usefixtures("quick_python")
def test_pairs_on_digits(in_project):
    """3 steps: both runs of a pair use the same split; only the precision differs."""
    options = {"methods": ["fixmatch"], "seeds": 2, "jobs": 2, "steps": 3, "device": "cpu"}
    parity.run("smoke", **options)
    reports = sorted(Path("drafts/parity").glob("digits/**/train.json"))
    trees = [json.loads(path.read_text()) for path in reports]
    assert [tree["provenance"]["precision"] for tree in trees] == ["bf16", "fp32"] * 2
    split = load_split(Path("drafts/parity/splits/digits", SETTING, "s0.json"))
    assert [tree["provenance"]["split_sha256"] == split.sha256 for tree in trees] == [True, True, False, False]
    assert {tree["provenance"]["threads"] for tree in trees} == {1}
    record = results()["smoke"]
    assert [row["n"] for row in record["rows"]] == [2]
    assert record["steps"] == 3
    assert [pair["run"] for pair in record["pairs"]] == [SMOKE.id, SMOKE._replace(seed=1).id]
    before = [path.stat().st_mtime_ns for path in reports]
    parity.run("smoke", **options)
    assert [path.stat().st_mtime_ns for path in reports] == before
    assert results()["smoke"] == record


@pytest.mark.slow
@pytest.mark.xdist_group("workflow")
@pytest.mark.usefixtures("quick_python")
def test_failed_training_is_reported_with_log_and_error(in_project, monkeypatch):
    monkeypatch.setenv("DASO_GPUS", "none")
    with pytest.raises(DasoError, match=r"train\.log: training failed: DASO_GPUS: expected an integer"):
        parity.run("smoke", methods=["supervised"], seeds=1)
