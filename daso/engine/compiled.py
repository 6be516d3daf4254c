"""Compilation of a run's networks and of what its method computes from their outputs."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch

from daso.draw import stream_key
from daso.methods.base import Learner
from daso.models.network import Models

TAIL = (
    "supervised",
    "refine",
    "addon_losses",
    "commit",
    "pseudo_labels",
)  # functions of a learner, after the networks' forward
ENTRIES = 4096  # compiled variants of one function that a process keeps; the default, 8, is that of one or two runs


class Compiled:
    """The encoders of a run and the tail of its learner, compiled for the shapes that its steps have.

    Steps of one phase have the same shapes, so each variant is compiled in the first step of a phase and none later;
    evaluation runs the encoders as they are written. Every function is one graph (`fullgraph`): what cannot be compiled
    raises instead of being run eagerly in silence. All runs of a process share the variants where they are the same.
    """

    def __init__(self, models: Models, learner: Learner, backend: str | Callable[..., Any] = "inductor") -> None:
        _repeatable()
        self.models, self.learner = models, learner
        options: dict[str, Any] = {"fullgraph": True, "dynamic": False, "backend": backend}
        for network in models:
            network.encoder.compile(**options)
        for name in TAIL:
            setattr(learner, name, torch.compile(getattr(learner, name), **options))

    def release(self) -> None:
        """Run everything as it is written again."""
        for network in self.models:
            network.encoder._compiled_call_impl = None
        for name in TAIL:
            vars(self.learner).pop(name, None)


def _repeatable() -> None:
    """Have Inductor choose kernels without timing them, or two processes may choose differently."""
    os.environ.setdefault("TORCHINDUCTOR_DETERMINISTIC", "1")  # before Inductor is imported, also in its workers
    import torch._dynamo.config
    import torch._inductor.config

    torch.compiler.assume_constant_result(stream_key)  # type: ignore[no-untyped-call]  # of a seed and a name
    if hasattr(torch._inductor.config, "deterministic"):  # where it had been imported before
        torch._inductor.config.deterministic = True
    torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = ENTRIES
