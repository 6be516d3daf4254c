"""The key `super_classes` of a dataset: checks, and the runs whose configuration has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from daso.aliases import Tree
from daso.config.registry import ADDONS
from daso.config.signature import attribute
from daso.data.super_classes import super_class_numbers


def super_class_errors(tree: Tree) -> Iterator[str]:
    """Yield the errors of the super-classes of a dataset; names are compared with its classes before training."""
    names = [name for names in tree.get("super_classes", {}).values() for name in names]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield f"super_classes: duplicate class '{name}'; list it in one super-class"
    if names and (classes := len(set(names))) != tree["num_classes"]:
        expected = f"expected {tree['num_classes']} classes in all, as num_classes"
        yield f"super_classes: {expected}, got {classes}; correct one"


def super_classes_of_run(dataset: Tree, method: Tree) -> Tree:
    """Return the super-classes of a dataset by their key if an add-on of the method reads them, else {}."""
    reads = any(attribute(ADDONS[addon["name"]], "super_classes", addon, False) for addon in method["addons"])
    return {"super_classes": dataset["super_classes"]} if reads and "super_classes" in dataset else {}


def super_class_of_each_class(dataset: Mapping[str, Any], classes: Sequence[str] = ()) -> tuple[int, ...]:
    """Return the number of the super-class of each class, () if the configuration of the dataset has none.

    `classes` are the names of the classes, by default those in the super-classes, sorted.
    """
    super_classes = dataset.get("super_classes", {})
    names = classes or sorted(name for names in super_classes.values() for name in names)[: dataset["num_classes"]]
    return super_class_numbers(super_classes, names) if super_classes else ()
