"""Schedules of CCL: one for all settings, or those of the released scripts by setting."""

import pytest

from daso.config.resolve import Run, resolve
from tests.repository import PARAMS

BLIND = (0.5, 0.9, 500, 10_500)
REVERSED = (0.999, 0.999, 100, 3000)
DEFAULTS = (0.5, 0.5, 500, 3000)


def learner(method, setting, protocol="acr"):
    return resolve(PARAMS, Run(*setting.split("/"), protocol, method, 0))["method"]["learner"]


@pytest.mark.parametrize(
    ("setting", "released"),
    [
        ("cifar10-lt/n500-m4000-l100-u100-first-in", BLIND),
        ("cifar10-lt/n500-m4000-l150-u150", BLIND),
        ("cifar10-lt/n1500-m3000-l100-u1-first-in", BLIND),
        ("cifar10-lt/n1500-m3000-l100-u100r-first-in", REVERSED),
        ("cifar10-lt/n500-m4000-l150-u150r-first", REVERSED),
        ("cifar10-lt/n500-m4000-l100-u100r", REVERSED),
        ("cifar10-lt/n500-m4000-l150-u150m-first", BLIND),
        ("cifar100-lt/n50-m400-l10-u10r-first-in", DEFAULTS),
        ("stl10-lt/n150-l10-first", DEFAULTS),
    ],
)
def test_schedules_by_setting(setting, released):
    """The unlabeled momentum, the momentum, the period and the warm-up."""
    names = ("unlabeled_momentum", "momentum", "period", "warmup")
    for method, expected in (("ccl", BLIND), ("ccl_no_contrast", BLIND), ("ccl_per_setting", released)):
        assert tuple(learner(method, setting)[name] for name in names) == expected


@pytest.mark.parametrize("method", ["ccl", "ccl_no_contrast", "ccl_per_setting"])
def test_estimates_start_as_early_in_a_shorter_protocol(method):
    """21 of 500 epochs are 3.6 of the 86 under the protocol of SimPro, in whole periods four: 2,000 of 43,000 steps."""
    options = learner(method, "cifar10-lt/n500-m4000-l100-u100-first", "simpro")
    assert (options["period"], options["warmup"]) == (500, 2000)


def test_smoothed_loss_has_a_larger_weight_on_stl_10():
    for method in ("ccl", "ccl_per_setting"):
        assert learner(method, "stl10-lt/n150-l10-first")["smoothed_weight"] == 1.5
        assert learner(method, "cifar10-lt/n500-m4000-l100-u100")["smoothed_weight"] == 1.0
    assert learner("ccl_no_contrast", "stl10-lt/n150-l10-first")["smoothed_weight"] == 0.0


def test_both_presets_differ_by_the_schedule_alone():
    ccl, released = (PARAMS.methods[name]["learner"] for name in ("ccl", "ccl_per_setting"))
    assert ccl == released
