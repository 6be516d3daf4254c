"""Ablations: methods that change some options of a base method."""

from copy import deepcopy
from pathlib import Path

import pytest

from daso.config.explain import explain
from daso.config.load import load_params
from daso.config.resolve import expand_suite, parse_run, resolve
from daso.errors import ParamsError
from tests.repository import PARAMS

# Changes to the complete method in tables 5 to 8 and 15 to 17 of Oh et al. 2022.
CHANGES = {
    "no_align": {"weight": 0.0},
    "no_blend": {"blend": 0.0},
    "v_1": {"blend": 1.0},
    "v_0_5": {"blend": 0.5},
    "bal_0_ema_0": {"queue_capacity": "proportional", "queue_encoder": "student"},
    "bal_1_ema_0": {"queue_encoder": "student"},
    "bal_0_ema_1": {"queue_capacity": "proportional"},
    "tdist_0_3": {"dist_temperature": 0.3},
    "tdist_0_5": {"dist_temperature": 0.5},
    "tdist_1_0": {"dist_temperature": 1.0},
    "tdist_1_5": {"dist_temperature": 1.5},
    "l_128": {"queue_length": 128},
    "l_512": {"queue_length": 512},
    "l_1024": {"queue_length": 1024},
    "l_2048": {"queue_length": 2048},
    "tproto_0_02": {"proto_temperature": 0.02},
    "tproto_0_2": {"proto_temperature": 0.2},
    "tproto_0_5": {"proto_temperature": 0.5},
    "tproto_1_0": {"proto_temperature": 1.0},
    "weight_0_5": {"weight": 0.5},
    "weight_1_5": {"weight": 1.5},
    "weight_2": {"weight": 2.0},
}
REVERSED, MATCHED = "digits/n20-m80-l20-u10r/digits", "digits/n20-m80-l20-u10/digits"


@pytest.fixture
def write(params):
    """Write an ablation of fixmatch_daso and add it to the suite `smoke`."""

    def add(name="short", **keys):
        tree = {"title": "Short", "of": "fixmatch_daso", "change": {"daso.dist_temperature": 0.5}} | keys
        Path(f"params/methods/{name}.yaml").write_text("{" + ", ".join(f"{k}: {v}" for k, v in tree.items()) + "}\n")
        params("suites/smoke.yaml", lambda suite: suite["tables"][0]["methods"].append(name))
        return name

    return add


def errors():
    with pytest.raises(ParamsError) as raised:
        load_params()
    return str(raised.value).splitlines()


def configuration(run):
    loaded = load_params()
    return resolve(loaded, parse_run(loaded, run))


def options(run):
    return configuration(run)["method"]["addons"][0]


@pytest.mark.parametrize(
    ("place", "temperature"), [("cifar10-lt/n500-m4000-l100-u100", 1.5), ("stl10-lt/n150-l10", 0.3)]
)
def test_ablations_of_the_paper(place, temperature):
    """Each ablation is the setting's complete method, with T_dist 1.5 or 0.3, except for the change in its table."""
    complete = {
        **{"name": "daso", "proto_temperature": 0.05, "dist_temperature": temperature, "queue_length": 256},
        **{"queue_capacity": "equal", "queue_encoder": "teacher", "period": 100, "warmup": 5000, "weight": 1.0},
        "blend": "distribution",
    }
    published = {name for name, tree in PARAMS.methods.items() if tree.get("of") == "fixmatch_daso" and "paper" in tree}
    assert published == {f"fixmatch_daso_{name}" for name in CHANGES}
    for name, change in CHANGES.items():
        config = resolve(PARAMS, parse_run(PARAMS, f"{place}/paper/fixmatch_daso_{name}/s0"))
        assert config["method"]["addons"] == [complete | change], name


def test_ablation_differs_from_its_base_only_in_the_change(write):
    write(change="{daso.proto_temperature: 0.02}")
    base, short = (configuration(f"{MATCHED}/{name}/s0") for name in ("fixmatch_daso", "short"))
    assert (base["method"]["addons"][0]["proto_temperature"], short["method"]["name"]) == (0.05, "short")
    short["method"]["addons"][0]["proto_temperature"] = 0.05
    short["method"]["name"], short["run"] = "fixmatch_daso", f"{MATCHED}/fixmatch_daso/s0"
    assert short == base


def test_loaded_ablation_is_a_complete_method(write):
    write(change="{daso.proto_temperature: 0.02, optimizer.lr: 0.5}")
    tree, base = load_params().methods["short"], load_params().methods["fixmatch_daso"]
    assert tree["learner"] == base["learner"]
    assert tree["addons"] == [base["addons"][0] | {"proto_temperature": 0.02}]
    assert (tree["title"], tree["optimizer"]) == ("Short", {"lr": 0.5})
    assert "paper" not in tree  # it names the base's row in the paper's tables
    assert base["paper"]["addons"] == "daso"
    assert "optimizer" not in base


def test_change_applies_in_every_setting(write):
    """The base has T_dist 1.5 in the setting with matching distributions and 0.3 in the reversed one."""
    write()
    assert [options(f"{place}/fixmatch_daso/s0")["dist_temperature"] for place in (MATCHED, REVERSED)] == [1.5, 0.3]
    assert [options(f"{place}/short/s0")["dist_temperature"] for place in (MATCHED, REVERSED)] == [0.5, 0.5]


