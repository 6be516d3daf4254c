"""Check what the schema of a dataset cannot express: values that depend on others, images that its settings need."""

from __future__ import annotations

from collections.abc import Iterator

from daso.aliases import Tree
from daso.config.params import NAME_PATTERN, invalid_name
from daso.data.class_sizes import has_natural_sizes, required_images, setting_kind
from daso.errors import did_you_mean
from daso.schema import format_value

FILES = ("image_folder", "semi_aves")  # sources whose images may have any shape


def dataset_errors(file: str, tree: Tree) -> Iterator[str]:
    """Yield the errors of a dataset, one line each."""
    if "of" not in tree:  # a variant has the images of its base
        yield from _image_errors(file, tree)
    own = (setting["holdout"] for setting in tree["settings"].values() if "holdout" in setting)
    classes = tree["num_classes"]
    for holdout in (tree["holdout"], *own):
        if holdout % classes:
            yield f"{file}: holdout: {holdout} is not divisible by {classes} classes; set it to a multiple of {classes}"
    for setting in tree["settings"]:
        yield from _setting_errors(f"{file}: settings.{setting}", setting, tree)


def _image_errors(file: str, tree: Tree) -> Iterator[str]:
    """Yield the errors of a dataset's images and augmentation."""
    side, augment = tree["image_size"], tree["augment"]
    if "fit" in tree and tree["source"]["kind"] not in FILES:
        yield f"{file}: fit: not allowed with source '{tree['source']['kind']}', whose images are squares; remove it"
    subsets, unlabeled = sum(tree.get("subsets", {}).values()), tree.get("images", {}).get("unlabeled")
    if subsets and unlabeled is not None and subsets != unlabeled:
        yield f"{file}: subsets: expected {unlabeled} images in all, as images.unlabeled, got {subsets}; correct one"
    if min(tree["std"]) <= 0:
        yield f"{file}: std: {format_value(min(tree['std']))} is too small; set every channel above 0"
    if augment["pad"] >= side:
        yield f"{file}: augment.pad: {augment['pad']} is too large to reflect {side} pixels; set it below {side}"
    if (resize := augment.get("resize", 0)) >= side:
        yield f"{file}: augment.resize: {resize} is not below image_size {side}; lower or remove it"
    if augment["num_ops"] and not augment["ops"]:
        yield f"{file}: augment.num_ops: {augment['num_ops']} is not allowed without ops; list some or set num_ops: 0"


def _setting_errors(where: str, name: str, tree: Tree) -> Iterator[str]:
    sizes, source, images = tree["settings"][name], tree["source"]["kind"], tree.get("images", {})
    held, kind = sizes.get("holdout", tree["holdout"]) // tree["num_classes"], setting_kind(sizes)
    if not NAME_PATTERN.fullmatch(name):
        yield f"{where}: {invalid_name(name)}"
    if kind == "lists":
        yield from _list_errors(where, name, tree)
    if has_natural_sizes(sizes):  # class sizes are known only from the data
        if tree["class_order"] != "size":
            yield (
                f"{where}: natural class sizes are not allowed with class_order '{tree['class_order']}'; "
                "set class_order: size"
            )
        return
    n, gamma = ("n", "gamma") if kind == "share" else ("n1", "gamma_l")
    if int(sizes[n] * (1 / sizes[gamma])) < 1:  # in float64, as the split counts: 49 * (1 / 49) is below 1
        yield f"{where}: the rarest class gets no labeled image; lower {gamma} or raise {n}"
    if kind == "others" and not images.get("unlabeled"):
        yield (
            f"{where}.m1: 'all' is not allowed with source '{source}', which has no images without labels; "
            "set a number, or 'train' for all images that are not held out"
        )
    size, need = images.get("smallest_class"), required_images(sizes) + held
    if size is not None and need > size:
        fix = {"tails": "lower n1 or m1", "share": "lower n or set holdout: 0"}.get(kind, "lower n1")
        yield f"{where}: a class needs {need} images ({held} of them held out), but the smallest has {size}; {fix}"


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
    elif "supervised" in setting and "supervised" in named:
        yield f"{where}.supervised: '{other}' itself names a setting; name '{named['supervised']}'"
