"""Cost of runs: steps and images computed by hand, hours from made-up measurements."""

import json
from pathlib import Path

import pytest

from daso.config.resolve import Run, with_upstream
from daso.data.files import checksummed
from daso.planning.cost import STEP_TIMES, Work, cost_lines, measured_steps, step_digest

ROOT = Path(__file__).resolve().parents[2]
PLACE = ("cifar10-lt", "n500-m4000-l100-u100", "paper")
pytestmark = pytest.mark.usefixtures("nowhere")


def paces(params, run):
    """Return the seconds of a step by environment."""
    return {str(one): one.seconds for one in measured_steps(params, run)}


def write_metrics(run, seconds, device="cuda: H", replicas=1, folder="metrics", speed=None):
    """Write the metrics of a run whose steps took `seconds` each."""
    path = Path("metrics", f"{run.id}.json") if folder == "metrics" else Path(folder, run.id, "metrics.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    speed = {"steps_per_second": 1 / seconds, "replicas": replicas, **(speed or {})}
    origin = {"device": device, "precision": "bf16", "mode": "graph"}
    path.write_bytes(checksummed({"run": run.id, "key": "k", "speed": speed, "provenance": origin}))


def write_benchmark(method, milliseconds, steps=250_000, side=32, quick=False, name="machine"):
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
def test_steps_and_images_of_a_run(params, method, steps, images):
    assert Work.of(params, Run(*PLACE, method, 0)) == Work(steps, steps * images)


def test_images_of_a_method_with_all_images_in_each_step(params):
    """300 steps of one view of 64 labeled images, 20 to 1 a class, and of 323 unlabeled ones, 8 to 80 a class."""
    assert Work.of(params, Run("digits", "n20-m80-l20-u10r", "photos", "alpha_tim", 0)) == Work(300, 300 * 387)


def test_runs_that_shared_their_core_count_only_without_others(params):
    """44 s of processor time in 50 s are 88 % of a core, 50 s in 50 s all of it."""
    *shared, alone = [Run(*PLACE, "fixmatch_daso", seed) for seed in range(3)]
    for run in shared:
        write_metrics(run, 0.5, "cpu: X", speed={"seconds": 50.0, "processor_seconds": 44.0})
    assert paces(params, alone) == {"cpu: X, bf16, graph (metrics/, machine was shared)": 0.5}
    write_metrics(alone, 0.1, "cpu: X", speed={"seconds": 50.0, "processor_seconds": 50.0})
    assert paces(params, alone) == {"cpu: X, bf16, graph (metrics/)": pytest.approx(0.1)}


def test_hours_from_a_benchmark(params):
    """A step of 1.44 s: 100 hours per run. The slower precision is ignored."""
    write_benchmark("fixmatch_daso", {"fp32": 2000.0, "bf16": 1440.0})
    runs = [Run(*PLACE, "fixmatch_daso", seed) for seed in range(3)]
    assert list(cost_lines(params, runs, runs[1:])) == [
        "3 runs, 750,000 steps, 240,000,000 images",
        "300 device-hours, 200 of them to do, on cpu: X, eager, bf16 (docs/benchmarks/machine.json): "
        "1,440 ms per step of fixmatch_daso",
    ]


@pytest.mark.parametrize("changes", [{"method": "fixmatch"}, {"steps": 1500}, {"side": 8}, {"quick": True}], ids=str)
def test_benchmark_of_a_different_method_or_size_is_ignored(params, changes):
    write_benchmark(**{"method": "fixmatch_daso", "milliseconds": {"bf16": 1440.0}, **changes})
    runs = [Run(*PLACE, "fixmatch_daso", 0)]
    assert list(cost_lines(params, runs, runs))[1] == (
        "device-hours unknown: steps of fixmatch_daso not measured on images of this size"
    )


def test_hours_from_the_committed_benchmark(params, monkeypatch):
    """Its column of hours has 94.25."""
    monkeypatch.chdir(ROOT)
    benchmarks = paces(params, Run(*PLACE, "fixmatch_daso", 0))
    (seconds,) = (value for name, value in benchmarks.items() if "amd-epyc-2-cores.json" in name)
    assert seconds * 250_000 / 3600 == pytest.approx(94.25, abs=0.01)


def test_hours_from_finished_runs(params):
    """Steps of 10, 12 and 50 ms: the median is 12; with four concurrent runs, each takes a quarter of 80 ms."""
    other = Run("cifar100-lt", "n50-m400-l10-u10", "paper", "fixmatch", 1)
    for run, seconds in ((Run(*PLACE, "fixmatch", 0), 0.010), (Run(*PLACE, "fixmatch", 1), 0.050), (other, 0.012)):
        write_metrics(run, seconds)
    write_metrics(Run(*PLACE, "fixmatch", 2), 0.08, device="cuda: K", replicas=4, folder="reports/measured")
    write_metrics(Run("stl10-lt", "n150-l10", "paper", "fixmatch", 0), 9.0)  # larger images
    write_metrics(Run("cifar10-lt", "n500-m4000-l100-u100", "glimpse", "fixmatch", 0), 9.0)
    assert paces(params, Run(*PLACE, "fixmatch", 0)) == {
        "cuda: H, bf16, graph (metrics/)": pytest.approx(0.012),
        "cuda: K, bf16, graph, 4 at once (reports/measured/)": pytest.approx(0.02),
    }


def test_cost_includes_upstream_runs(params):
    """cRT: 250,000 steps of its base at 36 ms, 100,000 own steps at 18 ms: 2.5 h + 0.5 h."""
    chain = with_upstream(params, [Run(*PLACE, "supervised_crt", 0)])
    write_metrics(Run(*PLACE, "supervised", 0), 0.036)
    unknown = "device-hours unknown: steps of supervised_crt not measured on images of this size"
    assert list(cost_lines(params, chain, chain)) == ["2 runs, 350,000 steps, 22,400,000 images", unknown]
    write_metrics(Run(*PLACE, "supervised_crt", 0), 0.018)
    assert list(cost_lines(params, chain, chain[1:]))[1].startswith(
        "3.00 device-hours, 0.500 of them to do, on cuda: H"
    )


def test_hours_unknown_if_no_machine_measured_all_methods(params):
    chain = with_upstream(params, [Run(*PLACE, "supervised_crt", 0)])
    write_metrics(chain[0], 0.036)
    write_metrics(chain[1], 0.018, device="cuda: K")
    assert list(cost_lines(params, chain, chain))[1:] == [
        "device-hours unknown: no machine has measured steps of both supervised and supervised_crt"
    ]


def test_hours_from_steps_measured_on_this_machine(params):
    """36 ms per step: 2.5 h. They apply to the method under this protocol on images of this size, in any setting."""
    run = Run(*PLACE, "fixmatch", 0)
    STEP_TIMES.parent.mkdir()
    entry = {"of": step_digest(params, run), "device": "cuda: H", "how": "bf16, graph", "seconds": 0.036}
    STEP_TIMES.write_text(json.dumps({"steps": [{**entry, "of": "another"}, entry]}))
    assert next(line for line in cost_lines(params, [run], [run]) if "hours" in line).startswith("2.50 device-hours")
    same_steps = [run._replace(seed=1), run._replace(setting="n1500-m3000-l150-u150")]
    others = [run._replace(method="fixmatch_la"), run._replace(protocol="glimpse")]
    others.append(Run("cifar100-lt", "n50-m400-l10-u10", "paper", "fixmatch", 0))
    assert [paces(params, one) for one in same_steps] == [{"cuda: H, bf16, graph (benchmarks/steps.json)": 0.036}] * 2
    assert [paces(params, one) for one in others] == [{}] * 3


def test_reference_of_a_suite_of_the_same_protocol_and_dataset_counts(params):
    """A clone without runs has it; a method that the reference lacks, and other protocols, stay unmeasured."""
    environment = {"device": "cpu: X", "threads": "1", "precision": "fp32", "mode": "eager"}
    content = {"environment": environment, "seconds_per_step": {"fixmatch": 0.02}}
    path = Path("reports/reference/quickstart.json")
    path.parent.mkdir(parents=True)
    path.write_bytes(checksummed(content))
    suite = params.suites["quickstart"]
    place = ("digits", suite["tables"][0]["settings"][0], suite["protocol"])
    assert paces(params, Run(*place, "fixmatch", 7)) == {
        "cpu: X, 1 thread, fp32, eager (reports/reference/quickstart.json)": 0.02
    }
    assert paces(params, Run(*place, "supervised", 0)) == {}
    assert paces(params, Run(*place[:2], "smoke", "fixmatch", 0)) == {}
    suite["tables"][0]["protocol"] = "smoke"  # the means of two protocols are of neither
    assert paces(params, Run(*place, "fixmatch", 7)) == {}
    for table in suite["tables"]:
        table["protocol"] = "smoke"
    assert list(paces(params, Run(*place[:2], "smoke", "fixmatch", 0)).values()) == [0.02]
