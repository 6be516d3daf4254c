"""A method as it will be run: every option with its value and the place that this comes from, for a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from daso.config.code import closure
from daso.config.feasibility import given, impossible, unknown_classes
from daso.config.paper_names import paper_methods, paper_name, same_method
from daso.config.params import Params, Tree, did_you_mean, parts
from daso.config.registry import KINDS
from daso.config.resolve import Run, Source, Traced, resolve, setting_config, stages_of, traced
from daso.config.signature import ROOT, defaults, module_file, options, summary
from daso.data.class_sizes import UNKNOWN
from daso.errors import ParamsError

NOWHERE = ("", "")  # no setting
LEDGER = "docs/fidelity.md"
TAG = re.compile(r"# fidelity: ([a-z-]+)")
Row = tuple[str, ...]


def method_of(params: Params, words: str) -> str:
    """The method of a file name, or of the paper's words, `fixmatch+la+daso`, add-ons in any order.

    A plus that ends a name, as that of `crest+`, belongs to it. Raises ParamsError when there is no such method, or
    when several are named so.
    """
    if words in params.methods:
        return words
    named = [(name, tree["paper"]) for name, tree in params.methods.items() if "paper" in tree]
    known = [(paper_name(paper), name) for name, all_of_it in named for paper in paper_methods(all_of_it)]
    found = [name for said, name in known if same_method(said, words)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ParamsError(f"{params.root}/methods: '{words}' may be {' or '.join(found)}; name one of them")
    hint = did_you_mean(words.lower().replace(" ", ""), [*params.methods, *dict.fromkeys(said for said, _ in known)])
    raise ParamsError(f"{params.root}/methods: there is no method '{words}'{hint}")


def place_of(params: Params, words: str) -> tuple[str, str]:
    """The dataset and setting of `<dataset>/<setting>`; raise ParamsError when there is none."""
    places = [f"{name}/{setting}" for name, tree in params.datasets.items() for setting in tree["settings"]]
    if words not in places:
        raise ParamsError(
            f"{params.root}/datasets: there is no <dataset>/<setting> '{words}'{did_you_mean(words, places)}"
        )
    dataset, setting = words.split("/")
    return dataset, setting


def incompatibilities(params: Params, method: str, protocol: str, place: str) -> list[str]:
    """Why a method cannot be trained in a setting."""
    run = Run(*place_of(params, place), protocol, method, 0)
    return list(impossible(params, run, resolve(params, run)))


def explain(params: Params, method: str, protocol: str = "paper", place: str = "") -> str:
    """The recipe of a method under a protocol and, where `place` names one, in a setting: a line for each option.

    Raises ParamsError when there is no such protocol or setting.
    """
    if protocol not in params.protocols:
        raise ParamsError(f"{params.root}: there is no protocol '{protocol}'{did_you_mean(protocol, params.protocols)}")
    found = traced(params, Run(*(place_of(params, place) if place else NOWHERE), protocol, method, 0))
    tree, file = params.methods[method], params.file("method", method)
    base = params.file("method", tree.get("of", method))
    rows: list[Row] = [(f"{tree['title']}: {file}" + (f", of {base}" if "of" in tree else ""),)]
    for kind, part in parts(found.method):
        rows += _component(kind, part, found.sources, Source(base))
    rows += _protocol(params, found, protocol, Source(base))
    rows += _stages(found, params.protocols[protocol]["steps"])
    rows += _place(params, place) if place else _elsewhere(params, method)
    rows += [("",), (f"{LEDGER}: {', '.join(_tags(found.method)) or 'no departure'}",)]
    return aligned(rows)


def _component(kind: str, part: Tree, sources: Mapping[str, Source], file: Source) -> Iterator[Row]:
    """A component in one line, and its options in the order of its constructor; `file` is where no source is given."""
    name, spec = part["name"], KINDS[kind][part["name"]]
    module = str((module_file(spec.partition(":")[0]) or ROOT).relative_to(ROOT))
    yield ("",)
    comment = next((text for path, text in _comments(file.file).items() if path in ((name,), (name, "name"))), "")
    yield (f"{kind} {name}: {summary(spec)} ({module}){comment}",)
    own, rest = given(part), defaults(spec)
    for option in options(spec):
        key = f"{name}.{option}"
        if option in own:
            yield _row(key, own[option], sources.get(key, file))
        else:
            yield key, shown(rest[option]), f"{module}, the constructor's default"


def _protocol(params: Params, found: Traced, protocol: str, mine: Source) -> Iterator[Row]:
    """Batches, network, optimiser and budget."""
    tree, theirs = params.protocols[protocol], Source(params.file("protocol", protocol))
    yield from _component("network", tree["network"], {}, theirs)
    yield from (("",), (f"protocol {protocol}: {tree['title']}",))
    ratio = found.method["unlabeled_ratio"]
    yield _row("unlabeled_ratio", ratio, theirs if ratio and "unlabeled_ratio" in tree else mine)
    yield _row("batch_size", tree["batch_size"], theirs)
    steps = found.stage.steps
    yield _row("steps", steps, theirs if steps == tree["steps"] else mine._replace(block=("plan",)))
    yield from (_row(f"optimizer.{k}", value, found.sources[f"optimizer.{k}"]) for k, value in found.optimizer.items())
    for block in ("teacher", "evaluation"):
        yield from (_row(f"{block}.{key}", value, theirs) for key, value in tree[block].items())
    yield from (_row(key, tree[key], theirs) for key in ("precision", "checkpoint_every"))


def _stages(found: Traced, steps: int) -> Iterator[Row]:
    """What a plan lets come before, and whose results it takes."""
    stages = stages_of(found.method, steps)
    if len(stages) > 1:
        yield from (("",), ("stages, of which the options above are the last one's",))
    for stage in stages if len(stages) > 1 else ():
        changes = ", ".join(f"{key} {shown(value)}" for key, value in stage.changes.items())
        yield f"stage {stage.name or 'last'}", f"{stage.steps:,} steps", changes
    for what, upstream in (("encoder", stages[-1].encoder), ("estimate", stages[-1].estimate)):
        if upstream:
            yield f"{what} of", upstream.of, "a method whose run in the same setting comes before"


def _row(key: str, value: object, source: Source) -> Row:
    """An option, its value, where that stands, and the comment beside it."""
    path = (*source.block, key) if source.block else tuple(key.split("."))
    return key, shown(value), str(source) + _comments(source.file).get(path, "")


def _place(params: Params, place: str) -> Iterator[Row]:
    dataset, setting = place_of(params, place)
    tree, file = setting_config(params, dataset, setting), params.file("dataset", dataset)
    yield from (("",), (f"setting {place}: {params.datasets[dataset]['title']}",))
    said = params.datasets[dataset]["settings"][setting]
    for key, value in tree.items():
        if key != "name":
            yield f"setting.{key}", shown(value), file if key in said else "the default"
    if unknown_classes(tree):
        yield (UNKNOWN,)


def _elsewhere(params: Params, method: str) -> Iterator[Row]:
    """What a setting would change, unless an ablation has changed it for good."""
    tree = params.methods[method]
    file, fixed = params.file("method", tree.get("of", method)), tree.get("change", {})
    rows = [
        _row(key, value, Source(file, ("where", pattern)))
        for pattern, changes in tree.get("where", {}).items()
        for key, value in changes.items()
        if key not in fixed
    ]
    if rows:
        yield from (("",), ("what settings change; --setting <dataset>/<setting> says what holds there",))
    yield from rows


def _tags(method: Tree) -> list[str]:
    """The departures from the paper that are marked in the code of the components and the methods' code it imports."""
    entries = [KINDS[kind][part["name"]].partition(":")[0] for kind, part in parts(method)]
    files = (
        module_file(name)
        for name in closure(entries)
        if name.startswith(("daso.methods.", "daso.models.", "daso.ops."))
    )
    return list(dict.fromkeys(tag for file in files if file for tag in TAG.findall(file.read_text(encoding="utf-8"))))


