"""Steps and images by hand, hours by measurements that are made up."""

import json
from pathlib import Path

import pytest

from daso.config.resolve import Run, with_upstream
from daso.data.files import checksummed
from daso.planning.cost import STEPS, Work, kind, lines, paces

ROOT = Path(__file__).resolve().parents[2]
PLACE = ("cifar10-lt", "n500-m4000-l100-u100", "paper")
pytestmark = pytest.mark.usefixtures("nowhere")


def measured(run, seconds, device="cuda: H", replicas=1, folder="metrics"):
    """Metrics of a run whose steps took so many seconds each."""
    path = Path("metrics", f"{run.id}.json") if folder == "metrics" else Path(folder, run.id, "metrics.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    speed = {"steps_per_second": 1 / seconds, "replicas": replicas}
    origin = {"device": device, "precision": "bf16", "mode": "graph"}
    path.write_bytes(checksummed({"run": run.id, "key": "k", "speed": speed, "provenance": origin}))


def benchmark(method, milliseconds, steps=250_000, side=32, quick=False, name="machine"):
    rows = [["reference, batches at hand", {"median": 1.0}]]
    rows += [[f"ours, eager, {precision}", {"median": value}] for precision, value in milliseconds.items()]
    columns = ["", "ms a step", f"hours for {steps:,} steps"]
    table = {
        "title": f"Steps of {method}",
        "how": f"320 images of {side} pixels a side",
        "columns": columns,
        "rows": rows,
    }
    section = {"made_with": {"device": "cpu: X"}, "tables": [table]}
    Path("docs/benchmarks").mkdir(parents=True, exist_ok=True)
    tree = {"machine": {"quick": quick}, "sections": {"steps": section}}
    Path(f"docs/benchmarks/{name}.json").write_text(json.dumps(tree))


@pytest.mark.parametrize(
    ("method", "steps", "images"),
    [
        ("supervised", 250_000, 64),
        ("fixmatch_daso", 250_000, 64 + 128 + 128),
        ("remixmatch", 250_000, 64 + 3 * 64),
        ("fixmatch_crest.g2", 50_000, 320),
        ("supervised_crt", 100_000, 64),
    ],
)
def test_steps_and_images(params, method, steps, images):
    assert Work.of(params, Run(*PLACE, method, 0)) == Work(steps, steps * images)


def test_a_benchmark_tells_the_hours(params):
    """A step of 1.44 s: 100 hours a run. The slower precision is left out."""
    benchmark("fixmatch_daso", {"fp32": 2000.0, "bf16": 1440.0})
    runs = [Run(*PLACE, "fixmatch_daso", seed) for seed in range(3)]
    assert list(lines(params, runs, runs[1:])) == [
        "3 runs, 750,000 steps, 240,000,000 images",
        "300 device-hours, 200 of them to be done, on cpu: X, eager, bf16 (docs/benchmarks/machine.json): "
        "1,440 ms a step of fixmatch_daso",
    ]


@pytest.mark.parametrize("changes", [{"method": "fixmatch"}, {"steps": 1500}, {"side": 8}, {"quick": True}], ids=str)
def test_a_benchmark_of_something_else_tells_nothing(params, changes):
    benchmark(**{"method": "fixmatch_daso", "milliseconds": {"bf16": 1440.0}, **changes})
    runs = [Run(*PLACE, "fixmatch_daso", 0)]
    assert list(lines(params, runs, runs))[1] == (
        "device-hours unknown: no step of fixmatch_daso on such images has been measured"
    )


def test_the_projects_own_benchmark_is_read(params, monkeypatch):
    """Its own column of hours says 94.25."""
    monkeypatch.chdir(ROOT)
    benchmarks = dict(paces(params, Run(*PLACE, "fixmatch_daso", 0)))
    (seconds,) = (value for name, value in benchmarks.items() if "amd-epyc-2-cores.json" in name)
    assert seconds * 250_000 / 3600 == pytest.approx(94.25, abs=0.01)


def test_measured_runs_of_the_method_tell_the_hours(params):
    """Steps of 10, 12 and 50 ms: the middle one counts; one of four at once takes a quarter of the device's 80 ms."""
    other = Run("cifar100-lt", "n50-m400-l10-u10", "paper", "fixmatch", 1)
    for run, seconds in ((Run(*PLACE, "fixmatch", 0), 0.010), (Run(*PLACE, "fixmatch", 1), 0.050), (other, 0.012)):
        measured(run, seconds)
    measured(Run(*PLACE, "fixmatch", 2), 0.08, device="cuda: K", replicas=4, folder="reports/measured")
    measured(Run("stl10-lt", "n150-l10", "paper", "fixmatch", 0), 9.0)  # larger images
    measured(Run("cifar10-lt", "n500-m4000-l100-u100", "glimpse", "fixmatch", 0), 9.0)
    found = dict(paces(params, Run(*PLACE, "fixmatch", 0)))
    assert found == {
        "cuda: H, bf16, graph (metrics/)": pytest.approx(0.012),
        "cuda: K, bf16, graph, 4 at once (reports/measured/)": pytest.approx(0.02),
    }


def test_what_comes_before_is_paid_for_too(params):
    """cRT: 250,000 steps of its base at 36 ms, 100,000 of its own at 18 ms: 2.5 h + 0.5 h."""
    chain = with_upstream(params, [Run(*PLACE, "supervised_crt", 0)])
    measured(Run(*PLACE, "supervised", 0), 0.036)
    unknown = "device-hours unknown: no step of supervised_crt on such images has been measured"
    assert list(lines(params, chain, chain)) == ["2 runs, 350,000 steps, 22,400,000 images", unknown]
    measured(Run(*PLACE, "supervised_crt", 0), 0.018)
    assert list(lines(params, chain, chain[1:]))[1].startswith(
        "3.00 device-hours, 0.500 of them to be done, on cuda: H"
    )


def test_no_one_machine(params):
    chain = with_upstream(params, [Run(*PLACE, "supervised_crt", 0)])
    measured(chain[0], 0.036)
    measured(chain[1], 0.018, device="cuda: K")
    assert list(lines(params, chain, chain))[1:] == [
        "device-hours unknown: no one machine has measured steps of supervised and supervised_crt"
    ]


def test_steps_that_were_taken_here_tell_the_hours(params):
    """36 ms a step: 2.5 h. They hold for the method's runs under this protocol on such images, whatever the setting."""
    run = Run(*PLACE, "fixmatch", 0)
    STEPS.parent.mkdir()
    taken = {"of": kind(params, run), "device": "cuda: H", "how": "bf16, graph", "seconds": 0.036}
    STEPS.write_text(json.dumps({"steps": [{**taken, "of": "another"}, taken]}))
    assert next(line for line in lines(params, [run], [run]) if "hours" in line).startswith("2.50 device-hours")
    alike = [run._replace(seed=1), run._replace(setting="n1500-m3000-l150-u150")]
    others = [run._replace(method="fixmatch_la"), run._replace(protocol="glimpse")]
    others.append(Run("cifar100-lt", "n50-m400-l10-u10", "paper", "fixmatch", 0))
    assert [dict(paces(params, one)) for one in alike] == [{"cuda: H, bf16, graph (benchmarks/steps.json)": 0.036}] * 2
    assert [dict(paces(params, one)) for one in others] == [{}] * 3
