"""Settings of a training for tests marked gpu."""

import gc
from contextlib import contextmanager

import torch

from daso.engine.environment import choose_device


@contextmanager
def settings_of_a_training():
    """Choose the GPU as a training does, deterministic and without TF32, and restore the settings afterwards.

    Graphs of earlier tests are freed first: when torch frees a graph, it frees the workspaces of its stream, which
    a different graph may use by then.
    """
    with kept_settings():
        gc.collect()
        choose_device("cuda")
        yield


@contextmanager
def kept_settings():
    """Restore the settings of the process that `choose_device` changes."""
    cudnn, matmul, deterministic = torch.backends.cudnn, torch.backends.cuda.matmul, torch.utils.deterministic
    before = torch.are_deterministic_algorithms_enabled(), deterministic.fill_uninitialized_memory
    flags = cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        deterministic.fill_uninitialized_memory = before[1]
        cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = flags
