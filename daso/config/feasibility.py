"""Check, before any data exist, that a run is feasible: its class sizes and the requirements of its components.

Only params/ and source text are read, so that a run that cannot be trained never enters a workflow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

from daso.aliases import Tree
from daso.config.compatibility import incompatibilities, no_unlabeled
from daso.config.network import encode_config
from daso.config.params import Params, components
from daso.config.registry import ADDONS, COMPONENTS, LEARNERS, trains_on_features
from daso.config.resolve import Run
from daso.config.signature import attribute, constructor_errors
from daso.data.class_sizes import class_sizes, outside_images, unlabeled_without_labels
from daso.errors import ParamsError


def known_env(config: Tree) -> dict[str, object]:
    """Return the fields of `records.Env` that follow from a resolved configuration; counts by rank, not by class.

    Natural class sizes are known only from the data. The seed is left out: one check holds for all seeds.
    """
    classes, setting, protocol = config["dataset"]["num_classes"], config["setting"], config["protocol"]
    known = {"num_classes": classes, "batch_size": protocol["batch_size"], "steps": protocol["steps"]}
    known |= {
        "learner": config["method"]["learner"]["name"],
        "super_classes": config["dataset"].get("super_classes", ()),
    }
    images = setting_sizes(setting, classes)
    if "counts" in images:
        known["drawn_counts"] = images["counts"]
    if "split" in config["plan"]:  # the plan removes images, or adds pseudo-labeled ones
        images = {name: value for name, value in images.items() if value == ()}
    return {**known, **images}


def setting_sizes(setting: Tree, classes: int) -> dict[str, object]:
    """Return the labeled and unlabeled images of a setting, in total and by rank, as fields of `records.Env`."""
    counts, tail = class_sizes(setting, classes)
    labeled = {} if counts is None else {"counts": counts, "labeled": sum(counts)}
    if unknown_classes(setting):
        none = {"unlabeled": 0} if setting.get("unlabeled") == [] else {}
        return {**labeled, **none, "unlabeled_counts": ()}
    if tail is None:
        return labeled
    return {**labeled, "unlabeled_counts": tail, "unlabeled": sum(tail) + outside_images(setting, sum(tail))}


def unknown_classes(setting: Tree) -> bool:
    """Return True if the classes of a setting's unlabeled images are unknown; then pseudo-labels cannot be checked."""
    return unlabeled_without_labels(setting)


def given_options(part: Tree) -> Tree:
    """Return the options that are given for a component."""
    return {key: value for key, value in part.items() if key != "name"}


def views_of(learner: Tree) -> dict[str, tuple[str, ...]]:
    """Return the views of labeled (x) and of unlabeled images (u) that a learner uses."""
    views = attribute(LEARNERS[learner["name"]], "views", {**given_options(learner), "Views": dict})
    return cast(dict[str, tuple[str, ...]], views)


def reasons_infeasible(params: Params, run: Run, config: Tree) -> Iterator[str]:
    """Yield the reasons why a run can never be trained, one line each.

    Each line begins with the file that sets the rejected option: the method's, or the protocol's if it overrides it, or
    the ablation's if it changes it.
    """
    method, overrides = config["method"], params.protocols[run.protocol].get("overrides", {})
    own = params.methods[run.method_file]
    protocol, file = params.file("protocol", run.protocol), params.file("method", run.method_file)
    base = params.file("method", own.get("of", run.method_file))
    of_base = list(_incompatibilities(params.methods[own["of"]])) if "of" in own else []
    for message in _incompatibilities(method):  # one line for a method and all its ablations
        yield f"{base if message in of_base else file}: {message}"
    yield from _refused_on_features(config, components(own), file, protocol)
    yield from _changed_features(params, run, config)
    env, sizes = known_env(config), setting_sizes(config["setting"], config["dataset"]["num_classes"])
    if sizes.get("unlabeled") == 0 and (method["unlabeled_ratio"] or "of" in config["plan"].get("split", {})):
        yield f"{params.file('dataset', run.dataset)}: settings.{run.setting}: {no_unlabeled(run.method)}"
        return
    for kind, part in components(method):
        for message, read in constructor_errors(COMPONENTS[kind][part["name"]], given_options(part), env=env):
            setting = f"{run.dataset}/{run.setting}: " if any(name.startswith("env.") for name in read) else ""
            keys = {f"{part['name']}.{option}" for option in read}
            if keys & own.get("change", {}).keys():
                yield f"{file}: change: {setting}{message}"
            elif keys & overrides.keys():
                yield f"{protocol}: overrides: method '{run.method}': {setting}{message}"
            else:
                yield f"{base}: {setting or 'where: '}{message}"


def _refused_on_features(config: Tree, parts: Iterable[tuple[str, Tree]], file: str, protocol: str) -> Iterator[str]:
    """Yield the components of a method that are refused on features, need a neck, or need features."""
    network = config["protocol"]["network"]
    on_features = trains_on_features(network)
    for kind, part in parts:
        match attribute(COMPONENTS[kind][part["name"]], "on_features", given_options(part), "supported"):
            case "required" if not on_features:
                yield (
                    f"{file}: {kind} '{part['name']}': trains only on features of a frozen network; set train: head "
                    f"in the network of {protocol}, or leave the method out"
                )
            case "refused" if on_features:
                yield (
                    f"{file}: {kind} '{part['name']}': not allowed with train: head of {protocol}, which trains on "
                    "features; leave the method out, or train more than the head"
                )
            case "neck" if on_features and not network.get("neck"):
                yield (
                    f"{file}: {kind} '{part['name']}': trains features, of which a network with train: head has none "
                    f"without a neck; set neck of the network in {protocol}, or leave the method out"
                )
    if on_features and "dataset" in config["setting"].get("outside", {}):
        yield f"{protocol}: train: head: not allowed with images of no class from another dataset; use a different one"


def _changed_features(params: Params, run: Run, config: Tree) -> Iterator[str]:
    """Yield an error for each changed option of a frozen network, whose features all methods of a protocol share."""
    own, network = params.protocols[run.protocol]["network"], config["protocol"]["network"]
    if not (trains_on_features(own) or trains_on_features(network)):
        return
    protocol = params.file("protocol", run.protocol)
    for option, value in encode_config(params, run.dataset, run.protocol)["network"].items():
        if network.get(option) != value:
            by_method = f"network.{option}" in params.methods[run.method_file].get("change", {})
            file = params.file("method", run.method_file) if by_method else protocol
            yield (
                f"{file}: network.{option}: {network.get(option)} is not allowed with the features of {protocol}, "
                "which all its methods share; set it in the network of a different protocol"
            )


def _incompatibilities(method: Tree) -> Iterator[str]:
    """Yield the incompatibilities of a method's components that are visible in their source."""
    learner, spec = method["learner"], LEARNERS[method["learner"]["name"]]
    provides = cast(frozenset[str], attribute(spec, "provides", given_options(learner)))
    addons = [
        (addon["name"], _known_attribute(addon, "needs"), _known_attribute(addon, "adjusts"))
        for addon in method.get("addons", [])
    ]
    yield from incompatibilities(learner["name"], provides, views_of(learner)["u"], addons, method["unlabeled_ratio"])


def _known_attribute(addon: Tree, name: str) -> frozenset[str]:
    """Return an attribute of an add-on; empty if only the built object has it, which `build` checks."""
    try:
        return cast(frozenset[str], attribute(ADDONS[addon["name"]], name, given_options(addon), default=frozenset()))
    except ParamsError:
        return frozenset()
