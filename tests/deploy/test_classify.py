"""The reader of an export decodes image files as this package does, bit for bit."""

import numpy as np
import pytest
from PIL import ExifTags, Image

from daso.data import pixels
from daso.deploy import classify
from daso.deploy.assemble import plain_view
from daso.deploy.predict_files import decode_squares
from daso.deploy.predictor import network_images
from daso.deploy.reading import reading_of
from daso.models.network import Preprocessing
from tests.deploy.models import CONVNET, record_of
from tests.deploy.six_files import write_six

NARROW_VIEW = {"crop": {"size": 48, "scale": [0.3, 1.0], "ratio": [0.75, 1.33]}, "test": "crop"}
VIEWS = {
    "smaller": {},
    "center": {"augment": NARROW_VIEW},
    "larger": {"augment": {"resize": 112, "pad": 4}},
    "same": {"augment": {"pad": 4}},
}
REST = {"flip": True, "cutout": 0, "num_ops": 0, "op_probability": 0.5, "ops": []}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return files of many formats: the six of `write_six`, and others."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(1)
    write_six(folder)
    color = Image.fromarray(rng.integers(0, 256, (50, 70, 3), np.uint8))
    for orientation in range(2, 9):
        turned = Image.Exif()
        turned[ExifTags.Base.Orientation] = orientation
        color.save(folder / f"turned-{orientation}.{'tif' if orientation % 2 else 'png'}", exif=turned)
    color.convert("LA").save(folder / "grey-alpha.png")
    color.convert("1").save(folder / "bits.png")
    color.save(folder / "first.gif", save_all=True, append_images=[color.rotate(90)])
    color.save(folder / "photo.webp")
    color.resize((96, 96)).save(folder / "square.bmp")
    deep = rng.integers(0, 4096, (40, 60), np.uint16)
    (folder / "deep.pgm").write_bytes(b"P5 60 40 4095\n" + deep.astype(">u2").tobytes())
    Image.fromarray(deep).save(folder / "deep.tif")
    Image.fromarray(rng.integers(0, 256, (1, 30, 3), np.uint8)).save(folder / "line.png")
    return sorted(folder.iterdir())


@pytest.mark.parametrize("fit", ["pad", "crop", "squash"])
@pytest.mark.parametrize("name", VIEWS)
def test_photos_are_read_as_by_predict(files, fit, name):
    record = record_of(CONVNET, [0], reading={"image_size": 96, "fit": fit, "bits": 12})
    if "augment" in VIEWS[name]:
        record["dataset"] = {"image_size": 96, "augment": {**REST, **VIEWS[name]["augment"]}}
    squares, errors = decode_squares(list(map(str, files)), record)
    assert set(errors) == {""}
    view, reading = plain_view(record, Preprocessing(**record["preprocessing"])), reading_of(record)
    expected = network_images(view, squares)
    read = np.stack([classify.read_photo(str(path), reading) for path in files])
    assert read.dtype == np.uint8
    assert read.shape == (21, 3, *[{"smaller": 48, "center": 48, "larger": 112, "same": 96}[name]] * 2)
    np.testing.assert_array_equal(read, expected)


def test_limit_is_the_largest_photo_that_is_decoded_at_full_size(tmp_path):
    assert classify.LARGEST_PHOTO == pixels.WHOLE
    Image.new("1", (9460, 9459)).save(tmp_path / "large.png")
    with pytest.raises(ValueError, match="too large; save it with at most 89,478,485 pixels"):
        classify.read_photo(str(tmp_path / "large.png"), reading_of(record_of(CONVNET, [0])))


def test_files_that_predict_refuses_are_refused(tmp_path):
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "float.tif")
    Image.new("RGB", (16, 12)).save(tmp_path / "raw.tif", tiffinfo={254: 1})
    Image.new("RGB", (1, 60_000)).save(tmp_path / "line.png")
    record = record_of(CONVNET, [0], reading={"image_size": 96, "fit": "crop", "bits": 12})
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    assert decode_squares(paths, record)[1] == ["32 bits per pixel", "too narrow", "camera raw"]
    for path, reason in zip(paths, ["32 bits per pixel", "too narrow", "camera raw"], strict=True):
        with pytest.raises(ValueError, match=reason):
            classify.read_photo(path, reading_of(record))


def test_steps_name_every_choice():
    """96 of 4,095 levels: 2^12 - 1 is white."""
    steps = " ".join(reading_of(record_of(CONVNET, [0]))["steps"])
    for choice in (
        *("EXIF", "/ 4095)", "(255, 255, 255)", "CMYK", "(128, 128, 128)", "round(96 * side / longer side)"),
        *("bilinear, with antialiasing", "48 x 48 pixels (bicubic", "uint8 (n, 3, 48, 48), red, green, blue"),
    ):
        assert choice in steps


@pytest.mark.parametrize(
    ("probability", "unlike", "expected"),
    [(0.51, 0.79, ""), (0.49, 0.79, "uncertain"), (0.51, 0.81, "unlike"), (0.49, 0.81, "uncertain, unlike")],
)
def test_remarks_follow_the_thresholds_of_the_model(probability, unlike, expected):
    assert classify.remarks_of(probability, unlike, record_of(CONVNET, [0])) == expected
    assert classify.remarks_of(0.51, unlike, record_of(CONVNET, [0], unlike_above=None)) == ""
