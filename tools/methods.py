"""Write docs/methods.md, the page of all methods, from params/methods and the docstrings of their components."""

from __future__ import annotations

import re
from collections.abc import Iterator

from daso.aliases import Tree
from daso.config.explain import format_yaml, source_file
from daso.config.feasibility import given_options, views_of
from daso.config.fidelity import method_tags
from daso.config.load import load_params
from daso.config.params import Params, components
from daso.config.registry import COMPONENTS
from daso.config.signature import ROOT, defaults, docstring_summary, options

PAGE = ROOT / "docs/methods.md"
# Authors and year, in a docstring.
SOURCE = re.compile(r"(?:[A-Z]\w+ )?[A-Z]\w+(?: et al\.| and [A-Z]\w+)? (?:19|20)\d\d")
INTRODUCTION = """# Methods

This page is made by `python -m tools.methods` from `params/methods/` and the docstrings of the components; a test
compares both. A method is a learner, modified by add-ons in the order given, in the stages of a plan
([CONTRIBUTING.md](../CONTRIBUTING.md)). Values are those of the method's file; a protocol may replace some of them:
`daso explain <method> --protocol <protocol> --setting <dataset>/<setting>` prints the values of a run and their files.
"""


def page(params: Params) -> str:
    """Return the page: a table of all methods, then a section for each method that is not an ablation."""
    methods = {name: tree for name, tree in params.methods.items() if "of" not in tree}
    lines = [INTRODUCTION, "| method | components | sources |", "| --- | --- | --- |"]
    for name, tree in methods.items():
        parts = [part["name"] for _, part in components(tree)]
        sources = dict.fromkeys(source for each in components(tree) for source in SOURCE.findall(_summary(*each)))
        lines.append(f"| [{tree['title']}](#{name}) | {' + '.join(parts)} | {'; '.join(sources)} |")
    for name, tree in methods.items():
        lines += ["", *_section(params, name, tree)]
    return "\n".join(lines) + "\n"


def _section(params: Params, name: str, tree: Tree) -> Iterator[str]:
    """Yield the lines on one method: components with options, differences from the papers, ablations."""
    yield from (f"## {name}", "", f"{tree['title']}: [{name}.yaml](../params/methods/{name}.yaml)", "")
    for kind, part in components(tree):
        spec, component = COMPONENTS[kind][part["name"]], part["name"]
        yield f"- {kind} [`{component}`](../{source_file(spec)}): {_summary(kind, part)}"
        values = defaults(spec) | given_options(part)
        if texts := [_option(tree, component, option, values[option]) for option in options(spec)]:
            yield f"  - {'; '.join(texts)}"
    if views_of(tree["learner"]).get("all_images"):
        yield "- all labeled and all unlabeled images in each step"
    else:
        yield f"- {tree['unlabeled_ratio']} unlabeled images for each labeled one"
    if "optimizer" in tree:
        yield "- optimizer: " + "; ".join(f"`{key}` {format_yaml(value)}" for key, value in tree["optimizer"].items())
    tags = [f"[{tag}](fidelity.md#{tag})" for tag in method_tags(tree)]
    yield f"- differences from the papers: {', '.join(tags) or 'none known'}"
    ablations = {key: other for key, other in params.methods.items() if other.get("of") == name}
    if ablations:
        yield from ("", "| ablation | title | changed options |", "| --- | --- | --- |")
    for key, other in ablations.items():
        changes = "; ".join(f"`{option}` {format_yaml(value)}" for option, value in other["change"].items())
        yield f"| [{key}](../params/methods/{key}.yaml) | {other['title']} | {changes} |"


def _option(tree: Tree, component: str, option: str, value: object) -> str:
    """Return an option with its value, and with the values that the method's `where` sets in some settings."""
    places: dict[str, list[str]] = {}
    for pattern, changes in tree.get("where", {}).items():
        if f"{component}.{option}" in changes:
            places.setdefault(format_yaml(changes[f"{component}.{option}"]), []).append(f"`{pattern}`")
    others = "; ".join(f"{other} in {', '.join(patterns)}" for other, patterns in places.items())
    return f"`{option}` {format_yaml(value)}" + (f" ({others})" if others else "")


def _summary(kind: str, part: Tree) -> str:
    return docstring_summary(COMPONENTS[kind][part["name"]])


if __name__ == "__main__":
    PAGE.write_text(page(load_params(ROOT / "params")), encoding="utf-8")
