"""Names of methods in the paper: a base and add-ons, as in reports/paper/results.csv."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Paper = Mapping[str, Any]  # {base, addons} of a params file; `also` lists equivalent add-ons


def paper_methods(paper: Paper) -> list[dict[str, str]]:
    """Return every {base, addons} of a method, such as the level of an ablation that is the complete method."""
    base = str(paper.get("base") or "")
    return [{"base": base, "addons": str(addons)} for addons in (paper.get("addons") or "", *paper.get("also", ()))]


def paper_name(paper: Paper) -> str:
    """Return the name of a method, such as `fixmatch+la+daso`."""
    return "+".join([paper["base"], *filter(None, paper["addons"].split(";"))])


def same_method(one: str, other: str) -> bool:
    """Return True if two names have the same base and the same add-ons in any order."""
    (base, *addons), (other_base, *other_addons) = _split_name(one), _split_name(other)
    return base == other_base and sorted(addons) == sorted(other_addons)


def _split_name(name: str) -> list[str]:
    """Split a name at its pluses; a plus at the end or before a second plus belongs to its part, as in `crest+`."""
    parts: list[str] = []
    for part in name.lower().replace(" ", "").split("+"):
        if part or not parts:
            parts.append(part)
        else:
            parts[-1] += "+"
    return parts
