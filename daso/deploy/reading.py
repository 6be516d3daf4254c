"""Steps from an image file to the input of an exported model, as values for a program and as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from daso.data.pixels import BORDER

WHITE = (255, 255, 255)


def reading_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return how the files of a model are read: all values that `classify.py` uses, and `steps` in words."""
    view = _view(record)
    values = {**record["reading"], "filter": "bilinear", "border": BORDER, "background": WHITE, "view": view}
    return {**values, "steps": list(_steps(values, view))}


def _view(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a decoded square gets the size of the network's images, as `Augmentation.plain` does it."""
    augment, size = record["dataset"]["augment"], record["dataset"]["image_size"]
    crop = augment.get("crop", {"size": augment.get("resize") or size})
    method = "crop" if "crop" in augment and augment.get("test", "crop") == "crop" else "resize"
    return {"size": crop["size"], "method": method, "filter": record["preprocessing"]["interpolation"]}


def _steps(values: Mapping[str, Any], view: Mapping[str, Any]) -> Iterator[str]:
    size, filtered = values["image_size"], f"{values['filter']}, with antialiasing, as Pillow resizes"
    yield "Decode the file; of an animation, the first frame."
    yield "Rotate and flip it by its EXIF orientation."
    yield f"Grey of 16 bits: round(255 * value / {2 ** values['bits'] - 1}), at most 255; halves round to even."
    yield f"Composite transparent pixels, also of a palette, over the color {values['background']}."
    yield "Convert to RGB: grey three times, CMYK as Pillow converts it, no color management."
    match values["fit"]:
        case "pad":
            yield f"Resize each side to max(1, round({size} * side / longer side)) pixels ({filtered})."
            corner = f"(({size} - width) // 2, ({size} - height) // 2)"
            yield f"Paste it at {corner} of a square of {size} pixels of the color {values['border']}."
        case "crop":
            yield f"Resize each side to floor({size} * side / shorter side) pixels ({filtered})."
            yield f"Cut out {size} x {size} pixels at (round((width - {size}) / 2), round((height - {size}) / 2))."
        case _:
            yield f"Resize to {size} x {size} pixels ({filtered})."
    if view["method"] == "crop":
        yield f"Cut out the {view['size']} x {view['size']} pixels in the center."
    elif view["size"] != size:
        yield f"Resize to {view['size']} x {view['size']} pixels ({view['filter']}, with antialiasing)."
    yield f"Input `images`: uint8 (n, 3, {view['size']}, {view['size']}), red, green, blue, 0 to 255, not normalised."
