"""Read the options of a component, the keyword-only arguments of its constructor, without importing its module.

Only source text is read, so that checking params/ does not import torch. An annotation is evaluated with the names of
`daso.schema`, which checks values against it, and with the aliases of its own module.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import CodeType, SimpleNamespace
from typing import Any, NamedTuple

from daso import schema
from daso.errors import ParamsError, closest, did_you_mean

ROOT = Path(__file__).resolve().parents[2]  # the folder that holds the package
# Functions that a constructor may call in checks of its options.
ALLOWED_CALLS = {
    function.__name__: function for function in (all, any, float, frozenset, isinstance, len, max, min, str, sum)
}
OPTION_TYPES = {**vars(schema), **{kind.__name__: kind for kind in (int, float, bool, str, list, tuple)}}


class Option(NamedTuple):
    """Keyword-only argument; `schema.describe(type)` prints its values, such as `a number in [0, 1]`."""

    type: Any  # an annotation
    required: bool


def module_file(module: str, root: Path | None = None) -> Path | None:
    """Return the file of a dotted module below `root`; None if it is missing."""
    base = (root or ROOT).joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@cache
def options(spec: str, root: Path | None = None) -> dict[str, Option]:
    """Return the options of "module:Class", by name.

    Raises ParamsError if the module or the class is missing, or an annotation is not supported.
    """
    tree, init = _parse_class(spec, root)
    return {
        arg.arg: Option(_evaluate_annotation(arg.annotation, tree, f"{spec}({arg.arg})"), default is None)
        for arg, default in _keyword_arguments(init)
    }


def defaults(spec: str, root: Path | None = None) -> dict[str, object]:
    """Return the default values of the options of "module:Class"."""
    _, init = _parse_class(spec, root)
    return {arg.arg: ast.literal_eval(default) for arg, default in _keyword_arguments(init) if default is not None}


def docstring_summary(spec: str, root: Path | None = None) -> str:
    """Return the first line of the docstring of "module:Class"."""
    tree, _ = _parse_class(spec, root)
    (node,) = (item for item in tree.body if isinstance(item, ast.ClassDef) and item.name == spec.split(":")[1])
    return (ast.get_docstring(node) or "").partition("\n")[0]


def option_errors(
    spec: str, given: Mapping[str, object], root: Path | None = None, complete: bool = True
) -> Iterator[str]:
    """Yield the errors of options of "module:Class": unknown, not as annotated and, if `complete`, missing.

    Raises ParamsError as `options` does.
    """
    known = options(spec, root)
    for key, value in given.items():
        if key not in known:
            yield f"unknown option '{key}'{did_you_mean(key, known)}"
        else:
            yield from map(str, schema.mismatches(value, known[key].type, key))
    misspelt = {closest(key, known) for key in given.keys() - known.keys()}
    for key, option in known.items():
        if complete and option.required and key not in given and key not in misspelt:
            yield f"missing option '{key}'; set it to {schema.describe(option.type)}"


def constructor_errors(
    spec: str, given: Mapping[str, object], root: Path | None = None, env: Mapping[str, object] | None = None
) -> list[tuple[str, set[str]]]:
    """Return the errors that the constructor of "module:Class" would raise for these options, without calling it.

    They are the messages of every `if <test>: raise ParamsError(<message>)` in the constructor that reads only options
    and `env.<field>`, checked here before anything is imported or run.
    `env` has the known fields of `records.Env`; tests that read other fields are left to the constructor. The options
    must exist and have values of the right type. Each message comes with the names that it reads, a field as
    "env.<field>".
    """
    values = {**defaults(spec, root), **given}
    scope = {**values, "env": SimpleNamespace(**(env or {}))}
    known = {*values, *(f"env.{field}" for field in env or {})}
    guards = [(test, message, read) for test, message, read in _guards(spec, root) if read <= known]
    return [(str(_evaluate(message, scope)), set(read)) for test, message, read in guards if _evaluate(test, scope)]


def attribute(
    spec: str, name: str, given: Mapping[str, object], default: object = None, root: Path | None = None
) -> object:
    """Return the attribute `name` of "module:Class" with these options, `default` if the source does not set it.

    The constructor sets it as `self.name`, or the class or its bases in the same module set it. Raises ParamsError if
    the value cannot be determined without running the code.
    """
    values = {**defaults(spec, root), **given}
    assigned, unconditional = _find_assignment(spec, name, root)
    if assigned is None and unconditional:
        return default
    if assigned is None or not unconditional or not _names_read(assigned) <= values.keys():
        raise ParamsError(f"{spec}: {name} depends on more than the options; set it in the class or from options alone")
    return _evaluate(assigned, values)


@cache
def _find_assignment(spec: str, name: str, root: Path | None) -> tuple[ast.expr | None, bool]:
    """Return the value that an attribute is set to, and True if the constructor sets it exactly once or not at all."""
    tree, init = _parse_class(spec, root)
    inside = [node for node in ast.walk(init) if _is_assigned(node, f"self.{name}")] if init else []
    target = f"self.{name}" if inside else name
    bodies = [init] if inside else _class_and_bases(tree, spec.split(":")[1])
    value = next((value for body in bodies if (value := _last_assignment(body, target))), None)
    return value, not inside or (len(inside) == 1 and value is not None)


@cache
def _guards(spec: str, root: Path | None) -> list[tuple[ast.expr, ast.expr, set[str]]]:
    """Return the tests after which a constructor raises, the messages, and the names that both read."""
    _, init = _parse_class(spec, root)
    guards = []
    for item in init.body if init else ():
        match item:
            case ast.If(
                test=test,
                body=[ast.Raise(exc=ast.Call(func=ast.Name(id="ParamsError"), args=[message]))],
                orelse=[],
            ):
                guards.append((test, message, _names_read(test, message)))
    return guards


def _names_read(*parts: ast.expr) -> set[str]:
    """Return the names that expressions read, except functions and their own variables; fields are "env.<field>"."""
    nodes = [node for part in parts for node in ast.walk(part)]
    fields = [node for node in nodes if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "env"]
    names = [node for node in nodes if isinstance(node, ast.Name)]
    own = {node.id for node in names if isinstance(node.ctx, ast.Store)}  # variables of comprehensions
    whole = {id(node) for node in names} - {id(node.value) for node in fields}
    free = {node.id for node in names if id(node) in whole} - own - ALLOWED_CALLS.keys()
    return free | {f"env.{node.attr}" for node in fields}


def _is_assigned(node: ast.AST, target: str) -> bool:
    """Return True if a node is `target` on the left of an assignment."""
    return isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node) == target


def _last_assignment(node: ast.FunctionDef | ast.ClassDef | ast.Module | None, target: str) -> ast.expr | None:
    """Return the last value that the body of a function, class or module assigns to `target`."""
    last = None
    for item in node.body if node else ():
        match item:
            case ast.Assign(targets=[left], value=value) if ast.unparse(left) == target:
                last = value
            case ast.AnnAssign(target=left, value=ast.expr() as value) if ast.unparse(left) == target:
                last = value
    return last


def _evaluate(node: ast.expr, values: Mapping[str, object]) -> object:
    """Evaluate an expression of the package's own source."""
    return eval(_compile(node), {"__builtins__": {}, **ALLOWED_CALLS, **values})


