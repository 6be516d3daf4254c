"""Fabricate a working folder whose runs of a suite look finished without any training: EVERY NUMBER IN IT IS INVENTED.

Its report has the size and the layout of a real one, so that its weight, its accessibility and its print can be
measured. The title of the suite begins with MARK.
"""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.resolve import expand_suite, runs
from daso.data.class_sizes import class_sizes
from daso.data.files import checksummed
from daso.engine.analysis import class_similarity, source_summary
from daso.ops.bias import concentration
from daso.ops.confusion import confusion, precision, recall
from daso.report.results.published import PUBLISHED, look_up_cell, read_published
from tests.report.conftest import history_csv, run_metrics

ROOT = Path(__file__).resolve().parents[2]
MARK = "FABRICATED NUMBERS"
TEST_IMAGES, WINDOWS, IMAGES = 100, 6, 120  # test images of a class; windows of an analysis; images of a t-SNE
SHARES = {"augmentation": 0.2, "forward": 0.3, "backward": 0.35, "update": 0.05, "evaluation": 0.05}
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
DIGEST = hashlib.sha256(MARK.encode()).hexdigest()


class Invented(NamedTuple):
    """Inputs of the invented results of a run depend on."""

    names: Mapping[str, Any]  # run, dataset, setting, protocol, method, seed, key
    level: float  # accuracy of the method in the setting, 0 to 1
    counts: Mapping[str, list[int]]  # labeled and unlabeled images of each class
    steps: np.ndarray  # (evaluations,) steps of the history's rows
    random: np.random.Generator

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.counts["labeled"])

    @property
    def has_pseudo_labels(self) -> bool:
        """True if the method has pseudo-labels."""
        return not self.names["method"].startswith("supervised")


def fabricate(folder: Path, suite: str, limit: int | None = None, evaluations: int | None = None) -> Path:
    """Write `params/` and the first `limit` runs of `suite` (default: all) into an empty folder; return the folder.

    A history has `evaluations` rows, by default as many as the protocol evaluates. The same arguments give the same
    bytes.
    """
    shutil.copytree(ROOT / "params", folder / "params", dirs_exist_ok=True)
    (folder / "Snakefile").touch()
    path = folder / "params/suites" / f"{suite}.yaml"
    path.write_text(re.sub(r'^title: "?(.*?)"?$', rf'title: "{MARK}. \1"', path.read_text(), count=1, flags=re.M))
    params = load_params(folder / "params")
    tree, keys, published = expand_suite(params, suite), Keys(params), read_published(PUBLISHED)
    places = {
        (table["dataset"]["name"], setting["name"], table["protocol"]["name"], method["name"]): (
            table,
            setting,
            method,
            position,
        )
        for table in tree["tables"]
        for setting in table["settings"]
        for position, method in enumerate(table["methods"])
    }
    for run in list(runs(params, suite))[:limit]:
        table, setting, method, position = places[run.dataset, run.setting, run.protocol, run.method]
        protocol = table["protocol"]
        target = look_up_cell(published, table, setting, method)
        last, rows = protocol["steps"], evaluations or protocol["steps"] // protocol["evaluation"]["every"]
        labeled, unlabeled = class_sizes(setting, table["dataset"]["num_classes"])
        invented = Invented(
            {"run": run.id, **run._asdict(), "key": keys.train(run)},
            target.mean / 100 if target else min(0.95, 0.6 + 0.06 * position),
            {"labeled": list(labeled), "unlabeled": list(unlabeled)},
            np.linspace(last / rows, last, rows).astype(int),
            np.random.default_rng(zlib.crc32(run.id.encode())),
        )
        _write(folder, invented)
    return folder


def _write(folder: Path, run: Invented) -> None:
    """Write history, predictions and metrics of one run."""
    seed = (
        0.01 * np.random.default_rng(run.names["seed"]).standard_normal()
    )  # the same split helps or hurts all methods
    cell = np.random.default_rng(zlib.crc32(run.names["run"].rpartition("/")[0].encode()))
    offset = 0.008 * cell.standard_normal()  # some methods miss the published number
    level = np.clip(run.level + offset + seed + 0.004 * run.random.standard_normal(), 0.02, 0.98)
    history = history_csv(level, run.classes, run.names["seed"], run.has_pseudo_labels, run.steps)
    metrics, files = (
        _metrics(run, float(level)),
        {"history.csv": history.encode(), "predictions.npz": _predictions(run)},
    )
    path = folder / "runs" / run.names["run"]
    path.mkdir(parents=True)
    for name, content in files.items():
        (path / name).write_bytes(content)
    path = folder / "metrics" / f"{run.names['run']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    path.write_bytes(checksummed({**metrics, "files": digests}))


