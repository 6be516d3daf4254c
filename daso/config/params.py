"""Read the files of params/: YAML 1.2, checked against workflow/schemas, every error collected.

A wrong file gives one line per error, `file: key: message`; an unknown key names its nearest neighbour.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from daso.config.signature import ROOT
from daso.data.files import read_file
from daso.errors import ParamsError

SCHEMAS = ROOT / "workflow" / "schemas"
KINDS = ("dataset", "protocol", "method", "suite")
LARGEST = 2**18  # bytes of a file
VALUES = 10_000  # in a file, all aliases written out
DEEPEST = 20  # levels of a file
LIMIT = 2**53  # of numbers: what every reader of JSON and YAML holds exactly
NAME = re.compile(r"[a-z0-9_-]+")
Tree = dict[str, Any]


@dataclass(frozen=True)
class Params:
    """Everything under params/, by the name of its file."""

    root: Path
    suite: str  # what a bare run builds
    datasets: dict[str, Tree]
    protocols: dict[str, Tree]
    methods: dict[str, Tree]
    suites: dict[str, Tree]

    def file(self, kind: str, name: str) -> str:
        """The path that an error about `name` begins with, as `params/methods/daso.yaml`."""
        return f"{self.root}/{kind}s/{name}.yaml"


def did_you_mean(word: object, known: Iterable[object]) -> str:
    """`; did you mean 'x'?` for the closest of the known words, or what there is, or nothing."""
    words = [str(item) for item in known]
    close = get_close_matches(str(word), words, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(words)}" if 0 < len(words) <= 12 else ""


def files(root: Path, kind: str) -> list[Path]:
    """Return the files of a kind, sorted by name."""
    return sorted((root / f"{kind}s").glob("*.y*ml"))


def read(root: Path) -> tuple[Params, list[str], frozenset[str]]:
    """What the files hold, what is wrong with the structure of each, and the files of which something is."""
    if not root.is_dir():
        raise ParamsError(f"{root}: there is no such folder; run from the root of the project")
    errors: list[str] = []
    broken: set[str] = set()
    found: dict[str, dict[str, Tree]] = {}
    for kind in KINDS:
        found[kind] = {}
        for path in files(root, kind):
            found[kind][path.stem] = _file(path, kind, errors, broken)
            errors += _name_errors(path)
    errors += _ablations(root, found["method"], broken)
    pipeline = _file(root / "pipeline.yaml", "pipeline", errors, broken)
    trees = (found[kind] for kind in KINDS)
    return Params(root, str(pipeline.get("suite", "")), *trees), errors, frozenset(broken)


def _ablations(root: Path, methods: dict[str, Tree], broken: set[str]) -> Iterator[str]:
    """Put a whole method in the place of every file that is `of` another one."""
    of = {name: tree["of"] for name, tree in methods.items() if str(_path(root, name)) not in broken and "of" in tree}
    for name, base in of.items():
        file, upstream_run = _path(root, name), _path(root, base)
        if base not in methods:
            yield f"{file}: of: there is no method '{base}'{did_you_mean(base, methods)}"
        elif base in of:
            yield f"{file}: of: '{base}' is itself of '{of[base]}'; say of: {of[base]}, and change all that differs"
        if base in methods and base not in of and str(upstream_run) not in broken:
            methods[name] = _whole(methods[name], methods[base])
        else:
            broken.add(str(file))


def _path(root: Path, method: str) -> Path:
    return root / "methods" / f"{method}.yaml"


def _whole(own: Tree, base: Tree) -> Tree:
    """An ablation as a method with every part of its base, and `change` put in.

    Both keys stay: `change` is also put in after whatever else changes the same options, see `resolve.traced`.
    """
    tree = copy.deepcopy({**{key: value for key, value in base.items() if key != "paper"}, **own})
    for key, value in own["change"].items():
        put(key, value, tree, tree.setdefault("optimizer", {}) if key.startswith("optimizer.") else {})
    return tree


def parts(method: Tree) -> list[tuple[str, Tree]]:
    """The components of a method with their kinds, the learner first."""
    plan = [("plan", method["plan"])] if "plan" in method else []
    return [("learner", method["learner"]), *(("add-on", addon) for addon in method.get("addons", [])), *plan]


def put(key: str, value: Any, method: Tree, optimizer: Tree) -> bool:
    """Set `component.option` where the method has that component, `optimizer.option` where it has its own block."""
    component, _, option = key.partition(".")
    if component == "optimizer":
        found = [optimizer] if "optimizer" in method else []
    else:
        found = [part for _, part in parts(method) if part["name"] == component]
    for part in found:
        part[option] = value
    return bool(found)


def _name_errors(path: Path) -> Iterator[str]:
    if path.suffix != ".yaml":
        yield f"{path}: files end in .yaml"
    if not NAME.fullmatch(path.stem):
        yield f"{path}: a name is made of a-z, 0-9, '_' and '-'"


def _file(path: Path, kind: str, errors: list[str], broken: set[str]) -> Tree:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    tree: object = {}
    try:
        tree = YAML(typ="safe", pure=True).load(read_file(path, LARGEST).decode("utf-8-sig"))
        messages = [] if _weight(tree) <= VALUES else [f"more than {VALUES:,} values, aliases written out"]
        messages = messages or structure(tree, kind)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        messages = [
            f"not text in UTF-8: line {line} holds the byte 0x{error.object[error.start]:02x}; save it as UTF-8"
        ]
    except OSError as error:
        messages = [
            "the file is missing" if isinstance(error, FileNotFoundError) else f"not readable: {error.strerror}"
        ]
    except YAMLError as error:
        messages = [f"not valid YAML: {_yaml_message(error)}"]
    except RecursionError:
        messages = [f"not valid YAML: more than {DEEPEST} levels"]
    except (ValueError, TypeError, AttributeError, LookupError, AssertionError) as error:  # by a tag or a number, say
        messages = [f"not valid YAML: {' '.join(str(error).split()) or type(error).__name__}"]
    if messages:
        errors += (f"{path}: {message}" for message in messages)
        broken.add(str(path))
    return tree if isinstance(tree, dict) else {}


def _weight(tree: object, level: int = 0, known: dict[int, int] | None = None) -> int:
    """How many values a tree has, aliases written out; RecursionError where it has too many levels or no end."""
    known = {} if known is None else known
    if level > DEEPEST:
        raise RecursionError
    if not isinstance(tree, dict | list):
        return 1
    if id(tree) not in known:
        parts = [*tree, *tree.values()] if isinstance(tree, dict) else tree
        known[id(tree)] = 1 + sum(_weight(part, level + 1, known) for part in parts)
    return known[id(tree)]


def _yaml_message(error: Exception) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return where + " ".join(str(problem or error).split())


@cache
def _validator(kind: str) -> Any:
    """A validator whose integers are integers (neither 100.0 nor true), and whose numbers are below 2^53."""
    from jsonschema import Draft202012Validator, validators

    checker = Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, v: type(v) is int and abs(v) < LIMIT
    ).redefine("number", lambda _, v: type(v) in (int, float) and abs(v) < LIMIT)
    schema = json.loads((SCHEMAS / f"{kind}.schema.json").read_text(encoding="utf-8"))
    extend: Any = validators.extend
    return extend(Draft202012Validator, type_checker=checker)(schema)


def structure(tree: object, kind: str) -> list[str]:
    """Errors of a file's structure as `key: message`, in the order of the file's keys."""
    return _errors(_validator(kind), tree)


def optimizer_structure(changes: Tree) -> list[str]:
    """Errors of some of the optimiser's options, as `option: message`."""
    validator = _validator("protocol")
    block = validator.schema["properties"]["optimizer"]
    return _errors(validator.evolve(schema={**block, "required": []}), changes)


