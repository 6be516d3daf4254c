import math

import pytest
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import functional

from daso.augment.packed import pack, unpack
from daso.augment.randaugment import COLOR_OPS, GEOMETRIC_OPS
from daso.augment.resized_crop import CenterCrop
from daso.augment.resized_crop import RandomResizedCrop as Batched
from daso.augment.views import Augmentation
from daso.draw import Draw
from daso.errors import ParamsError

SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
CROP = {"size": 40, "scale": SCALE, "ratio": RATIO}
PHOTOS = {
    "size": 64,
    "flip": True,
    "crop": CROP,
    "cutout": 20,
    "num_ops": 2,
    "op_probability": 0.5,
    "ops": (*COLOR_OPS, *GEOMETRIC_OPS),
}
BILINEAR = Image.Resampling.BILINEAR


def steps(first, count):
    return Draw(0, "u/view", torch.arange(first, first + count))


def boxes_of(every):
    """Return placements (5, n) of boxes in 64 x 64 pixels of every height and width, in steps, at varying corners."""
    sides = range(1, 65, every)
    rows = [
        (i % 2, (7 * h) % (65 - h), (5 * w) % (65 - w), h, w)
        for i, (h, w) in enumerate((h, w) for h in sides for w in sides)
    ]
    return torch.tensor(rows, dtype=torch.int32).t()


def in_pillow(image, placement, target, pillow):
    """Crop and flip in Pillow, resizing the width before the height in every version of it."""
    flip, top, left, height, width = placement
    box = pillow.image(image).crop((left, top, left + width, top + height))
    result = box.resize((target, height), BILINEAR).resize((target, target), BILINEAR)
    return result.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else result


def test_boxes_equal_pillow(photo_tiles, pillow):
    """Boxes that grow, shrink or keep one or both sides; Pillow 13 resizes the height first in some of the latter."""
    placements = boxes_of(3)
    images = pack(photo_tiles(64))[torch.arange(placements.shape[1]) % 40]
    result, whole = Batched(64, 40, SCALE, RATIO, flip=True)(images, placements), 0
    for image, placement, actual in zip(images, placements.t().tolist(), result, strict=True):
        assert torch.equal(actual, pillow.packed(in_pillow(image, placement, 40, pillow))), placement
        flip, top, left, height, width = placement
        if height - 40 > max(0, 2 * (width - 40)) or flip:
            continue
        box = pillow.image(image).crop((left, top, left + width, top + height))
        assert torch.equal(actual, pillow.packed(box.resize((40, 40), BILINEAR))), placement
        whole += 1
    assert whole > 150


def test_boxes_are_within_one_level_of_torchvision(photo_tiles):
    placements = boxes_of(9)
    images = photo_tiles(64)[torch.arange(placements.shape[1]) % 40]
    result = unpack(Batched(64, 40, SCALE, RATIO, flip=False)(pack(images), placements))
    for image, (flip, *box), actual in zip(images, placements.t().tolist(), result, strict=True):
        expected = functional.resized_crop(image.float() / 255, *box, [40, 40], antialias=True)
        expected = expected.flip(-1) if flip else expected
        assert (actual / 255 - expected).abs().max() <= 1 / 255 + 1e-6, box


def test_first_box_that_fits_counts():
    """100 x 100 pixels, areas .25 to 1, ratios 1/4 to 4. Attempt 1: area 1, ratio 4: 200 pixels wide, too large.

    Attempt 2: area .25, ratio 1: 50 x 50, at .5 and .999 of the 51 positions: 25 and 50. Attempt 3 would give 100 x 25.
    """
    crop = Batched(100, 10, (0.25, 1.0), (0.25, 4.0), flip=False)
    area, ratio = torch.zeros(10), torch.zeros(10)
    area[0], ratio[:2] = 0.9999, torch.tensor([0.9999, 0.5])
    assert crop.boxes(area, ratio, torch.tensor([0.5, 0.999])).tolist() == [25, 50, 50, 50]


@pytest.mark.parametrize(
    ("ratio", "box"),
    [((2, 3), (25, 0, 50, 100)), ((1 / 4, 1 / 2), (0, 25, 100, 50)), ((3 / 4, 4 / 3), (0, 0, 100, 100))],
)
def test_fallback_is_the_largest_box_in_the_center(ratio, box):
    """The whole area with a ratio of 2 is 141 pixels wide, with 1/2 as high, with 4/3 115 wide: nothing fits in 100.

    A ratio of at least 2 leaves 100 / 2 = 50 rows, 25 above and below; one of at most 1/2 leaves 50 columns.
    """
    crop = Batched(100, 10, (1.0, 1.0), ratio, flip=False)
    ones = torch.full((10,), 0.9999)
    assert tuple(crop.boxes(ones, ones, torch.zeros(2)).tolist()) == box


