"""Weights of timm's models from its hub, kept in the cache of `huggingface_hub` that timm uses too."""

from __future__ import annotations

import logging
from pathlib import Path

from daso.errors import DataError

HUB_FILE = "model.safetensors"  # of each model on the hub


def cached_file(model: str) -> Path:
    """Return the file of a model's weights in the cache, downloaded first if it is missing.

    Its size is printed before the download. Raises DataError if the model is unknown or the hub cannot be reached.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache

    repository = _repository(model)
    if isinstance(cached := try_to_load_from_cache(repository, HUB_FILE), str):
        return Path(cached)
    try:
        size = get_hf_file_metadata(hf_hub_url(repository, HUB_FILE)).size or 0
        logging.info("%s/%s: downloading %.1f MiB to the cache of timm", repository, HUB_FILE, size / 2**20)
        return Path(hf_hub_download(repository, HUB_FILE))
    except Exception as error:  # its own types, those of the HTTP client and OSError
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise DataError(
            f"network 'timm': weights: '{model}' is not in timm's cache and cannot be downloaded ({reason}); connect "
            "to the network, or set weights to package or to a file"
        ) from error


def _repository(model: str) -> str:
    """Return the repository of a model on the hub; raises DataError if timm is missing or names none."""
    try:
        from timm.models import get_pretrained_cfg
    except ImportError as error:
        raise DataError("network 'timm': missing package timm; run `pip install '.[photos]'`") from error
    configuration = get_pretrained_cfg(model)
    if configuration is None or not configuration.hf_hub_id:
        raise DataError(f"network 'timm': weights: timm has no weights of '{model}'; set weights to a file")
    return str(configuration.hf_hub_id)
