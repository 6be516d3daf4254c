import hashlib
from copy import deepcopy
from pathlib import Path

import pytest

from daso.config.checks import check_run
from daso.config.explain import explain
from daso.config.load import load_params
from daso.config.params import read_params
from daso.config.resolve import Run, parse_run, resolve, runs, split_config, with_upstream
from daso.data.files import canonical_json
from daso.errors import ParamsError
from tests.repository import PARAMS

REVERSED = "digits/n20-m80-l20-u10r/digits"
MATCHED = "digits/n20-m80-l20-u10/digits"
OWN = Path(__file__).resolve().parents[2] / "params"  # params of the project


SPLIT_CONFIG = (
    '{"class_order":"seed","dataset":"digits","holdout":100,"num_classes":10,"seed":3,"setting":{"gamma_l":20,'
    '"gamma_u":10,"m1":80,"n1":20,"name":"n20-m80-l20-u10r","reversed":true}}'
)


def resolved(run, root="params"):
    params = load_params(root)
    return resolve(params, parse_run(params, run))


def addon(config):
    (only,) = config["method"]["addons"]
    return only


def test_resolved_configuration_holds_no_option_that_a_run_does_not_use(params):
    assert resolved(f"{REVERSED}/fixmatch/s3") == {
        "run": f"{REVERSED}/fixmatch/s3",
        "dataset": {
            "name": "digits",
            "num_classes": 10,
            "image_size": 8,
            "mean": [0.3] * 3,
            "std": [0.4] * 3,
            "augment": {"flip": False, "pad": 1, "cutout": 2, "num_ops": 2, "op_probability": 0.5, "ops": ["rotate"]},
        },
        "setting": {"name": "n20-m80-l20-u10r", "n1": 20, "m1": 80, "gamma_l": 20, "gamma_u": 10, "reversed": True},
        "split_config_sha256": hashlib.sha256(SPLIT_CONFIG.encode()).hexdigest(),
        "protocol": {
            "name": "digits",
            "steps": 1200,
            "batch_size": 32,
            "precision": "auto",
            "network": {"name": "small_convnet", "channels": [16, 32, 64], "strides": [1, 2, 1]},
            "teacher": {"decay": 0.99, "bn": "authors"},
            "evaluation": {"every": 30, "median_of": 20},
            "checkpoint_every": 600,
        },
        "method": {
            "name": "fixmatch",
            "unlabeled_ratio": 2,
            "learner": {"name": "fixmatch", "threshold": 0.95, "weight": 1.0, "confidence": "refined"},
            "addons": [],
        },
        "optimizer": {
            **{"lr": 0.03, "momentum": 0.9, "nesterov": True, "weight_decay": 0.0005},
            **{"warmup": 0, "milestones": [], "factor": 1.0},
        },
        "plan": {},
        "seed": 3,
        "draw_seed": 3,
    }


def test_where_and_overrides_set_options(params):
    reversed_, matched = resolved(f"{REVERSED}/fixmatch_daso/s0"), resolved(f"{MATCHED}/fixmatch_daso/s0")
    assert (addon(reversed_)["dist_temperature"], addon(matched)["dist_temperature"]) == (0.3, 1.5)
    assert (addon(matched)["queue_length"], addon(matched)["warmup"]) == (64, 120)
    assert resolved(f"{MATCHED}/supervised/s0")["optimizer"]["milestones"] == []


def test_each_generation_has_its_own_draw_seed():
    """`printf 0/g1 | sha256sum` begins with bf 31 6c 38, read little-endian; the last generation has the run's seed."""
    seeds = {run: resolved(f"{MATCHED}/fixmatch_crest{run}", OWN)["draw_seed"] for run in ("/s3", ".g1/s0", ".g1/s1")}
    assert seeds == {"/s3": 3, ".g1/s0": 0x386C31BF, ".g1/s1": 0x30957243}


