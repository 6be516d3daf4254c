"""Synthetic project: a suite, and metrics and histories like those of real runs."""

import copy
import hashlib

import numpy as np
import pytest

from daso.data.files import checksummed
from daso.report.render import build_report
from tests.repository import PARAMS, ROOT

PUBLISHED = ROOT / "reports" / "paper" / "results.csv"
METHODS = {
    "supervised": {"title": "Supervised", "learner": {"name": "supervised"}, "addons": []},
    "fixmatch": {"title": "FixMatch", "learner": {"name": "fixmatch"}, "addons": []},
    "fixmatch_daso": {"title": "FixMatch + DASO", "learner": {"name": "fixmatch"}, "addons": [{"name": "daso"}]},
    "fixmatch_la": {
        "title": "FixMatch + LA",
        "learner": {"name": "fixmatch"},
        "addons": [{"name": "logit_adjustment"}],
    },
}
for _method in METHODS.values():
    _addons = ";".join({"logit_adjustment": "la"}.get(addon["name"], addon["name"]) for addon in _method["addons"])
    _method["paper"] = {"base": _method["learner"]["name"], "addons": _addons}
SETTINGS = {
    "n500-m4000-l100-u100": {"n1": 500, "m1": 4000, "gamma_l": 100, "gamma_u": 100},
    "n1500-m3000-l100-u100r": {"n1": 1500, "m1": 3000, "gamma_l": 100, "gamma_u": 100, "reversed": True},
}
PAPER = {"name": "paper", "title": "the paper's protocol", "comparable": True, "note": ""}
SHORT = {"name": "short", "title": "short", "comparable": False, "note": "short schedule, small encoder"}
DIGEST = "0123456789abcdef" * 4


def build_suite(
    methods=("supervised", "fixmatch", "fixmatch_daso"),
    settings=("n500-m4000-l100-u100", "n1500-m3000-l100-u100r"),
    seeds=(0, 1, 2),
    protocol=PAPER,
    dataset="cifar10-lt",
):
    """Return an expanded suite, the input of a report."""
    schedule = {"steps": 1000, "evaluation": {"every": 50, "median_of": 20}}
    table = {
        "name": "main",
        "title": "CIFAR-10-LT",
        "dataset": {"name": dataset, "title": "CIFAR-10, a long tail"},
        "settings": [{"name": name, **SETTINGS[name]} for name in settings],
        "methods": [{"name": name, **METHODS[name]} for name in methods],
        "protocol": {**schedule, **protocol},
    }
    return copy.deepcopy(
        {
            "name": "demo",
            "title": "A demonstration",
            "note": "Numbers made up for a test.\n",
            "seeds": list(seeds),
            "tables": [table],
        }
    )


def iterate_runs(suite):
    """Yield every run of a suite as (table, setting, method, seed, id)."""
    for table in suite["tables"]:
        for setting in table["settings"]:
            for method in table["methods"]:
                for seed in suite["seeds"]:
                    names = (table["dataset"]["name"], setting["name"], table["protocol"]["name"], method["name"])
                    yield table, setting, method, seed, "/".join((*names, f"s{seed}"))


def run_metrics(run, level=0.76, seed=0, classes=10, setting=None, **provenance):
    """Return the metrics of one run with a top-1 accuracy of `level`."""
    setting = setting or SETTINGS["n500-m4000-l100-u100"]
    dataset, name, protocol, method, _ = run.split("/")
    rank = np.arange(classes) / max(classes - 1, 1)
    recall = np.clip(level + 0.25 * (0.5 - rank), 0, 1)
    confusion = np.full((classes, classes), 0)
    for k, share in enumerate(recall):
        confusion[k, k] = round(1000 * share)
        confusion[k, 0 if k else 1] += 1000 - confusion[k, k]
    labeled = [max(1, int(setting["n1"] * setting["gamma_l"] ** -r)) for r in rank]
    unlabeled = [max(1, int(setting["m1"] * setting["gamma_u"] ** -r)) for r in rank]
    edge = round(0.3 * classes)
    return {
        **{"run": run, "dataset": dataset, "setting": name, "protocol": protocol, "method": method, "seed": seed},
        **{"key": "k" * 16, "steps": 1000, "evaluations": 20},
        "top1": {
            "last": level - 0.001,
            "best": level + 0.002,
            "median": level,
            "mean": level - 0.002,
            "best_on_test": level + 0.004,
        }
        | {"median_of": 20},
        "top1_la": {"last": level, "median": level + 0.01},
        "balanced_accuracy": float(recall.mean()),
        "geometric_mean": float(recall.prod() ** (1 / classes)),
        "recall": [float(r) for r in recall],
        "precision": [None] + [float(r) for r in recall[1:]],
        "groups": {
            "many": float(recall[:edge].mean()),
            "medium": float(recall[edge : classes - edge].mean()),
            "few": float(recall[classes - edge :].mean()),
        },
        "class_order": list(range(classes)),
        "classes": [f"class {k}" for k in range(classes)],
        "confusion": confusion.tolist(),
        "pseudo_label": None if "supervised" in method else {"recall": [0.5] * classes, "precision": [0.5] * classes},
        "counts": {"labeled": labeled, "unlabeled": unlabeled[::-1] if setting.get("reversed") else unlabeled},
        "speed": {"seconds": 60.0, "steps_per_second": 16.7, "images_per_second": 900.0},
        "provenance": {
            "commit": "abcdef123456",
            "config_sha256": f"{seed}{method}"[:16] + DIGEST,
            "split_sha256": f"{seed}" + DIGEST,
            "data_sha256": DIGEST,
            "source": {"kind": "cifar10", "md5": "c58f30108f718f92721af3b95e74349a"},
            "versions": {"python": "3.11.9", "torch": "2.11.0"},
            "device": "cpu: made up",
            "threads": 1,
            "precision": "fp32",
            **provenance,
        },
    }


