"""Print the options of a method as a run uses them: each with its value and the file that sets it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from daso.aliases import Tree
from daso.config.feasibility import given_options, reasons_infeasible, unknown_classes
from daso.config.fidelity import LEDGER, method_tags, run_tags
from daso.config.fit import fitted_options
from daso.config.paper_names import paper_methods, paper_name, same_method
from daso.config.params import Params, components
from daso.config.registry import COMPONENTS
from daso.config.resolve import OptionSource, Run, TracedMethod, resolve, setting_config, trace_options
from daso.config.signature import ROOT, defaults, docstring_summary, module_file, options
from daso.config.stages import stages_of
from daso.data.class_sizes import UNKNOWN_CLASSES_NOTE, setting_kind
from daso.errors import ParamsError, did_you_mean

NO_SETTING = ("", "")
FITTED = ("fit",)  # block of a protocol that is the source of fitted options
TextRow = tuple[str, ...]


def find_method(params: Params, name: str) -> str:
    """Return the name of a method given by its file name or the paper's name, `fixmatch+la+daso`, add-ons in any order.

    A plus at the end of a name belongs to the name, as in `crest+`. Raises ParamsError if no method or several have the
    name.
    """
    if name in params.methods:
        return name
    papers = [(method, tree["paper"]) for method, tree in params.methods.items() if "paper" in tree]
    known = [(paper_name(each), method) for method, paper in papers for each in paper_methods(paper)]
    matches = [method for paper, method in known if same_method(paper, name)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise ParamsError(f"{params.root}/methods: ambiguous method '{name}'; choose one of {', '.join(matches)}")
    names = [*params.methods, *dict.fromkeys(paper for paper, _ in known)]
    hint = did_you_mean(name.lower().replace(" ", ""), names, "methods")
    raise ParamsError(f"{params.root}/methods: unknown method '{name}'{hint}")


def split_setting(params: Params, setting: str) -> tuple[str, str]:
    """Split `<dataset>/<setting>` into both names; raise ParamsError if it is unknown."""
    known = [f"{name}/{each}" for name, tree in params.datasets.items() for each in tree["settings"]]
    if setting not in known:
        hint = did_you_mean(setting, known, "settings")
        raise ParamsError(f"{params.root}/datasets: unknown <dataset>/<setting> '{setting}'{hint}")
    dataset, name = setting.split("/")
    return dataset, name


def setting_incompatibilities(params: Params, method: str, protocol: str, setting: str) -> list[str]:
    """Return the reasons why a method cannot be trained in a <dataset>/<setting>, one line each."""
    run = Run(*split_setting(params, setting), protocol, method, 0)
    return list(reasons_infeasible(params, run, resolve(params, run)))


def explain(params: Params, method: str, protocol: str = "paper", setting: str = "") -> str:
    """Format the options of a method under a protocol, one line each; `setting`, if given, is a <dataset>/<setting>.

    Raises ParamsError if the protocol or the setting is unknown.
    """
    if protocol not in params.protocols:
        hint = did_you_mean(protocol, params.protocols, "protocols")
        raise ParamsError(f"{params.root}/protocols: unknown protocol '{protocol}'{hint}")
    traced = trace_options(
        params, Run(*(split_setting(params, setting) if setting else NO_SETTING), protocol, method, 0)
    )
    tree, file = params.methods[method], params.file("method", method)
    if "fit" in params.protocols[protocol]:
        fitted = fitted_options(traced.method, tree.get("change", {})).values()
        source = OptionSource(params.file("protocol", protocol), FITTED)
        traced = traced._replace(sources={**traced.sources, **dict.fromkeys(fitted, source)})
    base = params.file("method", tree.get("of", method))
    rows: list[TextRow] = [(f"{tree['title']}: {file}" + (f", ablation of {base}" if "of" in tree else ""),)]
    for kind, part in components(traced.method):
        rows += _component_rows(kind, part, traced.sources, OptionSource(base), traced.epochs)
    rows += _protocol_rows(params, traced, protocol, OptionSource(base))
    rows += _stage_rows(traced)
    rows += _setting_rows(params, setting) if setting else _where_rows(params, method, protocol)
    rows += _difference_rows(params, traced, protocol, setting)
    return align_columns(rows)


def _component_rows(
    kind: str, part: Tree, sources: Mapping[str, OptionSource], default: OptionSource, epochs: Tree
) -> Iterator[TextRow]:
    """Yield a component, its summary, and a line for each option in the order of its constructor.

    `default` is the source of options that `sources` lacks; `epochs` are the values given in epochs.
    """
    name, spec = part["name"], COMPONENTS[kind][part["name"]]
    module = source_file(spec)
    comments = _comments(default.file)
    comment = comments.get((name,), comments.get((name, "name"), ""))
    yield from (("",), (f"{kind} {name} ({module}){comment}",), (docstring_summary(spec),))
    own, rest = given_options(part), defaults(spec)
    for option in options(spec):
        key = f"{name}.{option}"
        if option in own:
            yield _row(key, own[option], sources.get(key, default), epochs)
        else:
            yield key, format_yaml(rest[option]), f"{module}, default"


def _protocol_rows(params: Params, traced: TracedMethod, protocol: str, method: OptionSource) -> Iterator[TextRow]:
    """Yield a line for each option of the protocol; `method` is the source of the options that the method sets."""
    tree, source = traced.protocol, OptionSource(params.file("protocol", protocol))
    changed = {key.replace("network", tree["network"]["name"], 1): each for key, each in traced.sources.items()}
    yield from _component_rows("network", tree["network"], changed, source, {})
    yield from (("",), (f"protocol {protocol}: {tree['title']}",))
    ratio = traced.method["unlabeled_ratio"]
    of_ratio = traced.sources.get("unlabeled_ratio", source) if ratio and "unlabeled_ratio" in tree else method
    yield _row("unlabeled_ratio", ratio, of_ratio)
    yield _row("batch_size", tree["batch_size"], source)
    steps = traced.stage.steps
    if steps == tree["steps"]:
        yield _row("steps", steps, source, traced.epochs)
    else:
        yield _row("steps", steps, method._replace(block=("plan",)))
    for key, value in traced.optimizer.items():
        yield _row(f"optimizer.{key}", value, traced.sources[f"optimizer.{key}"], traced.epochs)
    for block in ("teacher", "evaluation", "fit"):
        yield from (_row(f"{block}.{key}", value, source, traced.epochs) for key, value in tree.get(block, {}).items())
    others = ("precision", "checkpoint_every", "classifier_init", "images_per_group")
    yield from (_row(key, tree[key], source, traced.epochs) for key in others if key in tree)


def _stage_rows(traced: TracedMethod) -> Iterator[TextRow]:
    """Yield the stages of a plan and the methods that the last one depends on."""
    stages = stages_of(traced.method, traced.protocol["steps"])
    if len(stages) > 1:
        yield from (("",), ("stages (the options above are those of the last one)",))
    for stage in stages if len(stages) > 1 else ():
        changes = ", ".join(f"{key} {format_yaml(value)}" for key, value in stage.changes.items())
        yield f"stage {stage.name or 'last'}", f"{stage.steps:,} steps", changes
    last = stages[-1]
    for result, upstream in (("encoder", last.encoder), ("network", last.network), ("estimate", last.estimate)):
        if upstream:
            yield f"{result} from", upstream.of, "its run in the same setting is trained first"


def _row(key: str, value: object, source: OptionSource, epochs: Mapping[str, object] = MappingProxyType({})) -> TextRow:
    """Return an option, its value, in epochs too if given so, the source of the value and the comment beside it."""
    path = (*source.block, key) if source.block else tuple(key.split("."))
    text = f"{_joined(epochs[key])} = {_joined(value)} steps" if key in epochs else format_yaml(value)
    text = f"fitted, else {text}" if source.block == FITTED else text
    return key, text, str(source) + _comments(source.file).get(path, "")


def _joined(value: object) -> str:
    """Return a number or text, or the entries of a list, separated by commas."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _setting_rows(params: Params, setting: str) -> Iterator[TextRow]:
    """Yield the values of a <dataset>/<setting>."""
    dataset, name = split_setting(params, setting)
    tree, file = setting_config(params, dataset, name), params.file("dataset", dataset)
    yield from (("",), (f"setting {setting}: {params.datasets[dataset]['title']}",))
    own = params.datasets[dataset]["settings"][name]
    has_tail = setting_kind(tree) == "tails" and "shape" not in tree
    for key, value in tree.items():
        if key != "name" and (key != "reversed" or has_tail):  # others have no tail to reverse
            yield f"setting.{key}", format_yaml(value), file if key in own else "default"
    if unknown_classes(tree):
        yield (UNKNOWN_CLASSES_NOTE,)


