"""Forecasts of suites with made-up step times; hours, chains and bytes are computed by hand."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.resolve import Run, runs
from daso.data.files import checksummed
from daso.data.run_files import RUN_FILES
from daso.planning import disk, pace
from daso.planning import forecast as module
from daso.planning.forecast import Machine, forecast, preview
from daso.planning.sizes import FileSizes
from daso.report.tables import forecasts

ROOT = Path(__file__).resolve().parents[2]
CPU = Machine("cpu", "cpu: made up, 1 thread", "fp32, eager", 2)
CHAIN = """\
title: Generations
protocol: smoke
seeds: [0]
tables:
  - {name: t, title: T, dataset: digits, settings: [n20-m80-l20-u10r], methods: [supervised, fixmatch_crest]}
"""


@pytest.fixture(scope="module")
def chain(read_params, tmp_path_factory):
    """Make a copy of the project's params/ with one more suite."""
    path = shutil.copytree(read_params, tmp_path_factory.mktemp("chain"), dirs_exist_ok=True)
    (path / "params/suites/chain.yaml").write_text(CHAIN)
    load_params(path / "params")
    return path


@pytest.fixture
def params(chain, tmp_path, monkeypatch):
    """Return the params of `chain` in a folder without runs; machine, sizes and disk are made up."""
    shutil.copytree(chain, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "_machine", lambda params, protocol: CPU)
    monkeypatch.setattr(disk, "file_sizes", lambda config, images: FileSizes(2_000_000, 100_000, 3_000_000))
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: SimpleNamespace(free=100_000_000))
    return load_params()


def fake_measurements(monkeypatch, seconds):
    """Replace measurements by these seconds per step of each method; return the list of measured methods."""
    measured = []

    def at_once(configs, device, number):
        for config, _ in configs:
            measured.append((config["method"]["name"].partition(".")[0], number))
            yield seconds[measured[-1][0]]

    monkeypatch.setattr(pace, "seconds_at_once", at_once)
    return measured