def test_each_stage_has_its_own_plan():
    """Each generation saves predictions for the next one; the survey holds out ten images of each class."""

    def plan(run):
        return resolved(f"{run}/s0", OWN)["plan"]

    assert plan(f"{MATCHED}/fixmatch_crest.g1") == {"predictions": True}
    assert plan(f"{MATCHED}/fixmatch_crest") == {"split": {"of": f"{MATCHED}/fixmatch_crest.g1/s0", "exponent": 1 / 3}}
    assert plan(f"{MATCHED}/supervised_survey") == {"split": {"held_out": 10}, "survey": True}
    base = {"of": f"{MATCHED}/supervised/s0", "statistics": "frozen"}
    assert plan(f"{MATCHED}/supervised_crt") == {"encoder": base}
    survey = {"of": f"{REVERSED}/supervised_survey/s0", "into": "darp.estimate"}
    assert plan(f"{REVERSED}/fixmatch_darp") == {"estimate": survey}
    assert plan(f"{MATCHED}/fixmatch_darp") == {}
    labeled_by = {"of": f"{MATCHED}/supervised_la/s0", "exponent": 0}
    assert plan(f"{MATCHED}/self_training_la") == {"split": labeled_by}


def test_later_entries_of_where_win_and_overrides_come_last(params):
    where = {"digits/*": {"daso.weight": 2.0, "daso.period": 5}, "digits/*r": {"daso.weight": 3.0}}
    params("methods/fixmatch_daso.yaml", lambda tree: tree.update(where=where))
    assert addon(resolved(f"{REVERSED}/fixmatch_daso/s0"))["weight"] == 3.0
    assert addon(resolved(f"{MATCHED}/fixmatch_daso/s0"))["weight"] == 2.0
    assert addon(resolved(f"{MATCHED}/fixmatch_daso/s0"))["period"] == 25


def test_override_of_the_optimizer_applies_only_to_methods_with_their_own_optimizer(params):
    params("protocols/digits.yaml", lambda tree: tree["overrides"].update({"optimizer.lr": 0.5}))
    assert resolved(f"{MATCHED}/supervised/s0")["optimizer"]["lr"] == 0.5
    assert resolved(f"{MATCHED}/fixmatch/s0")["optimizer"]["lr"] == 0.03


def test_holdout_of_a_setting_replaces_that_of_the_dataset(params):
    """The dataset holds out 100 digits, the setting none; `holdout` is removed from the setting."""
    sizes = {"n1": 4, "m1": "train", "gamma_l": 1, "holdout": 0}
    params("datasets/digits.yaml", lambda tree: tree["settings"].update(n4=sizes))
    assert split_config(load_params(), "digits", "n4", 3) == {
        **{"dataset": "digits", "seed": 3, "num_classes": 10, "holdout": 0, "class_order": "seed"},
        "setting": {"name": "n4", "reversed": False, "n1": 4, "m1": "train", "gamma_l": 1},
    }
    assert split_config(load_params(), "digits", "n20-m80-l20-u10", 3)["holdout"] == 100


def test_unlabeled_ratio_of_a_protocol_applies_to_all_methods_with_unlabeled_images(params):
    params("protocols/digits.yaml", lambda tree: tree.update(unlabeled_ratio=7))
    ratios = [resolved(f"{MATCHED}/{name}/s0")["method"]["unlabeled_ratio"] for name in ("fixmatch", "supervised")]
    assert ratios == [7, 0]
    source = explain(load_params(), "fixmatch", "digits").split("unlabeled_ratio")[1].splitlines()[0].split()
    assert source == ["7", "params/protocols/digits.yaml"]
    source = explain(load_params(), "supervised", "digits").split("unlabeled_ratio")[1].splitlines()[0].split()
    assert source == ["0", "params/methods/supervised.yaml"]


