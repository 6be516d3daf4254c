"""Models with random heads, for exports without a training."""

import torch
import torch.nn.functional as F

from daso.config.build import encoder_of
from daso.deploy.model import with_digest
from daso.models.network import initialise

CLASSES = ["aster", "beech", "clover"]
LITE0 = {
    "name": "timm",
    "model": "tf_efficientnet_lite0",
    "weights": "package",
    "sha256": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "image_size": 64,
    "train": "head",
}
TINY = {**LITE0, "model": "test_efficientnet", "weights": "tiny.pth", "sha256": "0" * 64}  # random weights
CONVNET = {"name": "small_convnet", "channels": [4, 4], "strides": [1, 2]}


def record_of(network, seeds, **changes):
    """Return a record of a model of photos that are padded to 96 pixels."""
    size = network.get("image_size", 48)
    record = {
        "name": "flowers",
        "method": "supervised_la",
        "title": "Supervised, LA",
        "runs": [{"id": f"flowers/all/photos/supervised_la/s{seed}", "key": "k", "seed": seed} for seed in seeds],
        "classes": CLASSES,
        "reading": {"image_size": 96, "fit": "pad", "bits": 12},
        "dataset": {
            "image_size": 96,
            "augment": {
                "crop": {"size": size, "scale": [0.3, 1.0], "ratio": [0.75, 1.33]},
                "test": "resize",
                **{"flip": True, "cutout": 0, "num_ops": 0, "op_probability": 0.5, "ops": []},
            },
        },
        "network": network,
        "preprocessing": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic"},
        "temperature": 0.7,
        "abstain_below": 0.5,
        "unlike_above": 0.8,
        "calibration": "by hand",
        "prior": {"implied": "uniform", "train": [0.5, 0.3, 0.2]},
        "accuracy": {"balanced": 0.9, "recall": [0.9, 0.8, 1.0], "precision": [None, 0.8, 0.9]},
        "versions": {"torch": torch.__version__},
    }
    return {**record, **changes}


def smooth_images(number, generator):
    """Return random normalised images (n, 3, 64, 64) of a few colors, dark and bright."""
    colors = torch.rand(number, 3, 4, 4, generator=generator) * 2 - 1
    brightness = torch.rand(number, 3, 1, 1, generator=generator) * 2 - 1
    return F.interpolate((colors + brightness).clamp(-1, 1), 64, mode="bilinear")


def frozen_model(network=TINY, seeds=(0, 1), **changes):
    """Return a model of linear classifiers on the features of a frozen network."""
    encoder = encoder_of(network)
    initialise(encoder, 0)
    generator, dim = torch.Generator().manual_seed(0), encoder.feature_dim
    with torch.inference_mode():
        features = encoder.eval()(smooth_images(24, generator))
    mean, std = features.mean(0), features.std(0).clamp_min(1e-3)
    tensors = {"mean": mean, "std": std, "labeled": features[:12].half()}
    if network["model"] == TINY["model"]:
        tensors |= {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    for seed in seeds:
        tensors[f"member.{seed}.classifier.weight"] = torch.randn(3, dim, generator=generator) / 5
        tensors[f"member.{seed}.classifier.bias"] = torch.randn(3, generator=generator)
    return with_digest(record_of(network, seeds, **changes), tensors)


def trained_model(network, seeds=(0, 1)):
    """Return a model of networks that were trained on images, with random weights."""
    generator, tensors = torch.Generator().manual_seed(0), {}
    for seed in seeds:
        encoder = encoder_of(network)
        initialise(encoder, seed)
        with torch.inference_mode():
            features = encoder.eval()(smooth_images(12, generator))
        mean, std = features.mean(0), features.std(0).clamp_min(1e-3)
        weight = torch.randn(3, encoder.feature_dim, generator=generator) / 5 / std
        state = {f"encoder.{name}": each for name, each in encoder.state_dict().items()}
        state |= {"classifier.weight": weight, "classifier.bias": -weight @ mean}
        tensors |= {f"member.{seed}.{name}": each for name, each in state.items()}
        if seed == seeds[0]:
            tensors["labeled"] = features.half()
    return with_digest(record_of(network, seeds), tensors)
