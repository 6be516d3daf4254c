"""Values that are fitted to the labeled images of a split, and the options of runs that receive them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from daso.aliases import Tree
from daso.config.registry import trains_on_features

CONTROL = "supervised_la"  # method whose recipe is fitted: the control of methods with unlabeled images


def fitted_options(method: Tree, change: Mapping[str, Any]) -> dict[str, str]:
    """Return the options of a method that a fit sets, "component.option" by value, except those that `change` sets."""
    options = {"weight_decay": "optimizer.weight_decay"}
    options |= {"tau": "logit_adjustment.tau"} if _taus(method) else {}
    return {value: option for value, option in options.items() if option not in change}


def own_values(config: Tree) -> dict[str, float | None]:
    """Return weight decay and tau of a run's configuration; tau is None if the labeled loss is not adjusted."""
    return {"weight_decay": config["optimizer"]["weight_decay"], "tau": next(iter(_taus(config["method"])), None)}


def option_values(plan: Mapping[str, Any], fitted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a run that its fit has set, "component.option" -> value; {} if its plan has no fit."""
    return {option: fitted[value] for value, option in plan.get("fit", {}).get("into", {}).items()}


def temperature_name(config: Tree) -> str | None:
    """Return the temperature of a fit that calibrates a run; None if its recipe differs from the fitted ones.

    Fitted are the recipe of CONTROL, with both fitted values and a linear classifier without a neck, and self-training
    that follows it.
    """
    method, plan, network = config["method"], config["plan"], config["protocol"]["network"]
    is_fitted = (
        method["learner"]["name"] == "supervised"
        and not method["unlabeled_ratio"]
        and len(method["addons"]) == len(_taus(method)) == 1
        and not network.get("neck")
        and network.get("head", "linear") == "linear"
        and set(plan["fit"]["into"]) == {"weight_decay", "tau"}
        and not {"encoder", "estimate"} & plan.keys()
    )
    if not is_fitted:
        return None
    split = plan.get("split")
    if split is None:
        return "temperature"
    follows = split.get("exponent") == 0 and f"/{CONTROL}/" in split["of"]
    return "self_training_temperature" if follows else None


def _taus(method: Tree) -> list[float]:
    """Return the tau of the add-on that adjusts the labeled loss of a method, if there is one."""
    addons = (addon for addon in method["addons"] if addon["name"] == "logit_adjustment")
    return [addon["tau"] for addon in addons if "supervised" in addon["roles"]]


def fit_errors(protocol: Tree, methods: Mapping[str, Tree]) -> Iterator[str]:
    """Yield the errors of the block `fit` of a protocol, as text that follows its file."""
    if "fit" not in protocol:
        return
    network = protocol["network"]
    if not trains_on_features(network):
        yield "fit: fits a classifier on features, and the network is trained; remove fit, or set network.train: head"
    elif network.get("neck"):
        yield "fit: fits a classifier on features without a neck; remove fit, or set the neck in the methods' files"
    elif network.get("head") == "cosine":
        yield "fit: fits a linear classifier, got network.head: cosine; remove fit or network.head"
    if (algorithm := protocol["optimizer"].get("algorithm", "sgd")) != "sgd":
        yield f"fit: trains its classifiers by SGD, got optimizer.algorithm: {algorithm}; remove fit or the algorithm"
    if protocol["optimizer"].get("state_decay"):
        yield "fit: trains its classifiers without optimizer.state_decay; remove one of them"
    if CONTROL not in methods:
        yield f"fit: missing method '{CONTROL}', whose recipe it uses; restore the method's file, or remove fit"
