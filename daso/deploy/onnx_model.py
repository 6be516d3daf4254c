"""Predictions by an exported ONNX file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from daso.aliases import FloatArray, ImageArray
from daso.deploy.onnx_file import INPUT, OUTPUTS, require_packages
from daso.deploy.predictor import FORWARD_BATCH
from daso.errors import DataError


class OnnxPredictor:
    """Predictor of an ONNX file, on the CPU; its record is the file's metadata."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise DataError(f"{path}: no such file; write it with `daso export`")
        require_packages(str(path), "onnxruntime")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            metadata = self.session.get_modelmeta().custom_metadata_map
            self.record = {name: json.loads(text) for name, text in metadata.items()}
            self.record["reading"]["view"]
        except Exception as error:  # onnxruntime raises many types
            reason = str(error).strip().partition("\n")[0]
            raise DataError(f"{path}: not a readable model of `daso export` ({reason}); export it again") from error

    def probabilities(self, images: ImageArray) -> tuple[FloatArray, FloatArray]:
        """Return probabilities (n, K) and `unlike` (n,) of uint8 (n, 3, T, T)."""
        blocks = (images[first : first + FORWARD_BATCH] for first in range(0, len(images), FORWARD_BATCH))
        parts = [self._run(block) for block in blocks]
        probabilities, unlike = (np.concatenate(each) for each in zip(*parts, strict=True))
        return probabilities, unlike

    def _run(self, images: ImageArray) -> list[FloatArray]:
        filled = np.concatenate([images, np.repeat(images[-1:], FORWARD_BATCH - len(images), 0)])
        return [each[: len(images)] for each in self.session.run(OUTPUTS, {INPUT: filled})]