def _predictions(run: Invented) -> bytes:
    """Return a sample of unlabeled images with their features: a cluster for each of ten classes."""
    labels = np.repeat(np.arange(10) % run.classes, IMAGES // 10)
    features = 5 * np.eye(10)[labels % 10] + run.random.standard_normal((IMAGES, 10))
    buffer = io.BytesIO()
    np.savez(buffer, sample_features=features, sample_labels=labels, sample_pseudo_labels=labels)
    return buffer.getvalue()


def _metrics(run: Invented, level: float) -> dict[str, Any]:
    recalls = np.clip(level + 0.3 * (0.5 - np.arange(run.classes) / max(run.classes - 1, 1)), 0, 1)
    table = _confusion(run, recalls, [TEST_IMAGES] * run.classes)
    metrics = run_metrics(run.names["run"], level, run.names["seed"], run.classes, **_provenance(run))
    found = recall(table).tolist()
    part = {"recall": found, "precision": found} if run.has_pseudo_labels else None
    return {
        **metrics,
        **run.names,
        **{"steps": int(run.steps[-1]), "evaluations": len(run.steps)},
        **{"recall": found, "confusion": table.tolist()},
        "precision": [None if np.isnan(p) else p for p in precision(table).tolist()],
        "classes": list(CIFAR10) if run.classes == 10 else metrics["classes"],
        **{"counts": dict(run.counts), "pseudo_label": part, "analysis": _analysis(run, recalls)},
        "speed": _speed(run),
    }


def _confusion(run: Invented, recalls: np.ndarray, sizes: list[int]) -> np.ndarray:
    """Return counts (K, K) with these recalls; wrong images go to more frequent classes."""
    truth = np.repeat(np.arange(run.classes), sizes)
    wrong = (run.random.random(len(truth)) * np.maximum(truth, 1)).astype(int)
    predicted = np.where(run.random.random(len(truth)) < recalls[truth], truth, wrong)
    return confusion(truth, predicted, run.classes)


def _analysis(run: Invented, recalls: np.ndarray) -> dict[str, Any]:
    table = np.vstack([_confusion(run, recalls, run.counts["unlabeled"]), np.zeros((1, run.classes), int)])
    known, order = table[:-1], list(range(run.classes))
    windows = np.repeat(np.stack([known.sum(0), known.diagonal()])[None], WINDOWS, 0)
    truth = np.repeat(known.sum(1)[None], WINDOWS, 0)
    kinds = (
        ("linear", "semantic", "final", "above_threshold")
        if "daso" in run.names["method"]
        else ("final", "above_threshold")
    )
    summary = source_summary(table, order, windows, truth)
    sources = dict.fromkeys(kinds if run.has_pseudo_labels else (), summary)
    return {
        "steps": run.steps[:: max(1, len(run.steps) // WINDOWS)][:WINDOWS].tolist(),
        "sources": sources | {"model": source_summary(table, order)},
        **{"of": "final" if sources else "model", "confusion": known.tolist()},
        "errors": {f"top{n}": [None if np.isnan(v) else v for v in concentration(known, n)] for n in (1, 2)},
        "similarity": class_similarity(run.random.random((run.classes, 8)), table),
    }


def _speed(run: Invented) -> dict[str, Any]:
    rate = float(run.random.uniform(20, 30))
    seconds = float(run.steps[-1]) / rate
    own = {"seconds": seconds, "steps_per_second": rate, "images_per_second": 320 * rate, "share": SHARES}
    return {**own, "processor_seconds": 0.97 * seconds, "peak_memory_mib": 900.0, "replicas": 1}


def _provenance(run: Invented) -> dict[str, Any]:
    split = " ".join(str(run.names[name]) for name in ("dataset", "setting", "seed"))  # the same for every method
    return {
        "commit": DIGEST[:12],
        "split_sha256": hashlib.sha256(split.encode()).hexdigest(),
        "source": {"kind": MARK.lower(), "md5": DIGEST[:32]},
        **{"device": f"cuda: {MARK.lower()}", "precision": "bf16", "mode": "graph"},
    }