def _where_rows(params: Params, method: str, protocol: str) -> Iterator[TextRow]:
    """Yield the options in `where` of method and protocol, except those that an ablation sets in every setting."""
    tree = params.methods[method]
    fixed = tree.get("change", {})
    wheres = {params.file("method", tree.get("of", method)): tree.get("where", {})}
    wheres[params.file("protocol", protocol)] = params.protocols[protocol].get("where", {})
    rows = [
        _row(key, value, OptionSource(file, ("where", pattern)))
        for file, where in wheres.items()
        for pattern, changes in where.items()
        for key, value in changes.items()
        if key not in fixed
    ]
    if rows:
        yield from (("",), ("options that depend on the setting; --setting <dataset>/<setting> prints them for one",))
    yield from rows


def _difference_rows(params: Params, traced: TracedMethod, protocol: str, setting: str) -> Iterator[TextRow]:
    """Yield the known differences from the papers of a method, then those of the protocol and of a given setting."""
    dataset, name = split_setting(params, setting) if setting else NO_SETTING
    tree, settings = (params.datasets[dataset], [setting_config(params, dataset, name)]) if setting else ({}, [])
    options = params.protocols[protocol]
    shared = run_tags(tree, settings, options, bf16=options["precision"] != "fp32")
    tags = [*dict.fromkeys([*method_tags(traced.method), *shared])]
    yield from (("",), ("known differences from the papers" + ("" if tags else ": none"),))
    yield from ((f"{LEDGER}#{tag}",) for tag in tags)