def history_csv(level, classes=10, seed=0, pseudo=True, steps=range(50, 1001, 50)):
    """Return the text of a history.csv whose accuracy rises to `level`."""
    noise = np.random.default_rng(seed)
    columns = ["step", "loss_supervised", "val_top1", "test_top1", "test_balanced"]
    columns += [f"test_recall_{k}" for k in range(classes)]
    columns += [f"pl_{part}_{k}" for part in ("recall", "precision") for k in range(classes)] if pseudo else []
    lines = [",".join(columns)]
    for step in steps:
        accuracy = level * (1 - np.exp(-step / 200)) + 0.01 * noise.standard_normal()
        recall = np.clip(accuracy + 0.25 * (0.5 - np.arange(classes) / classes), 0, 1)
        values = [1.0, accuracy, accuracy, accuracy, *recall, *([*recall, *recall] if pseudo else [])]
        lines.append(",".join([str(step), *(f"{value:.6f}" for value in values)]))
    return "\n".join(lines) + "\n"


class Project:
    """Project folder with the runs of a suite."""

    def __init__(self, root):
        self.root = root
        self.metrics, self.runs, self.scratch, self.out = (root / n for n in ("metrics", "runs", "scratch", "reports"))
        self.archived, self.stores = root / "measured", root / "stores"

    def write_metrics(self, metrics):
        path = self.metrics / f"{metrics['run']}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(checksummed(metrics))

    def write_run(self, run, level, seed, setting, classes=10, **provenance):
        path = self.runs / run / "history.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(history_csv(level, classes, seed, "supervised" not in run))
        digests = {"history.csv": hashlib.sha256(path.read_bytes()).hexdigest()}
        self.write_metrics({**run_metrics(run, level, seed, classes, setting, **provenance), "files": digests})

    def write_checkpoint(self, run, key="k" * 16):
        path = self.scratch / run / f"{key}.pt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")

    def fill(self, suite, level=lambda setting, method, seed: 0.76 + 0.004 * (seed - 1), limit=None, classes=10):
        """Write the first `limit` runs of a suite."""
        for index, (_, setting, method, seed, run) in enumerate(iterate_runs(suite)):
            if limit is None or index < limit:
                self.write_run(run, level(setting["name"], method["name"], seed), seed, setting, classes)

    def build(self, suite, out=None, expected_keys=None, forecast=None, corrections=None):
        out = out or self.out
        folders = {name: getattr(self, name) for name in ("metrics", "runs", "scratch", "archived", "stores")}
        more = {"expected_keys": expected_keys, "forecast": forecast, "corrections": corrections}
        build_report(suite, **folders, published=PUBLISHED, out=out, **more)
        return out


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.fixture(scope="session")
def make_project():
    return Project


@pytest.fixture(scope="session")
def make_suite():
    return build_suite


@pytest.fixture
def make_metrics():
    return run_metrics


@pytest.fixture
def run_ids():
    return iterate_runs


@pytest.fixture(scope="session")
def params():
    """Return the parameters in params/."""
    return PARAMS


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """Change to an empty working folder."""
    monkeypatch.chdir(tmp_path)
