"""Plans of suites whose paces are made up, with hours, chains and bytes worked by hand."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from daso.cli import main
from daso.config.keys import Keys
from daso.config.load import load
from daso.config.resolve import runs
from daso.data.files import checksummed
from daso.data.run_files import FILES
from daso.planning import forecast as module
from daso.planning import pace
from daso.planning.forecast import Here, forecast
from daso.report import planned
from daso.report.sizes import Bytes

ROOT = Path(__file__).resolve().parents[2]
CPU = Here("cpu", "cpu: made up, 1 thread", "fp32, eager", 2)
CHAIN = """\
title: Generations
protocol: smoke
seeds: [0]
tables:
  - {name: t, title: T, dataset: digits, settings: [n20-m80-l20-u10r], methods: [supervised, fixmatch_crest]}
"""


@pytest.fixture(scope="module")
def chain(read_params, tmp_path_factory):
    """A working copy of the project's own params/ and one suite more, read once."""
    path = shutil.copytree(read_params, tmp_path_factory.mktemp("chain"), dirs_exist_ok=True)
    (path / "params/suites/chain.yaml").write_text(CHAIN)
    load(path / "params")
    return path


@pytest.fixture
def params(chain, tmp_path, monkeypatch):
    """Those of `chain`; nothing trained; a machine, sizes and a disk that are made up."""
    shutil.copytree(chain, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "_here", lambda params, protocol: CPU)
    monkeypatch.setattr(module, "bytes_of", lambda config, images: Bytes(2_000_000, 100_000, 3_000_000))
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=100_000_000))
    return load()


def paced(monkeypatch, seconds):
    """Measure by this: seconds of a step, by method."""
    asked = []

    def at_once(wanted, device, number):
        for config, _ in wanted:
            asked.append((config["method"]["name"].partition(".")[0], number))
            yield seconds[asked[-1][0]]

    monkeypatch.setattr(pace, "seconds_at_once", at_once)
    return asked


