"""The options of a component are its constructor's keyword-only arguments, read without importing its module.

Only the source text is read, so checking every file of params/ costs no import of torch. Annotations that YAML can
fill are understood: int, float, bool, str, Literal, list, tuple, Sequence, unions, None, and names given to them in
the same module.
"""

from __future__ import annotations

import ast
import math
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from daso.errors import ParamsError

ROOT = Path(__file__).resolve().parents[2]  # the folder that holds the package


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
    module, name = spec.split(":")
    path = module_file(module, root)
    if path is None:
        raise ParamsError(f"daso/config/registry.py: there is no module {module}")
    tree = ast.parse(path.read_text(), filename=str(path))
    init = _constructor(tree, name, spec)
    if init is None:
        return {}
    arguments = init.args
    return {
        arg.arg: Option(_kind(arg.annotation, tree, f"{spec}({arg.arg})"), default is None)
        for arg, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    }


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
