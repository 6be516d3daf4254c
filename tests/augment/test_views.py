import pytest
import torch
from PIL import Image

from daso.augment.packed import pack
from daso.augment.randaugment import COLOR_OPS, GEOMETRIC_OPS
from daso.augment.views import Augmentation
from daso.draw import Draw
from daso.errors import ParamsError

OPS = (*COLOR_OPS, *GEOMETRIC_OPS)
DRAWN = {"num_ops": 2, "op_probability": 0.5}
CIFAR = {"size": 32, "flip": True, "pad": 4, "ops": OPS, "cutout": 16} | DRAWN
FEW = ("rotate", "translate_x", "brightness", "sharpness")
DIGITS = {"size": 8, "flip": False, "pad": 1, "ops": FEW, "cutout": 2} | DRAWN
MAP = torch.arange(32 * 32, dtype=torch.int32).view(32, 32)  # a pixel's value is its own position


def steps(first, count):
    return Draw(0, "u/view", torch.arange(first, first + count))


def batches(images, t, b):
    return pack(images[torch.arange(t * b) % len(images)]).view(t, b, *images.shape[-2:])


def chi_square_ok(counts, probabilities):
    """Return True if the chi-square of the counts is within six standard deviations: below df + 6 sqrt(2 df)."""
    counts, expected = counts.double(), torch.as_tensor(probabilities).double() * counts.sum()
    df = len(counts) - 1
    return float(((counts - expected) ** 2 / expected).sum()) < df + 6 * (2 * df) ** 0.5


def resized(image, options):
    side = options.get("resize", options["size"])
    return image.resize((side, side), Image.Resampling.BILINEAR) if "resize" in options else image


def strong_in_pillow(image, draws, i, options, reference, pillow):
    """Compute the strong view of one image in Pillow from the same draws."""
    flip, (top, left) = draws["flip"][i], draws["crop"][i]
    image = pillow.flip_crop(pillow.image(image), flip and options["flip"], top, left, options["pad"])
    after = options.get("operations") == "after"
    image = resized(image, options) if after else image
    for slot in range(2):
        if draws[f"apply{slot}"][i] < 0.5:
            level, sign = draws[f"level{slot}"][i] + 1, (1, -1)[draws[f"sign{slot}"][i]]
            image = reference[options["ops"][draws[f"op{slot}"][i]]](image, level, sign)
    x, y = (centre * image.size[0] for centre in draws["cutout"][i])
    image = pillow.cutout(image, x, y, options["cutout"])
    return pillow.packed(image if after else resized(image, options))


def draw_lists(draw, batch, options):
    """Return all draws of a chunk of steps as lists over its images."""
    shapes = {"flip": (2, batch, 1), "crop": (2 * options["pad"] + 1, batch, 2)}
    for slot in range(2):
        shapes |= {f"op{slot}": (len(options["ops"]), batch), f"level{slot}": (9, batch), f"sign{slot}": (2, batch)}
    draws = {name: draw(name).integers(*shape).flatten(0, 1).tolist() for name, shape in shapes.items()}
    draws["flip"] = [flip for (flip,) in draws["flip"]]
    draws["cutout"] = draw("cutout").uniform(batch, 2).flatten(0, 1).tolist()
    return draws | {f"apply{slot}": draw(f"apply{slot}").uniform(batch).flatten().tolist() for slot in range(2)}


@pytest.mark.parametrize("options", [CIFAR, DIGITS], ids=["32", "8"])
def test_strong_equals_the_pipeline_in_pillow(photo_tiles, digits, reference, pillow, options):
    images = batches(photo_tiles(32) if options is CIFAR else digits, 6, 200)
    draw = steps(1000, 6)
    result = Augmentation(**options).strong(images, draw).flatten(0, 1)
    draws = draw_lists(draw, 200, options)
    for i, (before, after) in enumerate(zip(images.flatten(0, 1), result, strict=True)):
        assert torch.equal(after, strong_in_pillow(before, draws, i, options, reference, pillow)), i


def test_weak_equals_the_pipeline_in_pillow(photo_tiles, pillow):
    images, draw = batches(photo_tiles(32), 4, 100), steps(7, 4)
    draws = draw_lists(draw, 100, CIFAR)
    result = Augmentation(**CIFAR).weak(images, draw).flatten(0, 1)
    for i, (before, after) in enumerate(zip(images.flatten(0, 1), result, strict=True)):
        expected = pillow.flip_crop(pillow.image(before), draws["flip"][i], *draws["crop"][i], 4)
        assert torch.equal(after, pillow.packed(expected))