def _comments(file: str) -> dict[Row, str]:
    """The comments beside values of a file: by component and option, or by the keys that lead to the value."""
    return _beside(Path(file).read_text(encoding="utf-8"))


@cache
def _beside(text: str) -> dict[Row, str]:
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    tree = YAML().load(text)
    found: dict[Row, str] = {}

    def walk(node: Any, path: Row) -> None:
        mapping = isinstance(node, CommentedMap)
        for key, value in node.items() if mapping else enumerate(node):
            tokens = node.ca.items.get(key, [])[2 if mapping else 0 :][:1]  # the one behind it, on its line
            part = isinstance(value, CommentedMap) and "name" in value
            here = (value["name"],) if part else (*path, str(key))
            for comment in (str(token.value) for token in tokens if token):
                found[here] = "  " + comment.strip().partition("\n")[0]
            if isinstance(value, CommentedMap | CommentedSeq):
                walk(value, here)

    walk(tree, ())
    return found


def shown(value: object) -> str:
    """A value as YAML would have it on one line."""
    return value if isinstance(value, str) else json.dumps(value)


def aligned(rows: Sequence[Row]) -> str:
    """Rows of cells as lines whose columns stand below each other; a row of one cell is a line of its own."""
    widths: dict[int, int] = {}
    for row in rows:
        widths |= {i: max(len(cell), widths.get(i, 0)) for i, cell in enumerate(row[:-1])}
    lines = ([cell.ljust(widths[i]) for i, cell in enumerate(row[:-1])] + [row[-1]] for row in rows)
    return "".join(f"{'  '.join(line).rstrip()}\n" for line in lines)
