"""Invalid files of params/."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.endurance.bad_input.cases import BAD_YAMLS, FILES, LIST, RUN, SPECIAL, damaged, fuzz
from tests.endurance.bad_input.checker import accepts, expect_error, replaced_file

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
def test_invalid_yaml_is_refused(kind):
    """All files have one reader, which gets every content as a method; files of other kinds get a few."""
    names = BAD_YAMLS if kind == "method" else ("nothing", "a list", "an unknown key", "not UTF-8")
    for name in names:
        with replaced_file(FILES[kind], BAD_YAMLS[name]):
            output = expect_error(*LIST)
            assert FILES[kind] in output, output


@pytest.mark.parametrize("kind", FILES)
def test_unexpected_values_of_params_give_at_most_one_error(kind):
    from ruamel.yaml import YAML

    tree = YAML(typ="safe").load(Path(FILES[kind]).read_text())
    for key in VALUES[kind]:
        for text in WRONG:
            rest = {name: value for name, value in tree.items() if name != key}
            content = (
                f"{key}: {text}\n{''.join(f'{name}: {json.dumps(value)}{chr(10)}' for name, value in rest.items())}"
            )
            with replaced_file(FILES[kind], content.encode()):
                if accepts(*LIST):
                    accepts("resolve", RUN)


@pytest.mark.parametrize("kind", FILES)
def test_params_with_damaged_bytes(kind):
    original = Path(FILES[kind]).read_bytes()

    @fuzz(25)
    @given(st.lists(st.tuples(st.integers(0, 8 * len(original) - 1)), min_size=1, max_size=6), st.integers(0, 3))
    def check(positions, damage):
        with replaced_file(FILES[kind], damaged(original, [position for (position,) in positions], damage)):
            accepts(*LIST)

    check()


def test_invalid_file_name_is_refused():
    method = Path(FILES["method"]).read_bytes()
    names = ("a b", "..x", "A", "ü", "a\nb", "a'b", "%s", "{x}", "-" * 200 + "Z", "a.b", os.fsdecode(b"\xff\xfe"))
    for name in names:
        path = Path("params/methods") / f"{name}.yaml"
        with replaced_file(path, method):
            expect_error(*LIST)
    with replaced_file("params/methods/short.yml", method):
        expect_error(*LIST, message="expected the suffix .yaml")


def test_params_that_are_not_regular_files_are_refused(tmp_path):
    path = Path(FILES["protocol"])
    original = path.read_bytes()
    for make in SPECIAL.values():
        path.unlink()
        make(path)
        try:
            expect_error(*LIST, message=str(path))
        finally:
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
            path.write_bytes(original)
