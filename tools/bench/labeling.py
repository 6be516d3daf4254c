"""Wrong labels that `daso suspects` lists first, and accuracy after labels that `daso next` chooses.

The images are those of `tools.photo_folder`, whose classes are all known. Only classifiers on features are trained.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from daso import paths
from daso.aliases import FloatArray, IntArray
from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.resolve import Run
from daso.data.features import Features, load_features
from daso.data.split_rows import Split
from daso.data.store import FILES, Store, load_store
from daso.deploy.choose_next import choose_next
from daso.deploy.list_inputs import ListInputs
from daso.deploy.lists import rank_suspects
from daso.deploy.seed_images import LabeledImages, UnlabeledImages
from daso.engine.feature_pool import FeaturePool, load_feature_pools
from daso.engine.fit import fit_labels
from daso.engine.heads import Heads, Point
from daso.engine.unlike import measure_unlike
from daso.errors import DasoError

WRONG, LISTED, NEW = 20, 40, 50  # wrong labels, first rows of suspects, images that are labeled next
CPU = torch.device("cpu")


class Images(NamedTuple):
    """Images of a dataset with their classes and features."""

    config: Mapping[str, Any]  # of the fit
    features: Features
    classes: IntArray  # (n,) of the train part
    groups: IntArray  # (n,)
    labeled: IntArray  # (N,) rows of the train part
    train: FeaturePool
    test: FeaturePool

    def pool(self, rows: IntArray, labels: IntArray) -> FeaturePool:
        """Return the pool of rows (n,) with labels (n,)."""
        return FeaturePool(self.train.images, torch.from_numpy(labels), torch.from_numpy(rows))

    def plain(self, rows: IntArray) -> torch.Tensor:
        """Return the features (n, D) of plain views before standardisation."""
        return torch.from_numpy(self.features.rows.read(self.features.numbers["train"][rows, 0])).float()


def load_images(run: Run, truth: Path) -> Images:
    """Load the images of a run's dataset; `truth` has the class of each file. Raises DasoError if one is missing."""
    config = Keys(load_params()).fit_config(run)
    store = load_store(paths.store_folder(run.dataset))
    manifest = paths.features_manifest(run.dataset, run.protocol)
    features = load_features(manifest, config["plan"]["features"]["key"], store)
    classes = _classes(store, truth)
    every, none = np.arange(len(classes)), np.empty(0, np.int64)
    (data,) = load_feature_pools(features, store, [Split(every, none, none)], CPU)
    assert isinstance(data.labeled, FeaturePool)
    assert isinstance(data.test, FeaturePool)
    labeled = np.flatnonzero(store.labels("train") >= 0)
    return Images(config, features, classes, store.groups("train"), labeled, data.labeled, data.test)


def _classes(store: Store, truth: Path) -> IntArray:
    """Return the class (n,) of each image of the train part."""
    with truth.open(newline="", encoding="utf-8") as file:
        names = {row["path"]: row["label"] for row in csv.DictReader(file)}
    with (store.folder / FILES).open(newline="", encoding="utf-8") as file:
        files = [row["file"] for row in csv.DictReader(file) if row["part"] == "train"]
    if missing := [name for name in files if name not in names]:
        raise DasoError(f"{truth}: missing {missing[0]}; write it by `tools.photo_folder --truth`, with the same seed")
    return np.array([store.classes.index(names[name]) for name in files])


class Fitted(NamedTuple):
    """Fit to some labels."""

    point: Point
    temperature: float
    logits: FloatArray  # (N, K), out-of-fold


def fit(images: Images, rows: IntArray, labels: IntArray, seed: int) -> Fitted:
    """Fit weight decay, tau and temperature to labels (N,) of rows (N,)."""
    pool = images.pool(rows, labels)
    config = {**images.config, "seed": seed, "draw_seed": seed}
    record, arrays = fit_labels(config, pool, images.groups[rows], 0, partial(FeaturePool, pool.images))
    point = Point(record["weight_decay"], record["tau"])
    return Fitted(point, record["temperature"], arrays["logits"].astype(np.float64))