def test_distribution_of_boxes_is_that_of_torchvision():
    """Both samples are counted in 5 x 5 bins of area and ratio and compared by a chi-square test of two samples."""
    n = 8000
    flip, top, left, height, width = Batched(224, 224, SCALE, RATIO, flip=True).draw(steps(0, 80), n // 80)
    ours = torch.stack([top, left, height, width])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        image = torch.empty(3, 224, 224)
        theirs = torch.tensor([transforms.RandomResizedCrop.get_params(image, SCALE, RATIO) for _ in range(n)]).t()

    def bins(boxes):
        area, ratio = boxes[2] * boxes[3] / 224**2, (boxes[3] / boxes[2]).log() / math.log(4 / 3)
        assert 0.075 < area.min() < area.max() <= 1
        assert -1.03 < ratio.min() < ratio.max() < 1.03
        return torch.bincount((area * 5).long().clamp(max=4) * 5 + ((ratio + 1) * 2.5).long().clamp(0, 4), minlength=25)

    one, other = bins(ours).double(), bins(theirs).double()
    assert ((one - other) ** 2 / (one + other)).sum() < 24 + 6 * (2 * 24) ** 0.5
    for corner, side in ((top, height), (left, width)):
        assert bool(((corner >= 0) & (corner + side <= 224)).all())
        position = (corner / (225 - side))[side < 150]  # uniform in [0, 1) but for whole pixels
        assert position.mean() == pytest.approx(0.5, abs=0.02)
    assert flip.double().mean() == pytest.approx(0.5, abs=6 * 0.5 / n**0.5)


@pytest.mark.parametrize("operations", ["before", "after"])
def test_views_equal_the_pipeline_in_pillow(photo_tiles, reference, pillow, operations):
    """Operations and Cutout apply at 40 pixels, in either order that a learner names."""
    images, draw = pack(photo_tiles(64)[:120]).view(2, 60, 64, 64), steps(5, 2)
    augmentation = Augmentation(**PHOTOS, operations=operations)
    weak, strong = (getattr(augmentation, view)(images, draw).flatten(0, 1) for view in ("weak", "strong"))
    placements, ops = augmentation.crop.draw(draw, 60).t().tolist(), PHOTOS["ops"]
    drawn = {
        name: draw(name).integers(high, 60).flatten().tolist()
        for slot in "01"
        for name, high in ((f"op{slot}", len(ops)), (f"level{slot}", 9), (f"sign{slot}", 2))
    }
    centres = draw("cutout").uniform(60, 2).view(-1, 2).tolist()
    for i, before in enumerate(images.flatten(0, 1)):
        image = in_pillow(before, placements[i], 40, pillow)
        assert torch.equal(weak[i], pillow.packed(image)), i
        for slot in "01":
            if draw(f"apply{slot}").uniform(60).flatten()[i] < 0.5:
                sign = (1, -1)[drawn[f"sign{slot}"][i]]
                image = reference[ops[drawn[f"op{slot}"][i]]](image, drawn[f"level{slot}"][i] + 1, sign)
        x, y = centres[i]
        assert torch.equal(strong[i], pillow.packed(pillow.cutout(image, 40 * x, 40 * y, 20))), i


@pytest.mark.parametrize("view", ["weak", "strong"])
def test_views_are_a_function_of_seed_stream_and_step(photo_tiles, view):
    """Four steps of 60 images of 64 x 64 pixels are more than a CPU processes at once."""
    images, render = pack(photo_tiles(64)[:240]).view(4, 60, 64, 64), getattr(Augmentation(**PHOTOS), view)
    whole = render(images, steps(20, 4))
    assert whole.shape == (4, 60, 40, 40)
    assert torch.equal(torch.cat([render(images[i : i + 1], steps(20 + i, 1)) for i in range(4)]), whole)
    assert torch.equal(render(images[:, :25].contiguous(), steps(20, 4)), whole[:, :25])
    for other in (steps(21, 4), steps(20, 4)._replace(seed=1), steps(20, 4)._replace(stream="x/view")):
        assert not torch.equal(render(images, other), whole)


@pytest.mark.parametrize("target", [40, 41, 64])
def test_test_images_are_cropped_or_resized(photo_tiles, pillow, target):
    """40 of 64 pixels begin at row 12; 41 at round(11.5) = 12, as Python rounds half to even."""
    photos = photo_tiles(64)[:50]
    options = PHOTOS | {"crop": CROP | {"size": target}}
    cropped = Augmentation(**options).plain(pack(photos))
    assert torch.equal(unpack(cropped), transforms.CenterCrop(target)(photos))
    if target < 64:
        assert torch.equal(unpack(cropped), photos[:, :, 12 : 12 + target, 12 : 12 + target])
    for image, actual in zip(pack(photos), Augmentation(**options, test="resize").plain(pack(photos)), strict=True):
        assert torch.equal(actual, pillow.packed(pillow.image(image).resize((target, target), BILINEAR)))


def test_views_may_be_larger_than_the_images_if_test_images_are_resized():
    with pytest.raises(ParamsError, match="augment.crop.size: 65 is above image_size 64.*lower it or set test: resize"):
        CenterCrop(64, 65)
    images = torch.zeros(1, 2, 64, 64, dtype=torch.int32)
    augmentation = Augmentation(**PHOTOS | {"crop": CROP | {"size": 80}}, test="resize")
    assert augmentation.plain(images).shape == augmentation.strong(images, steps(0, 1)).shape == (1, 2, 80, 80)


@pytest.mark.parametrize("both", [True, False])
def test_exactly_one_of_pad_and_crop_is_expected(both):
    options = PHOTOS | {"pad": 4} if both else {name: value for name, value in PHOTOS.items() if name != "crop"}
    with pytest.raises(ParamsError, match="augment: expected exactly one of pad and crop"):
        Augmentation(**options)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("view", ["weak", "strong"])
def test_gpu_pixels_equal_cpu_pixels_without_synchronization(photo_tiles, view):
    images, render = pack(photo_tiles(64)[:240]).view(4, 60, 64, 64), getattr(Augmentation(**PHOTOS), view)
    expected, on_gpu = render(images, steps(0, 4)), images.cuda()
    render(on_gpu, steps(0, 4))  # copies the tables to the device
    torch.cuda.set_sync_debug_mode("error")
    try:
        result = render(on_gpu, steps(0, 4))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(result.cpu(), expected)
