"""Adapters of vision transformers, on small ones of timm with random weights."""

import hashlib

import pytest
import torch

from daso.config.build import encoder_of
from daso.config.resolve import resolve
from daso.deploy.model import classifier_of, with_digest
from daso.models.adapter import Adapter, adapter_width
from daso.planning.sizes import tensor_sizes
from daso.planning.synthetic import with_changes
from tests.config.test_pixels import RUN
from tests.deploy.models import record_of
from tests.engine.test_partly_trained import LA, SGD, changed, made, resumes_bit_for_bit, tensors, trained_config
from tests.repository import PARAMS

timm = pytest.importorskip("timm")
NETWORK = {"name": "timm", "model": "test_vit", "weights": "a.pth", "sha256": "0" * 64, "image_size": 160}
NETWORK |= {"train": "adapter"}  # 6 blocks of 64 numbers
LOFT = {"name": "loft", "threshold": 0.3, "open_threshold": 0.0, "hard_weight": 3.0, "soft_weight": 1.0}


def randn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Return the configuration of LoFT with adapters and a cosine classifier, from a file of random weights."""
    path = tmp_path_factory.mktemp("weights") / "vit.pth"
    torch.save(timm.create_model("test_vit", num_classes=0).state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    network = NETWORK | {"weights": str(path), "sha256": digest, "head": "cosine"}
    method = {"name": "loft", "unlabeled_ratio": 2, "learner": LOFT, "addons": [LA]}
    return with_changes(trained_config("all", method, SGD, 160), {"protocol.network": network})


@pytest.mark.parametrize(("classes", "width"), [(100, 4), (10, 1), (200, 8), (1000, 32)])
def test_width_follows_from_classes_and_blocks(classes, width):
    assert adapter_width(classes, 12) == width


def test_adapter_computes_norm_down_relu_up_and_scale():
    """(1, 3) is normalised to (-1, 1): down -1 + 2 + .5 = 1.5, up (1.5, -3 + .25), times 2. (3, 1): down -.5, so 0."""
    adapter = Adapter(2, 1, torch.Generator())
    with torch.no_grad():
        adapter.down.weight.copy_(torch.tensor([[1.0, 2.0]]))
        adapter.down.bias.fill_(0.5)
        adapter.up.weight.copy_(torch.tensor([[1.0], [-2.0]]))
        adapter.up.bias.copy_(torch.tensor([0.0, 0.25]))
        adapter.scale.fill_(2.0)
    result = adapter(torch.tensor([[1.0, 3.0], [3.0, 1.0]]))
    assert result.tolist() == [pytest.approx([3.0, -5.5], abs=1e-4), pytest.approx([0.0, 0.5], abs=1e-4)]


@pytest.mark.parametrize("model", ["test_vit", "test_vit2", "test_vit3"])
def test_features_start_as_those_of_the_frozen_network_bit_for_bit(model):
    """The second network scales its layers, and the third one has an attention pool."""
    encoder = encoder_of(NETWORK | {"model": model}, 100).eval()
    assert {adapter.scale.item() for adapter in encoder.adapters} == {1.0}
    assert all(adapter.down.weight.any() for adapter in encoder.adapters)
    images = randn(2, 3, 160, 160)
    with torch.no_grad():
        frozen = encoder.model(images)
        assert torch.equal(encoder(images), frozen)
        for adapter in encoder.adapters:
            adapter.up.bias.copy_(randn(len(adapter.up.bias)))
        assert not torch.allclose(encoder(images), frozen, atol=1e-3)


def test_adapter_is_parallel_to_the_mlp():
    """It has the input of the MLP's layer norm, and its output is added to that of the block."""
    encoder = encoder_of(NETWORK, 100).eval()
    last, adapter, seen = encoder.model.blocks[-1], encoder.adapters[-1], {}
    last.norm2.register_forward_pre_hook(lambda module, args: seen.update(norm=args[0]))
    last.mlp.register_forward_hook(lambda module, args, output: seen.update(mlp=output))
    adapter.register_forward_pre_hook(lambda module, args: seen.update(adapter=args[0]))
    encoder.model.norm.register_forward_pre_hook(lambda module, args: seen.update(block=args[0]))
    with torch.no_grad():
        adapter.up.bias.fill_(0.5)
        encoder(randn(1, 3, 160, 160))
    assert torch.equal(seen["adapter"], seen["norm"])
    assert torch.equal(seen["block"], seen["norm"] + seen["mlp"] + 0.5)


@pytest.mark.parametrize(("classes", "width"), [(10, 1), (100, 8)])
def test_number_of_trained_weights(classes, width):
    """Norm 2 x 64, down 64 r + r, up 64 r + 64 and the scale, in each of 6 blocks; the rest is frozen."""
    encoder = encoder_of(NETWORK, classes)
    weights = {name: weight.numel() for name, weight in encoder.named_parameters() if name not in encoder.frozen}
    assert sum(weights.values()) == 6 * (128 + 64 * width + width + 64 * width + 64 + 1)
    assert {name.partition(".")[0] for name in weights} == {"adapters"}


def test_forecast_counts_the_adapters():
    config = resolve(PARAMS, RUN._replace(method="supervised_la"))
    config["protocol"]["network"] = NETWORK
    assert tensor_sizes(config, 80).trained == 4 * (6 * 322 + 64 * 10 + 10)


def test_first_weights_follow_from_the_seed():
    first, same, other = (encoder_of(NETWORK, 100, seed).adapters for seed in (0, 0, 1))
    assert torch.equal(first[0].down.weight, same[0].down.weight)
    assert not torch.equal(first[0].down.weight, other[0].down.weight)
    assert not torch.equal(first[0].down.weight, first[1].down.weight)
    assert first[0].down.weight.abs().max() <= 64**-0.5


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_changes_adapters_and_classifier_alone(tree, precision):
    """7 tensors of each of 6 adapters, and the classifier's, have a gradient; a ReLU may have no positive input."""
    run = made(with_changes(tree, {"protocol.precision": precision}))
    student = run.models.student
    assert not student.encoder.model.training
    before = tensors(student)
    run.advance(3)
    for network in run.models:
        result = changed(before, network)
        assert not result & {f"encoder.{name}" for name in network.encoder.frozen}
        assert result >= {"classifier.weight", *(f"encoder.adapters.{i}.up.bias" for i in range(6))}
        assert any(name.endswith("down.weight") for name in result)
    assert len(run.optimizer.weights) == 7 * 6 + 1


def test_resumed_run_with_adapters_equals_an_uninterrupted_one(tree, tmp_path):
    resumes_bit_for_bit(tree, 2, tmp_path)


def test_model_of_a_run_has_its_adapters():
    """100 classes need the width 8, and the tensors of any other width would not load."""
    encoder, weight = encoder_of(NETWORK, 100).eval(), randn(100, 64)
    with torch.no_grad():
        encoder.adapters[2].up.bias.fill_(0.3)
    state = {f"member.0.encoder.{name}": each for name, each in encoder.state_dict().items()}
    record = record_of(NETWORK | {"head": "cosine"}, (0,), classes=[str(k) for k in range(100)], cosine_scale=25.0)
    labeled = {"labeled": randn(1, 64).half()}
    classifier = classifier_of(with_digest(record, state | {"member.0.classifier.weight": weight} | labeled))
    pixels = torch.randint(0, 256, (1, 3, 160, 160), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = encoder((pixels / 255 - 0.5) / 0.5)
        cosines = torch.cosine_similarity(features, weight)
        expected = (25 * cosines / record["temperature"]).softmax(-1)
        assert torch.allclose(classifier(pixels)[0][0], expected, atol=1e-5)
