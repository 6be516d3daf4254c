"""t-SNE of a sample of a run's unlabeled images (van der Maaten and Hinton 2008)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from daso.aliases import FloatArray, IntArray
from daso.data.run_files import FinishedRun
from daso.paths import PREDICTIONS_FILE
from daso.report.results.collect import Cell

TSNE_IMAGES = 200  # the first images of the sample, which is in random order; their t-SNE takes one or two seconds
MIN_IMAGES = 10  # fewer have no t-SNE
PERPLEXITY = 30.0  # effective number of neighbours, at most a third of the other images


class Embedding(NamedTuple):
    """Points of n unlabeled images in the plane, with the images' classes."""

    points: FloatArray  # (n, 2)
    labels: IntArray  # (n,) true classes, -1 if unknown
    predictions: IntArray  # (n,) of the final model


def embed_cell(cell: Cell, runs: Path) -> Embedding | None:
    """Return the embedding of the first done run of a cell; None without a done run or if its predictions are missing.

    Raises DataError if they are damaged or from a different run than its metrics.
    """
    for seed, metrics in cell.done.items():
        folder = runs / cell.run_id(seed)
        if not (folder / PREDICTIONS_FILE).is_file():
            return None
        arrays = FinishedRun(folder, metrics).arrays("sample_features", "sample_labels", "sample_pseudo_labels")
        return tsne_embedding(*(array[:TSNE_IMAGES] for array in arrays))
    return None


def tsne_embedding(features: FloatArray, labels: IntArray, predictions: IntArray) -> Embedding:
    """Return the t-SNE of features (n, D); no point with fewer than 10 images, or if no finite features differ.

    The result has the same bits for the same features: the exact method uses no threads of its own and starts from the
    principal components.
    """
    from sklearn.manifold import TSNE

    if len(features) < MIN_IMAGES or not np.isfinite(features).all() or not np.ptp(features, axis=0).any():
        return Embedding(np.empty((0, 2)), labels[:0], predictions[:0])
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    model = TSNE(perplexity=perplexity, method="exact", init="pca", random_state=0)
    return Embedding(model.fit_transform(features.astype(np.float64)), labels, predictions)
