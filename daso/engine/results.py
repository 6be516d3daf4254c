"""Write the files of a finished run."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from daso.data.files import checksummed, digest, format_json, write_file
from daso.data.held_out import evaluated_images
from daso.data.split import SavedSplit
from daso.data.split_rows import Split
from daso.data.store import Store
from daso.engine import checkpoint
from daso.engine.analysis_arrays import analysis_arrays, prediction_arrays
from daso.engine.environment import peak_memory
from daso.engine.trainer import Trainer
from daso.paths import CONFIG_FILE, HISTORY_FILE, PREDICTIONS_FILE, RESULT_FILE, WEIGHTS_FILE


def write_run(
    out: Path,
    trainer: Trainer,
    split: SavedSplit,
    store: Store,
    environment: Mapping[str, Any],
    reconcile: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> None:
    """Write configuration, history, predictions and weights, bit-identical for equal runs, and last `train.json`.

    `reconcile` maps the content of `train.json` to the content to write; it is called before any file is written.
    """
    files = {
        CONFIG_FILE: format_json(trainer.config),
        HISTORY_FILE: _history(trainer),
        PREDICTIONS_FILE: _predictions(trainer, split.split, store),
    }
    weights = {
        module: {name: tensor.cpu() for name, tensor in state.items()} for module, state in trainer.weights().items()
    }
    files[WEIGHTS_FILE] = checkpoint.dump({"key": trainer.config["key"]} | weights)
    report = _report(trainer, split, store, environment)
    report["files"] = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    files[RESULT_FILE] = checksummed(reconcile(report))
    for name, content in files.items():
        write_file(out / name, content)


def _history(trainer: Trainer) -> bytes:
    table = io.StringIO(newline="")
    columns = list(dict.fromkeys(name for row in trainer.history for name in row))
    writer = csv.DictWriter(table, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(trainer.history)
    return table.getvalue().encode()


def _predictions(trainer: Trainer, split: Split, store: Store) -> bytes:
    """Return the npz of `analysis_arrays` and the final predictions on test images: logits (n, K) float32, labels (n,).

    `prediction_arrays` are added if an unlabeled image is of no class or of unknown class. If a later stage or the
    protocol needs them, `unlabeled` are the unadjusted logits (M, K) of the unlabeled images; if the protocol does,
    `test_images` (n,) and `test_groups` (n,) are those of `data.held_out.evaluated_images`.
    """
    buffer = io.BytesIO()
    unadjusted = trainer.predict(trainer.data.unlabeled)[0].numpy()
    arrays = {
        "logits": trainer.predict(trainer.data.test)[1].numpy(),
        "labels": trainer.data.test.labels.cpu().numpy(),
        **analysis_arrays(trainer, unadjusted.argmax(1)),
        **prediction_arrays(trainer.data.unlabeled.labels.cpu().numpy(), split.unlabeled, unadjusted),
    }
    if trainer.config["plan"].get("predictions"):
        arrays["unlabeled"] = unadjusted
    if trainer.config["protocol"]["evaluation"].get("predictions"):
        arrays["test_images"], arrays["test_groups"] = evaluated_images(split, store)
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _report(trainer: Trainer, split: SavedSplit, store: Store, environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of `train.json`: the run, its classes, counts, speed and provenance."""
    config, elapsed = trainer.config, trainer.time.wall
    return {
        "run": config["run"],
        "key": config["key"],
        "class_order": list(split.class_order),
        "classes": list(store.classes),
        **({"subsets": {name: list(rows) for name, rows in store.subsets.items()}} if store.subsets else {}),
        "counts": {
            "labeled": list(trainer.data.labeled.counts(len(store.classes), drawn=True)),
            "unlabeled": list(split.counts["unlabeled"]),
        },
        "speed": {
            "seconds": elapsed,
            **({"processor_seconds": trainer.time.processor} if str(environment["device"]).startswith("cpu") else {}),
            "steps_per_second": trainer.steps / elapsed,
            "images_per_second": trainer.steps * trainer.loader.views_per_step / elapsed,
            "share": {part: seconds / elapsed for part, seconds in trainer.stopwatch.read().items()},
            "peak_memory_mib": peak_memory(trainer.loader.device),
            "replicas": trainer.replicas,
        },
        "provenance": {
            **environment,
            "precision": trainer.precision,
            "mode": trainer.mode,
            "config_sha256": digest(config),
            "split_sha256": split.sha256,
            "drawn_sha256": split.drawn_sha256,
            "data_sha256": store.sha256,
            "source": dict(store.source),
            **({"weights_sha256": trainer.weights_sha256} if trainer.weights_sha256 else {}),
        },
    }
