"""Colour of each method and the methods that one panel shows: the same in every suite and report.

The title of a method is parsed: "FixMatch + LA + DASO" is the base FixMatch with two add-ons. A base has a hue, its
DASO the same hue, stronger and in a thicker line; any other add-on has a hue of its own. The colours of the hues are in
`reports/templates/palette.css`. Any two hues of one panel differ for readers with protanopia or deuteranopia, too.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import NamedTuple

from daso.aliases import Tree

HUES = ("pink", "teal", "brown", "ochre", "green", "purple", "orange", "blue", "grey")
VARIANT_HUES = HUES[:7]  # those of a plain FixMatch or supervised run are left out
BASES = {
    **{"Supervised": "grey", "FixMatch": "blue", "SimMatch": "purple", "MixMatch": "purple", "ReMixMatch": "brown"},
    **{"MeanTeacher": "green", "PseudoLabel": "green", "USADTM": "orange", "DebiasPL": "pink"},
    **{"SimPro": "pink", "ACR": "ochre", "DeCon": "teal", "CDMAD": "brown", "alpha-TIM": "green"},
    **{"CCL": "purple", "CCL without contrastive losses": "green"},
    **{"LoFT": "orange", "LoFT with a linear classifier": "purple"},
}
ADD_ONS = {
    **{"LA": "orange", "LA at inference": "ochre", "ABC": "purple", "CB": "brown", "DebiasPL": "pink", "BOSS": "pink"},
    **{"DARP": "ochre", "CReST": "teal", "CReST+": "green", "LDAM-DRW": "teal", "cRT": "green"},
    **{"ADELLO": "green", "UDAL": "teal", "SCAD": "purple"},
}
STRONG = "DASO"  # the add-on that has the hue of its base
RANK_COLOURS = 12  # steps of the scale for ranks and groups of classes
ONE_PANEL, MAX_LINES = 4, 6  # methods of a table that share one panel; lines of any panel


class Style(NamedTuple):
    """Stroke of a line or fill of a mark: a CSS colour, a width in points and dash lengths."""

    colour: str
    width: float = 1.3
    dashes: str = ""


class Group(NamedTuple):
    """Methods of one panel: a base with its add-ons, or all methods of a small table."""

    title: str  # empty if the table has a single panel
    methods: list[Tree]

    def label(self, method: Tree) -> str:
        """Return the label of a line: `+ DASO` beside its base, `T_dist = 0.3` of a variant, else the title."""
        own = parts(method)
        if own[-1].startswith(",") and all(parts(other)[: len(own) - 1] == own[:-1] for other in self.methods):
            return own[-1].strip(", ")
        for other in self.methods:
            base = parts(other)
            if len(base) < len(own) and own[: len(base)] == base:
                return str(method["title"]).removeprefix(str(other["title"])).strip(" ,")
        return str(method["title"])


def parts(method: Tree) -> list[str]:
    """Return base, add-ons and, as the last part, the change of a variant: ["FixMatch", "DASO", ", T_dist = 0.3"]."""
    composition, comma, variant = str(method["title"]).partition(",")
    return [*composition.split(" + "), *([comma + variant] if comma else [])]


def method_styles(methods: Sequence[Tree]) -> dict[str, Style]:
    """Return the style of each method by name. Variants of one method have the hues in their order in `methods`."""
    styles, variants = {}, 0
    for method in methods:
        base, *others = parts(method)
        if others and others[-1].startswith(","):
            styles[method["name"]] = Style(f"var(--{VARIANT_HUES[variants % len(VARIANT_HUES)]})")
            variants += 1
            continue
        stack = [name for name in others if name != STRONG]
        hue = ADD_ONS.get(stack[-1]) if stack else BASES.get(base)
        hue = hue or HUES[zlib.crc32((stack or [base])[-1].encode()) % len(HUES)]
        is_strong = len(stack) < len(others)
        styles[method["name"]] = Style(f"var(--{hue}-strong)", 2.0) if is_strong else Style(f"var(--{hue})")
    return styles


def method_groups(methods: Sequence[Tree]) -> list[Group]:
    """Return the methods of each panel: all in one if they are few, else a base with its add-ons.

    Methods that have neither base nor add-on in the table share a panel. No panel has more than MAX_LINES lines or two
    methods of one colour; a base is repeated where its add-ons need several panels.
    """
    if len(methods) <= ONE_PANEL:
        return _pack("", [], methods)
    children: dict[str, list[Tree]] = {str(method["name"]): [] for method in methods}
    alone = []
    for method in methods:
        base = _base_of(method, methods)
        if base is not None:
            children[base["name"]].append(method)
        elif all(_base_of(other, methods) is not method for other in methods):
            alone.append(method)
    groups = [
        group
        for method in methods
        if children[method["name"]]
        for group in _pack(str(method["title"]), [method], children[method["name"]])
    ]
    if len(alone) == 1 and groups and len(groups[0].methods) < MAX_LINES:
        return [groups[0]._replace(methods=[*alone, *groups[0].methods]), *groups[1:]]
    return groups + (_pack("other methods" if groups else "", [], alone))


def _base_of(method: Tree, methods: Sequence[Tree]) -> Tree | None:
    """Return the method of the table that this one extends: the longest one whose parts this one begins with."""
    own = parts(method)
    bases = [other for other in methods if len(parts(other)) < len(own) and own[: len(parts(other))] == parts(other)]
    return max(bases, key=lambda other: len(parts(other)), default=None)


def _pack(title: str, bases: Sequence[Tree], methods: Sequence[Tree]) -> list[Group]:
    """Return panels of `bases` and some of `methods` each, about equally many and of distinct colours."""
    styles = method_styles([*bases, *methods])
    panels: list[list[Tree]] = []
    count = -(-len(methods) // (MAX_LINES - len(bases)))
    room = -(-len(methods) // max(count, 1))
    for method in methods:
        for panel in panels:
            if len(panel) < room and all(styles[method["name"]] != styles[other["name"]] for other in panel):
                panel.append(method)
                break
        else:
            panels.append([method])
    return [Group(title, [*bases, *panel]) for panel in panels]


def kind_style(kind: str) -> Style:
    """Return the style of a kind of pseudo-label: dashed linear, light intermediate, dark final ones."""
    if kind == "linear":
        return Style("var(--rank-2)", 1.3, "4 1.6")
    return Style("var(--ink)", 1.6) if kind in ("final", "model") else Style("var(--rank-9)", 1.3)


def rank_colours(count: int) -> list[str]:
    """Return the colours of `count` ranks, at most RANK_COLOURS, from the first to the last of the scale."""
    return [f"var(--rank-{round(i * (RANK_COLOURS - 1) / max(count - 1, 1))})" for i in range(count)]
