"""Report of a suite of photographs, with invented predictions and a store of colored squares."""

import csv
import io

import numpy as np

from daso.data.store import Writer
from tests.report.photo_suite import CLASSES, invented_predictions, photo_metrics, photo_suite

LABELS = np.repeat([0, 1, 2], 40)
ACCURACIES = {"supervised_la": 0.7, "self_training_la": 0.72}
METHODS, CONTROLS = tuple(ACCURACIES), {"self_training_la": "supervised_la"}
FIT = {"unlike_threshold": 0.4, "unlabeled": 120, "unlabeled_unlike": 6, "weight_decay": 0.002, "tau": 1.0}
CALIBRATED = {"supervised_la": 1.5, "self_training_la": None}


def write_store(folder):
    """Write the store of the test images, of 40 pixels, with a name for each file; return its digest."""
    colors = np.random.default_rng(0).integers(0, 256, (len(LABELS), 3, 1, 1), dtype=np.uint8)
    test = np.broadcast_to(colors, (len(LABELS), 3, 40, 40))
    rows = [("test", i, CLASSES[k], f"test/{CLASSES[k]}/IMG {i}.JPG", i) for i, k in enumerate(LABELS)]
    table = io.StringIO(newline="")
    csv.writer(table).writerows([("part", "row", "label", "file", "sha256"), *rows])
    with Writer(folder / "birds") as writer:
        writer.files = table.getvalue().encode()
        parts = {"train": (test[:4], np.arange(4)), "test": (test, LABELS)}
        return writer.write("birds", CLASSES, parts, {"kind": "image_folder"}).sha256


def write_runs(project, sha256):
    """Write the metrics of three seeds of both methods; return the suite."""
    for method, accuracy in ACCURACIES.items():
        for seed in range(3):
            predicted = invented_predictions(LABELS, accuracy, seed)
            metrics = photo_metrics(method, seed, LABELS, predicted, temperature=CALIBRATED[method], fit=FIT)
            metrics["provenance"]["data_sha256"] = sha256
            project.write_metrics(metrics)
    return photo_suite(METHODS, CONTROLS)