def finish(run, seconds=0.05, device="cpu: made up"):
    """Write a finished run and its metrics."""
    key = Keys(load_params()).train(run)
    origin = {"device": device, "threads": 1, "precision": "fp32", "mode": "eager"}
    tree = {"run": run.id, "key": key, "speed": {"steps_per_second": 1 / seconds}, "provenance": origin}
    for path in (Path("runs", run.id, "train.json"), Path("metrics", f"{run.id}.json")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(checksummed({**tree, "files": {}}))
    for name in RUN_FILES:
        Path("runs", run.id, name).touch()


def test_forecast_without_any_measurement(params):
    """Digits: 1,797 images of 3 x 64 bytes, 0.345 MB; two splits of 8 bytes for each of 1,297 training images,
    0.0208 MB; six runs of 2 + 0.1 MB; checkpoints of 3 MB, two at once, twice: 12 MB."""
    assert list(forecast(params, "smoke")) == [
        "smoke: 6 runs: 0 done, 0 stale, 0 running, 6 missing",
        "device: cpu: made up, 1 thread, fp32, eager, 2 runs at once",
        "method         runs  to do  ms per step  all runs  measured in\n"
        "supervised     2     2      unknown\n"
        "fixmatch       2     2      unknown\n"
        "fixmatch_daso  2     2      unknown",
        "unknown: 6 runs of 3 methods not measured on this device yet; `daso plan smoke --measure` measures some steps",
        "disk: 25.0 MB needed (images 0.345 MB, splits 0.0208 MB, results 12.0 MB, TensorBoard 0.600 MB, "
        "checkpoints 12.0 MB), 100 MB free",
    ]
    assert forecasts.read_forecast("smoke") == {}


def test_measured_steps_are_recorded_and_reused(params, monkeypatch):
    """60 steps of 0.5, 1 and 1.5 s: 30, 60 and 90 s, two runs of each: 6 min of device time, 3 min with two at once."""
    measured = fake_measurements(monkeypatch, {"supervised": 0.5, "fixmatch": 1.0, "fixmatch_daso": 1.5})
    first = list(forecast(params, "smoke", measure=True))
    assert measured == [("supervised", 2), ("fixmatch", 2), ("fixmatch_daso", 2)]
    assert "fixmatch_daso  2     2      1,500        3.0 min   benchmarks/steps.json" in first[2]
    assert first[3:5] == [
        "device time: 6.0 min in total, 6.0 min to do",
        "time: 3.0 min of training, 2 runs at once, without start-up and evaluation",
    ]
    assert list(forecast(params, "smoke", measure=True)) == first
    assert len(measured) == 3
    plan = forecasts.read_forecast("smoke")
    assert {run.id: plan[run.id]["seconds"] for run in runs(params, "smoke") if run.seed == 0} == {
        f"digits/n20-m80-l20-u10r/smoke/{method}/s0": seconds
        for method, seconds in (("supervised", 30.0), ("fixmatch", 60.0), ("fixmatch_daso", 90.0))
    }


def test_done_runs_keep_their_planned_times(params, monkeypatch):
    """One of two supervised runs is done, at 0.05 s a step: 3 s are left. The expected time of the done run stays."""
    fake_measurements(monkeypatch, {"supervised": 0.5, "fixmatch": 1.0, "fixmatch_daso": 1.5})
    list(forecast(params, "smoke", measure=True))
    done, other = (run for run in runs(params, "smoke") if run.method == "supervised")
    finish(done)
    lines = list(forecast(params, "smoke"))
    assert lines[0] == "smoke: 6 runs: 1 done, 0 stale, 0 running, 5 missing"
    assert "supervised     2     1      50.0         6.0 s     metrics/" in lines[2]
    assert lines[3] == "device time: 5.1 min in total, 5.0 min to do"  # 306 s and 303 s
    plan = forecasts.read_forecast("smoke")
    assert (plan[done.id]["seconds"], plan[other.id]["seconds"]) == (30.0, 3.0)


def test_step_times_of_a_different_device_are_ignored(params):
    done, *_ = runs(params, "smoke")
    finish(done, device="cpu: another")
    assert "unknown: 6 runs of 3 methods" in list(forecast(params, "smoke"))[3]


def test_step_times_of_a_method_are_those_of_its_protocol(params, monkeypatch):
    """60 steps at 0.5 s and 600 at 0.5 s: 330 s; each protocol is measured on its own."""
    table = params.suites["chain"]["tables"][0] | {"methods": ["supervised"]}
    tables = [table, table | {"name": "u", "protocol": "zoo"}]
    params.suites["chain"] = {**params.suites["chain"], "tables": tables}
    measured = fake_measurements(monkeypatch, {"supervised": 0.5})
    lines = list(forecast(params, "chain", measure=True))
    assert measured == [("supervised", 2)] * 2
    assert [line.split()[:4] for line in lines[2].splitlines()[1:]] == [
        ["supervised", "(smoke)", "1", "1"],
        ["supervised", "(zoo)", "1", "1"],
    ]
    assert lines[3] == "device time: 5.5 min in total, 5.5 min to do"


def test_time_of_generations_is_that_of_their_chain(params, monkeypatch):
    """Three generations of 20 steps at 3 s: 180 s; in parallel, 60 steps at 0.5 s. Concurrent runs save no time."""
    fake_measurements(monkeypatch, {"supervised": 0.5, "fixmatch_crest": 3.0})
    lines = list(forecast(params, "chain", measure=True))
    assert lines[0] == "chain: 4 runs, 2 of them upstream runs: 0 done, 0 stale, 0 running, 4 missing"
    assert lines[3:5] == [
        "device time: 3.5 min in total, 3.5 min to do",
        "time: 3.0 min of training, 2 runs at once, without start-up and evaluation",
    ]


def test_known_methods_are_summed_if_one_is_unknown(params):
    done = next(run for run in runs(params, "chain") if run.method == "supervised")
    finish(done)
    lines = list(forecast(params, "chain"))
    assert lines[3].startswith("unknown: 3 runs of 1 method not measured")
    assert lines[4] == "device time: of the other methods, 3.0 s in total, 0.0 s to do"


def test_lack_of_disk_space_is_a_warning(params, monkeypatch):
    """24.97 MB are needed."""
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: SimpleNamespace(free=20_000_000))
    assert list(forecast(params, "smoke"))[-1] == (
        "WARNING: not enough disk space: 4.97 MB more needed; free it before you start"
    )


