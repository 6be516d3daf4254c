"""Training of a pretrained network on images: methods of the protocol `photos-pixels`, options of the optimizer."""

from dataclasses import replace

import pytest

from daso.config.checks import check, check_run
from daso.config.fit import fit_errors
from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.resolve import Run, resolve
from daso.config.validate import config_error
from daso.errors import ParamsError
from daso.planning.sizes import tensor_sizes
from tests.repository import PARAMS

RUN = Run("digits", "n20-m80-l20-u10", "photos-pixels", "fixmatch_la_daso", 0)
METHODS = ("self_training_la", "fixmatch_la", "fixmatch_adello", "simpro", "fixmatch_la_daso")
CONTROLS = dict.fromkeys(METHODS, "supervised_la")
ADAMW = {"algorithm": "adamw", "betas": [0.9, 0.999], "eps": 1e-8, "lr": 0.001, "weight_decay": 0.05}
ADAMW |= {"warmup": 0, "milestones": [], "factor": 1.0}
PIXELS = PARAMS.protocols["photos-pixels"]


def test_methods_of_the_suite_of_photos_train_on_pixels_with_their_controls():
    """Without features, DASO needs no neck; the controls have the same training as the methods."""
    methods = ["supervised", *dict.fromkeys([*CONTROLS.values(), *CONTROLS])]
    for method in methods:
        check_run(PARAMS, RUN._replace(method=method))
        assert config_error(Keys(PARAMS).resolved(RUN._replace(method=method))) is None
    table = {"name": "t", "title": "t", "dataset": "digits", "settings": [RUN.setting], "methods": methods}
    suite = {"title": "s", "protocol": RUN.protocol, "seeds": [0], "tables": [table | {"controls": CONTROLS}]}
    assert check(replace(PARAMS, suites={**PARAMS.suites, "pixels": suite})) == []


def test_neck_is_refused_where_the_network_is_trained():
    with pytest.raises(ParamsError, match="neck: not allowed with train: all, which trains the features; remove it"):
        check_run(PARAMS, RUN._replace(method="fixmatch_la_daso_neck"))


def test_optimizer_reaches_the_configuration_without_its_defaults():
    optimizer = resolve(PARAMS, RUN)["optimizer"]
    assert optimizer == PIXELS["optimizer"]
    assert "algorithm" not in resolve(PARAMS, RUN._replace(protocol="smoke"))["optimizer"]


def test_default_algorithm_and_layer_decay_change_no_key(params):
    run = RUN._replace(protocol="smoke", method="fixmatch_daso")
    before = Keys(load_params()).train(run)
    params("protocols/smoke.yaml", lambda tree: tree["optimizer"].update(algorithm="sgd", layer_decay=1))
    assert Keys(load_params()).train(run) == before


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (ADAMW | {"momentum": 0.9}, "optimizer: unknown key 'momentum'"),
        ({key: value for key, value in ADAMW.items() if key != "betas"}, "optimizer: missing key 'betas'; add it"),
        (ADAMW | {"betas": [0.9]}, "optimizer.betas: expected at least 2 entries, got 1"),
        (ADAMW | {"betas": [0.9, 1.0]}, "optimizer.betas[1]: 1.0 is too large; set it below 1"),
        (ADAMW | {"algorithm": "adma"}, "optimizer.algorithm: expected one of sgd, adam, adamw, got 'adma'; did"),
        (ADAMW | {"layer_decay": 1.5}, "optimizer.layer_decay: 1.5 is above the maximum 1; set it to 1 or less"),
        (ADAMW | {"layer_decay": 0.5}, "optimizer.layer_decay: network 'small_convnet' has no groups of layers that"),
    ],
)
def test_errors_of_the_optimizer_are_one_line(params, change, line):
    params("protocols/smoke.yaml", lambda tree: tree.update(optimizer=change))
    with pytest.raises(ParamsError) as error:
        load_params()
    assert str(error.value).startswith(f"params/protocols/smoke.yaml: {line}")
    assert "\n" not in str(error.value)


def test_options_of_sgd_in_a_method_are_refused_with_adamw():
    method = PARAMS.methods["supervised_la"] | {"optimizer": {"momentum": 0.9}}
    changed = replace(PARAMS, methods={**PARAMS.methods, "supervised_la": method})
    with pytest.raises(ParamsError, match="method 'supervised_la': optimizer: unknown key 'momentum'"):
        check_run(changed, RUN._replace(method="supervised_la"))


def test_fit_needs_sgd_and_layers_need_a_trained_encoder(params):
    protocol = PARAMS.protocols["photos"] | {"optimizer": ADAMW}
    assert list(fit_errors(protocol, PARAMS.methods)) == [
        "fit: trains its classifiers by SGD, got optimizer.algorithm: adamw; remove fit or the algorithm"
    ]
    frozen = PIXELS["network"] | {"train": "head"}
    params("protocols/smoke.yaml", lambda tree: tree.update(network=frozen, optimizer=ADAMW | {"layer_decay": 0.5}))
    with pytest.raises(ParamsError, match="smoke.yaml: optimizer.layer_decay: network 'timm' has no groups of lay"):
        load_params()


def test_only_trained_weights_have_optimizer_state():
    """Of lite0's groups the last has a block of 320 outputs and a convolution to 1,280 features; 10 classes.

    1x1 from 192 to 1,152, 3x3 depthwise, 1x1 to 320, with norms of 1,152, 1,152 and 320; 1x1 to 1,280 with its norm.
    """
    pytest.importorskip("timm")
    config = resolve(PARAMS, RUN._replace(method="supervised_la"))
    config["protocol"]["network"]["train"] = "last:1"
    block = 192 * 1152 + 9 * 1152 + 1152 * 320 + 2 * (1152 + 1152 + 320)
    assert tensor_sizes(config, 80).trained == 4 * (block + 320 * 1280 + 2 * 1280 + 10 * 1280 + 10)
