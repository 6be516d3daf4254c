"""Options that depend on the setting: the entries `where` of methods and protocols."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from daso.aliases import Tree
from daso.config.params import Params, copy_tree
from daso.data.class_sizes import has_matched_classes

MATCHED = "matched"  # stands for the name of a setting in a pattern


class Place(NamedTuple):
    """A setting of a dataset, as the patterns of `where` select it; both names are empty for no setting."""

    dataset: str
    setting: str
    matched: bool  # labeled and unlabeled classes have the same distribution

    def __str__(self) -> str:
        """Return `<dataset>/<setting>`."""
        return f"{self.dataset}/{self.setting}"


def setting_place(params: Params, dataset: str, setting: str) -> Place:
    """Return a setting of a dataset; both names may be empty."""
    return Place(dataset, setting, bool(setting) and has_matched_classes(params.datasets[dataset]["settings"][setting]))


def selects(pattern: str, place: Place) -> bool:
    """Return True if a pattern of `where` matches a setting: `<dataset>/<setting>` or `<dataset>/matched`."""
    dataset, _, setting = pattern.partition("/")
    if setting == MATCHED:
        return place.matched and fnmatchcase(place.dataset, dataset)
    return fnmatchcase(str(place), pattern)


def matching(where: Mapping[str, Any], place: Place) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the entries of a `where` whose pattern matches a setting, in order."""
    return ((pattern, changes) for pattern, changes in where.items() if selects(pattern, place))


def protocol_in(protocol: Tree, place: Place) -> tuple[Tree, dict[str, str]]:
    """Return a protocol in a setting, and the pattern of `where` that sets each of its options.

    `where` may set `unlabeled_ratio` and options of the optimizer, as `optimizer.<option>`.
    """
    protocol, patterns = copy_tree(protocol), dict[str, str]()
    for pattern, changes in matching(protocol.get("where", {}), place):
        for key, value in changes.items():
            block, _, option = key.rpartition(".")
            (protocol[block] if block else protocol)[option] = value
            patterns[key] = pattern
    return protocol, patterns
