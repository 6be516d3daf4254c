"""List the methods, datasets, settings, suites and protocols of params/, one line each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from daso.aliases import Tree
from daso.config.epochs import format_steps
from daso.config.explain import TextRow, align_columns
from daso.config.feasibility import setting_sizes, unknown_classes
from daso.config.params import Params, components
from daso.config.resolve import runs, with_upstream
from daso.data.class_sizes import UNKNOWN_CLASSES_NOTE, setting_kind, target_classes, unlabeled_shape
from daso.errors import ParamsError, did_you_mean


def inventory(params: Params, kind: str) -> str:
    """Return one line for each entry of a kind; raise ParamsError if the kind is unknown."""
    if kind not in LISTS:
        raise ParamsError(f"list: unknown kind '{kind}'{did_you_mean(kind, LISTS)}")
    return align_columns(list(LISTS[kind](params)))


def _methods(params: Params) -> Iterator[TextRow]:
    for name, tree in params.methods.items():
        yield name, " + ".join(part["name"] for _, part in components(tree)), tree["title"]


def _datasets(params: Params) -> Iterator[TextRow]:
    for name, tree in params.datasets.items():
        side, count = tree["image_size"], len(tree["settings"])
        settings = f"{count} setting{'s' if count > 1 else ''}"
        size = f"{tree['num_classes']} classes, {side} x {side} pixels, {settings}"
        yield name, tree["source"]["kind"], size, tree["title"]


def _settings(params: Params) -> Iterator[TextRow]:
    for name, tree in params.datasets.items():
        for setting, values in tree["settings"].items():
            yield f"{name}/{setting}", *describe_setting(values, tree["num_classes"])


def describe_setting(setting: Tree, classes: int) -> TextRow:
    """Describe the labeled and the unlabeled images of a setting, their imbalance, and images of no class in words."""
    lines = _describe_images(setting, len(target_classes(setting, classes)))
    return (*lines, describe_outside(setting["outside"])) if "outside" in setting else lines


def describe_outside(outside: Tree) -> str:
    """Describe the images of no class of a setting in words."""
    of = outside["dataset"] if "dataset" in outside else f"classes {', '.join(map(str, outside['classes']))}"
    return f"outside: {100 * outside['share']:g} % of the unlabeled images, of {of}"


def _describe_images(setting: Tree, classes: int) -> tuple[str, str]:
    if setting_kind(setting) == "lists":
        names = setting["unlabeled"]
        if not names:
            return "labeled: all, natural class sizes", "unlabeled: none"
        unlabeled = names if names == "all" else f"subsets {', '.join(names)}"
        return "labeled: all, natural class sizes", f"unlabeled: {unlabeled}; {UNKNOWN_CLASSES_NOTE}"
    if "labeled" in setting:
        return f"labeled: {100 * setting['labeled']:g} % of each class, natural class sizes", "unlabeled: the rest"
    images = setting_sizes(setting, classes)
    if setting_kind(setting) == "share":
        labeled = f"labeled: {_class_sizes(images['counts'])} (gamma {setting['gamma']:g})"
        rest = f"the other {100 - 100 * setting['share']:g} % of each class"
        return labeled, f"unlabeled: {_class_sizes(images['unlabeled_counts'])}, {rest}"
    kind, shape = setting_kind(setting), unlabeled_shape(setting)
    order = ", the first of each class" if "selection" in setting else ""
    labeled = f"labeled: {_class_sizes(images['counts'])} (gamma {setting['gamma_l']:g}){order}"
    copies = kind == "whole" or setting.get("unlabeled_includes_labeled")
    included = ", including the labeled ones" if copies else ""
    if unknown_classes(setting):
        return labeled, f"unlabeled: all{included}; {UNKNOWN_CLASSES_NOTE}"
    if kind == "whole":
        return labeled, f"unlabeled: all images that are not held out{included}"
    gamma = [f"gamma {setting['gamma_u']:g}"] if "gamma_u" in setting else []
    about = ", ".join([*gamma, *([] if shape in ("long-tailed", "uniform") else [shape])])
    sizes = _class_sizes(images["unlabeled_counts"], descending="shape" in setting)
    return labeled, f"unlabeled: {sizes} ({about}){included}"


def _class_sizes(counts: object, *, descending: bool = False) -> str:
    """Format counts, by rank or descending, as `1,236 images, 500 to 5 per class`."""
    numbers = [int(count) for count in counts] if isinstance(counts, Sequence) else []
    numbers = sorted(numbers, reverse=True) if descending else numbers
    first, last = f"{numbers[0]:,}", f"{numbers[-1]:,}"
    return f"{sum(numbers):,} images, {first if first == last else f'{first} to {last}'} per class"


def _suites(params: Params) -> Iterator[TextRow]:
    for name, tree in params.suites.items():
        default = ", default" if name == params.suite else ""
        count = len(with_upstream(params, runs(params, name)))
        yield name, f"protocol {tree['protocol']}", f"{count} runs{default}", tree["title"]


def _protocols(params: Params) -> Iterator[TextRow]:
    for name, tree in params.protocols.items():
        network = tree["network"]
        options = ", ".join(f"{key} {value}" for key, value in network.items() if key != "name")
        compared = f"{'' if tree['comparable'] else 'not '}compared with published numbers"
        budget = f"{format_steps(tree['steps'])} of {tree['batch_size']} labeled images"
        yield name, budget, f"{network['name']}: {options}" if options else network["name"], compared, tree["title"]


LISTS: dict[str, Callable[[Params], Iterator[TextRow]]] = {
    "methods": _methods,
    "datasets": _datasets,
    "settings": _settings,
    "suites": _suites,
    "protocols": _protocols,
}
