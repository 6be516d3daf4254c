import ast
import hashlib
import textwrap

import pytest

from daso.config.code import NUMBERLESS, TRAIN, strip_source, check_code, closure, digest_of, imports_of
from daso.config.signature import module_file
from daso.errors import DasoError, ParamsError


def package(root, **files):
    """A package `daso` of these files: a__b is daso/a/b.py, a is daso/a.py, a__init is daso/a/__init__.py."""
    for name, text in {"init": "", **files}.items():
        path = root / "daso" / (name.replace("__", "/") + ".py")
        path = path.with_stem("__init__") if path.stem == "init" else path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return root


def test_bare_cuts_comments_docstrings_blank_lines_and_trailing_blanks():
    source = (
        '"""What."""\n\n# why\nx = 1  # one\n\n\ndef f():\n    """Doc\n    of two lines."""   \n'
        '    return "#no"  \n\n\nclass A:\n    """only"""\n'
    )
    assert strip_source(source) == 'x = 1\ndef f():\n    return "#no"\nclass A:'


def test_bare_keeps_the_inside_of_a_text():
    source = 'T = """a  \n\n  # not a comment\nb"""  # comment\nF = f"""{1}\n\nx"""\n'
    assert strip_source(source) == 'T = """a  \n\n  # not a comment\nb"""\nF = f"""{1}\n\nx"""'


def test_bare_counts_bytes_and_characters_apart():
    # the parser counts bytes, the tokenizer characters: γ is two bytes and one character
    assert strip_source('def f(): "γγ"; return "γ"  # γ\n') == 'def f(): ; return "γ"'


def test_bare_sees_code_in_a_changed_default_and_not_in_a_changed_comment():
    assert strip_source("def f(a=1):\n    return a\n") != strip_source("def f(a=2):\n    return a\n")
    assert strip_source("x = [\n    1,  # a\n]\n") == strip_source("x = [\n    # b\n    1,\n]\n\n\n")


def test_digest_is_the_same_on_every_python(tmp_path):
    root = package(tmp_path, m='"""Doc."""\nx = 1  # c\n')
    module = hashlib.sha256(b"x = 1").hexdigest()
    assert digest_of(["daso.m"], root) == hashlib.sha256(f"daso.m {module}".encode()).hexdigest()


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


def test_closure_leaves_type_checking_and_the_registry_out(tmp_path):
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


def test_closure_of_a_missing_entry(tmp_path):
    with pytest.raises(ParamsError, match="there is no module daso.nothing"):
        closure(["daso.nothing"], package(tmp_path))


def test_imported_names_attributes_too_and_the_closure_drops_them(tmp_path):
    root = package(tmp_path, a="from daso.b import attribute\n", b="attribute = 1\n")
    assert imports_of("daso.a", root) == ("daso.b", "daso.b.attribute")
    assert closure(["daso.a"], root) == ("daso", "daso.a", "daso.b")


def test_a_run_planned_with_other_code_is_refused():
    config = {
        "run": "some/run",
        "code": "0" * 64,
        "method": {"learner": {"name": "supervised"}, "addons": []},
        "protocol": {"network": {"name": "small_convnet"}},
    }
    with pytest.raises(DasoError, match="some/run: was planned with code 0000"):
        check_code(config)
    present = digest_of(closure([*TRAIN, "daso.methods.learners.supervised", "daso.models.small_convnet"]))
    check_code(config | {"code": present})


def test_modules_outside_the_keys_compute_nothing():
    """They import no library of arrays, but for torch's events in the stopwatch, and each other alone."""
    assert {name.removeprefix("daso.") for name in NUMBERLESS} == {
        *{"errors", "paths", "machine", "data.validate"},  # messages, paths, cores and memory, forms of JSON
        *{
            "engine.gpus",
            "engine.stopwatch",
            "config.compatibility",
        },  # which GPUs there are, seconds, which parts fit together
    }
    for name in NUMBERLESS:
        tree = ast.parse(module_file(name).read_text())
        found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        found |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not {library for library in found if library.split(".")[0] in ("numpy", "scipy", "PIL")}
        assert ("torch" in found) == (name == "daso.engine.stopwatch")
        assert set(closure([name])) <= {"daso", "daso.engine", "daso.config", "daso.data"}


def test_a_module_that_moves_no_number_is_followed_and_in_no_digest(tmp_path):
    root = package(tmp_path, start="import daso.errors\n", errors="import daso.b\n", b="")
    assert closure(["daso.start"], root) == ("daso", "daso.b", "daso.start")
