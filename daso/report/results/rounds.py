"""What the labels of a round brought: the recommended model before and after, on the same test images.

Test images of two rounds are matched by content, for each seed: an image is common to both if its content and its class
are the same. The interval is that of `intervals`, over the classes that both rounds measured. With test images that
splits hold out, each round holds out others; if the common ones do not measure these classes there is no interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from daso.aliases import IntArray, Tree
from daso.data.files import digest
from daso.report.results.collect import Cell, MeanStd, mean_std
from daso.report.results.controls import Predictions, UnlabeledVerdict, measured_in, saved_predictions
from daso.report.results.intervals import ConfidenceInterval, PairedImages, difference_interval, measured_classes
from daso.report.results.round_records import RoundRecords

LEVEL = 0.95
OTHER_IMAGES, OTHER_CONFIGURATION = "other test images", "other configuration"
VARIABLE = ("title", "note", "num_classes", "images", "source", "settings")  # of a dataset, not of its configuration


class ImageDigests(NamedTuple):
    """Content of a dataset's images: short digests by part and row, and those of the labeled photos by class."""

    by_row: Mapping[str, Mapping[int, str]]
    labeled: Mapping[str, Sequence[str]]


class LabelChanges(NamedTuple):
    """Numbers of labeled photos in a round, and what differs from the round before."""

    labels: int
    added: int
    changed: int
    removed: int


class RoundDifference(NamedTuple):
    """A round of a setting against the round before, if there is one."""

    table: str
    setting: str
    order: int
    is_present: bool
    labels: LabelChanges
    method: str
    accuracy: MeanStd  # balanced, of single seeds, over the measured classes
    before: MeanStd | None  # of the recommended model of the round before; None if more than the labels differs
    interval: ConfidenceInterval | None  # of the difference; None without common test images
    images: int  # common test images of all seeds, each counted once
    note: str  # reason for no interval or no difference

    @property
    def difference(self) -> float | None:
        """Return the difference to the round before in points, that of the means without an interval."""
        if self.interval:
            return self.interval.difference
        return self.accuracy.mean - self.before.mean if self.before else None


def round_content(
    suite: Tree, cells: Sequence[Cell], verdicts: Sequence[UnlabeledVerdict], digests: Mapping[str, ImageDigests]
) -> Tree:
    """Return the content of the record of the present labels, without order and digest of the metrics."""
    return {
        "suite": suite["name"],
        "labeled": {
            dataset: {name: " ".join(sorted(images)) for name, images in sorted(known.labeled.items())}
            for dataset, known in digests.items()
        },
        "models": [_model(suite, cells, verdict, digests) for verdict in verdicts],
    }


def _model(suite: Tree, cells: Sequence[Cell], verdict: UnlabeledVerdict, digests: Mapping[str, ImageDigests]) -> Tree:
    table = next(table for table in suite["tables"] if table["name"] == verdict.table)
    column = {cell.method: cell for cell in cells if (cell.table, cell.setting) == (verdict.table, verdict.setting)}
    method, dataset = verdict.recommendation.method, table["dataset"]
    rows = digests[dataset["name"]].by_row["train" if "test_share" in dataset else "test"]
    setting = next(each for each in table["settings"] if each["name"] == verdict.setting)
    fixed = {name: value for name, value in dataset.items() if name not in VARIABLE}
    options = next(each for each in table["methods"] if each["name"] == method)
    return {
        **{"table": verdict.table, "setting": verdict.setting, "dataset": dataset["name"], "method": method},
        "classes": next(iter(column[method].done.values()))["classes"],
        "configuration": digest([table["protocol"], fixed, setting])[:16],
        "options": digest(options)[:16],
        "balanced_accuracy": {name: values for name, cell in column.items() if (values := _accuracies(cell))},
        "predictions": {
            str(seed): {
                "images": " ".join(rows[row] for row in saved.images.tolist()),
                **{name: _joined(getattr(saved, name)) for name in ("labels", "predicted", "groups")},
            }
            for seed, saved in saved_predictions(column[method]).items()
        },
    }


def round_differences(records: RoundRecords) -> list[RoundDifference]:
    """Return each round of the present tables and settings against the round before; [] without an earlier round."""
    if records.present is None or len(records.all) < 2:
        return []
    differences = []
    for table, setting in [(model["table"], model["setting"]) for model in records.present["models"]]:
        before: tuple[Tree, Tree] | None = None
        for record in records.all:
            model = next((m for m in record["models"] if (m["table"], m["setting"]) == (table, setting)), None)
            if model is not None:
                differences.append(_difference(before, (record, model), record is records.present))
                before = (record, model)
    return differences