@pytest.mark.parametrize(
    ("place", "protocol", "width", "decay"),
    [("cifar10/n4", "fixmatch", 2, 0.0005), ("cifar100/n4", "fixmatch-wide", 8, 0.001)],
)
def test_protocols_of_fixmatch_have_the_papers_schedule(place, protocol, width, decay):
    """2^20 steps of 64 and 7 x 64 images at .03 cos(7 pi t / 16 S), for supervised learning too (Sohn et al. 2020)."""
    for method, ratio in (("fixmatch", 7), ("supervised", 0)):
        config = resolved(f"{place}/{protocol}/{method}/s0", OWN)
        assert config["method"]["unlabeled_ratio"] == ratio
        assert config["optimizer"] == {
            **{"lr": 0.03, "momentum": 0.9, "nesterov": True, "weight_decay": decay},
            **{"warmup": 0, "milestones": [], "factor": 1.0, "anneal": "cosine"},
        }
        assert (config["protocol"]["steps"], config["protocol"]["batch_size"]) == (1024 * 1024, 64)
        assert config["protocol"]["network"] == {"name": "wide_resnet", "depth": 28, "width": width}
        assert config["protocol"]["teacher"]["decay"] == 0.999


@pytest.mark.parametrize(
    ("suite", "method", "addons"),
    [("simmatch", "simmatch", ""), ("simmatch-cifar100", "simmatch", ""), ("debiaspl", "fixmatch_debias", "debiaspl")],
)
def test_suite_compares_its_method_with_fixmatch(suite, method, addons):
    """The method also has the name of its published numbers."""
    for table in PARAMS.suites[suite]["tables"]:
        assert table["methods"][0] == "fixmatch"
        assert method in table["methods"]
    assert PARAMS.methods[method]["paper"] == {"base": method.removesuffix("_debias"), "addons": addons}


def test_resolving_does_not_change_params(params):
    loaded = load_params()
    before = canonical_json(loaded.methods)
    resolve(loaded, parse_run(loaded, f"{REVERSED}/fixmatch_daso/s0"))
    assert canonical_json(loaded.methods) == before


def test_runs_of_a_suite(params):
    smoke = ("digits", "n20-m80-l20-u10r", "smoke")
    methods = ("supervised", "fixmatch", "fixmatch_daso")
    assert runs(load_params(), "smoke") == [Run(*smoke, method, seed) for method in methods for seed in (0, 1)]
    assert runs(load_params(), "smoke")[0].id == "digits/n20-m80-l20-u10r/smoke/supervised/s0"


def test_runs_shared_by_tables_are_listed_once(params):
    params("suites/smoke.yaml", lambda tree: tree["tables"].append({**tree["tables"][0], "name": "again"}))
    assert len(runs(load_params(), "smoke")) == 6


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("digits/n20/s0", "digits/n20/s0: not a run id; write <dataset>/<setting>/<protocol>/<method>/s<seed>"),
        (f"{MATCHED}/fixmatch/0", "not a run id; write"),
        ("digit/n20-m80-l20-u10/digits/fixmatch/s0", "unknown dataset 'digit'; did you mean 'digits'"),
        ("digits/n20/digits/fixmatch/s0", "unknown setting 'n20'; choose one of n20-m80-l20-u10, n20-m80-l20-u10r"),
        (f"{MATCHED}/fixmatch./s0", f"not in canonical form; write {MATCHED}/fixmatch/s0"),
        (f"{MATCHED}/fixmatch/s007", f"not in canonical form; write {MATCHED}/fixmatch/s7"),
        (
            f"{MATCHED}/fixmatch/s4294967296",
            "seed 4294967296 is above the maximum 4294967295; set it to 4294967295 or less",
        ),
        (f"{MATCHED}/fixmtch/s0", "unknown method 'fixmtch'; did you mean 'fixmatch'"),
    ],
)
def test_invalid_run_ids_are_errors(params, run, message):
    with pytest.raises(ParamsError) as raised:
        parse_run(load_params(), run)
    assert message in str(raised.value)


