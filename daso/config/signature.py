"""The options of a component are its constructor's keyword-only arguments, read without importing its module.

Only the source text is read, so checking every file of params/ costs no import of torch. Annotations that YAML can
fill are understood: int, float, bool, str, Literal, list, tuple, Sequence, unions, None, and names given to them in
the same module.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import CodeType, SimpleNamespace
from typing import Any, NamedTuple

from daso.errors import ParamsError

ROOT = Path(__file__).resolve().parents[2]  # the folder that holds the package
# What a constructor may call where it checks its options.
CALLED = {function.__name__: function for function in (all, any, float, frozenset, isinstance, len, max, min, str, sum)}


class Kind(NamedTuple):
    """What an option may hold: one of the scalars, a fixed set of values, a sequence, or any of several kinds."""

    name: str  # int | float | bool | str | none | literal | sequence | union
    parts: tuple[Any, ...] = ()  # values of a literal, kinds of a sequence's items or of a union

    def accepts(self, value: object) -> bool:
        """Whether `value`, as YAML gives it, may be passed; an int will do for a float, a bool for neither."""
        match self.name:
            case "none":
                return value is None
            case "float":
                return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            case "int":
                return isinstance(value, int) and not isinstance(value, bool)
            case "literal":
                return any(value == part and type(value) is type(part) for part in self.parts)
            case "sequence":
                return isinstance(value, list) and all(self.parts[0].accepts(item) for item in value)
            case "union":
                return any(part.accepts(value) for part in self.parts)
        return isinstance(value, {"bool": bool, "str": str}[self.name])

    def __str__(self) -> str:
        match self.name:
            case "literal":
                return " or ".join(repr(part) for part in self.parts)
            case "sequence":
                return f"a list of {self.parts[0]}"
            case "union":
                return " or ".join(str(part) for part in self.parts)
            case "none":
                return "null"
        return self.name


class Option(NamedTuple):
    """One keyword-only argument."""

    kind: Kind
    required: bool


def module_file(module: str, root: Path | None = None) -> Path | None:
    """The file of a dotted module below `root`; None when there is none."""
    base = (root or ROOT).joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@cache
def options(spec: str, root: Path | None = None) -> dict[str, Option]:
    """The options of "module:Class", by name.

    Raises ParamsError when the module, the class or a readable annotation is missing.
    """
    tree, init = _source(spec, root)
    return {
        arg.arg: Option(_kind(arg.annotation, tree, f"{spec}({arg.arg})"), default is None)
        for arg, default in _keywords(init)
    }


def defaults(spec: str, root: Path | None = None) -> dict[str, object]:
    """The values that "module:Class" gives the options that nobody names."""
    _, init = _source(spec, root)
    return {arg.arg: ast.literal_eval(default) for arg, default in _keywords(init) if default is not None}


def summary(spec: str, root: Path | None = None) -> str:
    """The first line of what "module:Class" says of itself."""
    tree, _ = _source(spec, root)
    (node,) = (item for item in tree.body if isinstance(item, ast.ClassDef) and item.name == spec.split(":")[1])
    return (ast.get_docstring(node) or "").partition("\n")[0]


def refusals(
    spec: str, given: Mapping[str, object], root: Path | None = None, env: Mapping[str, object] | None = None
) -> list[tuple[str, set[str]]]:
    """What the constructor of "module:Class" has against these options, each with the names of what it looked at.

    That is the message of every `if <test>: raise ParamsError(<message>)` in it that reads options and `env.<field>`
    alone: a bound is written once, where it holds for every caller, and is told here before anything is imported or
    run. `env` has the fields of `records.Env` that are known, and a test that reads another one is left to the
    constructor. The options must be those that the constructor has, and of their kinds. A field is named "env.<field>".
    """
    values = {**defaults(spec, root), **given}
    scope = {**values, "env": SimpleNamespace(**(env or {}))}
    known = {*values, *(f"env.{field}" for field in env or {})}
    guards = [(test, message, read) for test, message, read in _guards(spec, root) if read <= known]
    return [(str(_value(message, scope)), set(read)) for test, message, read in guards if _value(test, scope)]


def attribute(
    spec: str, name: str, given: Mapping[str, object], absent: object = None, root: Path | None = None
) -> object:
    """What an object of "module:Class" with these options has as `name`; `absent` where the source gives it nothing.

    That is what its constructor sets `self.name` to, where that depends on options alone, else what the class or its
    bases in the same module do. Raises ParamsError when it cannot be told without running the code.
    """
    values = {**defaults(spec, root), **given}
    found, plain = _set(spec, name, root)
    if found is None and plain:
        return absent
    if found is None or not plain or not _free(found) <= values.keys():
        raise ParamsError(f"{spec}: what {name} is depends on more than its options")
    return _value(found, values)


@cache
def _set(spec: str, name: str, root: Path | None) -> tuple[ast.expr | None, bool]:
    """What `attribute` is set to, and whether that is in one place, whatever happens."""
    tree, init = _source(spec, root)
    inside = [node for node in ast.walk(init) if _is(node, f"self.{name}")] if init else []
    bodies = [init] if inside else _family(tree, spec.split(":")[1])
    found = next((value for body in bodies if (value := _assigned(body, f"self.{name}" if inside else name))), None)
    return found, not inside or (len(inside) == 1 and found is not None)


@cache
def _guards(spec: str, root: Path | None) -> list[tuple[ast.expr, ast.expr, set[str]]]:
    """The tests of a constructor that raise where they hold, what the error says, and the names that both read."""
    _, init = _source(spec, root)
    found = []
    for item in init.body if init else ():
        match item:
            case ast.If(
                test=test,
                body=[ast.Raise(exc=ast.Call(func=ast.Name(id="ParamsError"), args=[message]))],
                orelse=[],
            ):
                found.append((test, message, _free(test, message)))
    return found


def _free(*parts: ast.expr) -> set[str]:
    """The names that expressions read, without their own and what they call; a field of `env` is "env.<field>"."""
    nodes = [node for part in parts for node in ast.walk(part)]
    fields = [node for node in nodes if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "env"]
    names = [node for node in nodes if isinstance(node, ast.Name)]
    own = {node.id for node in names if isinstance(node.ctx, ast.Store)}  # of a comprehension
    whole = {id(node) for node in names} - {id(node.value) for node in fields}
    free = {node.id for node in names if id(node) in whole} - own - CALLED.keys()
    return free | {f"env.{node.attr}" for node in fields}


def _is(node: ast.AST, target: str) -> bool:
    """Whether something is written to `target` here."""
    return isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node) == target


def _assigned(node: ast.FunctionDef | ast.ClassDef | None, target: str) -> ast.expr | None:
    """What the body of a function or class last sets `target` to."""
    found = None
    for item in node.body if node else ():
        match item:
            case ast.Assign(targets=[place], value=value) if ast.unparse(place) == target:
                found = value
            case ast.AnnAssign(target=place, value=ast.expr() as value) if ast.unparse(place) == target:
                found = value
    return found


def _value(node: ast.expr, values: Mapping[str, object]) -> object:
    """What an expression of the package's own source gives."""
    return eval(_code(node), {"__builtins__": {}, **CALLED, **values})


