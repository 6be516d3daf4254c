"""Accuracy of alpha-TIM beside its control, with few labels drawn again for each seed.

The images are those of `tools.photo_folder`, whose classes are all known. Only classifiers on features are trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from daso.aliases import IntArray
from daso.config.build import UpstreamResults, build
from daso.config.fit import CONTROL
from daso.config.load import load_params
from daso.config.resolve import Run, resolve
from daso.engine.resident import Resident
from daso.engine.trainer import Trainer
from daso.ops.confusion import confusion, recall
from daso.planning.synthetic import with_changes
from tools.bench.labeling import Images, mean_and_interval
from tools.photo_folder import class_counts

SIZES = ((5, 5), (50, 5))  # labels of the first and of the last class
METHODS = {  # title -> method and its changes
    "supervised + LA, the control": (CONTROL, {}),
    "alpha-TIM + LA": ("alpha_tim", {}),
    "alpha-TIM + LA without both entropies": (
        "alpha_tim",
        {"method.learner.conditional": 0.0, "method.learner.marginal": 0.0},
    ),
}
CPU = torch.device("cpu")
Accuracies = dict[str, float]  # balanced accuracy in percent by title


def draw_labels(images: Images, sizes: tuple[int, int], seed: int) -> IntArray:
    """Return the rows of labeled images, from the first to the last class as many as `sizes` states."""
    rng, counts = np.random.default_rng(seed), class_counts(*sizes, int(images.classes.max()) + 1)
    drawn = [rng.permutation(np.flatnonzero(images.classes == k))[:count] for k, count in enumerate(counts)]
    return np.sort(np.concatenate(drawn))


def accuracies(images: Images, run: Run, sizes: tuple[int, int], seed: int) -> Accuracies:
    """Train all methods on drawn labels; all other images are unlabeled. Weight decay and tau are not fitted."""
    rows = draw_labels(images, sizes, seed)
    others = np.setdiff1d(np.arange(len(images.classes)), rows)
    labels = images.classes[rows]
    labeled, unlabeled = images.pool(rows, labels), images.pool(others, np.full(len(others), -1))
    data = Resident(labeled, unlabeled, images.pool(rows[:0], labels[:0]), images.test)
    params, network = load_params(), None
    result: Accuracies = {}
    for title, (method, changes) in METHODS.items():
        config = with_changes({**resolve(params, run._replace(method=method, seed=seed)), "key": ""}, changes)
        trained = build(config, data, CPU, "eager", UpstreamResults(network=network))
        trained.advance(trained.steps)
        network = network or trained.models.teacher.state_dict()  # of the control, which is the first method
        result[title] = _balanced_accuracy(trained)
    return result


def _balanced_accuracy(run: Trainer) -> float:
    """Return the balanced accuracy in percent on the test images."""
    logits, labels = run.predict(run.data.test)[1], run.data.test.labels
    return 100 * float(np.nanmean(recall(confusion(labels.numpy(), logits.argmax(-1).numpy(), logits.shape[1]))))


def markdown(results: Mapping[tuple[int, int], Sequence[Accuracies]], command: str) -> Iterator[str]:
    """Yield the lines of the page: means and paired gains with 95 % intervals, for each number of labels."""
    control, alpha_tim, without = METHODS
    yield from ("# alpha-TIM with few labels", "", "```sh", command, "```", "")
    yield from (
        "| labels a class | method | balanced accuracy, % | gain on the control | gain by both entropies |",
        "| --- | --- | --- | --- | --- |",
    )
    for (first, last), each in results.items():
        sizes = str(first) if first == last else f"{first} to {last}"
        for title in METHODS:
            own = mean_and_interval([accuracy[title] for accuracy in each])
            gain = "-" if title == control else _paired_gain(each, title, control)
            entropies = _paired_gain(each, title, without) if title == alpha_tim else "-"
            yield f"| {sizes} | {title} | {own} | {gain} | {entropies} |"


def _paired_gain(accuracies: Sequence[Accuracies], title: str, base: str) -> str:
    """Return the mean gain of a method on another one and its interval; each seed has both."""
    return mean_and_interval([accuracy[title] - accuracy[base] for accuracy in accuracies])