@cache
def _compile(node: ast.expr) -> CodeType:
    return compile(ast.Expression(node), "<guard>", "eval")


def _keyword_arguments(init: ast.FunctionDef | None) -> list[tuple[ast.arg, ast.expr | None]]:
    """Return the keyword-only arguments and their defaults."""
    return list(zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)) if init else []


@cache
def _parse_class(spec: str, root: Path | None) -> tuple[ast.Module, ast.FunctionDef | None]:
    module, name = spec.split(":")
    path = module_file(module, root)
    if path is None:
        raise ParamsError(f"daso/config/registry.py: missing module {module}; correct its name")
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    return tree, _constructor(tree, name, spec)


def _constructor(tree: ast.Module, name: str, spec: str) -> ast.FunctionDef | None:
    """Return `__init__` of the class, or of the first base in the same module that has one."""
    if not any(isinstance(node, ast.ClassDef) and node.name == name for node in tree.body):
        raise ParamsError(f"daso/config/registry.py: {spec}: missing class {name}; correct its name")
    items = (item for node in _class_and_bases(tree, name) for item in node.body)
    return next((item for item in items if isinstance(item, ast.FunctionDef) and item.name == "__init__"), None)


def _class_and_bases(tree: ast.Module, name: str) -> Iterator[ast.ClassDef]:
    """Yield the class of that name and its bases in the same module, nearest first."""
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    queue = [name]
    for name in queue:
        if node := classes.get(name):
            yield node
            queue += [base.id for base in node.bases if isinstance(base, ast.Name)]


def _evaluate_annotation(node: ast.expr | None, tree: ast.Module, where: str) -> Any:
    """Return the value of an annotation; raise ParamsError if it is missing or `daso.schema` does not support it."""
    if node is None:
        raise ParamsError(f"{where}: missing annotation; add one, such as int or a type of daso.schema")
    scope = dict(OPTION_TYPES)
    for name in _names_read(node) - scope.keys():
        scope[name] = _evaluate_annotation(_last_assignment(tree, name), tree, f"{where}: {name}")
    try:
        annotation = _evaluate(node, scope)
        schema.describe(annotation)
    except TypeError as error:
        hint = "use int, float, bool, str, Literal, list, a union of them or a type of daso.schema"
        raise ParamsError(f"{where}: unknown annotation {ast.unparse(node)}; {hint}") from error
    return annotation
