"""Compute the digest of a workflow step's code: all modules that it can import, without comments and docstrings.

Imports and code are read from source text; nothing is imported. The closure follows every `import` of a `daso.*`
module, also inside functions, and the `__init__` of every parent package. It ignores `if TYPE_CHECKING:` and names in
strings.
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

from daso.config.cache import cached, source_files
from daso.config.registry import specs_of
from daso.config.signature import ROOT, module_file
from daso.errors import DasoError, ParamsError

PACKAGE = "daso"
# Entry points of the training code; the components of a run are added to them.
TRAIN = (
    "daso.config.build",
    "daso.data.split",
    "daso.data.store",
    "daso.engine.environment",
    "daso.engine.results",
)
# The registry names all components. Only those that a run uses may enter its key; `Keys.modules` adds them one by one.
SKIPPED = frozenset({"daso.config.registry"})
# Modules that cannot change a result of training: messages, paths, counts of cores and GPUs, clocks, checks that raise.
RESULT_NEUTRAL = frozenset(
    f"daso.{name}"
    for name in (
        "errors",
        "schema",
        "constraints",
        "paths",
        "locks",
        "machine",
        "engine.gpus",
        "engine.stopwatch",
        "config.compatibility",
        "data.dataset_schemas",
    )
)


def closure(entries: Iterable[str], root: Path = ROOT) -> tuple[str, ...]:
    """Return the sorted modules of the package that `entries` can import, without those that cannot change a result.

    Raises ParamsError if the module of an entry is missing.
    """
    result: set[str] = set()
    pending = list(entries)
    for entry in pending:
        if module_file(entry, root) is None:
            raise ParamsError(f"{root}: missing module {entry}; restore it or correct its name")
    while pending:
        module = pending.pop()
        if module in result or module_file(module, root) is None:
            continue
        if "." in module:
            pending.append(module.rpartition(".")[0])
        if module not in SKIPPED:
            result.add(module)
            pending += imports_of(module, root)
    return tuple(sorted(result - RESULT_NEUTRAL))


def imports_of(module: str, root: Path = ROOT) -> tuple[str, ...]:
    """Return the names that a module imports from the package: modules, and attributes of modules."""
    return tuple(_digest_and_imports(module, root)["imports"]) if module_file(module, root) else ()


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    for node in _executed_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (base, *(f"{base}.{alias.name}" for alias in node.names))


def _executed_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield every node below `node` except the bodies of `if TYPE_CHECKING:`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield other
                yield from _executed_nodes(other)
            continue
        yield child
        yield from _executed_nodes(child)


def code_digest(modules: Iterable[str], root: Path = ROOT) -> str:
    """Return one digest of the names and the stripped source of all modules."""
    lines = (f"{module} {_digest_and_imports(module, root)['digest']}" for module in sorted(modules))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@cache
def _digest_and_imports(module: str, root: Path) -> dict[str, Any]:
    """Return the digest of a module's stripped source and its imports, read from a working copy's cache if possible."""
    path = module_file(module, root)
    if path is None:
        raise ParamsError(f"{root}: missing module {module}; restore it or correct its name")
    return _cached_digests_and_imports(root).get(path.relative_to(root).as_posix()) or _read_digest_and_imports(
        path, root
    )


@cache
def _cached_digests_and_imports(root: Path) -> dict[str, dict[str, Any]]:
    """Return the digest and imports of every module of a working copy that can be parsed, by file."""
    if not (root / "Snakefile").is_file():
        return {}
    return cached(root, "code", lambda: source_files(root), lambda: dict(_read_all_digests_and_imports(root)))


def _read_all_digests_and_imports(root: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in source_files(root):
        with suppress(SyntaxError, UnicodeDecodeError, tokenize.TokenError):
            yield path.relative_to(root).as_posix(), _read_digest_and_imports(path, root)


def _read_digest_and_imports(path: Path, root: Path) -> dict[str, Any]:
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source, filename=str(path))
    package = ".".join(path.relative_to(root).parent.parts)
    imports = [name for name in _imports(tree, package) if name.split(".")[0] == PACKAGE]
    return {"digest": hashlib.sha256(strip_source(source).encode()).hexdigest(), "imports": imports}


def strip_source(source: str) -> str:
    """Remove comments, docstrings, blank lines and trailing blanks, except inside multi-line strings.

    They are removed by position, so that every version of Python returns the same text.
    """
    lines = source.split("\n")
    comments, inside = _scan(source)
    for row, column in comments:
        lines[row] = lines[row][:column]
    for first, start, last, end in sorted(_docstrings(source), reverse=True):
        head, tail = lines[first].encode()[:start].decode(), lines[last].encode()[end:].decode()
        lines[first : last + 1] = [head + tail] + [""] * (last - first)
        inside -= set(range(first, last + 1))
    stripped = (line if row in inside else line.rstrip() for row, line in enumerate(lines))
    return "\n".join(line for row, line in enumerate(stripped) if line or row in inside)


def _scan(source: str) -> tuple[list[tuple[int, int]], set[int]]:
    """Return the positions of comments, and the rows that end inside a multi-line string."""
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
    """Yield first row, first byte, last row and end byte of every docstring; rows start at 0, the end is exclusive."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or not node.body:
            continue
        match node.body[0]:
            case ast.Expr(value=ast.Constant(value=str()) as text):
                assert text.end_lineno is not None and text.end_col_offset is not None
                yield text.lineno - 1, text.col_offset, text.end_lineno - 1, text.end_col_offset


def check_code(config: Mapping[str, Any]) -> None:
    """Raise DasoError if the present code differs from the code that a run's key was made with.

    Code may change between the resolution of a run and its start, hours later in a queue or on a different machine.
    """
    modules = (spec.partition(":")[0] for spec in specs_of(config))
    present = code_digest(closure([*TRAIN, *modules]))
    if (resolved := config.get("code")) != present:
        raise DasoError(
            f"{config['run']}: resolved with code {resolved}, but the code is now {present}; resolve it again with "
            "`snakemake` or `daso bundle`, or check out the code that it was resolved with"
        )
