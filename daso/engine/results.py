"""The files of a finished run, and the metrics made of them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daso.data.split import SavedSplit
from daso.data.store import Store
from daso.engine import checkpoint, evaluate
from daso.engine.train import Row, Trainer
from daso.errors import DataError


def write_json(path: Path, tree: Mapping[str, Any]) -> None:
    """JSON with sorted keys, atomically."""
    checkpoint.write_bytes(path, (json.dumps(tree, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())


def write_run(out: Path, trainer: Trainer, environment: Mapping[str, Any]) -> None:
    """Write `history.csv` and `final.pt`, the same bytes however often it is run, and last `train.json`."""
    columns = list(dict.fromkeys(name for row in trainer.history for name in row))
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(trainer.history)
    checkpoint.write_bytes(out / "history.csv", table.getvalue().encode())
    kept = ("key", "student", "teacher", "learner")
    checkpoint.save(out / "final.pt", {name: part for name, part in trainer.state().items() if name in kept})
    protocol, method = trainer.config["protocol"], trainer.config["method"]
    images = protocol["batch_size"] * (1 + len(trainer.learner.views.u) * method["unlabeled_ratio"])
    speed = {
        "seconds": trainer.elapsed,
        "steps_per_second": trainer.steps / trainer.elapsed,
        "images_per_second": images * trainer.steps / trainer.elapsed,
    }
    write_json(
        out / "train.json",
        {"run": trainer.config["run"], "key": trainer.config["key"], "speed": speed, "environment": environment},
    )


def read_history(path: Path) -> list[dict[str, float | None]]:
    """The rows of a `history.csv`; an empty cell is None."""
    with path.open(newline="") as file:
        return [{name: float(cell) if cell else None for name, cell in row.items()} for row in csv.DictReader(file)]


def metrics(trainer: Trainer, run: Path, split: SavedSplit, store: Store) -> dict[str, Any]:
    """Everything that is reported of a finished run; `trainer` holds its final weights."""
    config = trainer.config
    trained = json.loads((run / "train.json").read_text())
    if trained["key"] != config["key"]:
        raise DataError(f"{run}: train.json is of configuration {trained['key']}, config.json of {config['key']}")
    history, median_of = read_history(run / "history.csv"), config["protocol"]["evaluation"]["median_of"]
    validation = [row["val_top1"] for row in history if row.get("val_top1") is not None]
    logits = evaluate.predict(trainer.learner, trainer.models, trainer.data.test, trainer.loader.normalize)
    counts = evaluate.confusion(trainer.data.test.labels, logits.argmax(-1), logits.shape[1])
    recalls = evaluate.recall(counts)
    la = evaluate.summary([row["test_top1_la"] for row in history], [], median_of)  # type: ignore[misc]
    return {
        **{name: config[part]["name"] for name, part in (("dataset",) * 2, ("setting",) * 2, ("method",) * 2)},
        **{"run": config["run"], "key": config["key"], "seed": config["seed"], "protocol": config["protocol"]["name"]},
        "steps": trainer.steps,
        "evaluations": len(history),
        "top1": evaluate.summary([row["test_top1"] for row in history], validation, median_of),  # type: ignore[misc]
        "top1_la": {name: la[name] for name in ("last", "median")},
        "balanced_accuracy": float(np.nanmean(recalls)),
        "recall": _nullable(recalls),
        "precision": _nullable(evaluate.precision(counts)),
        "groups": evaluate.groups(recalls, split.class_order),
        "class_order": list(split.class_order),
        "classes": list(store.classes),
        "confusion": counts.tolist(),
        "pseudo_label": _pseudo_labels(history[-1], len(counts)),
        "counts": {name: list(split.counts[name]) for name in ("labeled", "unlabeled")},
        "speed": trained["speed"],
        "provenance": trained["environment"],
    }


def provenance(config: Mapping[str, Any], split: SavedSplit, store: Store, environment: Mapping[str, Any]) -> Row:
    """What a run was made from and where: digests of configuration, split and data beside the environment."""
    content = json.dumps(config, sort_keys=True, separators=(",", ":")).encode()
    return {
        **environment,
        "config_sha256": hashlib.sha256(content).hexdigest(),
        "split_sha256": split.sha256,
        "data_sha256": store.sha256,
        "source": dict(store.source),
    }


def _nullable(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _pseudo_labels(row: Mapping[str, float | None], classes: int) -> dict[str, Sequence[float | None]] | None:
    """Recall and precision by class over the last window; None where no true label is known or none is guessed."""
    if "pl_recall_0" not in row:
        return None
    return {name: [row[f"pl_{name}_{k}"] for k in range(classes)] for name in ("recall", "precision")}
