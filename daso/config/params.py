"""Read the files of params/ (YAML 1.2), check them against workflow/schemas and collect every error.

Each error is one line, `file: key: message`; for an unknown key it names the closest known one.
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

from daso.aliases import Tree
from daso.config.signature import ROOT
from daso.data.files import read_file
from daso.errors import ParamsError

SCHEMAS = ROOT / "workflow" / "schemas"
KINDS = ("dataset", "protocol", "method", "suite")
MAX_BYTES = 2**18  # largest file of params/
MAX_VALUES = 10_000  # values of one file, with aliases expanded
MAX_DEPTH = 20  # nested levels of one file
NUMBER_LIMIT = 2**53  # every reader of JSON and YAML represents smaller integers exactly
NAME = re.compile(r"[a-z0-9_-]+")


@dataclass(frozen=True)
class Params:
    """Contents of params/, by file name."""

    root: Path
    suite: str  # the suite that is built by default
    datasets: dict[str, Tree]
    protocols: dict[str, Tree]
    methods: dict[str, Tree]
    suites: dict[str, Tree]

    def file(self, kind: str, name: str) -> str:
        """Return the path of a file, such as `params/methods/daso.yaml`, as errors print it."""
        return f"{self.root}/{kind}s/{name}.yaml"


def did_you_mean(word: object, known: Iterable[object], kind: str = "") -> str:
    """Return the end of an error about an unknown word: a close word, up to 12 known words, or how to list a kind."""
    words = [str(item) for item in known]
    if match := close_match(word, words):
        return match
    listing = f"; `daso list {kind}` lists them" if words and kind else ""
    return f"; choose one of {', '.join(words)}" if 0 < len(words) <= 12 else listing


def close_match(word: object, known: Iterable[object]) -> str:
    """Return `; did you mean 'x'?` for the closest known word, empty if none is close."""
    close = get_close_matches(str(word), [str(item) for item in known], n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def invalid_name(name: str) -> str:
    """Return the error for a name with characters that are not allowed in file names and run ids."""
    return f"invalid name '{name}'; use only a-z, 0-9, '_' and '-'"


def param_files(root: Path, kind: str) -> list[Path]:
    """Return the files of one kind, sorted by name."""
    return sorted((root / f"{kind}s").glob("*.y*ml"))


def read_params(root: Path) -> tuple[Params, list[str], frozenset[str]]:
    """Return the contents of all files, the errors of their structure, and the files that have such errors."""
    if not root.is_dir():
        raise ParamsError(f"{root}: missing; run from the root of the project")
    errors: list[str] = []
    broken: set[str] = set()
    trees: dict[str, dict[str, Tree]] = {}
    for kind in KINDS:
        trees[kind] = {}
        for path in param_files(root, kind):
            trees[kind][path.stem] = _read_tree(path, kind, errors, broken)
            errors += _name_errors(path)
    errors += _expand_ablations(root, trees["method"], broken)
    pipeline = _read_tree(root / "pipeline.yaml", "pipeline", errors, broken)
    return Params(root, str(pipeline.get("suite", "")), *(trees[kind] for kind in KINDS)), errors, frozenset(broken)


def _expand_ablations(root: Path, methods: dict[str, Tree], broken: set[str]) -> Iterator[str]:
    """Replace every ablation (a method with the key `of`) by a complete method."""
    sound = {name: tree for name, tree in methods.items() if str(_method_path(root, name)) not in broken}
    bases = {name: tree["of"] for name, tree in sound.items() if "of" in tree}
    for name, base in bases.items():
        file = _method_path(root, name)
        if base not in methods:
            yield f"{file}: of: unknown method '{base}'{did_you_mean(base, methods, 'methods')}"
        elif base in bases:
            yield (
                f"{file}: of: '{base}' is an ablation of '{bases[base]}'; "
                f"set of: {bases[base]} and list all options that differ"
            )
        if base in methods and base not in bases and str(_method_path(root, base)) not in broken:
            methods[name] = _expand_ablation(methods[name], methods[base])
        else:
            broken.add(str(file))


def _method_path(root: Path, method: str) -> Path:
    return root / "methods" / f"{method}.yaml"


def _expand_ablation(own: Tree, base: Tree) -> Tree:
    """Return an ablation as a complete method: every key of its base but `paper`, with the options in `change` set.

    `of` and `change` are kept: `resolve.trace_options` applies `change` again after `where` and overrides.
    """
    tree = copy.deepcopy({**{key: value for key, value in base.items() if key != "paper"}, **own})
    for key, value in own["change"].items():
        set_option(key, value, tree, tree.setdefault("optimizer", {}) if key.startswith("optimizer.") else {})
    return tree


def components(method: Tree) -> list[tuple[str, Tree]]:
    """Return the components of a method with their kinds, the learner first."""
    plan = [("plan", method["plan"])] if "plan" in method else []
    return [("learner", method["learner"]), *(("add-on", addon) for addon in method.get("addons", [])), *plan]


def set_option(key: str, value: Any, method: Tree, optimizer: Tree) -> bool:
    """Set `component.option` in place if the method has the component; return True if it does.

    `optimizer.option` is set in `optimizer` if the method has its own optimizer block.
    """
    name, _, option = key.partition(".")
    if name == "optimizer":
        blocks = [optimizer] if "optimizer" in method else []
    else:
        blocks = [component for _, component in components(method) if component["name"] == name]
    for block in blocks:
        block[option] = value
    return bool(blocks)


def _name_errors(path: Path) -> Iterator[str]:
    if path.suffix != ".yaml":
        yield f"{path}: expected the suffix .yaml, got {path.suffix}; rename the file"
    if not NAME.fullmatch(path.stem):
        yield f"{path}: {invalid_name(path.stem)}"


def _read_tree(path: Path, kind: str, errors: list[str], broken: set[str]) -> Tree:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    tree: object = {}
    try:
        tree = YAML(typ="safe", pure=True).load(read_file(path, MAX_BYTES).decode("utf-8-sig"))
        too_large = [f"too large: more than {MAX_VALUES:,} values with aliases expanded; shorten the file"]
        messages = too_large if _count_values(tree) > MAX_VALUES else structure_errors(tree, kind)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        byte = error.object[error.start]
        messages = [f"expected UTF-8 text, got the byte 0x{byte:02x} in line {line}; save the file as UTF-8"]
    except FileNotFoundError:
        messages = ["missing; create or restore the file"]
    except OSError as error:
        messages = [f"cannot be read ({error.strerror}); make the file readable"]
    except YAMLError as error:
        messages = [f"invalid YAML: {_yaml_message(error)}"]
    except RecursionError:
        messages = [f"invalid YAML: more than {MAX_DEPTH} nested levels; flatten it"]
    except (
        ValueError,
        TypeError,
        AttributeError,
        LookupError,
        AssertionError,
    ) as error:  # raised by some tags and numbers
        messages = [f"invalid YAML: {' '.join(str(error).split()) or type(error).__name__}"]
    if messages:
        errors += (f"{path}: {message}" for message in messages)
        broken.add(str(path))
    return tree if isinstance(tree, dict) else {}


def _count_values(tree: object, level: int = 0, known: dict[int, int] | None = None) -> int:
    """Count the values of a tree with aliases expanded; raise RecursionError if it is nested too deeply or cyclic."""
    known = {} if known is None else known
    if level > MAX_DEPTH:
        raise RecursionError
    if not isinstance(tree, dict | list):
        return 1
    if id(tree) not in known:
        values = [*tree, *tree.values()] if isinstance(tree, dict) else tree
        known[id(tree)] = 1 + sum(_count_values(value, level + 1, known) for value in values)
    return known[id(tree)]


def _yaml_message(error: Exception) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return where + " ".join(str(problem or error).split())


@cache
def _validator(kind: str) -> Any:
    """Return a validator that accepts only true integers (neither 100.0 nor true) and numbers within +-2^53."""
    from jsonschema import Draft202012Validator, validators

    checker = Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, v: type(v) is int and abs(v) < NUMBER_LIMIT
    ).redefine("number", lambda _, v: type(v) in (int, float) and abs(v) < NUMBER_LIMIT)
    schema = json.loads((SCHEMAS / f"{kind}.schema.json").read_text(encoding="utf-8"))
    extend: Any = validators.extend
    return extend(Draft202012Validator, type_checker=checker)(schema)


def structure_errors(tree: object, kind: str) -> list[str]:
    """Return the errors of a file's structure as `key: message`, sorted by key."""
    return _errors(_validator(kind), tree)


