"""The key `outside` of a dataset's settings, which makes an open set: datasets that it uses, and checks."""

from __future__ import annotations

from collections.abc import Iterator

from daso.aliases import Tree
from daso.config.params import Params
from daso.data.class_sizes import class_sizes, outside_images, setting_kind, target_classes
from daso.errors import did_you_mean

MIN_CLASSES = 2


def stores_of(params: Params, dataset: str, setting: str) -> list[str]:
    """Return the datasets whose images a setting uses: its own, and the one that its images of no class are from."""
    outside = params.datasets[dataset]["settings"][setting].get("outside", {})
    return [dataset, *([outside["dataset"]] if "dataset" in outside else [])]


def holdouts_of_all_classes(tree: Tree) -> list[int]:
    """Return the own holdouts of a dataset's settings, except where some classes are not targets."""
    settings = (each for each in tree["settings"].values() if "classes" not in each.get("outside", {}))
    return [setting["holdout"] for setting in settings if "holdout" in setting]


def held_out(setting: Tree, tree: Tree) -> int:
    """Return the images of each target class that a setting of a dataset's file holds out."""
    targets = len(target_classes(setting, tree["num_classes"]))
    held: int = tree["holdout"] // tree["num_classes"]
    return setting["holdout"] // max(1, targets) if "holdout" in setting else held


def outside_errors(params: Params, broken: frozenset[str], dataset: str) -> Iterator[str]:
    """Yield the errors of `outside` in the settings of a dataset's file; files in `broken` are not read further."""
    file, tree = params.file("dataset", dataset), params.datasets[dataset]
    for name, setting in tree["settings"].items():
        if "outside" in setting:
            where = f"{file}: settings.{name}.outside"
            if "labeled" in setting:
                yield f"{where}: not allowed with `labeled`, which keeps the natural sizes; give n1, m1 and gammas"
            elif "classes" in setting["outside"]:
                yield from _class_errors(where, setting, tree)
            elif params.file("dataset", setting["outside"]["dataset"]) not in broken:
                yield from _dataset_errors(params, where, setting, dataset)


def _class_errors(where: str, setting: Tree, tree: Tree) -> Iterator[str]:
    classes, targets = tree["num_classes"], len(target_classes(setting, tree["num_classes"]))
    for k in setting["outside"]["classes"]:
        if k >= classes:
            yield f"{where}.classes: unknown class {k}; the classes of this dataset are 0 to {classes - 1}"
    if targets < MIN_CLASSES:
        yield f"{where}.classes: leaves {targets} of {classes} classes, below the minimum {MIN_CLASSES}; list fewer"
    elif setting.get("holdout", 0) % targets:
        yield f"{where}: holdout {setting['holdout']} is not divisible by {targets} target classes; change it"
    if setting_kind(setting) == "others":
        yield (
            f"{where}.classes: not allowed with m1: all, since images without a label may show these classes; "
            "set m1 to a number, or name a dataset"
        )


def _dataset_errors(params: Params, where: str, setting: Tree, dataset: str) -> Iterator[str]:
    name, others = setting["outside"]["dataset"], [other for other in params.datasets if other != dataset]
    if name not in others:
        yield f"{where}.dataset: unknown other dataset '{name}'{did_you_mean(name, others, 'datasets')}"
        return
    other, own = params.datasets[name], params.datasets[dataset]
    if other["image_size"] != own["image_size"]:
        yield (
            f"{where}.dataset: expected images of {own['image_size']} pixels, got {other['image_size']} in '{name}'; "
            "name a dataset with the same image_size"
        )
    images, tail = other.get("images"), class_sizes(setting, own["num_classes"])[1]
    number = outside_images(setting, sum(tail or ()))
    if images and number > (total := images["train"] + images["unlabeled"]):
        yield f"{where}.share: needs {number} images of '{name}', which has {total}; lower the share"