def test_equal_values_have_the_same_canonical_json():
    assert (
        canonical_json({"b": [1, 0.5], "a": "ä"})
        == canonical_json({"a": "ä", "b": [1, 0.5]})
        == '{"a":"\\u00e4","b":[1,0.5]}'
    )
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))


def test_zoo_has_every_method():
    """Exceptions: DARP's survey, which is in no table, DARP with the authors' estimates, methods on features."""
    assert {run.method_file for run in runs(PARAMS, "zoo")} == PARAMS.methods.keys() - {
        "supervised_survey",
        "fixmatch_darp_shipped",
        "supervised_la_neck",
        "fixmatch_la_daso_neck",
        "supervised_la_cosine",
        "loft",
        "loft_open",
        "alpha_tim",
    }


def test_plan_names_upstream_runs():
    """CReST+ with the paper's budget: 5 x 50,000 steps, temperatures 1 to 0.5, different draw seeds of the stages."""
    run_id = "cifar10-lt/n500-m4000-l100-u100/paper/{}/s1".format
    stages = [f"fixmatch_crest_plus.g{g}" for g in (1, 2, 3, 4)] + ["fixmatch_crest_plus"]
    configs = [resolve(PARAMS, parse_run(PARAMS, run_id(stage))) for stage in stages]
    assert [config["protocol"]["steps"] for config in configs] == [50_000] * 5
    assert [config["method"]["addons"][0]["temperature"] for config in configs] == [1, 0.875, 0.75, 0.625, 0.5]
    assert [config["plan"].get("split") for config in configs] == [
        None,
        *({"of": run_id(stage), "exponent": 1 / 3} for stage in stages[:-1]),
    ]
    assert [config["plan"].get("predictions") for config in configs] == [True] * 4 + [None]
    assert [config["seed"] for config in configs] == [1] * 5
    assert len({config["draw_seed"] for config in configs}) == 5
    assert configs[-1]["draw_seed"] == 1
    last = parse_run(PARAMS, run_id(stages[-1]))
    assert [run.method for run in with_upstream(PARAMS, [last])] == stages
    with pytest.raises(ParamsError, match="unknown stage 'g5' of 'fixmatch_crest_plus'; choose one of g1, g2, g3, g4"):
        parse_run(PARAMS, run_id("fixmatch_crest_plus.g5"))


def test_run_that_depends_on_itself_is_an_error(params):
    params("methods/fixmatch.yaml", lambda tree: tree.update(plan=crt_plan("supervised")))
    params("protocols/digits.yaml", lambda tree: tree["overrides"].update({"crt.base": "fixmatch"}))
    loaded = read_params(Path("params"))[0]
    with pytest.raises(ParamsError, match=f"{MATCHED}/fixmatch/s0: depends on itself through {MATCHED}/fixmatch/s0"):
        with_upstream(loaded, [parse_run(loaded, f"{MATCHED}/fixmatch/s0")])


def crt_plan(base):
    return {"name": "crt", "base": base, "steps": 20, "statistics": "frozen"}


def test_missing_estimate_is_an_error_before_training():
    """The method has no plan, a different plan, or a plan that names a method without a survey."""
    run = "cifar10-lt/n500-m4000-l100-u1/paper/fixmatch_darp/s0"
    for plan in (None, {"name": "survey", "held_out": 10}):
        project = deepcopy(PARAMS)
        project.methods["fixmatch_darp"].pop("plan")
        project.methods["fixmatch_darp"] |= {"plan": plan} if plan else {}
        with pytest.raises(ParamsError, match="darp.estimate: missing estimate of class sizes, which this method's"):
            parse_run(project, run)
    project = deepcopy(PARAMS)
    project.methods["fixmatch_darp"]["plan"] = {"name": "prior", "by": "supervised"}
    with pytest.raises(
        ParamsError, match="plan 'prior': expected a method with plan 'survey', got 'supervised'; name one"
    ):
        check_run(project, parse_run(project, run))
