"""Write a model as one ONNX file with its metadata."""

from __future__ import annotations

import importlib.util
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from daso.data.files import write_file
from daso.deploy.network import Classifier
from daso.errors import DasoError

# Versions of the format, and the oldest onnxruntime that rounds features to 16 bits as the model does.
ONNX_FORMAT: Mapping[str, Any] = {"opset": 18, "ir_version": 8, "onnxruntime": "1.17"}
INPUT, OUTPUTS = "images", ("probabilities", "unlike")
MAX_ONNX_BYTES = 2**31 - 2**20  # of a file: the limit of its format, less room for graph and metadata


def require_packages(purpose: str, *names: str) -> None:
    """Raise DasoError if an optional package is missing."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise DasoError(f"{purpose}: missing package {name}; run `pip install '.[export]'`")


def write_onnx(path: Path, network: Classifier, size: int, metadata: Mapping[str, Any]) -> None:
    """Write a network for images of `size` pixels; the values of `metadata` are saved as JSON.

    Raises DasoError if a package is missing, if the network is too large for the format or cannot be exported.
    """
    require_packages("--format onnx", "onnx", "onnxscript", "onnxruntime")
    used = sum(tensor.nbytes for tensor in network.state_dict().values())
    if used > MAX_ONNX_BYTES:
        raise DasoError(f"{path}: {used:,} bytes are above the limit of an ONNX file, 2 GiB; use --format safetensors")
    graph = _graph(network, size)
    for name, value in metadata.items():
        entry = graph.metadata_props.add()
        entry.key, entry.value = name, json.dumps(value, ensure_ascii=False)
    write_file(path, graph.SerializeToString(deterministic=True))


def _graph(network: Classifier, size: int) -> Any:
    """Return the graph, whose batch axis is free, without the paths and remarks of the exporter."""
    for library in ("onnx_ir", "onnxscript"):
        logging.getLogger(library).setLevel(logging.WARNING)  # they report each constant that they merge
    images = torch.zeros(2, 3, size, size, dtype=torch.uint8)  # a batch of 1 would become a constant
    try:
        program = torch.onnx.export(
            network,
            (images,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("n")},),
            opset_version=ONNX_FORMAT["opset"],
            input_names=[INPUT],
            output_names=OUTPUTS,
            verbose=False,
        )
    except (RuntimeError, torch.onnx.OnnxExporterError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise DasoError(f"--format onnx: not possible for this network ({reason}); use --format safetensors") from error
    assert program is not None
    model = program.model_proto
    model.ir_version = ONNX_FORMAT["ir_version"]
    graph = model.graph
    del graph.value_info[:]
    for item in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del item.metadata_props[:]
    return model
