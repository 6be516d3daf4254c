"""The code of a stage: which modules it can import, and a digest of them that no comment changes.

Both are read from source text alone. The closure follows every `import` of a `daso.*` module, inside functions too,
and the `__init__` of every parent package; it does not follow what only a type checker runs, nor names in strings.
"""

from __future__ import annotations

import ast
import hashlib
import io
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from daso.config.cache import kept, sources
from daso.config.registry import specs_of
from daso.config.signature import ROOT, module_file
from daso.errors import DasoError, ParamsError

PACKAGE = "daso"
# Where the code of training begins; the components that a run names come to it.
TRAIN = (
    "daso.config.build",
    "daso.data.split",
    "daso.data.store",
    "daso.engine.environment",
    "daso.engine.results",
)
# A table of names: the components that a run uses enter its key by themselves, the others must not.
SKIPPED = frozenset({"daso.config.registry"})
# Modules that cannot move a result of training: messages, paths, counts of cores and GPUs, clocks, checks that raise.
NUMBERLESS = frozenset(
    f"daso.{name}"
    for name in (
        "errors",
        "paths",
        "machine",
        "engine.gpus",
        "engine.stopwatch",
        "config.compatibility",
        "data.validate",
    )
)


def closure(entries: Iterable[str], root: Path = ROOT) -> tuple[str, ...]:
    """Modules of the package that importing `entries` can import, themselves included, but for `NUMBERLESS`, sorted.

    Raises ParamsError when an entry is not there.
    """
    found: set[str] = set()
    waiting = list(entries)
    for entry in waiting:
        if module_file(entry, root) is None:
            raise ParamsError(f"{root}: there is no module {entry}")
    while waiting:
        module = waiting.pop()
        if module in found or module_file(module, root) is None:
            continue
        if "." in module:
            waiting.append(module.rpartition(".")[0])
        if module not in SKIPPED:
            found.add(module)
            waiting += imported(module, root)
    return tuple(sorted(found - NUMBERLESS))


def imported(module: str, root: Path = ROOT) -> tuple[str, ...]:
    """What a module's source imports from the package; a name may also be an attribute, which is no module."""
    return tuple(_facts(module, root)["imports"]) if module_file(module, root) else ()


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    for node in _running(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (base, *(f"{base}.{alias.name}" for alias in node.names))


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below, without the bodies of `if TYPE_CHECKING:`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield other
                yield from _running(other)
            continue
        yield child
        yield from _running(child)


def digest_of(modules: Iterable[str], root: Path = ROOT) -> str:
    """One digest of the names and the bare source of all modules."""
    lines = (f"{module} {_facts(module, root)['digest']}" for module in sorted(modules))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@cache
def _facts(module: str, root: Path) -> dict[str, Any]:
    """The digest of a module's bare source, and what it imports from the package: of a working copy, as kept there."""
    path = module_file(module, root)
    if path is None:
        raise ParamsError(f"{root}: there is no module {module}")
    return _known(root).get(path.relative_to(root).as_posix()) or _read(path, root)


@cache
def _known(root: Path) -> dict[str, dict[str, Any]]:
    """The facts of every module of a working copy, by file; of a module that does not parse, none."""
    if not (root / "Snakefile").is_file():
        return {}
    return kept(root, "code", lambda: sources(root), lambda: dict(_all(root)))


def _all(root: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sources(root):
        with suppress(SyntaxError, UnicodeDecodeError, tokenize.TokenError):
            yield path.relative_to(root).as_posix(), _read(path, root)


def _read(path: Path, root: Path) -> dict[str, Any]:
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source, filename=str(path))
    package = ".".join(path.relative_to(root).parent.parts)
    imports = [name for name in _imports(tree, package) if name.split(".")[0] == PACKAGE]
    return {"digest": hashlib.sha256(bare(source).encode()).hexdigest(), "imports": imports}


def bare(source: str) -> str:
    """Source without comments, docstrings, blank lines and trailing blanks; the inside of a text stays as it is.

    Pieces are cut out by their positions, so that every version of Python gives the same text.
    """
    lines = source.split("\n")
    comments, inside = _scan(source)
    for row, column in comments:
        lines[row] = lines[row][:column]
    for first, start, last, end in sorted(_docstrings(source), reverse=True):
        head, tail = lines[first].encode()[:start].decode(), lines[last].encode()[end:].decode()
        lines[first : last + 1] = [head + tail] + [""] * (last - first)
        inside -= set(range(first, last + 1))
    kept = (line if row in inside else line.rstrip() for row, line in enumerate(lines))
    return "\n".join(line for row, line in enumerate(kept) if line or row in inside)


def _scan(source: str) -> tuple[list[tuple[int, int]], set[int]]:
    """Where comments start, and the rows whose end lies inside a text of several lines."""
    comments: list[tuple[int, int]] = []
    inside: set[int] = set()
    opened: list[int] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        name, first, last = tokenize.tok_name[token.type], token.start[0] - 1, token.end[0] - 1
        if name == "COMMENT" and not opened:
            comments.append((first, token.start[1]))
        elif name == "STRING":
            inside |= set(range(first, last))
        elif name in ("FSTRING_START", "TSTRING_START"):
            opened.append(first)
        elif name in ("FSTRING_END", "TSTRING_END"):
            inside |= set(range(opened.pop(), last))
    return comments, inside


def _docstrings(source: str) -> Iterator[tuple[int, int, int, int]]:
    """First row, first byte, last row and byte after the end of every docstring, rows from 0."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or not node.body:
            continue
        match node.body[0]:
            case ast.Expr(value=ast.Constant(value=str()) as text):
                assert text.end_lineno is not None and text.end_col_offset is not None
                yield text.lineno - 1, text.col_offset, text.end_lineno - 1, text.end_col_offset


def check_code(config: Mapping[str, Any]) -> None:
    """Raise DasoError when the code here is not the code that a run's key was made of.

    Code may change between the moment a run is planned and its start, hours later in a queue or on another machine.
    """
    modules = (spec.partition(":")[0] for spec in specs_of(config))
    present = digest_of(closure([*TRAIN, *modules]))
    if (planned := config.get("code")) != present:
        raise DasoError(
            f"{config['run']}: was planned with code {planned}, here it is {present}; plan it again "
            "(`snakemake`, or `python -m daso bundle`), or bring this code up to date"
        )
