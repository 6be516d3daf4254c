"""A method that is another one with some options changed."""

from pathlib import Path

import pytest

from daso.config.explain import explain
from daso.config.keys import Keys
from daso.config.load import load
from daso.config.resolve import expand_suite, parse_run, resolve
from daso.errors import ParamsError

ROOT = Path(__file__).resolve().parents[2]
# What tables 5 to 8 and 15 to 17 of Oh et al. 2022 change of the complete method.
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
    """Write an ablation of fixmatch_daso, and name it in the suite `smoke`."""

    def add(name="short", **keys):
        tree = {"title": "Short", "of": "fixmatch_daso", "change": {"daso.dist_temperature": 0.5}} | keys
        Path(f"params/methods/{name}.yaml").write_text("{" + ", ".join(f"{k}: {v}" for k, v in tree.items()) + "}\n")
        params("suites/smoke.yaml", lambda suite: suite["tables"][0]["methods"].append(name))
        return name

    return add


def errors():
    with pytest.raises(ParamsError) as raised:
        load()
    return str(raised.value).splitlines()


def configuration(run):
    loaded = load()
    return resolve(loaded, parse_run(loaded, run))


def options(run):
    return configuration(run)["method"]["addons"][0]


@pytest.mark.parametrize(
    ("place", "temperature"), [("cifar10-lt/n500-m4000-l100-u100", 1.5), ("stl10-lt/n150-l10", 0.3)]
)
def test_the_papers_ablations(place, temperature):
    """Each is the complete method of its setting, with T_dist 1.5 or 0.3, but for what its table changes."""
    loaded = load(ROOT / "params")
    complete = {
        **{"name": "daso", "proto_temperature": 0.05, "dist_temperature": temperature, "queue_length": 256},
        **{"queue_capacity": "equal", "queue_encoder": "teacher", "period": 100, "warmup": 5000, "weight": 1.0},
        "blend": "distribution",
    }
    of_the_paper = {name for name, tree in loaded.methods.items() if "of" in tree and "paper" in tree}
    assert of_the_paper == {f"fixmatch_daso_{name}" for name in CHANGES}
    for name, change in CHANGES.items():
        config = resolve(loaded, parse_run(loaded, f"{place}/paper/fixmatch_daso_{name}/s0"))
        assert config["method"]["addons"] == [complete | change], name


def test_all_but_the_change_is_the_base(write):
    write(change="{daso.proto_temperature: 0.02}")
    base, short = (configuration(f"{MATCHED}/{name}/s0") for name in ("fixmatch_daso", "short"))
    assert (base["method"]["addons"][0]["proto_temperature"], short["method"]["name"]) == (0.05, "short")
    short["method"]["addons"][0]["proto_temperature"] = 0.05
    short["method"]["name"], short["run"] = "fixmatch_daso", f"{MATCHED}/fixmatch_daso/s0"
    assert short == base


def test_every_reader_of_params_sees_a_whole_method(write):
    write(change="{daso.proto_temperature: 0.02, optimizer.lr: 0.5}")
    tree, base = load().methods["short"], load().methods["fixmatch_daso"]
    assert tree["learner"] == base["learner"]
    assert tree["addons"] == [base["addons"][0] | {"proto_temperature": 0.02}]
    assert (tree["title"], tree["optimizer"]) == ("Short", {"lr": 0.5})
    assert "paper" not in tree  # of the base, which is another row
    assert base["paper"]["addons"] == "daso"
    assert "optimizer" not in base


def test_a_change_holds_in_every_setting(write):
    """The base has T_dist 1.5 where labeled and unlabeled classes are alike, else 0.3."""
    write()
    assert [options(f"{place}/fixmatch_daso/s0")["dist_temperature"] for place in (MATCHED, REVERSED)] == [1.5, 0.3]
    assert [options(f"{place}/short/s0")["dist_temperature"] for place in (MATCHED, REVERSED)] == [0.5, 0.5]


def test_a_change_holds_under_every_protocol(write):
    """The protocol scales L to 64 and the warm-up to 120 steps; only L is what is ablated."""
    write(change="{daso.queue_length: 128}")
    found = options(f"{MATCHED}/short/s0")
    assert (found["queue_length"], found["warmup"], found["dist_temperature"]) == (128, 120, 1.5)


def test_a_change_of_the_optimizer(write):
    write(change="{optimizer.lr: 0.5}")
    found = configuration(f"{MATCHED}/short/s0")["optimizer"]
    assert found == configuration(f"{MATCHED}/fixmatch_daso/s0")["optimizer"] | {"lr": 0.5}


