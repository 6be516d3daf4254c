"""What exists under params/: methods, datasets, settings, suites and protocols, a line for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from daso.config.explain import Row, aligned
from daso.config.feasibility import sizes, unknown_classes
from daso.config.params import Params, Tree, did_you_mean, parts
from daso.config.resolve import runs, with_upstream
from daso.data.class_sizes import UNKNOWN, setting_kind
from daso.errors import ParamsError


def inventory(params: Params, kind: str) -> str:
    """A line for each of a kind; raise ParamsError when there is no such kind."""
    if kind not in KINDS:
        raise ParamsError(f"list: there is no kind '{kind}'{did_you_mean(kind, KINDS)}")
    return aligned(list(KINDS[kind](params)))


def _methods(params: Params) -> Iterator[Row]:
    for name, tree in params.methods.items():
        yield name, " + ".join(part["name"] for _, part in parts(tree)), tree["title"]


def _datasets(params: Params) -> Iterator[Row]:
    for name, tree in params.datasets.items():
        side, many = tree["image_size"], len(tree["settings"])
        what = (f"{tree['num_classes']} classes", f"{side} x {side} pixels", f"{many} setting{'s' if many > 1 else ''}")
        yield name, tree["source"]["kind"], ", ".join(what), tree["title"]


def _settings(params: Params) -> Iterator[Row]:
    for name, tree in params.datasets.items():
        for setting, values in tree["settings"].items():
            yield f"{name}/{setting}", *describe_setting(values, tree["num_classes"])


def describe_setting(setting: Tree, classes: int) -> Row:
    """The labeled and the unlabeled images of a setting, and how imbalanced they are, in words."""
    if "labeled" in setting:
        share = f"{100 * setting['labeled']:g} %"
        return f"labeled: {share} of each class, as large as it is", "unlabeled: the rest"
    told = sizes(setting, classes)
    if setting_kind(setting) == "share":
        labeled = f"labeled: {_tail(told['counts'])} (gamma {setting['gamma']:g})"
        rest = f"the other {100 - 100 * setting['share']:g} % of each"
        return labeled, f"unlabeled: {_tail(told['unlabeled_counts'])}, {rest}"
    labeled = f"labeled: {_tail(told['counts'])} (gamma {setting['gamma_l']:g})"
    if unknown_classes(setting):
        return labeled, f"unlabeled: all there are; {UNKNOWN}"
    if setting_kind(setting) == "whole":
        return labeled, "unlabeled: all images that are not held out, the labeled ones too"
    turned = ", reversed" if setting.get("reversed") else ""
    return labeled, f"unlabeled: {_tail(told['unlabeled_counts'])} (gamma {setting['gamma_u']:g}{turned})"


def _tail(counts: object) -> str:
    """1,236 images, 500 to 5 a class."""
    numbers = [int(count) for count in counts] if isinstance(counts, Sequence) else []
    first, last = f"{numbers[0]:,}", f"{numbers[-1]:,}"
    return f"{sum(numbers):,} images, {first if first == last else f'{first} to {last}'} a class"


def _suites(params: Params) -> Iterator[Row]:
    for name, tree in params.suites.items():
        chosen = ", the default" if name == params.suite else ""
        yield (
            name,
            f"protocol {tree['protocol']}",
            f"{len(with_upstream(params, runs(params, name)))} runs{chosen}",
            tree["title"],
        )


def _protocols(params: Params) -> Iterator[Row]:
    for name, tree in params.protocols.items():
        network = tree["network"]
        options = ", ".join(f"{key} {value}" for key, value in network.items() if key != "name")
        compared = "compared with published numbers" if tree["comparable"] else "compared with nothing published"
        budget = f"{tree['steps']:,} steps of {tree['batch_size']} labeled images"
        yield name, budget, f"{network['name']}: {options}" if options else network["name"], compared, tree["title"]


KINDS: dict[str, Callable[[Params], Iterator[Row]]] = {
    "methods": _methods,
    "datasets": _datasets,
    "settings": _settings,
    "suites": _suites,
    "protocols": _protocols,
}