@pytest.mark.parametrize("view", ["weak", "strong"])
def test_views_of_a_step_do_not_depend_on_the_chunk(photo_tiles, view):
    """Eleven steps of 64 images exceed the size that a CPU processes at once."""
    images, render = batches(photo_tiles(32), 11, 64), getattr(Augmentation(**CIFAR), view)
    whole = render(images, steps(20, 11))
    assert torch.equal(torch.cat([render(images[i : i + 1], steps(20 + i, 1)) for i in range(11)]), whole)
    assert torch.equal(torch.cat([render(images[:7], steps(20, 7)), render(images[7:], steps(27, 4))]), whole)


@pytest.mark.parametrize("view", ["weak", "strong"])
def test_view_depends_only_on_the_position_in_the_batch(photo_tiles, view):
    images, render = batches(photo_tiles(32), 2, 96), getattr(Augmentation(**CIFAR), view)
    assert torch.equal(render(images, steps(0, 2))[:, :40], render(images[:, :40].contiguous(), steps(0, 2)))


def test_views_differ_between_streams_seeds_and_steps():
    augmentation, image = Augmentation(**CIFAR), MAP.expand(1, 64, 32, 32)
    draws = [Draw(0, "a", torch.tensor([0])), Draw(0, "a", torch.tensor([1])), Draw(0, "b", torch.tensor([0]))]
    views = [augmentation.weak(image, draw) for draw in [*draws, Draw(1, "a", torch.tensor([0]))]]
    for i, one in enumerate(views):
        assert not any(torch.equal(one, other) for other in views[:i])


def test_views_do_not_change_their_argument(photo_tiles):
    images = batches(photo_tiles(32), 1, 64)
    before = images.clone()
    Augmentation(**CIFAR).weak(images, steps(0, 1))
    Augmentation(**CIFAR).strong(images, steps(0, 1))
    assert torch.equal(images, before)


def test_flips_and_corners_are_uniform():
    """Pixel (16, 16) of the result shows row 12..20 and column 12..20; the next pixel reveals a flip."""
    result = Augmentation(**CIFAR).weak(MAP.expand(50, 400, 32, 32), steps(0, 50)).flatten(0, 1)
    flipped = result[:, 16, 17] < result[:, 16, 16]
    row, column = result[:, 16, 16] // 32, result[:, 16, 16] % 32
    column = torch.where(flipped, 31 - column, column)
    assert int(row.min()) == int(column.min()) == 12
    assert int(row.max()) == int(column.max()) == 20
    assert chi_square_ok(torch.bincount(flipped.long()), [1 / 2] * 2)
    joint = (flipped * 9 + row - 12) * 9 + column - 12
    assert chi_square_ok(torch.bincount(joint, minlength=162), [1 / 162] * 162)


def pool_alone(**options):
    """Return an augmentation without flip, crop and Cutout."""
    return Augmentation(size=32, flip=False, pad=0, cutout=0, **DRAWN | options)


def test_half_of_the_operations_are_applied_at_uniform_levels_and_signs():
    """Levels 1..9 shift by 0..8 pixels of 32: by 0 with probability 1/2 + 1/18, by each other of -8..8 with 1/36."""
    result = pool_alone(ops=["translate_x"], num_ops=1).strong(MAP.expand(50, 400, 32, 32), steps(0, 50))
    shift = (result[..., 0, 16] - 16).flatten() + 8
    expected = [1 / 36] * 17
    expected[8] = 1 / 2 + 1 / 18
    assert chi_square_ok(torch.bincount(shift, minlength=17), expected)


def test_two_slots_are_drawn_with_replacement_and_independently():
    """A slot shifts rows with probability 1/2 * 1/2 * 8/9 = 2/9, columns with 2/9, nothing with 5/9.

    Only rows are shifted if one slot shifts them and the other nothing, or if both shift them and do not cancel: one of
    16 shifts by -8..8 cancels.
    """
    result = pool_alone(ops=["translate_x", "translate_y"]).strong(MAP.expand(50, 400, 32, 32), steps(0, 50))
    columns, rows = result[..., 16, 16] % 32 != 16, result[..., 16, 16] // 32 != 16
    one = 2 * (2 / 9) * (5 / 9) + (2 / 9) ** 2 * 15 / 16
    both = 2 * (2 / 9) ** 2
    counts = torch.bincount((2 * rows.long() + columns.long()).flatten(), minlength=4)
    assert chi_square_ok(counts, [1 - 2 * one - both, one, one, both])


def test_operations_are_uniform():
    """Identity has the same kernel as an operation that is not applied: 1/2 + 1/28."""
    augmentation = pool_alone(ops=OPS)
    for slot in (0, 1):
        kernel, value = augmentation._slot(steps(0, 100), slot, 200)
        warped = kernel == 1
        assert chi_square_ok(torch.bincount(value[warped].long(), minlength=90), [1 / 90] * 90)
        counts = torch.bincount(kernel)
        assert chi_square_ok(counts[counts > 0], [1 / 2 + 1 / 28, 5 / 28, *[1 / 28] * 8])


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_op_probability_sets_the_share_of_applied_operations(probability):
    result = pool_alone(ops=["solarize"], num_ops=1, op_probability=probability).strong(
        MAP.expand(1, 200, 32, 32), steps(0, 1)
    )
    assert bool((result == MAP).all()) == (probability == 0)
    assert bool((result != MAP).any(-1).any(-1).all()) == (probability == 1)