def test_what_a_plan_changes_in_a_stage_comes_after_a_change():
    """CReST+ lowers the temperature from stage to stage, to 0.5 in the last: another start is no other method there."""
    loaded = load(ROOT / "params")
    loaded.methods["warm"] = loaded.methods["fixmatch_crest_plus"] | {
        "of": "fixmatch_crest_plus",
        "change": {"distribution_alignment.temperature": 0.9, "crest.last_temperature": 0.6},
    }
    found = [
        resolve(loaded, parse_run(loaded, f"cifar10-lt/n500-m4000-l100-u100/paper/warm{stage}/s0"))["method"]["addons"]
        for stage in (".g1", "")
    ]
    assert [addons[0]["temperature"] for addons in found] == [1.0, 0.6]


def test_an_ablation_has_a_key_of_its_own(write):
    write()
    write("longer", change="{daso.dist_temperature: 0.6}")
    loaded = load()
    keys = [
        Keys(loaded).train(parse_run(loaded, f"{MATCHED}/{name}/s0")) for name in ("fixmatch_daso", "short", "longer")
    ]
    assert len(set(keys)) == 3


def test_a_report_knows_an_ablation_by_its_own_title(write):
    write()
    short = expand_suite(load(), "smoke")["tables"][0]["methods"][-1]
    assert (short["name"], short["title"], short["learner"]["name"]) == ("short", "Short", "fixmatch")


def test_explain_names_the_file_of_each_value(write):
    write()
    lines = [" ".join(line.split()) for line in explain(load(), "short", "digits").splitlines()]
    assert lines[0] == "Short: params/methods/short.yaml, of params/methods/fixmatch_daso.yaml"
    assert "daso.dist_temperature 0.5 params/methods/short.yaml, change" in lines
    assert "daso.proto_temperature 0.05 params/methods/fixmatch_daso.yaml" in lines
    assert "daso.queue_length 64 params/protocols/digits.yaml, overrides" in lines
    assert not any("where digits" in line for line in lines)  # its `where` speaks of nothing but T_dist
    assert any("where digits/*-u10" in line for line in explain(load(), "fixmatch_daso", "digits").splitlines())


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"of": "fixmatch_das"}, "of: there is no method 'fixmatch_das'; did you mean 'fixmatch_daso'?"),
        ({"learner": "{name: fixmatch}"}, "unknown key 'learner'; known: title, paper, of, change"),
        ({"change": "{}"}, "change: is empty"),
        ({"change": "{das.warmup: 9}"}, "change: there is no learner, add-on or plan 'das'; did you mean 'daso'?"),
        ({"change": "{abc.epochs: 9}"}, "change: 'abc' is no part of this method; known: fixmatch, daso"),
        (
            {"change": "{daso.proto_temp: 0.02}"},
            "change: add-on 'daso' has no option 'proto_temp'; did you mean 'proto_temperature'?",
        ),
        ({"change": "{daso.weight: much}"}, "change: add-on 'daso': option 'weight' is \"much\" and should be float"),
        ({"change": "{warmup: 9}"}, "change: 'warmup' is not of the form component.option"),
        ({"change": "{optimizer.lr: -1}"}, "change: optimizer.lr: -1 is too small; it must be above 0"),
        (
            {"change": "{daso.blend: 1.5}"},
            "add-on 'daso': blend: expected 'distribution' or a share from 0 to 1, got 1.5",
        ),
    ],
)
def test_what_is_wrong_is_told_once_of_the_ablation(write, keys, line):
    write(**keys)
    assert errors() == [f"params/methods/short.yaml: {line}"]


def test_an_ablation_of_an_ablation_is_told(write):
    write()
    write("shorter", of="short")
    assert errors() == [
        "params/methods/shorter.yaml: of: 'short' is itself of 'fixmatch_daso'; "
        "say of: fixmatch_daso, and change all that differs"
    ]


def test_what_is_wrong_with_the_base_is_told_of_the_base_alone(write, params):
    write()
    params("methods/fixmatch_daso.yaml", lambda tree: tree["addons"][0].update(proto_temp=1))
    (error,) = errors()
    assert error.startswith("params/methods/fixmatch_daso.yaml: add-on 'daso' has no option 'proto_temp'")
    params("methods/fixmatch_daso.yaml", lambda tree: tree.update(addon=1))
    assert errors() == ["params/methods/fixmatch_daso.yaml: unknown key 'addon'; did you mean 'addons'?"]


def test_a_change_that_a_protocol_makes_impossible_is_told_of_the_ablation(write):
    """Windows of 200 steps are fine with the base's warm-up of 5,000, and too long for the protocol's 20."""
    write(change="{daso.period: 200}")
    (error,) = errors()
    assert error.startswith("params/methods/short.yaml: change: add-on 'daso': warmup 20 is shorter than period 200")


def test_only_an_ablation_changes(params):
    params("methods/fixmatch.yaml", lambda tree: tree.update(change={"fixmatch.weight": 2.0}))
    assert errors()[0].startswith("params/methods/fixmatch.yaml: unknown key 'change'")
