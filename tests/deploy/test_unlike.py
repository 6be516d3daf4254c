"""Images unlike the labeled ones: blank pages, noise and text, and photographs of other kinds."""

import io
import zipfile
from itertools import islice

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import nn

from daso.config.network import encoder_weights
from daso.deploy.network import Classifier
from daso.models.features import FeatureEncoder
from daso.ops.novelty import unlike_other_groups, unlike_threshold
from tests.workflow.photos import NETWORK

pytest.importorskip("timm")
SIDE, KNOWN, OTHER = 128, ("frog", "ship", "horse"), ("truck", "cat")


@pytest.fixture(scope="module")
def network():
    """Return a function that maps images to features of the pretrained network, 1,280 each."""
    from daso.models.timm_encoder import TimmEncoder

    encoder = TimmEncoder(**{name: value for name, value in NETWORK.items() if name != "name"})
    encoder.load_pretrained(encoder_weights(NETWORK).path)
    return encoder.eval()


def pixels(images):
    return torch.from_numpy(np.stack([np.asarray(image).transpose(2, 0, 1) for image in images]))


def cifar(archive, name, first, number):
    """Return training images of a class, enlarged."""
    files = sorted(file for file in archive.namelist() if f"train/{name}/" in file and not file.endswith("/"))
    chosen = islice(files, first, first + number)
    opened = (Image.open(io.BytesIO(archive.read(file))).convert("RGB") for file in chosen)
    return [image.resize((SIDE, SIDE), Image.Resampling.BILINEAR) for image in opened]


def page(rng):
    """Return a white page with black text."""
    image = Image.new("RGB", (SIDE, SIDE), "white")
    for top in range(4, SIDE - 8, 12):
        line = "".join(chr(97 + letter) for letter in rng.integers(0, 26, 18))
        ImageDraw.Draw(image).text((4, top), line, fill="black")
    return image


def test_blank_noise_and_text_are_unlike_and_known_kinds_are_not(cifar10_zip, network):
    """60 labels in each of three classes: at least 80 % of 30 pictures of no kind are flagged, at most 10 % of known.

    Other kinds are less similar on average, though not all are flagged.
    """
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(cifar10_zip) as archive:
        labeled = [image for name in KNOWN for image in cifar(archive, name, 0, 60)]
        known = [image for name in KNOWN for image in cifar(archive, name, 100, 10)]
        other = [image for name in OTHER for image in cifar(archive, name, 0, 15)]
    none = [Image.new("RGB", (SIDE, SIDE), (level,) * 3) for level in range(30, 230, 20)]
    none += [Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)) for _ in range(10)]
    none += [page(rng) for _ in range(10)]
    member, statistics = (FeatureEncoder(1280), nn.Linear(1280, 3)), (torch.zeros(1280), torch.ones(1280))

    def model(features):
        return Classifier(network, [member], network.preprocessing, statistics, features.half(), 1.0)

    stated = model(torch.zeros(1, 1280))
    with torch.inference_mode():
        features = network((pixels(labeled) / 255 - stated.pixel_mean) / stated.pixel_std)
        images = {"known": known, "other": other, "none": none}
        unlike = {name: model(features)(pixels(each))[1] for name, each in images.items()}
    labels, groups = torch.arange(3).repeat_interleave(60), torch.arange(180)
    above = unlike_threshold(unlike_other_groups(features, groups), labels, groups)
    assert (unlike["none"] > above).float().mean() >= 0.8
    assert (unlike["known"] > above).float().mean() <= 0.1
    assert unlike["other"].mean() > unlike["known"].mean()
