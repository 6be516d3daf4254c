"""Check the values of a dataset's file that depend on others: sizes, augmentation, settings."""

from __future__ import annotations

from collections.abc import Iterator

from daso.aliases import Tree
from daso.config.open_sets import held_out, holdouts_of_all_classes
from daso.config.params import NAME_PATTERN, invalid_name
from daso.config.protocol_where import MATCHED
from daso.config.super_classes import super_class_errors
from daso.constraints import format_value
from daso.data.class_sizes import GAUSSIAN_SHAPES, has_natural_sizes, required_images, setting_kind
from daso.errors import did_you_mean


def dataset_errors(file: str, tree: Tree) -> Iterator[str]:
    """Yield the errors of a dataset, one line each."""
    if "of" not in tree:  # a variant has the images of its base
        yield from (f"{file}: {line}" for line in _image_errors(tree))
    classes = tree["num_classes"]
    for holdout in (tree["holdout"], *holdouts_of_all_classes(tree)):
        if holdout % classes:
            yield f"{file}: holdout: {holdout} is not divisible by {classes} classes; set it to a multiple of {classes}"
    for setting in tree["settings"]:
        yield from _setting_errors(f"{file}: settings.{setting}", setting, tree)


def _image_errors(tree: Tree) -> Iterator[str]:
    """Yield the errors of a dataset's images and augmentation."""
    if "fit" in tree and "path" not in tree["source"]:  # only image files of the user may have any shape
        yield f"fit: not allowed with source '{tree['source']['kind']}', whose images are squares; remove it"
    if "test_share" in tree and tree["source"]["kind"] != "image_folder":
        yield f"test_share: not allowed with source '{tree['source']['kind']}', which has test images; remove it"
    subsets, unlabeled = sum(tree.get("subsets", {}).values()), tree.get("images", {}).get("unlabeled")
    if subsets and unlabeled is not None and subsets != unlabeled:
        yield f"subsets: expected {unlabeled} images in all, as images.unlabeled, got {subsets}; correct one"
    if "classes" in tree["source"] and (names := len(tree["source"]["classes"])) != tree["num_classes"]:
        yield f"source.classes: expected {tree['num_classes']} names, as num_classes, got {names}; correct one"
    for subset, each in tree["source"].get("oracle_lists", {}).items():
        where = f"source.oracle_lists.{subset}"
        if subset not in tree.get("subsets", {}):
            yield f"{where}: unknown subset '{subset}'{did_you_mean(subset, tree.get('subsets', {}), 'subsets')}"
        if each["labels"][0] > each["labels"][1]:
            yield f"{where}.labels: {format_value(each['labels'])} is not in ascending order; swap the values"
    yield from super_class_errors(tree)
    if ("mean" in tree) != ("std" in tree):
        given, missing = ("mean", "std") if "mean" in tree else ("std", "mean")
        yield f"{missing}: missing beside {given}; set both, or neither for a network with pretrained weights"
    if min(tree.get("std", [1])) <= 0:
        yield f"std: {format_value(min(tree['std']))} is too small; set every channel above 0"
    yield from (f"augment{line}" for line in _augment_errors(tree["augment"], tree["image_size"]))


def _augment_errors(augment: Tree, side: int) -> Iterator[str]:
    """Yield the errors of the augmentation of images of `side` pixels, as text that follows "augment"."""
    if augment["num_ops"] and not augment["ops"]:
        yield f".num_ops: {augment['num_ops']} is not allowed without ops; list some or set num_ops: 0"
    if "pad" in augment and "crop" in augment:
        yield ": expected exactly one of pad and crop, got both; remove one of them"
    elif "pad" in augment:
        yield from _pad_errors(augment, side)
    elif "crop" in augment:
        yield from _crop_errors(augment, side)
    else:
        yield ": expected exactly one of pad and crop, got neither; set one of them"


def _pad_errors(augment: Tree, side: int) -> Iterator[str]:
    if augment["pad"] >= side:
        yield f".pad: {augment['pad']} is too large to reflect {side} pixels; set it below {side}"
    if (resize := augment.get("resize", 0)) >= side:
        yield f".resize: {resize} is not below image_size {side}; lower or remove it"
    if "test" in augment:
        yield ".test: not allowed with pad; remove it"