def list_inputs(images: Images, rows: IntArray, labels: IntArray, seed: int) -> tuple[ListInputs, Point]:
    """Return the inputs of lists by one seed of supervised learning with LA on labels (N,) of rows, and its point."""
    fitted, groups = fit(images, rows, labels, seed), images.groups
    others = np.setdiff1d(np.arange(len(images.classes)), rows)
    heads = train(images, [images.pool(rows, labels)], fitted.point, seed)
    unlabeled = images.pool(others, np.full(len(others), -1))
    logits = heads.predict(0, unlabeled.gather(torch.arange(len(others))))[0].T.numpy()
    _, distances = measure_unlike(images.features, rows, labels, groups[rows], others)
    inputs = ListInputs(
        classes=[str(k) for k in range(logits.shape[1])],
        files={},
        temperature=fitted.temperature,
        labeled=LabeledImages(rows, labels, groups[rows], fitted.logits, distances["labeled_unlike"]),
        unlabeled=UnlabeledImages(others, groups[others], logits, np.ones(len(others)), distances["unlabeled_unlike"]),
        features=images.plain,
    )
    return inputs, fitted.point


def train(images: Images, pools: Sequence[FeaturePool], point: Point, seed: int) -> Heads:
    """Train a classifier on each pool."""
    heads = Heads({**images.config, "draw_seed": seed}, pools, [point])
    heads.train()
    return heads


def wrong_labels(images: Images, seed: int) -> int:
    """Make `WRONG` labels wrong, at random; return how many of them are among the first `LISTED` suspects."""
    rng, rows, labels = np.random.default_rng(seed), images.labeled, images.classes[images.labeled]
    wrong, classes = rng.permutation(len(rows))[:WRONG], labels.max() + 1
    labels[wrong] = (labels[wrong] + rng.integers(1, classes, WRONG)) % classes
    inputs, _ = list_inputs(images, rows, labels, seed)
    return int(np.isin(rank_suspects(inputs)[:LISTED], wrong).sum())


class Accuracy(NamedTuple):
    """Balanced accuracy in percent before and after further labels."""

    before: float
    random: float
    next: float


def accuracy_after_labels(images: Images, seed: int) -> Accuracy:
    """Draw as many labeled images of each class as the dataset has; label `NEW` others, of `next` and at random."""
    rng, sizes = np.random.default_rng(seed), np.bincount(images.classes[images.labeled])
    drawn = [rng.permutation(np.flatnonzero(images.classes == k))[:size] for k, size in enumerate(sizes)]
    rows = np.sort(np.concatenate(drawn))
    inputs, point = list_inputs(images, rows, images.classes[rows], seed)
    others = inputs.unlabeled.rows
    chosen = [others[:0], rng.permutation(others)[:NEW], others[choose_next(inputs, NEW)]]
    labeled = [np.concatenate([rows, new]) for new in chosen]
    heads = train(images, [images.pool(each, images.classes[each]) for each in labeled], point, seed)
    features, classes = images.test.gather(torch.arange(len(images.test))), images.test.labels
    predicted = [heads.predict(part, features)[0].argmax(0) for part in range(len(labeled))]
    recalls = [[float((each[classes == k] == k).double().mean()) for k in range(len(sizes))] for each in predicted]
    return Accuracy(*(100 * float(np.mean(each)) for each in recalls))


def mean_and_interval(values: Sequence[float]) -> str:
    """Return the mean with the half width of its 95 % interval (Student's t over the repetitions)."""
    from scipy.stats import t  # type: ignore[import-untyped]

    error = np.std(values, ddof=1) / len(values) ** 0.5
    return f"{np.mean(values):.1f} ± {t.ppf(0.975, len(values) - 1) * error:.1f}"


class Result(NamedTuple):
    """Results of each repetition."""

    wrong_labels: list[int]
    accuracies: list[Accuracy]


def measure(images: Images, repeats: int) -> Result:
    """Measure both lists, with the seeds 0 to `repeats` - 1."""
    seeds = range(repeats)
    return Result(
        [wrong_labels(images, seed) for seed in seeds], [accuracy_after_labels(images, seed) for seed in seeds]
    )


def markdown(result: Result, labels: int, command: str) -> Iterator[str]:
    """Yield the lines of the page."""
    before, at_random, of_next = map(list, zip(*result.accuracies, strict=True))
    gains = [after - random for after, random in zip(of_next, at_random, strict=True)]
    yield from ("# Lists of photographs", "", f"Mean and 95 % interval of {len(gains)} repetitions.", "")
    yield from ("```sh", command, "```", "", "| measure | result |", "| --- | --- |")
    found = mean_and_interval(result.wrong_labels)
    yield f"| wrong labels among the first {LISTED} of `suspects`, of {WRONG} made wrong at random | {found} |"
    yield f"| balanced accuracy of supervised + LA with {labels} labels, % | {mean_and_interval(before)} |"
    yield f"| with {NEW} more labels, chosen at random | {mean_and_interval(at_random)} |"
    yield f"| with {NEW} more labels, the first of `next` | {mean_and_interval(of_next)} |"
    yield f"| `next` - random, points, paired | {mean_and_interval(gains)} |"
