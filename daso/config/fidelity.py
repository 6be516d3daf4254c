"""Known differences from the papers: the sections of docs/fidelity.md, and the methods whose code they touch.

A section headed by a tag is marked `# fidelity: <tag>` at the line of code that implements it. It touches a method if
the mark is in one of the method's components, or in a function or class that a component imports.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from daso.aliases import Tree
from daso.config.code import imports_of
from daso.config.params import components
from daso.config.registry import COMPONENTS
from daso.config.signature import ROOT, module_file
from daso.data.files import digest

LEDGER = "docs/fidelity.md"
TAG = re.compile(r"# fidelity: ([a-z-]+)")
SECTION = re.compile(r"^### ([a-z-]+)\n(.*?)(?=^#|\Z)", re.MULTILINE | re.DOTALL)


class Difference(NamedTuple):
    """Section of docs/fidelity.md, as Markdown."""

    paper: str
    authors: str  # the authors' code
    here: str
    switch: str = ""  # the option that selects the alternative, or the size of the difference


@cache
def read_ledger() -> dict[str, Difference]:
    """Return the sections of docs/fidelity.md that are headed by a tag, by tag and in their order."""
    ledger: dict[str, Difference] = {}
    for tag, text in SECTION.findall((ROOT / LEDGER).read_text(encoding="utf-8")):
        lines = [" ".join(line.split()) for line in text.split("\n- ")[1:]]
        ledger[tag] = Difference(*(line.partition(": ")[2] for line in lines))
    return ledger


def method_tags(method: Tree) -> list[str]:
    """Return the tags of the differences that touch a method, in the order of docs/fidelity.md."""
    specs = [COMPONENTS[kind][part["name"]].split(":") for kind, part in components(method)]
    names = {name for module, cls in specs for name in (module, f"{module}.{cls}", *imports_of(module))}
    tags = {tag for name in names for tag in _tags_of(name)}
    return [tag for tag in read_ledger() if tag in tags]


def run_tags(dataset: Tree, settings: Sequence[Tree], protocol: Tree, *, bf16: bool) -> list[str]:
    """Return the tags of the differences that touch every method in settings of a dataset under a protocol.

    `bf16` is true if the runs may be trained in bf16.
    """
    augment, network = dataset.get("augment", {}), protocol.get("network", {})
    pretrained = "weights" in network
    applies = {
        "resize": "resize" in augment,
        "resized-crop": "crop" in augment,
        "test-resize": "crop" in augment,
        "store-crop": dataset.get("fit") == "crop",
        "images-of-no-class": any("outside" in setting for setting in settings),
        "classifier-init": pretrained,
        "classifier-rate": pretrained,
        "groups-of-images": "images_per_group" in protocol,
        "adapter": network.get("train") == "adapter",
        "precision": bf16,
    }
    return [tag for tag in read_ledger() if applies.get(tag)]


def marks_digest(root: Path = ROOT) -> str:
    """Return a digest of all marks in the code; keys of the code do not cover them, as they are comments."""
    files = sorted((root / "daso").rglob("*.py"))
    marks = [[file.relative_to(root).as_posix(), *TAG.findall(file.read_text(encoding="utf-8"))] for file in files]
    return digest([mark for mark in marks if len(mark) > 1])


def _tags_of(name: str) -> list[str]:
    """Return the tags in a function or class, or in a module outside of all its functions and classes."""
    if module_file(name):
        return _marks(name).get("", [])
    module, _, symbol = name.rpartition(".")
    return _marks(module).get(symbol, []) if module_file(module) else []


@cache
def _marks(module: str) -> dict[str, list[str]]:
    """Return the tags in a module by the function or class around them; the name is empty outside of all."""
    file = module_file(module)
    source = file.read_text(encoding="utf-8") if file else ""
    definitions = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    marks: dict[str, list[str]] = {}
    for number, line in enumerate(source.splitlines(), start=1):
        around = (node.name for node in definitions if node.lineno <= number <= (node.end_lineno or 0))
        if tags := TAG.findall(line):
            marks.setdefault(next(around, ""), []).extend(tags)
    return marks
