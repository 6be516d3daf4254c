"""DVC experiments, run directly or from a queue: tables of their params and metrics, and comparisons of commits."""

import csv
import io
import json
import re
import time

import pytest

from tests.workflow.project import METHODS, SETTING, jobs, runs

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("dvc")]
SUPERVISED, DASO = METHODS
FILE = f"params/methods/{DASO}.yaml"
METRICS = "reports/tiny/metrics.json"
WEIGHTS = {"half": 0.5, "light": 0.00001, "heavy": 8.0}  # experiment: loss weight


def means(project):
    """Return the mean accuracy of each method in percent, from the metrics of its single run."""
    accuracies = {}
    for method in METHODS:
        metrics = json.loads(project.read(f"metrics/digits/{SETTING}/tiny/{method}/s0.json"))
        accuracies[method] = pytest.approx(100 * metrics["top1"]["median"], abs=1e-4)
    return accuracies


def set_longer_training(tree):
    """Train long and fast enough to learn something, so that a loss weight changes the accuracy."""
    tree.update(steps=120, batch_size=32)
    tree["evaluation"].update(every=60)
    tree["teacher"].update(decay=0.9)
    tree["network"].update(channels=[8, 16], strides=[1, 2])
    tree["optimizer"].update(lr=0.1)
    tree["overrides"].update({"optimizer.lr": 0.1})


@pytest.fixture(scope="module")
def trained(built, tmp_path_factory):
    """Return a second commit with longer runs; `before` has the metrics of the first."""
    project = built.copy(tmp_path_factory.mktemp("learned") / "project")
    project.edit("protocols/tiny.yaml", set_longer_training)
    project.before = project.results()
    project.dvc("repro")
    project.commit("longer runs")
    return project


@pytest.fixture(scope="module")
def explored(trained, tmp_path_factory):
    """Yield the project after one experiment run directly and two from the queue, all of one option of one method."""
    project = trained.copy(tmp_path_factory.mktemp("explored") / "project")
    project.output = project.dvc("exp", "run", "--name", "half", "-S", f"{FILE}:learner.weight=0.5")
    project.dvc("exp", "apply", "half")
    project.half = means(project)
    project.git("checkout", "-q", ".")
    project.dvc("checkout")
    for name in ("light", "heavy"):
        project.dvc("exp", "run", "--queue", "--name", name, "-S", f"{FILE}:learner.weight={WEIGHTS[name]}")
    project.dvc("queue", "start")
    end = time.monotonic() + 600
    while project.dvc("queue", "status").count("Success") < 2:
        status = project.dvc("queue", "status")
        assert "Failed" not in status, status + "".join(
            project.dvc("queue", "logs", name) for name in ("light", "heavy")
        )
        assert time.monotonic() < end, status
        time.sleep(2)
    yield project
    project.dvc("queue", "stop")


def test_experiment_runs_only_affected_jobs(explored):
    assert jobs(explored.output) == runs(DASO)


def test_table_has_params_and_metrics_of_each_experiment(explored):
    """Each has its own weight and accuracy; the other method has the same weight and accuracy in all of them."""
    (commit,) = json.loads(explored.dvc("exp", "show", "--json"))[1:]
    shown = {revision["revs"][0]["name"]: revision["revs"][0]["data"] for revision in commit["experiments"]}
    assert set(shown) == set(WEIGHTS)
    base = commit["data"]["metrics"][METRICS]["data"]["digits"][SETTING]
    assert len({data["metrics"][METRICS]["data"]["digits"][SETTING][DASO]["mean"] for data in shown.values()}) == 3
    for name, data in shown.items():
        assert data["params"][FILE]["data"]["learner"]["weight"] == WEIGHTS[name]
        numbers = data["metrics"][METRICS]["data"]["digits"][SETTING]
        assert set(numbers) == set(METHODS)
        assert numbers[SUPERVISED] == base[SUPERVISED]
        assert numbers[DASO]["n"] == 1
        explored.dvc("exp", "apply", name)
        assert {method: numbers[method]["mean"] for method in METHODS} == means(explored)
        config = json.loads(explored.read(f"runs/digits/{SETTING}/tiny/{DASO}/s0/config.json"))
        assert config["method"]["learner"]["weight"] == WEIGHTS[name]
        assert explored.planned() == {}
    explored.git("checkout", "-q", ".")
    explored.dvc("checkout")


def test_experiments_are_exported_as_csv(explored):
    rows = {row["Experiment"]: row for row in csv.DictReader(io.StringIO(explored.dvc("exp", "show", "--csv")))}
    (weight,) = [column for column in rows["half"] if column.endswith("learner.weight")]
    (mean,) = [column for column in rows["half"] if column.endswith(f"{DASO}.mean")]
    assert {name: float(rows[name][weight]) for name in WEIGHTS} == WEIGHTS
    assert float(rows["half"][mean]) == explored.half[DASO]


def test_journal_is_part_of_an_experiment(explored):
    """An applied experiment can be committed as it is, and a rebuild does not change it."""
    explored.dvc("exp", "apply", "heavy")
    run = f"digits/{SETTING}/tiny/{DASO}/s0"
    entry, trained = (json.loads(explored.read(f"{name}.json")) for name in (f"journal/{run}", f"runs/{run}/train"))
    assert (entry["key"], entry["speed"]) == (trained["key"], trained["speed"])
    explored.git("checkout", "-q", ".")
    explored.dvc("checkout")


def test_plot_has_the_curves_of_two_commits(trained, tmp_path):
    """The points of the plot are the accuracies of the two histories, by commit and method."""
    project = trained.copy(tmp_path / "project")
    project.dvc("plots", "diff", "HEAD~1", "HEAD", "-o", "drawn")
    page = project.read("drawn/index.html")
    specs = [json.loads(spec) for spec in re.findall(r"var spec = (\{.*?\});?\n", page)]
    assert len(specs) == 2
    (curves,) = [spec for spec in specs if "test accuracy while training" in json.dumps(spec.get("title", ""))]
    drawn = {(p["rev"], p["method"], int(p["step"])): float(p["mean"]) for p in curves["data"]["values"]}
    expected = {}
    for revision in ("HEAD~1", "HEAD"):
        project.git("checkout", "-q", {"HEAD~1": "main~1", "HEAD": "main"}[revision])
        project.dvc("checkout")
        for method in METHODS:
            history = project.read(f"runs/digits/{SETTING}/tiny/{method}/s0/history.csv")
            for row in csv.DictReader(io.StringIO(history)):
                expected[revision, method, int(row["step"])] = pytest.approx(100 * float(row["test_top1"]), abs=1e-4)
    assert drawn == expected
