"""What the paper calls a method: a base and add-ons, in the words of reports/paper/results.csv."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Paper = Mapping[str, Any]  # {base, addons} of a params file, with `also` for other words that say the same


def paper_methods(paper: Paper) -> list[dict[str, str]]:
    """Every {base, addons} that names the method: of an ablation, its level that is the complete method, say."""
    base = str(paper.get("base") or "")
    return [{"base": base, "addons": str(addons)} for addons in (paper.get("addons") or "", *paper.get("also", ()))]


def paper_name(paper: Paper) -> str:
    """What the paper calls a method: `fixmatch+la+daso`."""
    return "+".join([paper["base"], *filter(None, paper["addons"].split(";"))])


def same_method(one: str, other: str) -> bool:
    """Whether two words name one method: the same base with the same add-ons in any order."""
    (base, *addons), (wanted, *others) = _pieces(one), _pieces(other)
    return base == wanted and sorted(addons) == sorted(others)


def _pieces(words: str) -> list[str]:
    """What the pluses join; after one that belongs to a name nothing follows, or another plus."""
    found: list[str] = []
    for piece in words.lower().replace(" ", "").split("+"):
        if piece or not found:
            found.append(piece)
        else:
            found[-1] += "+"
    return found
