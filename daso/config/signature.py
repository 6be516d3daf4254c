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
from typing import Any, NamedTuple

from daso.errors import ParamsError

ROOT = Path(__file__).resolve().parents[2]  # the folder that holds the package
# What a constructor may call where it checks its options.
CALLED = {function.__name__: function for function in (all, any, float, isinstance, len, max, min, str)}


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


def refusals(spec: str, given: Mapping[str, object], root: Path | None = None) -> list[tuple[str, set[str]]]:
    """What the constructor of "module:Class" has against these options, each with the names of those it looked at.

    That is the message of every `if <test>: raise ParamsError(<message>)` in it that reads options alone: a bound is
    written once, where it holds for every caller, and is told here before anything is imported or run. The options must
    be those that the constructor has, and of their kinds.
    """
    _, init = _source(spec, root)
    defaults = {arg.arg: ast.literal_eval(default) for arg, default in _keywords(init) if default is not None}
    values = {**defaults, **given}
    return [
        (str(_value(message, values)), read) for test, message, read in _guards(init, {*values}) if _value(test, values)
    ]


def _guards(init: ast.FunctionDef | None, options: set[str]) -> Iterator[tuple[ast.expr, ast.expr, set[str]]]:
    """Tests that only look at options, what the error says where they hold, and the options."""
    for item in init.body if init else ():
        match item:
            case ast.If(
                test=test,
                body=[ast.Raise(exc=ast.Call(func=ast.Name(id="ParamsError"), args=[message]))],
                orelse=[],
            ):
                names = [node for part in (test, message) for node in ast.walk(part) if isinstance(node, ast.Name)]
                own = {node.id for node in names if isinstance(node.ctx, ast.Store)}  # of a comprehension
                free = {node.id for node in names} - own - CALLED.keys()
                if free <= options:
                    yield test, message, free


def _value(node: ast.expr, values: Mapping[str, object]) -> object:
    """What an expression of the package's own source gives."""
    return eval(compile(ast.Expression(node), "<guard>", "eval"), {"__builtins__": {}, **CALLED, **values})


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
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    if name not in classes:
        raise ParamsError(f"daso/config/registry.py: {spec} names no class of that module")
    queue = [name]
    while queue:
        node = classes.get(queue.pop(0))
        if node is None:
            continue
        for item in node.body:
            if isinstance(item, ast.FunctionDef) and item.name == "__init__":
                return item
        queue += [base.id for base in node.bases if isinstance(base, ast.Name)]
    return None


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
