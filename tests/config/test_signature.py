import ast
from typing import Literal

import pytest

from daso.config.registry import ADDONS, COMPONENTS, LEARNERS, NETWORKS, import_component
from daso.config.signature import Option, _guards, attribute, constructor_errors, defaults, module_file, options
from daso.errors import ParamsError
from daso.records import Env
from daso.schema import Probability, describe

SOURCE = """
from typing import Literal
Blend = Literal["distribution"] | Probability

class Base:
    def __init__(self, env, *, shared: int) -> None: ...

class AddOn(Base):
    def __init__(self, env: "Env", *, count: int, rate: float = 1.0, on: bool, name: str | None = None,
                 mode: Literal["a", 2], sizes: Sequence[int], blend: Blend) -> None: ...

class Heir(Base):
    pass

class Plain:
    pass

class Bounded:
    def __init__(self, env, *, low: int, high: int = 9, sizes: list[int] = []) -> None:
        if not 0 < low <= high:
            raise ParamsError(f"low is from 1 to {high}, not {low}")
        if any(size < low for size in sizes):
            raise ParamsError("a size is below " + str(low))
        if env.steps < low:
            raise ParamsError("requires the data")
        if high > 100:
            raise ValueError("another class of error")

class Sized:
    needs = frozenset({"weak"})
    views = Views(x=("weak",), u=())

    def __init__(self, env, *, prior: str, strict: bool = False) -> None:
        if prior == "true" and not env.unlabeled_counts:
            raise ParamsError(f"the {env.num_classes} classes are not known; prior is {prior}")
        if env.counts[0] < env.feature_dim:
            raise ParamsError("reads unknown fields")
        if env and prior == "true":
            raise ParamsError("reads env, not a field of it")

class Heiress(Sized):
    def __init__(self, env, *, weight: float) -> None:
        self.needs = frozenset({"weak", *(("strong",) if weight else ())})
        self.provides = frozenset({env.num_classes})
        if weight:
            self.heads = {}
        self.heads = {1: 2}

class Odd:
    def __init__(self, *, what) -> None: ...

class Strange:
    def __init__(self, *, what: Absent) -> None: ...

class Foreign:
    def __init__(self, *, what: 1) -> None: ...
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "daso").mkdir()
    (tmp_path / "daso" / "parts.py").write_text(SOURCE)
    return tmp_path


def test_keyword_only_arguments_are_the_options(root):
    parsed = options("daso.parts:AddOn", root)
    assert {name: option.required for name, option in parsed.items()} == {
        "count": True, "rate": False, "on": True, "name": False, "mode": True, "sizes": True, "blend": True,
    }  # fmt: skip
    assert parsed["count"] == Option(int, True)
    assert parsed["blend"].type == Literal["distribution"] | Probability
    assert describe(parsed["mode"].type) == "one of a, 2"
    assert describe(parsed["sizes"].type) == "a list of integers"
    assert describe(parsed["name"].type) == "text or null"


def test_class_without_constructor_has_the_options_of_its_base(root):
    assert list(options("daso.parts:Heir", root)) == ["shared"]
    assert options("daso.parts:Plain", root) == {}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("daso.none:X", "missing module daso.none"),
        ("daso.parts:X", "missing class X"),
        ("daso.parts:Odd", r"daso.parts:Odd\(what\): missing annotation"),
        ("daso.parts:Strange", r"daso.parts:Strange\(what\): Absent: missing annotation"),
        ("daso.parts:Foreign", r"daso.parts:Foreign\(what\): unknown annotation 1; use int"),
    ],
)
def test_unreadable_components_are_errors(root, spec, message):
    with pytest.raises(ParamsError, match=message):
        options(spec, root)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"low": 1}, []),
        ({"low": 10}, [("low is from 1 to 9, not 10", {"low", "high"})]),
        ({"low": 10, "high": 200}, []),
        ({"low": 2, "sizes": [3, 1]}, [("a size is below 2", {"low", "sizes"})]),
        (
            {"low": 0, "sizes": [-1]},
            [("low is from 1 to 9, not 0", {"low", "high"}), ("a size is below 0", {"low", "sizes"})],
        ),
    ],
)
def test_constructor_errors_are_found_without_calling_it(root, given, expected):
    assert constructor_errors("daso.parts:Bounded", given, root) == expected


def test_constructor_without_checks_has_no_errors(root):
    assert (
        constructor_errors("daso.parts:Heir", {"shared": -1}, root)
        == constructor_errors("daso.parts:Plain", {}, root)
        == []
    )


@pytest.mark.parametrize(
    ("prior", "env", "expected"),
    [
        ("true", {"num_classes": 3, "unlabeled_counts": ()}, ["the 3 classes are not known; prior is true"]),
        ("true", {"num_classes": 3, "unlabeled_counts": (1, 2, 3)}, []),
        ("other", {"num_classes": 3, "unlabeled_counts": ()}, []),
        ("true", {"unlabeled_counts": ()}, []),  # the message reads an unknown field
        ("true", {"num_classes": 3, "counts": (1, 2)}, []),
        ("true", None, []),
    ],
)
def test_checks_that_read_known_fields_of_env(root, prior, env, expected):
    errors = constructor_errors("daso.parts:Sized", {"prior": prior}, root, env)
    assert [message for message, _ in errors] == expected
    assert all(read == {"prior", "env.unlabeled_counts", "env.num_classes"} for _, read in errors)


def test_attribute_is_set_by_the_constructor_or_the_class(root):
    def of(name, attr, **given):
        return attribute(f"daso.parts:{name}", attr, given, "absent", root)

    assert of("Sized", "needs", prior="x") == of("Heiress", "needs", weight=0) == {"weak"}
    assert of("Heiress", "needs", weight=0.5) == {"weak", "strong"}
    assert of("Heiress", "views", weight=0, Views=dict) == {"x": ("weak",), "u": ()}
    assert of("Sized", "provides", prior="x") == "absent"
    for name in ("provides", "heads"):  # one depends on env, the other is assigned twice
        with pytest.raises(ParamsError, match=f"{name} depends on more than the options"):
            of("Heiress", name, weight=0)


def test_defaults_of_options(root):
    assert defaults("daso.parts:AddOn", root) == {"rate": 1.0, "name": None}
    assert defaults("daso.parts:Plain", root) == {}


def test_options_of_every_component_equal_its_signature():
    import inspect

    for spec in (*LEARNERS.values(), *ADDONS.values(), *NETWORKS.values()):
        parameters = inspect.signature(import_component(spec)).parameters.values()
        expected = {arg.name: arg.default is arg.empty for arg in parameters if arg.kind is arg.KEYWORD_ONLY}
        assert {name: option.required for name, option in options(spec).items()} == expected, spec


def test_every_check_of_a_constructor_can_be_read_from_its_source():
    """A `raise ParamsError` of another form, or one that reads other names, would not be checked before training."""
    unread = set()
    for spec in (spec for registry in COMPONENTS.values() for spec in registry.values()):
        known = {*options(spec), *(f"env.{field}" for field in Env._fields)}
        unread |= {(spec, name) for _, _, read in _guards(spec, None) for name in read - known}
        tree = ast.parse(module_file(spec.split(":")[0]).read_text())
        (init,) = (
            [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"]
            for node in tree.body
            if isinstance(node, ast.ClassDef) and node.name == spec.split(":")[1]
        )
        raised = [node for each in init for node in ast.walk(each) if isinstance(node, ast.Raise)]
        assert len(raised) == (len(_guards(spec, None)) if init else 0), spec
    # The estimate of a plan is known only when the run starts.
    assert unread == {("daso.methods.addons.darp:DARP", "counts")}


def test_every_default_is_neutral():
    """Neutral: CReST without alignment, with the protocol's milestones; an add-on that is not turned off; no sizes."""
    neutral = {"last_temperature": 1.0, "milestones": None, "enabled": True, "estimate": ()}
    neutral |= {"weights": None, "sha256": None, "neck": None, "head": "linear"}  # random weights, no further layer
    neutral |= {"norm_momentum": 0.1, "strong_views": 1, "targets": "hard"}  # torch's momentum, one strong view
    for specs in COMPONENTS.values():
        for spec in specs.values():
            assert defaults(spec).items() <= neutral.items(), spec