def _difference(before: tuple[Tree, Tree] | None, after: tuple[Tree, Tree], is_present: bool) -> RoundDifference:
    record, model = after
    labels = _label_changes(before[0] if before else None, record, model["dataset"])
    own = (model["table"], model["setting"], record["order"], is_present, labels, model["method"], _mean(model))
    if before is None:
        return RoundDifference(*own, None, None, 0, "")
    earlier = before[1]
    if _has_other_configuration(earlier, model):
        return RoundDifference(*own, None, None, 0, OTHER_CONFIGURATION)
    pairs, images = _common_images(earlier, model)
    then, names = {earlier["classes"][k] for k in _measured(earlier)}, model["classes"]
    classes = [k for k in _measured(model) if names[k] in then]
    common = measured_classes([each.labels for each in pairs], [each.groups for each in pairs]) if pairs else []
    if len(classes) < 2 or not set(classes) <= set(common):
        return RoundDifference(*own, _mean(earlier), None, images, OTHER_IMAGES)
    return RoundDifference(*own, _mean(earlier), difference_interval(pairs, classes, LEVEL), images, "")


def _has_other_configuration(earlier: Tree, model: Tree) -> bool:
    """Return True if more than the labels differs; another recommended method is a result of the labels."""
    same_method = earlier["method"] == model["method"]
    names = ("configuration", "options") if same_method else ("configuration",)
    return any(earlier[name] != model[name] for name in names)


def _common_images(earlier: Tree, model: Tree) -> tuple[list[PairedImages], int]:
    """Return the test images that both rounds have, for each common seed, and the number of different ones."""
    pairs, names = [], set[str]()
    for seed in sorted(earlier["predictions"].keys() & model["predictions"].keys(), key=int):
        then, now = _images(earlier, seed), _images(model, seed)
        common = [name for name, image in now.items() if name in then and then[name][0] == image[0]]
        gains = [int(_is_correct(now[name])) - int(_is_correct(then[name])) for name in common]
        labels = [model["classes"].index(now[name][0]) for name in common]
        groups = [now[name][2] for name in common]
        pairs.append(PairedImages(*(np.array(values, dtype=np.int64) for values in (labels, groups, gains))))
        names.update(common)
    return pairs, len(names)


def _images(model: Tree, seed: str) -> dict[str, tuple[str, str, int]]:
    """Return class, predicted class and group of each test image by content."""
    saved, names = model["predictions"][seed], model["classes"]
    columns = (saved["images"].split(), *(map(int, saved[name].split()) for name in ("labels", "predicted", "groups")))
    return {
        image: (names[label], names[predicted], group) for image, label, predicted, group in zip(*columns, strict=True)
    }


def _is_correct(image: tuple[str, str, int]) -> bool:
    return image[0] == image[1]


def _measured(model: Tree) -> list[int]:
    """Return the classes that the test images of a record measure."""
    runs = []
    for saved in model["predictions"].values():
        labels, predicted, groups = (_numbers(saved[name]) for name in ("labels", "predicted", "groups"))
        runs.append(Predictions(labels, predicted, groups, images=np.arange(len(labels))))
    return measured_in(runs)


def _mean(model: Tree) -> MeanStd:
    result = mean_std(list(model["balanced_accuracy"][model["method"]].values()))
    assert result is not None  # the recommended method has a seed
    return result


def _accuracies(cell: Cell) -> dict[str, float]:
    """Return the balanced accuracy of each seed in percent, over the measured classes; {} without any."""
    saved = saved_predictions(cell)
    if not (classes := measured_in(saved.values())):
        return {}
    recalls = {seed: [(run.predicted == k)[run.labels == k].mean() for k in classes] for seed, run in saved.items()}
    return {str(seed): round(100 * float(np.mean(values)), 4) for seed, values in recalls.items()}


def _label_changes(earlier: Tree | None, record: Tree, dataset: str) -> LabelChanges:
    labels = sum(len(photos.split()) for photos in record["labeled"][dataset].values())
    now = _classes_of_photos(record, dataset)
    if earlier is None:
        return LabelChanges(labels, 0, 0, 0)
    then = _classes_of_photos(earlier, dataset)
    changed = sum(then[photo] != now[photo] for photo in then.keys() & now.keys())
    return LabelChanges(labels, len(now.keys() - then.keys()), changed, len(then.keys() - now.keys()))


def _classes_of_photos(record: Tree, dataset: str) -> dict[str, str]:
    labeled: dict[str, str] = record["labeled"].get(dataset, {})
    return {photo: name for name, photos in labeled.items() for photo in photos.split()}


def _joined(numbers: IntArray) -> str:
    return " ".join(map(str, numbers.tolist()))


def _numbers(text: str) -> IntArray:
    return np.array(text.split(), dtype=np.int64)