def test_size_of_cifar_before_its_download(params, monkeypatch):
    """60,000 images of 3 x 1,024 bytes and an archive of 170 MB: 355 MB."""
    assert "images 355 MB" in list(forecast(params, "cifar10-lt-main"))[-2]


def test_number_of_images_by_kind_of_setting(params):
    """12,406 - 1,244 unlabeled images of one tail; all 50,000. These hold out no image, their dataset 5,000."""
    first, last = runs(params, "debiaspl")[0], runs(params, "debiaspl")[-1]
    assert disk.images_of(params, first) == {"unlabeled": 11_162, "validation": 0, "test": 10_000}
    assert disk.images_of(params, last) == {"unlabeled": 50_000, "validation": 0, "test": 10_000}
    assert disk.images_of(params, runs(params, "cifar10-lt-main")[0])["validation"] == 5000
    stl10 = disk.images_of(params, Run("stl10-lt", "n150-l10", "paper", "fixmatch", 0))
    assert stl10 == {"unlabeled": 100_000, "validation": 500, "test": 8000}


def test_number_of_images_of_a_folder_is_that_of_its_store_and_assumed_before(params):
    params.datasets["digits"].pop("images")
    run = Run("digits", "n4-m80-l1-u1", "smoke", "fixmatch", 0)
    assert disk.images_of(params, run)["test"] == 1000
    Path("data/store/digits").mkdir(parents=True)
    Path("data/store/digits/manifest.json").write_text('{"parts": {"train": {"images": 90}, "test": {"images": 7}}}')
    assert disk.images_of(params, run)["test"] == 7


@pytest.mark.parametrize("protocol", ["smoke", "paper"])
def test_machine_agrees_with_the_choice_by_torch(monkeypatch, protocol):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("DASO_GPUS", "0")
    params, threads = load_params(), torch.get_num_threads()
    try:
        for precision in ("auto", params.protocols[protocol]["precision"]):
            params.protocols[protocol]["precision"] = precision
            by_torch = module._machine_by_torch(precision, 0)
            assert module._machine(params, protocol) == by_torch
            assert by_torch.device.endswith(", 1 thread")
    finally:
        torch.set_num_threads(threads)


def test_preview_names_runs_time_and_disk(params):
    """60 steps of 0.5 s, two runs at once: 30 s. Two runs of 2 + 0.1 MB; checkpoints of 3 MB, two at once, twice."""
    first, second, *others = runs(params, "smoke")
    keys = Keys(params)
    lines, costs = preview(params, keys, [first, *others], 64)
    assert lines[0] == "5 runs to train, 5 at once: time unknown until the first run ends"
    assert costs.keys() == {run.id for run in (first, *others)}
    finish(Run(*first[:4], 99), 0.5, device="cpu: another")
    lines, costs = preview(params, keys, [first, second], 2)
    assert lines[0] == "2 runs to train, 2 at once: about 30.0 s of training, as measured on cpu: another, 1 thread"
    assert "results 4.00 MB, TensorBoard 0.200 MB, checkpoints 12.0 MB" in lines[1]
    assert costs == {first.id: 30.0, second.id: 30.0}
    finish(Run(*first[:4], 98), 1.0)
    assert preview(params, keys, [first, second], 1).lines[0] == "2 runs to train, 1 at once: about 2.0 min of training"
    assert (
        preview(params, keys, [first, second], 1, here=False).lines[0].endswith("time unknown until the first run ends")
    )
    assert preview(params, keys, [], 1) == ([], {})
