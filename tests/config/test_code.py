import ast
import hashlib
import textwrap

import pytest

from daso.config.code import RESULT_NEUTRAL, TRAIN, check_code, closure, code_digest, imports_of, strip_source
from daso.config.signature import module_file
from daso.errors import DasoError, ParamsError


def package(root, **files):
    """Write a package `daso` of these files: a__b is daso/a/b.py, a is daso/a.py, a__init is daso/a/__init__.py."""
    for name, text in {"init": "", **files}.items():
        path = root / "daso" / (name.replace("__", "/") + ".py")
        path = path.with_stem("__init__") if path.stem == "init" else path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return root


def test_strip_source_removes_comments_docstrings_blank_lines_and_trailing_blanks():
    source = (
        '"""What."""\n\n# why\nx = 1  # one\n\n\ndef f():\n    """Doc\n    of two lines."""   \n'
        '    return "#no"  \n\n\nclass A:\n    """only"""\n'
    )
    assert strip_source(source) == 'x = 1\ndef f():\n    return "#no"\nclass A:'


def test_strip_source_keeps_the_content_of_strings():
    source = 'T = """a  \n\n  # not a comment\nb"""  # comment\nF = f"""{1}\n\nx"""\n'
    assert strip_source(source) == 'T = """a  \n\n  # not a comment\nb"""\nF = f"""{1}\n\nx"""'


def test_strip_source_handles_multibyte_characters():
    # the parser counts bytes, the tokenizer characters: γ is two bytes and one character
    assert strip_source('def f(): "γγ"; return "γ"  # γ\n') == 'def f(): ; return "γ"'


def test_strip_source_depends_on_defaults_but_not_on_comments():
    assert strip_source("def f(a=1):\n    return a\n") != strip_source("def f(a=2):\n    return a\n")
    assert strip_source("x = [\n    1,  # a\n]\n") == strip_source("x = [\n    # b\n    1,\n]\n\n\n")


def test_digest_does_not_depend_on_the_python_version(tmp_path):
    root = package(tmp_path, m='"""Doc."""\nx = 1  # c\n')
    module = hashlib.sha256(b"x = 1").hexdigest()
    assert code_digest(["daso.m"], root) == hashlib.sha256(f"daso.m {module}".encode()).hexdigest()


def test_closure_follows_functions_parents_and_relative_imports(tmp_path):
    root = package(
        tmp_path,
        start="import json\nfrom daso.a import b\n\ndef f():\n    import daso.c\n",
        a__init="from . import other\n",
        a__b="from ..d import thing\n",
        a__other="",
        c="",
        d="thing = 1\n",
        unused="",
    )
    assert closure(["daso.start"], root) == (
        "daso",
        "daso.a",
        "daso.a.b",
        "daso.a.other",
        "daso.c",
        "daso.d",
        "daso.start",
    )


def test_closure_excludes_type_checking_and_the_registry(tmp_path):
    root = package(
        tmp_path,
        start="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from daso import a\n"
        "else:\n    from daso import b\n"
        "from daso.config.registry import X\n",
        a="",
        b="",
        config__init="",
        config__registry="from daso import a\nX = 1\n",
    )
    assert closure(["daso.start"], root) == ("daso", "daso.b", "daso.config", "daso.start")


def test_closure_of_a_missing_module(tmp_path):
    with pytest.raises(ParamsError, match="missing module daso.nothing"):
        closure(["daso.nothing"], package(tmp_path))


def test_imports_include_attributes_which_the_closure_drops(tmp_path):
    root = package(tmp_path, a="from daso.b import attribute\n", b="attribute = 1\n")
    assert imports_of("daso.a", root) == ("daso.b", "daso.b.attribute")
    assert closure(["daso.a"], root) == ("daso", "daso.a", "daso.b")


def test_run_planned_with_other_code_is_an_error():
    config = {
        "run": "some/run",
        "code": "0" * 64,
        "method": {"learner": {"name": "supervised"}, "addons": []},
        "protocol": {"network": {"name": "small_convnet"}},
        "plan": {},
    }
    with pytest.raises(DasoError, match="some/run: resolved with code 0000"):
        check_code(config)
    present = code_digest(closure([*TRAIN, "daso.methods.learners.supervised", "daso.models.small_convnet"]))
    check_code(config | {"code": present})


def test_modules_outside_the_keys_compute_nothing():
    """They import no array library, except torch for CUDA events in the stopwatch, and no module that does."""
    assert {name.removeprefix("daso.") for name in RESULT_NEUTRAL} == {
        *{"errors", "constraints", "schema"},  # messages, checks
        *{"paths", "locks", "machine"},  # paths, locks, cores and memory
        *{"engine.gpus", "engine.stopwatch"},  # available GPUs, seconds
        *{"config.compatibility", "data.dataset_schemas"},  # checks that raise
    }
    for name in RESULT_NEUTRAL:
        tree = ast.parse(module_file(name).read_text())
        imports = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imports |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not {library for library in imports if library.split(".")[0] in ("numpy", "scipy", "PIL")}
        assert ("torch" in imports) == (name == "daso.engine.stopwatch")
        assert set(closure([name])) <= {"daso", "daso.engine", "daso.config", "daso.data"}


def test_closure_follows_modules_outside_the_keys(tmp_path):
    root = package(tmp_path, start="import daso.errors\n", errors="import daso.b\n", b="")
    assert closure(["daso.start"], root) == ("daso", "daso.b", "daso.start")
