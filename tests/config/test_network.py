"""Options of the network, crop and images in params/, and what of them enters a run's configuration."""

import pytest

from daso.config.build import build
from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.network import normalisation
from daso.config.resolve import Run, resolve
from daso.config.validate import config_error
from daso.errors import ParamsError
from daso.planning.synthetic import random_data
from tests.configs import CPU

RUN = Run("digits", "n20-m80-l20-u10", "smoke", "fixmatch_daso", 0)
OPS = {"num_ops": 2, "op_probability": 0.5, "ops": ["rotate"]}
CROP = {"flip": True, "crop": {"size": 8, "scale": [0.08, 1.0], "ratio": [0.75, 1.34]}, "cutout": 4, **OPS}
RESNET = {"name": "resnet", "depth": 18}
PRETRAINED = {**RESNET, "weights": "data/weights/resnet18-f37072fd.pth", "sha256": "f37072fd"}
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        (CROP | {"pad": 1}, "augment: expected exactly one of pad and crop, got both; remove one of them"),
        (
            {name: value for name, value in CROP.items() if name != "crop"},
            "augment: expected exactly one of pad and crop, got neither; set one of them",
        ),
        (CROP | {"resize": 4}, "augment.resize: not allowed with crop, whose size is that of the views; remove it"),
        (
            CROP | {"crop": CROP["crop"] | {"size": 9}},
            "augment.crop.size: 9 is above image_size 8, so test images cannot be cropped to it; lower it or set test: "
            "resize",
        ),
        (
            CROP | {"crop": CROP["crop"] | {"scale": [1.0, 0.5]}},
            "augment.crop.scale: [1.0, 0.5] is not in ascending order; swap the values",
        ),
        (
            CROP | {"crop": CROP["crop"] | {"scale": [0.0, 1.0]}},
            "augment.crop.scale[0]: 0.0 is too small; set it above 0",
        ),
        (
            {"flip": True, "pad": 1, "test": "crop", "cutout": 4, **OPS},
            "augment.test: not allowed with pad; remove it",
        ),
    ],
)
def test_errors_of_the_augmentation_are_one_line(params, augment, message):
    params("datasets/digits.yaml", lambda tree: tree.update(augment=augment))
    with pytest.raises(ParamsError) as error:
        load_params()
    assert str(error.value) == f"params/datasets/digits.yaml: {message}"


def test_views_larger_than_the_images_are_allowed_if_test_images_are_resized(params):
    larger = CROP | {"crop": CROP["crop"] | {"size": 12}, "test": "resize"}
    params("datasets/digits.yaml", lambda tree: tree.update(augment=larger))
    assert resolve(load_params(), RUN)["dataset"]["augment"] == larger


def test_run_with_crop_trains_and_is_evaluated_at_the_size_of_the_views(params):
    smaller = CROP | {"crop": CROP["crop"] | {"size": 6}}
    params("datasets/digits.yaml", lambda tree: tree.update(augment=smaller))
    config = {**resolve(load_params(), RUN), "key": "k"}
    run = build(config, random_data(config, CPU, unlabeled=100, test=8), CPU)
    sides = set()
    run.models.student.encoder.register_forward_pre_hook(lambda module, args: sides.add(args[0].shape[-2:]))
    run.advance(2)
    run.models.teacher.encoder.register_forward_pre_hook(lambda module, args: sides.add(args[0].shape[-2:]))
    run.predict(run.data.test)
    assert sides == {(6, 6)}


def test_defaults_change_no_configuration(params):
    before = Keys(load_params()).train(RUN)

    def defaults(tree):
        tree["classifier_init"] = "xavier_normal"
        tree["optimizer"]["classifier_rate"] = 1.0

    params("protocols/smoke.yaml", defaults)
    assert Keys(load_params()).train(RUN) == before
    config = resolve(load_params(), RUN)
    assert not {"classifier_init", "images_per_group"} & config["protocol"].keys()
    assert "classifier_rate" not in config["optimizer"]


