"""Classify photographs by an exported model: `python classify.py model.onnx photo ...` (numpy, Pillow, onnxruntime).

A line for each photo: file, class, probability, how unlike the labeled photos it is (0: the same), and remarks.
`read_photo` makes the input of the model, uint8 (n, 3, T, T), from a file. All choices are in the model's metadata.
"""

import json
import sys
import warnings
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

LARGEST_PHOTO = 89_478_485  # pixels; larger photos are refused
NEW_SUBFILE_TYPE = 254  # tag of TIFF; an odd value marks a preview, as in camera raw files


def open_model(path: str) -> tuple[onnxruntime.InferenceSession, dict[str, Any]]:
    """Return the session of a model, and its metadata."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session, {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}


def read_photo(path: str, reading: dict[str, Any]) -> np.ndarray:
    """Return a photo as the model receives it, RGB uint8 (3, T, T)."""
    with Image.open(path) as image:
        if image.width * image.height > LARGEST_PHOTO:
            raise ValueError(f"too large; save it with at most {LARGEST_PHOTO:,} pixels")
        preview = image.getexif().get(NEW_SUBFILE_TYPE, 0) & 1 if image.format == "TIFF" else 0
        photo, is_pgm = ImageOps.exif_transpose(image), image.format == "PPM"
    if photo.mode == "I" and is_pgm:  # Pillow scales a PGM of more than 8 bits to 16
        photo = Image.fromarray(np.asarray(photo).astype(np.uint16))
    if preview or photo.mode in ("I", "F"):
        raise ValueError("camera raw, or 32 bits per pixel; convert it to JPEG")
    if photo.mode.startswith("I;16"):
        grey = np.rint(np.arange(2**16) * 255 / (2 ** reading["bits"] - 1)).clip(0, 255).astype(np.uint8)
        photo = Image.fromarray(grey[np.asarray(photo)])
    if photo.has_transparency_data:
        photo = photo.convert("RGBA")
        photo = Image.alpha_composite(Image.new("RGBA", photo.size, (*reading["background"], 255)), photo)
    square = fit_square(photo.convert("RGB"), reading)
    return np.asarray(to_view(square, reading["view"])).transpose(2, 0, 1)


def fit_square(photo: Image.Image, reading: dict[str, Any]) -> Image.Image:
    """Return a photo as a square: padded, cropped or squashed."""
    size, (width, height) = reading["image_size"], photo.size
    if reading["fit"] == "squash":
        return resize(photo, (size, size), reading["filter"])
    if reading["fit"] == "crop":
        short = min(width, height)
        width, height = (size if side == short else int(size * side / short) for side in photo.size)
        if width * height > 2**28:
            raise ValueError("too narrow; cut it to a shape nearer to a square")
        left, top = round((width - size) / 2), round((height - size) / 2)
        return resize(photo, (width, height), reading["filter"]).crop((left, top, left + size, top + size))
    width, height = (max(1, round(size * side / max(photo.size))) for side in photo.size)
    square = Image.new("RGB", (size, size), tuple(reading["border"]))
    square.paste(resize(photo, (width, height), reading["filter"]), ((size - width) // 2, (size - height) // 2))
    return square


def to_view(square: Image.Image, view: dict[str, Any]) -> Image.Image:
    """Return a square in the size of the network: resized, or cut out of the center."""
    if view["method"] == "resize":
        return resize(square, (view["size"], view["size"]), view["filter"])
    start = round((square.width - view["size"]) / 2)
    return square.crop((start, start, start + view["size"], start + view["size"]))


def resize(image: Image.Image, shape: tuple[int, int], name: str) -> Image.Image:
    """Return an image resized with antialiasing by a filter of Pillow."""
    return image if image.size == shape else image.resize(shape, Image.Resampling[name.upper()])


def remarks_of(probability: float, unlike: float, metadata: dict[str, Any]) -> str:
    """Return the remarks on a prediction."""
    above = metadata["unlike_above"]
    remarks = {"uncertain": probability < metadata["abstain_below"], "unlike": above is not None and unlike > above}
    return ", ".join(name for name, applies in remarks.items() if applies)


def classify(model: str, photos: list[str]) -> int:
    """Print the class of each photo; return 1 if one cannot be read."""
    warnings.simplefilter("ignore")  # about metadata of photos, which is not used
    (session, metadata), failed = open_model(model), 0
    for path in photos:
        try:
            image = read_photo(path, metadata["reading"])
        except Exception as error:  # decoders raise errors of any type
            print(f"{path}: cannot be read: {error}", file=sys.stderr)
            failed = 1
            continue
        (probabilities,), (unlike,) = session.run(["probabilities", "unlike"], {"images": image[None]})
        best = probabilities.argmax()
        shown = min(max(probabilities[best], 0.0001), 0.9999)  # no number of labels makes a class certain
        remarks = remarks_of(probabilities[best], unlike, metadata)
        name = path.encode(errors="replace").decode()  # some names of files are no text
        print(name, metadata["classes"][best], f"{shown:.4f}", f"{unlike:.4f}", remarks, sep="\t")
    return failed


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python classify.py model.onnx photo ...")
    sys.exit(classify(sys.argv[1], sys.argv[2:]))