def _errors(validator: Any, tree: object) -> list[str]:
    found = sorted(validator.iter_errors(tree), key=lambda error: [str(part) for part in error.absolute_path])
    return [line for error in found for line in _lines(error)]


def _lines(error: Any) -> Iterator[str]:
    key = _dotted(error.absolute_path)
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        for word in (word for word in error.instance if word not in known):
            yield f"{key}unknown key '{word}'{did_you_mean(word, known)}"
    elif error.validator == "required":
        for word in (word for word in error.validator_value if word not in error.instance):
            if error.message.startswith(f"'{word}'"):  # jsonschema reports each missing key by itself
                yield f"{key}the key '{word}' is missing"
    else:
        yield key + _message(error)


def _dotted(parts: Iterable[object]) -> str:
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")
    return f"{key}: " if key else ""


def _message(error: Any) -> str:
    value, want = shown(error.instance), error.validator_value
    match error.validator:
        case "type" if (
            want in ("number", "integer") and type(error.instance) in (int, float) and abs(error.instance) >= LIMIT
        ):
            return f"{value} is too far from zero; a number is below 2^53"
        case "type":
            return f"{value} is not {_ARTICLE.get(str(want), want)}"
        case "enum":
            return f"{value} is not one of {', '.join(str(item) for item in want)}{_hint(error.instance, want)}"
        case "minimum" | "exclusiveMinimum":
            return f"{value} is too small; it must be {'at least' if error.validator == 'minimum' else 'above'} {want}"
        case "maximum" | "exclusiveMaximum":
            return f"{value} is too large; it must be {'at most' if error.validator == 'maximum' else 'below'} {want}"
        case "minItems" | "minProperties" | "minLength":
            return f"needs at least {want}" if want > 1 else "is empty"
        case "maxItems":
            return f"has more than {want}"
        case "uniqueItems":
            return "says the same thing twice"
        case "pattern":
            return f"{value} does not have the form {want}"
    return " ".join(error.message.split())


_ARTICLE = {
    **{"integer": "an integer", "number": "a number", "string": "text", "boolean": "true or false"},
    **{"array": "a list", "object": "a mapping of keys to values"},
}


def _hint(value: object, known: Iterable[object]) -> str:
    close = get_close_matches(str(value), [str(item) for item in known], n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def shown(value: object) -> str:
    """A value in an error: as JSON, cut when long."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