def _comments(file: str) -> dict[tuple[str, ...], str]:
    """Return the comments beside the values of a file, by component and option, or by the path of keys."""
    return _parse_comments(Path(file).read_text(encoding="utf-8"))


@cache
def _parse_comments(text: str) -> dict[tuple[str, ...], str]:
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    tree = YAML().load(text)
    comments: dict[tuple[str, ...], str] = {}

    def walk(node: Any, path: tuple[str, ...]) -> None:
        mapping = isinstance(node, CommentedMap)
        for key, value in node.items() if mapping else enumerate(node):
            tokens = node.ca.items.get(key, [])[2 if mapping else 0 :][:1]  # the comment on the line of the value
            component = isinstance(value, CommentedMap) and "name" in value
            inner = (value["name"],) if component else (*path, str(key))
            for comment in (str(token.value) for token in tokens if token):
                comments[inner] = "  " + comment.strip().partition("\n")[0]
            if isinstance(value, CommentedMap | CommentedSeq):
                walk(value, inner)

    walk(tree, ())
    return comments


def source_file(spec: str) -> str:
    """Return the file of "module:Class", relative to the root of the project."""
    return str((module_file(spec.partition(":")[0]) or ROOT).relative_to(ROOT))


def format_yaml(value: object) -> str:
    """Format a value as YAML on one line."""
    return value if isinstance(value, str) else json.dumps(value)


def align_columns(rows: Sequence[TextRow]) -> str:
    """Format rows of cells as lines with aligned columns; a row of one cell may have any width."""
    widths: dict[int, int] = {}
    for row in rows:
        widths |= {i: max(len(cell), widths.get(i, 0)) for i, cell in enumerate(row[:-1])}
    lines = ([cell.ljust(widths[i]) for i, cell in enumerate(row[:-1])] + [row[-1]] for row in rows)
    return "".join(f"{'  '.join(line).rstrip()}\n" for line in lines)