@cache
def _code(node: ast.expr) -> CodeType:
    return compile(ast.Expression(node), "<guard>", "eval")


def _keywords(init: ast.FunctionDef | None) -> list[tuple[ast.arg, ast.expr | None]]:
    """Keyword-only arguments and their defaults."""
    return list(zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)) if init else []


@cache
def _source(spec: str, root: Path | None) -> tuple[ast.Module, ast.FunctionDef | None]:
    module, name = spec.split(":")
    path = module_file(module, root)
    if path is None:
        raise ParamsError(f"daso/config/registry.py: there is no module {module}")
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    return tree, _constructor(tree, name, spec)


def _constructor(tree: ast.Module, name: str, spec: str) -> ast.FunctionDef | None:
    """`__init__` of the class, or of the first base in the same module that has one."""
    if not any(isinstance(node, ast.ClassDef) and node.name == name for node in tree.body):
        raise ParamsError(f"daso/config/registry.py: {spec} names no class of that module")
    items = (item for node in _family(tree, name) for item in node.body)
    return next((item for item in items if isinstance(item, ast.FunctionDef) and item.name == "__init__"), None)


def _family(tree: ast.Module, name: str) -> Iterator[ast.ClassDef]:
    """The class of that name and its bases in the same module, nearest first."""
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    queue = [name]
    for name in queue:
        if node := classes.get(name):
            yield node
            queue += [base.id for base in node.bases if isinstance(base, ast.Name)]


def _kind(node: ast.expr | None, tree: ast.Module, what: str) -> Kind:
    match node:
        case ast.Constant(value=None):
            return Kind("none")
        case ast.Constant(value=str(text)):
            return _kind(ast.parse(text, mode="eval").body, tree, what)
        case ast.Name(id="int" | "float" | "bool" | "str" as name):
            return Kind(name)
        case ast.Name(id=name):
            return _kind(_alias(name, tree, what), tree, what)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return Kind("union", (_kind(left, tree, what), _kind(right, tree, what)))
        case ast.Subscript(value=ast.Name(id="Literal"), slice=inner):
            return Kind("literal", tuple(ast.literal_eval(item) for item in _items(inner)))
        case ast.Subscript(value=ast.Name(id="list" | "tuple" | "Sequence"), slice=inner):
            return Kind("sequence", (_kind(_items(inner)[0], tree, what),))
    raise ParamsError(f"{what}: options are annotated with int, float, bool, str, Literal, list or a union of them")


def _items(node: ast.expr) -> list[ast.expr]:
    return list(node.elts) if isinstance(node, ast.Tuple) else [node]


def _alias(name: str, tree: ast.Module, what: str) -> ast.expr:
    """What the module calls `name`: `Blend = Literal[...] | float`."""
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                return value
            case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value) if target == name:
                return value
    raise ParamsError(f"{what}: the annotation '{name}' is not known here; write it out")