def test_centre_of_cutout_is_uniform():
    """The first column is 0 for centres below 9, then 1, 2, ..., 23 with probability 1/32 each; rows likewise."""
    augmentation = Augmentation(size=32, flip=False, pad=0, ops=[], num_ops=0, op_probability=0.5, cutout=16)
    grey = augmentation.strong(torch.zeros(50, 400, 32, 32, dtype=torch.int32), steps(0, 50)).flatten(0, 1) > 0
    assert bool(grey.any(-1).any(-1).all())
    for axis in (1, 2):
        first = grey.any(axis).long().argmax(-1)
        assert chi_square_ok(torch.bincount(first, minlength=24), [9 / 32, *[1 / 32] * 23])


def test_strong_without_cutout_and_operations_equals_weak(photo_tiles):
    images = batches(photo_tiles(32), 2, 50)
    augmentation = Augmentation(size=32, flip=True, pad=4, ops=[], num_ops=0, op_probability=0.5, cutout=0)
    assert torch.equal(augmentation.strong(images, steps(0, 2)), augmentation.weak(images, steps(0, 2)))


STL = CIFAR | {"size": 96, "resize": 32}


@pytest.mark.parametrize("operations", ["before", "after"])
def test_strong_views_are_resized_after_or_before_the_operations(photo_tiles, reference, pillow, operations):
    """96 pixels, two parts: the operations and a cutout of 16 pixels apply to images of 96 or of 32 pixels."""
    options = STL | {"operations": operations}
    images, draw = batches(photo_tiles(96), 2, 60), steps(5, 2)
    draws = draw_lists(draw, 60, options)
    result = Augmentation(**options).strong(images, draw)
    assert result.shape == (2, 60, 32, 32)
    for i, (before, after) in enumerate(zip(images.flatten(0, 1), result.flatten(0, 1), strict=True)):
        assert torch.equal(after, strong_in_pillow(before, draws, i, options, reference, pillow)), i


@pytest.mark.parametrize("operations", ["before", "after"])
def test_weak_views_are_cropped_before_resizing(photo_tiles, pillow, operations):
    images, draw = batches(photo_tiles(96), 2, 60), steps(5, 2)
    draws, augmentation = draw_lists(draw, 60, STL), Augmentation(**STL, operations=operations)
    weak, plain = augmentation.weak(images, draw).flatten(0, 1), augmentation.plain(images).flatten(0, 1)
    for i, before in enumerate(images.flatten(0, 1)):
        expected = pillow.flip_crop(pillow.image(before), draws["flip"][i], *draws["crop"][i], 4)
        assert torch.equal(weak[i], pillow.packed(resized(expected, STL)))
        assert torch.equal(plain[i], pillow.packed(resized(pillow.image(before), STL)))


def test_plain_returns_images_of_unchanged_size():
    assert Augmentation(**CIFAR).plain(MAP[None]).data_ptr() == MAP.data_ptr()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"ops": ["rotat"]}, "did you mean 'rotate'"),
        ({"pad": 32}, "augment.pad: 32 pixels cannot be reflected in images of 32"),
        ({"pad": -1}, "augment.pad: -1"),
        ({"cutout": -1}, "augment.cutout: -1"),
        ({"ops": []}, "augment.num_ops: 2 is not allowed without ops"),
    ],
)
def test_invalid_options_are_refused(option, message):
    with pytest.raises(ParamsError, match=message):
        Augmentation(**CIFAR | option)


def test_images_of_a_different_size_are_refused():
    with pytest.raises(ParamsError, match="image_size: 32, but the images have 8 x 8 pixels"):
        Augmentation(**CIFAR).weak(torch.zeros(1, 4, 8, 8, dtype=torch.int32), steps(0, 1))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("view", ["weak", "strong"])
@pytest.mark.parametrize("options", [CIFAR, STL], ids=["32", "96"])
def test_gpu_pixels_equal_cpu_pixels_without_synchronization(photo_tiles, view, options):
    images, render = batches(photo_tiles(options["size"]), 64, 128), getattr(Augmentation(**options), view)
    expected, on_gpu = render(images, steps(0, 64)), images.cuda()
    render(on_gpu, steps(0, 64))  # copies the warp maps to the device
    torch.cuda.set_sync_debug_mode("error")
    try:
        result = render(on_gpu, steps(0, 64))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(result.cpu(), expected)
    assert torch.equal(render(on_gpu, steps(0, 64)._replace(t=torch.arange(64).cuda())).cpu(), expected)
