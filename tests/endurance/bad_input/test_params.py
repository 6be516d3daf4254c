"""Files of params/ that are none."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.endurance.bad_input.cases import FILES, CHECKER, LIST, RUN, SPECIAL, BAD_YAMLS, damaged, fuzz
from tests.endurance.bad_input.checker import replaced_file

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("bad input")]
VALUES = {
    "dataset": ("num_classes", "image_size", "mean", "std", "holdout", "class_order", "augment", "settings", "source"),
    "method": ("unlabeled_ratio", "learner", "optimizer", "paper", "title"),
    "protocol": ("steps", "batch_size", "precision", "network", "optimizer", "teacher", "evaluation", "overrides"),
    "suite": ("protocol", "seeds", "tables"),
    "pipeline": ("suite",),
}
WRONG = (
    *("-1", ".nan", "-.inf", "1" + "0" * 400, "1e400", "''", "[[[]]]", "{? {} : 1}", "../../etc/passwd"),
    *(
        "2020-01-01",
        "!!binary aGk=",
        '"a\\nb\\u2028"',
        "{name: ../x}",
        "{../x: {n1: 1, m1: 1, gamma_l: 1, gamma_u: 1}}",
    ),
)


@pytest.mark.parametrize("kind", FILES)
def test_params_that_are_no_such_yaml(kind):
    for name, content in BAD_YAMLS.items():
        with replaced_file(FILES[kind], content):
            output = CHECKER.refuses(f"params {name}", kind.encode() + content, *LIST)
            assert FILES[kind] in output, output


@pytest.mark.parametrize("kind", FILES)
def test_params_with_values_that_cannot_be(kind):
    from ruamel.yaml import YAML

    tree = YAML(typ="safe").load(Path(FILES[kind]).read_text())
    for key in VALUES[kind]:
        for word in WRONG:
            rest = {name: value for name, value in tree.items() if name != key}
            content = (
                f"{key}: {word}\n{''.join(f'{name}: {json.dumps(value)}{chr(10)}' for name, value in rest.items())}"
            )
            with replaced_file(FILES[kind], content.encode()):
                if CHECKER.accepts("values", content, *LIST):
                    CHECKER.accepts("values", content, "resolve", RUN)


@pytest.mark.parametrize("kind", FILES)
def test_params_with_broken_bits(kind):
    whole = Path(FILES[kind]).read_bytes()

    @fuzz(25)
    @given(st.lists(st.tuples(st.integers(0, 8 * len(whole) - 1)), min_size=1, max_size=6), st.integers(0, 3))
    def broken(positions, damage):
        with replaced_file(FILES[kind], damaged(whole, [position for (position,) in positions], damage)) as path:
            content = path.read_bytes()
            CHECKER.accepts("broken params", content, *LIST)

    broken()


def test_names_of_files_that_cannot_be():
    method = Path(FILES["method"]).read_bytes()
    odd = ("a b", "..x", "A", "ü", "a\nb", "a'b", "%s", "{x}", "-" * 200 + "Z", "a.b", os.fsdecode(b"\xff\xfe"))
    for name in odd:
        path = Path("params/methods") / f"{name}.yaml"
        with replaced_file(path, method):
            CHECKER.refuses("names", name.encode("utf-8", "surrogateescape"), *LIST)
    with replaced_file("params/methods/short.yml", method):
        CHECKER.refuses("names", "yml", *LIST, says="files end in .yaml")


def test_params_that_are_no_files(tmp_path):
    path = Path(FILES["protocol"])
    whole = path.read_bytes()
    for name, make in SPECIAL.items():
        path.unlink()
        make(path)
        try:
            CHECKER.refuses("no file", f"params {name}", *LIST, says=str(path))
        finally:
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
            path.write_bytes(whole)
