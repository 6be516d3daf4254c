"""Options of a protocol that depend on the setting: its entries `where`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from daso.aliases import Tree
from daso.config.params import copy_tree


def matching(where: Mapping[str, Any], place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the entries of a `where` whose pattern matches a <dataset>/<setting>, in order."""
    return ((pattern, changes) for pattern, changes in where.items() if fnmatchcase(place, pattern))


def protocol_in(protocol: Tree, place: str) -> tuple[Tree, dict[str, str]]:
    """Return a protocol in a <dataset>/<setting>, and the pattern of `where` that sets each of its options.

    `where` may set `unlabeled_ratio` and options of the optimizer, as `optimizer.<option>`.
    """
    protocol, patterns = copy_tree(protocol), dict[str, str]()
    for pattern, changes in matching(protocol.get("where", {}), place):
        for key, value in changes.items():
            block, _, option = key.rpartition(".")
            (protocol[block] if block else protocol)[option] = value
            patterns[key] = pattern
    return protocol, patterns