def test_change_applies_under_every_protocol(write):
    """The protocol overrides L by 64 and the warm-up by 120 steps; only L is changed by the ablation."""
    write(change="{daso.queue_length: 128}")
    addon = options(f"{MATCHED}/short/s0")
    assert (addon["queue_length"], addon["warmup"], addon["dist_temperature"]) == (128, 120, 1.5)


def test_plan_changes_options_after_the_ablation():
    """CReST+ sets the temperature of every stage, whatever the ablation sets; here the last stage has 0.6."""
    loaded = deepcopy(PARAMS)
    loaded.methods["warm"] = loaded.methods["fixmatch_crest_plus"] | {
        "of": "fixmatch_crest_plus",
        "change": {"distribution_alignment.temperature": 0.9, "crest.last_temperature": 0.6},
    }
    stages = [
        resolve(loaded, parse_run(loaded, f"cifar10-lt/n500-m4000-l100-u100/paper/warm{stage}/s0"))["method"]["addons"]
        for stage in (".g1", "")
    ]
    assert [addons[0]["temperature"] for addons in stages] == [1.0, 0.6]


def test_expanded_suite_has_the_title_of_the_ablation(write):
    write()
    short = expand_suite(load_params(), "smoke")["tables"][0]["methods"][-1]
    assert (short["name"], short["title"], short["learner"]["name"]) == ("short", "Short", "fixmatch")


def test_explain_prints_the_file_of_each_value(write):
    write()
    lines = [" ".join(line.split()) for line in explain(load_params(), "short", "digits").splitlines()]
    assert lines[0] == "Short: params/methods/short.yaml, ablation of params/methods/fixmatch_daso.yaml"
    assert "daso.dist_temperature 0.5 params/methods/short.yaml, change" in lines
    assert "daso.proto_temperature 0.05 params/methods/fixmatch_daso.yaml" in lines
    assert "daso.queue_length 64 params/protocols/digits.yaml, overrides" in lines
    assert not any("where digits" in line for line in lines)  # its `where` only sets T_dist
    assert any("where digits/*-u10" in line for line in explain(load_params(), "fixmatch_daso", "digits").splitlines())


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"of": "fixmatch_das"}, "of: unknown method 'fixmatch_das'; did you mean 'fixmatch_daso'?"),
        ({"learner": "{name: fixmatch}"}, "unknown key 'learner'; choose one of title, paper, of, change"),
        ({"change": "{}"}, "change: empty; fill it in"),
        ({"change": "{das.warmup: 9}"}, "change: unknown learner, add-on or plan 'das'; did you mean 'daso'?"),
        ({"change": "{abc.epochs: 9}"}, "change: this method has no component 'abc'; choose one of fixmatch, daso"),
        (
            {"change": "{daso.proto_temp: 0.02}"},
            "change: add-on 'daso': unknown option 'proto_temp'; did you mean 'proto_temperature'?",
        ),
        ({"change": "{daso.weight: much}"}, "change: add-on 'daso': weight: expected a number, got 'much'"),
        ({"change": "{warmup: 9}"}, "change: expected component.option, got 'warmup'"),
        ({"change": "{optimizer.lr: -1}"}, "change: optimizer.lr: -1 is too small; set it above 0"),
        (
            {"change": "{daso.blend: 1.5}"},
            "change: add-on 'daso': blend: expected 'distribution' or a number in [0, 1], got 1.5",
        ),
    ],
)
def test_each_error_of_an_ablation_is_reported_once(write, keys, line):
    write(**keys)
    assert errors() == [f"params/methods/short.yaml: {line}"]


def test_ablation_of_an_ablation_is_an_error(write):
    write()
    write("shorter", of="short")
    assert errors() == [
        "params/methods/shorter.yaml: of: method 'short' itself has `of: fixmatch_daso`; "
        "set `of: fixmatch_daso` and copy the other keys of short.yaml"
    ]


def test_errors_of_the_base_are_reported_only_for_the_base(write, params):
    write()
    params("methods/fixmatch_daso.yaml", lambda tree: tree["addons"][0].update(proto_temp=1))
    (error,) = errors()
    assert error.startswith("params/methods/fixmatch_daso.yaml: add-on 'daso': unknown option 'proto_temp'")
    params("methods/fixmatch_daso.yaml", lambda tree: tree.update(addon=1))
    assert errors() == ["params/methods/fixmatch_daso.yaml: unknown key 'addon'; did you mean 'addons'?"]


def test_wrong_value_of_the_base_is_one_line_also_if_its_error_has_a_value_of_the_ablation(write, params):
    write(change="{daso.queue_length: 128}")
    params("methods/fixmatch_daso.yaml", lambda tree: tree["addons"][0].update(period=0))
    (error,) = errors()
    assert error.startswith("params/methods/fixmatch_daso.yaml: add-on 'daso': ")


def test_change_that_conflicts_with_a_protocol_is_reported_for_the_ablation(write):
    """A period of 200 steps fits the base's warm-up of 5,000 steps, but not the protocol's 20."""
    write(change="{daso.period: 200}")
    (error,) = errors()
    assert error.startswith("params/methods/short.yaml: change: add-on 'daso': warmup 20 is shorter than period 200")


def test_only_ablations_may_have_the_key_change(params):
    params("methods/fixmatch.yaml", lambda tree: tree.update(change={"fixmatch.weight": 2.0}))
    assert errors()[0].startswith("params/methods/fixmatch.yaml: unknown key 'change'")