def finish(run, seconds=0.05, device="cpu: made up"):
    """A run that is done, and its metrics."""
    key = Keys(load()).train(run)
    origin = {"device": device, "threads": 1, "precision": "fp32", "mode": "eager"}
    tree = {"run": run.id, "key": key, "speed": {"steps_per_second": 1 / seconds}, "provenance": origin}
    for path in (Path("runs", run.id, "train.json"), Path("metrics", f"{run.id}.json")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(checksummed({**tree, "files": {}}))
    for name in FILES:
        Path("runs", run.id, name).touch()


def test_nothing_is_known_yet(params):
    """Digits: 1,797 images of 3 x 64 bytes, 0.345 MB; two splits of 8 bytes a row, 0.0288 MB; six runs of 2 + 0.1 MB;
    states of 3 MB, two at once, twice: 12 MB."""
    assert list(forecast(params, "smoke")) == [
        "smoke: 6 runs: 0 done, 0 stale, 0 running, 6 missing",
        "here: cpu: made up, 1 thread, fp32, eager, 2 runs at once",
        "method         runs  to do  ms a step  all its runs  measured in\n"
        "supervised     2     2      unknown\n"
        "fixmatch       2     2      unknown\n"
        "fixmatch_daso  2     2      unknown",
        "unknown: 6 runs of 3 methods, no step of which has been measured here; "
        "`python -m daso plan smoke --measure` takes some",
        "disk: 25.0 MB to come (images 0.345 MB, splits 0.0288 MB, results 12.0 MB, TensorBoard 0.600 MB, "
        "resume states 12.0 MB), 100 MB free",
    ]
    assert planned.read("smoke") == {}


def test_measured_once_and_remembered(params, monkeypatch):
    """60 steps of 0.5 s, 1 s and 1.5 s: 30, 60 and 90 s a run, two of each: 6 minutes, 3 of them two at once."""
    asked = paced(monkeypatch, {"supervised": 0.5, "fixmatch": 1.0, "fixmatch_daso": 1.5})
    first = list(forecast(params, "smoke", measure=True))
    assert asked == [("supervised", 2), ("fixmatch", 2), ("fixmatch_daso", 2)]
    assert "fixmatch_daso  2     2      1,500      3.0 min       benchmarks/steps.json" in first[2]
    assert first[3:5] == [
        "device time: 6.0 min in all, 6.0 min to be done",
        "time: 3.0 min of training, 2 runs at once; starting and evaluating comes on top",
    ]
    assert list(forecast(params, "smoke", measure=True)) == first
    assert len(asked) == 3
    plan = planned.read("smoke")
    assert {run.id: plan[run.id]["seconds"] for run in runs(params, "smoke") if run.seed == 0} == {
        f"digits/n20-m80-l20-u10r/smoke/{method}/s0": seconds
        for method, seconds in (("supervised", 30.0), ("fixmatch", 60.0), ("fixmatch_daso", 90.0))
    }


def test_what_is_done_is_not_planned_again(params, monkeypatch):
    """One of two supervised runs is done, at 0.05 s a step; the other one's 3 s are left. What was expected stays."""
    paced(monkeypatch, {"supervised": 0.5, "fixmatch": 1.0, "fixmatch_daso": 1.5})
    list(forecast(params, "smoke", measure=True))
    done, other = (run for run in runs(params, "smoke") if run.method == "supervised")
    finish(done)
    lines = list(forecast(params, "smoke"))
    assert lines[0] == "smoke: 6 runs: 1 done, 0 stale, 0 running, 5 missing"
    assert "supervised     2     1      50.0       6.0 s         metrics/" in lines[2]
    assert lines[3] == "device time: 5.1 min in all, 5.0 min to be done"  # 306 s and 303 s
    plan = planned.read("smoke")
    assert (plan[done.id]["seconds"], plan[other.id]["seconds"]) == (30.0, 3.0)


def test_another_device_or_way_says_nothing_of_this_one(params):
    done, *_ = runs(params, "smoke")
    finish(done, device="cpu: another")
    assert "unknown: 6 runs of 3 methods" in list(forecast(params, "smoke"))[3]


def test_generations_wait_for_each_other(params, monkeypatch):
    """Three generations of 20 steps at 3 s, 180 s in a row; beside them 60 steps at 0.5 s. Two at once save nothing."""
    paced(monkeypatch, {"supervised": 0.5, "fixmatch_crest": 3.0})
    lines = list(forecast(params, "chain", measure=True))
    assert lines[0] == "chain: 4 runs, 2 of them for what they lend to others: 0 done, 0 stale, 0 running, 4 missing"
    assert lines[3:5] == [
        "device time: 3.5 min in all, 3.5 min to be done",
        "time: 3.0 min of training, 2 runs at once; starting and evaluating comes on top",
    ]


def test_the_rest_is_summed_where_one_is_unknown(params):
    done = next(run for run in runs(params, "chain") if run.method == "supervised")
    finish(done)
    lines = list(forecast(params, "chain"))
    assert lines[3].startswith("unknown: 3 runs of 1 method,")
    assert lines[4] == "device time: of the others, 3.0 s in all, 0.0 s to be done"


def test_a_disk_that_is_too_small(params, monkeypatch):
    """24.97 MB are wanted."""
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=20_000_000))
    assert list(forecast(params, "smoke"))[-1] == (
        "WARNING: 4.97 MB more must be free, or the suite stops with a full disk"
    )


def test_cifar_by_its_sizes(params, monkeypatch):
    """60,000 images of 3 x 1,024 bytes and an archive of 170 MB: 355 MB."""
    assert "images 355 MB" in list(forecast(params, "cifar10-lt-main"))[-2]
    assert module._images(params, runs(params, "cifar10-lt-main")[0]).keys() == {"unlabeled", "validation", "test"}


def test_images_of_a_share_and_of_all(params):
    """12,406 - 1,244 unlabeled images of one tail; all 50,000; nothing held out, where the dataset holds out 5,000."""
    first, last = runs(params, "debiaspl")[0], runs(params, "debiaspl")[-1]
    assert module._images(params, first) == {"unlabeled": 11_162, "validation": 0, "test": 10_000}
    assert module._images(params, last) == {"unlabeled": 50_000, "validation": 0, "test": 10_000}
    assert module._images(params, runs(params, "cifar10-lt-main")[0])["validation"] == 5000


@pytest.mark.parametrize("protocol", ["smoke", "paper"])
def test_this_machine_is_the_one_that_torch_chooses(monkeypatch, protocol):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("DASO_GPUS", "0")
    params, threads = load(), torch.get_num_threads()
    try:
        for precision in ("auto", params.protocols[protocol]["precision"]):
            params.protocols[protocol]["precision"] = precision
            by_torch = module._here_by_torch(precision, 0)
            assert module._here(params, protocol) == by_torch
            assert by_torch.device.endswith(", 1 thread")
    finally:
        torch.set_num_threads(threads)


def test_a_suite_that_is_none(params, capsys):
    assert main(["plan", "smok"]) == 1
    assert capsys.readouterr().err == "params/suites: unknown suite 'smok'; did you mean 'smoke'?\n"
