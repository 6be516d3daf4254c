"""Views of SimCLR: colors equal Pillow's, hue and blur torchvision's, and the draws have their probabilities."""

from itertools import permutations

import pytest
import torch
from PIL import ImageFilter
from torchvision.transforms import functional

from daso.augment import photometric
from daso.augment.packed import pack, unpack
from daso.augment.simclr import SimCLR, blur, hue
from daso.augment.views import Augmentation
from daso.draw import Draw

OPTIONS = {"size": 32, "flip": True, "pad": 4, "ops": (), "num_ops": 0, "op_probability": 0.5, "cutout": 0}
FACTORS = torch.tensor([0.6, 0.95, 1.0, 1.1, 1.4])
STEPS, BATCH = 100, 40


def draw(first=0, count=STEPS):
    return Draw(0, "x/simclr", torch.arange(first, first + count))


@pytest.fixture(scope="module")
def photos(photo_tiles):
    return photo_tiles(32)[::17][:60]


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_colors_above_and_below_one_equal_pillow(photos, name, pillow):
    kernel = getattr(photometric, "color" if name == "saturation" else name)
    for factor in FACTORS:
        results = kernel(pack(photos), factor.expand(len(photos)))
        for image, result in zip(pack(photos), results, strict=True):
            expected = getattr(functional, f"adjust_{name}")(pillow.image(image), float(factor))
            assert torch.equal(result, pillow.packed(expected))


def test_hue_is_within_one_level_of_torchvision(photos):
    for shift in (-0.1, -0.03, 0.0, 0.1):
        result = unpack(hue(pack(photos), torch.full((len(photos),), shift)))
        expected = 255 * functional.adjust_hue(photos.float() / 255, shift)
        assert (result - expected).abs().max() <= 0.5 + 1e-3
    assert torch.equal(unpack(hue(pack(photos), torch.zeros(len(photos)))), photos)


def test_third_of_a_turn_exchanges_the_colors():
    """From red over green to blue: (200, 50, 80) becomes (80, 200, 50); grey stays."""
    images = pack(torch.tensor([[200, 50, 80], [70, 70, 70]], dtype=torch.uint8)[:, :, None, None])
    assert unpack(hue(images, torch.full((2,), 1 / 3))).flatten(1).tolist() == [[80, 200, 50], [70, 70, 70]]


def test_blur_is_a_gaussian(photos, pillow):
    """Inside, where no edge is repeated, as torchvision's; close to Pillow's box filters everywhere."""
    for sigma in (0.1, 0.5, 1.0, 2.0):
        result = unpack(blur(pack(photos), torch.full((len(photos),), sigma)))
        expected = functional.gaussian_blur(photos.float(), [13, 13], [sigma, sigma])
        assert (result - expected)[..., 6:-6, 6:-6].abs().max() <= 0.5 + 1e-3
        boxes = [pillow.image(image).filter(ImageFilter.GaussianBlur(sigma)) for image in pack(photos)]
        assert (result.float() - unpack(torch.stack([pillow.packed(box) for box in boxes]))).abs().mean() < 2
    assert torch.equal(unpack(blur(pack(photos), torch.full((len(photos),), 0.1))), photos)


def test_each_image_has_its_own_value(photos):
    """The first image alone, or beside others with other values, has the same result."""
    values = torch.linspace(0.2, 1.9, len(photos))
    assert torch.equal(blur(pack(photos), values)[:1], blur(pack(photos[:1]), values[:1]))
    assert torch.equal(hue(pack(photos), values / 20)[-1:], hue(pack(photos[-1:]), values[-1:] / 20))


def test_operations_have_their_probabilities_and_ranges():
    """4,000 images: a share has a standard deviation below .008, one of 24 orders of 3,200 one of .0035."""
    slots = SimCLR(32, 32, flip=True).draw(draw(), BATCH)
    kernels, values = (torch.stack(parts) for parts in zip(*slots, strict=True))
    applied = (kernels > 0).float().mean(1)
    assert applied.tolist() == pytest.approx([0.8] * 4 + [0.2, 0.5], abs=0.04)
    orders = kernels[:4, kernels[0] > 0].t().tolist()
    counts = [orders.count(list(order)) for order in permutations((1, 2, 3, 4))]
    assert sum(counts) == len(orders)  # each operation once
    assert [count / len(orders) for count in counts] == pytest.approx([1 / 24] * 24, abs=0.02)
    for op, (centre, largest) in enumerate(zip((1, 1, 1, 0), (0.4, 0.4, 0.4, 0.1), strict=True), 1):
        own = values[:4][kernels[:4] == op]
        assert own.min() == pytest.approx(centre - largest, abs=0.01)
        assert own.max() == pytest.approx(centre + largest, abs=0.01)
    assert [float(values[5].min()), float(values[5].max())] == pytest.approx([0.1, 2], abs=0.01)
    assert set(kernels[4].tolist()) == {0, 5}
    assert set(kernels[5].tolist()) == {0, 6}
    assert not values[4].any()


def test_view_is_the_crop_and_the_operations_in_their_order(photos, pillow):
    """On grey images hue, saturation and grey change nothing, and brightness and contrast depend on their order."""
    grey = pack(photos)[torch.arange(STEPS * 2) % len(photos)] & 0xFF
    images = (grey * 0x010101).view(STEPS, 2, 32, 32)
    views = Augmentation(**OPTIONS).simclr(images, draw()).flatten(0, 1)
    reference = SimCLR(32, 32, flip=True)
    placement, slots = reference.crop.draw(draw(), 2), reference.draw(draw(), 2)
    crops, compared = reference.crop(images.flatten(0, 1), placement), 0
    for i, (crop, view) in enumerate(zip(crops, views, strict=True)):
        if slots[5][0][i]:  # blurred
            continue
        expected = pillow.image(crop)
        for kernel, value in slots[:4]:
            if kernel[i] in (1, 2):
                adjust = functional.adjust_brightness if kernel[i] == 1 else functional.adjust_contrast
                expected = adjust(expected, float(value[i]))
        assert torch.equal(view, pillow.packed(expected))
        compared += 1
    assert compared > 60


def test_crop_has_a_fifth_of_the_area_or_more_and_a_flip():
    flip, _, _, height, width = SimCLR(32, 32, flip=True).crop.draw(draw(), BATCH)
    area = (height * width) / 32**2
    assert 0.17 < area.min() < 0.22
    assert area.max() == 1
    assert flip.float().mean() == pytest.approx(0.5, abs=0.04)
    assert not SimCLR(32, 32, flip=False).crop.draw(draw(), BATCH)[0].any()


def test_view_depends_on_seed_stream_and_step_alone(photos):
    images = pack(photos[:20]).view(2, 10, 32, 32)
    augmentation = Augmentation(**OPTIONS | {"resize": 16})
    views = augmentation.simclr(images, draw(5, 2))
    assert views.shape == (2, 10, 16, 16)
    assert torch.equal(views[1:], augmentation.simclr(images[1:], draw(6, 1)))
    assert not torch.equal(views[1:], augmentation.simclr(images[1:], draw(6, 1)("2")))
