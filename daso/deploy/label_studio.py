"""Tasks and labeling interface of Label Studio for photos of a folder, with predictions as pre-annotations.

Label Studio serves local files below LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT under a URL that ends with their escaped
path. Each task also has the path of its photo relative to the folder, which exports return unchanged.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

LOCAL_FILES = "/data/local-files/?d="
QUESTION, SHOWN_IMAGE = "choice", "image"  # names in the labeling interface


def tasks(rows: Iterable[Mapping[str, str]], folder: str) -> list[dict[str, Any]]:
    """Return a task for each row of a list: `path`, and maybe the `predicted` or `class` and its `probability`.

    `folder` is the name of the folder of photos, below the document root of Label Studio.
    """
    return [
        {
            "data": {SHOWN_IMAGE: LOCAL_FILES + quote(os.fsencode(f"{folder}/{row['path']}")), "path": row["path"]},
            "predictions": [_prediction(row)] if _class(row) else [],
        }
        for row in rows
    ]


def labeling_interface(classes: Iterable[str]) -> str:
    """Return the labeling interface, XML with one choice for each class."""
    choices = "".join(f"    <Choice value={quoteattr(name)}/>\n" for name in classes)
    return (
        f'<View>\n  <Image name="{SHOWN_IMAGE}" value="${SHOWN_IMAGE}"/>\n'
        f'  <Choices name="{QUESTION}" toName="{SHOWN_IMAGE}" choice="single-radio">\n{choices}  </Choices>\n</View>\n'
    )


def _prediction(row: Mapping[str, str]) -> dict[str, Any]:
    choice = {"from_name": QUESTION, "to_name": SHOWN_IMAGE, "type": "choices", "value": {"choices": [_class(row)]}}
    return {"model_version": "daso", "result": [choice], **_score(row.get("probability", ""))}


def _score(probability: str) -> dict[str, float]:
    """Return the score of a prediction, also with a decimal comma; {} if the cell has no number."""
    with suppress(ValueError):
        if math.isfinite(score := float(probability.replace(",", "."))):
            return {"score": score}
    return {}


def _class(row: Mapping[str, str]) -> str:
    return (row.get("predicted") or row.get("class") or "").strip()