def _crop_errors(augment: Tree, side: int) -> Iterator[str]:
    crop = augment["crop"]
    if "resize" in augment:
        yield ".resize: not allowed with crop, whose size is that of the views; remove it"
    for name in ("scale", "ratio"):
        if crop[name][0] > crop[name][1]:
            yield f".crop.{name}: {format_value(crop[name])} is not in ascending order; swap the values"
    if augment.get("test", "crop") == "crop" and crop["size"] > side:
        yield (
            f".crop.size: {crop['size']} is above image_size {side}, so test images cannot be cropped to it; lower it "
            "or set test: resize"
        )


def _setting_errors(where: str, name: str, tree: Tree) -> Iterator[str]:
    sizes, source, images = tree["settings"][name], tree["source"]["kind"], tree.get("images", {})
    held, kind = held_out(sizes, tree), setting_kind(sizes)
    if not NAME_PATTERN.fullmatch(name):
        yield f"{where}: {invalid_name(name)}"
    if name == MATCHED:
        yield f"{where}: not allowed as a name, since `where` gives it a meaning; rename the setting"
    if kind == "lists":
        yield from _list_errors(where, name, tree)
    if has_natural_sizes(sizes):  # class sizes are known only from the data
        if tree["class_order"] != "size":
            yield (
                f"{where}: natural class sizes are not allowed with class_order '{tree['class_order']}'; "
                "set class_order: size"
            )
        return
    yield from (f"{where}.{line}" for line in _draw_errors(sizes, held))
    n, gamma = ("n", "gamma") if kind == "share" else ("n1", "gamma_l")
    if int(sizes[n] * (1 / sizes[gamma])) < 1:  # in float64, as the split counts: 49 * (1 / 49) is below 1
        yield f"{where}: the rarest class gets no labeled image; lower {gamma} or raise {n}"
    if kind == "others" and not images.get("unlabeled") and (images or source != "image_folder"):
        yield (
            f"{where}.m1: 'all' is not allowed with source '{source}', which has no images without labels; "
            "set a number, or 'train' for all images that are not held out"
        )
    size, need = images.get("smallest_class"), required_images(sizes) + held
    if size is not None and need > size:
        fix = {"tails": "lower n1 or m1", "share": "lower n or set holdout: 0"}.get(kind, "lower n1")
        yield f"{where}: a class needs {need} images ({held} of them held out), but the smallest has {size}; {fix}"


def _draw_errors(setting: Tree, held: int) -> Iterator[str]:
    """Yield the errors of the keys that select the sizes and the images of a draw, as text that follows a point."""
    shape, kind = setting.get("shape"), setting_kind(setting)
    if shape and setting.get("reversed"):
        yield f"reversed: not allowed with shape '{shape}'; remove one of them"
    if shape in GAUSSIAN_SHAPES and "gamma_u" in setting:
        yield f"gamma_u: not allowed with shape '{shape}', whose sizes follow from m1 alone; remove it"
    elif shape and setting.get("gamma_u") == 1:
        yield f"shape: '{shape}' is not allowed with gamma_u: 1, which gives all classes one size; remove it"
    if "selection" in setting and held:
        yield f"selection: 'first' is not allowed with images held out ({held} of each class); set holdout: 0"
    if "unlabeled_includes_labeled" in setting and kind == "whole":
        yield "unlabeled_includes_labeled: not allowed with m1: train, which includes the labeled images; remove it"


def _list_errors(where: str, name: str, tree: Tree) -> Iterator[str]:
    """Yield the errors of a setting that names subsets of the unlabeled images."""
    setting, subsets, images = tree["settings"][name], tree.get("subsets", {}), tree.get("images", {})
    for subset in setting["unlabeled"] if isinstance(setting["unlabeled"], list) else ():
        if subset not in subsets:
            yield f"{where}.unlabeled: unknown subset '{subset}'{did_you_mean(subset, subsets, 'subsets')}"
    if setting["unlabeled"] == "all" and images.get("unlabeled") == 0:
        yield f"{where}.unlabeled: 'all' is not allowed: all images have a label; set `labeled` to a share alone"
    other = setting.get("supervised", name)
    if setting_kind(named := tree["settings"].get(other, {})) != "lists":
        yield f"{where}.supervised: '{other}' is not a setting with `labeled: all`; name one"
    elif setting.get("supervised") == name:
        yield f"{where}.supervised: names its own setting; remove it, or name another setting"
    elif "supervised" in setting and "supervised" in named:
        yield f"{where}.supervised: '{other}' itself names a setting; name '{named['supervised']}'"