def test_options_of_the_classifier_and_groups_reach_the_run(params):
    def options(tree):
        tree |= {"classifier_init": "zeros", "images_per_group": 16}
        tree["optimizer"]["classifier_rate"] = 10

    before = Keys(load_params()).train(RUN)
    params("protocols/smoke.yaml", options)
    keys = Keys(load_params())
    assert keys.train(RUN) != before
    config = keys.resolved(RUN)
    assert config_error(config) is None
    run = build(config, random_data(config, CPU, unlabeled=100, test=8), CPU)
    assert not run.models.student.classifier.weight.any()
    assert run.optimizer.groups[10, True] == ["classifier.weight", "classifier.bias"]
    sizes = []
    run.models.student.encoder.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    run.advance(1)
    assert sizes == [16] * 20  # 32 labeled images and 2 x 64 views are 160 images; each group is computed twice


def test_normalisation_comes_from_the_weights(params):
    """The dataset's own mean and std count for random weights alone."""
    assert normalisation({"mean": [0.3] * 3, "std": [0.4] * 3}, PRETRAINED) == IMAGENET
    assert normalisation({"mean": [0.3] * 3, "std": [0.4] * 3}, RESNET) == {"mean": [0.3] * 3, "std": [0.4] * 3}
    params("protocols/smoke.yaml", lambda tree: tree.update(network=PRETRAINED))
    config = resolve(load_params(), RUN)
    assert {key: config["dataset"][key] for key in IMAGENET} == IMAGENET


def test_key_depends_on_the_digest_of_the_weights_and_not_on_their_path(params):
    def key(path, sha256):
        network = {**RESNET, "weights": path, "sha256": sha256}
        params("protocols/smoke.yaml", lambda tree: tree.update(network=network))
        keys = Keys(load_params())
        assert keys.resolved(RUN)["protocol"]["network"] == network
        return keys.train(RUN)

    assert key("data/weights/a.pth", "f37072fd") == key("elsewhere/b.pth", "f37072fd")
    assert key("digits/a/b/c/s0", "f37072fd") == key("digits/a/d/e/s1", "f37072fd")
    assert key("data/weights/a.pth", "f37072fe") != key("data/weights/a.pth", "f37072fd")


def test_images_of_a_run_that_starts_from_another_one_are_normalised_as_its_dataset_states():
    """The other run's images were; its file does not say how those of torchvision were."""
    own = {"mean": [0.3] * 3, "std": [0.4] * 3}
    assert normalisation(own, PRETRAINED | {"weights": "digits/n20/smoke/supervised/s0"}) == own


def drop_normalisation(tree):
    del tree["mean"], tree["std"]


def test_dataset_without_normalisation_needs_pretrained_weights(params):
    params("suites/quickstart.yaml", lambda tree: tree.update(protocol="smoke"))
    params("datasets/digits.yaml", drop_normalisation)
    with pytest.raises(ParamsError) as error:
        load_params()
    assert str(error.value) == (
        "params/datasets/digits.yaml: mean and std: missing, and network 'small_convnet' of protocol 'smoke' has no "
        "pretrained weights; set both, or the network's weights"
    )
    params("protocols/smoke.yaml", lambda tree: tree.update(network=PRETRAINED))
    assert resolve(load_params(), RUN)["dataset"]["mean"] == IMAGENET["mean"]
    params("datasets/digits.yaml", lambda tree: tree.update(mean=[0.5] * 3))
    with pytest.raises(ParamsError, match="std: missing beside mean; set both, or neither for a network with pretr"):
        load_params()


def test_invalid_options_of_the_network_are_refused_before_training(params):
    params("protocols/smoke.yaml", lambda tree: tree.update(network={**RESNET, "weights": "a.pth"}))
    with pytest.raises(ParamsError, match="smoke.yaml: network 'resnet': expected weights and sha256 together; set b"):
        load_params()
    params("protocols/smoke.yaml", lambda tree: tree.update(network={**RESNET, "depth": 35}))
    with pytest.raises(ParamsError, match="depth: expected one of 18, 34, 50, got 35"):
        load_params()