def optimizer_errors(changes: Tree) -> list[str]:
    """Return the errors of some options of the optimizer, as `option: message`."""
    validator = _validator("protocol")
    block = validator.schema["properties"]["optimizer"]
    return _errors(validator.evolve(schema={**block, "required": []}), changes)


def _errors(validator: Any, tree: object) -> list[str]:
    errors = sorted(validator.iter_errors(tree), key=lambda error: [str(part) for part in error.absolute_path])
    return [line for error in errors for line in _error_lines(error)]


def _error_lines(error: Any) -> Iterator[str]:
    key = _key_prefix(error.absolute_path)
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        for word in (word for word in error.instance if word not in known):
            yield f"{key}unknown key '{word}'{did_you_mean(word, known)}"
    elif error.validator == "required":
        for word in (word for word in error.validator_value if word not in error.instance):
            if error.message.startswith(f"'{word}'"):  # jsonschema reports each missing key separately
                yield f"{key}missing key '{word}'; add it"
    else:
        yield key + _message(error)


def _key_prefix(parts: Iterable[object]) -> str:
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")
    return f"{key}: " if key else ""


def _message(error: Any) -> str:
    value, limit = format_value(error.instance), error.validator_value
    match error.validator:
        case "type" if limit in ("number", "integer") and _exceeds_limit(error.instance):
            return f"{value} is too large; set it between -2^53 and 2^53"
        case "type":
            return f"expected {_TYPE_NAMES.get(str(limit), limit)}, got {value}"
        case "enum":
            choices = ", ".join(str(item) for item in limit)
            return f"expected one of {choices}, got {value}{close_match(error.instance, limit)}"
        case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum":
            return f"{value} {_BOUNDS[error.validator].format(limit)}"
        case "minItems" | "minProperties" | "minLength":
            return f"expected at least {limit} entries, got {len(error.instance)}" if limit > 1 else "empty; fill it in"
        case "maxItems":
            return f"expected at most {limit} entries, got {len(error.instance)}"
        case "uniqueItems":
            duplicate = next(item for item in error.instance if error.instance.count(item) > 1)
            return f"duplicate {format_value(duplicate)}; list it once"
        case "pattern":
            return f"expected text of the form {limit}, got {value}"
    return " ".join(error.message.split())


def _exceeds_limit(value: object) -> bool:
    return type(value) in (int, float) and abs(value) >= NUMBER_LIMIT  # type: ignore[arg-type]


_BOUNDS = {
    "minimum": "is below the minimum {0}; set it to {0} or more",
    "maximum": "is above the maximum {0}; set it to {0} or less",
    "exclusiveMinimum": "is too small; set it above {0}",
    "exclusiveMaximum": "is too large; set it below {0}",
}
_TYPE_NAMES = {
    **{"integer": "an integer", "number": "a number", "string": "text", "boolean": "true or false"},
    **{"array": "a list", "object": "a mapping of keys to values"},
}


def format_value(value: object) -> str:
    """Format a value for an error: text in quotes, anything else as JSON, cut at 60 characters."""
    text = f"'{value}'" if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
