"""Compile the networks of a run and the functions of its method that read their outputs."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch

from daso.draw import stream_key
from daso.methods.base import Learner
from daso.models.network import Models

COMPILED_FUNCTIONS = (
    "supervised",
    "refine",
    "addon_losses",
    "commit",
    "pseudo_labels",
)  # methods of a learner that run after the networks' forward pass
VARIANT_LIMIT = 4096  # compiled variants of one function in a process; the default, 8, suffices for one or two runs


class Compiled:
    """Compiled encoders of a run and compiled methods of its learner, for the shapes of its steps.

    Steps of one phase have the same shapes, so each variant is compiled in the first step of a phase and none later;
    evaluation runs the encoders eagerly. Every function is one graph (`fullgraph`): code that cannot be compiled raises
    an error instead of silently running eagerly. Runs of one process share equal variants.
    """

    def __init__(self, models: Models, learner: Learner, backend: str | Callable[..., Any] = "inductor") -> None:
        _make_inductor_deterministic()
        self.models, self.learner = models, learner
        options: dict[str, Any] = {"fullgraph": True, "dynamic": False, "backend": backend}
        for network in models:
            network.encoder.compile(**options)
        for name in COMPILED_FUNCTIONS:
            setattr(learner, name, torch.compile(getattr(learner, name), **options))

    def release(self) -> None:
        """Run everything eagerly again."""
        for network in self.models:
            network.encoder._compiled_call_impl = None
        for name in COMPILED_FUNCTIONS:
            vars(self.learner).pop(name, None)


def _make_inductor_deterministic() -> None:
    """Make Inductor choose kernels without timing them: by time, two processes may choose different kernels."""
    os.environ.setdefault("TORCHINDUCTOR_DETERMINISTIC", "1")  # before Inductor is imported, also in its workers
    import torch._dynamo.config
    import torch._inductor.config

    torch.compiler.assume_constant_result(stream_key)  # type: ignore[no-untyped-call]  # constant for a seed and a name
    if hasattr(torch._inductor.config, "deterministic"):  # Inductor may have been imported before
        torch._inductor.config.deterministic = True
    torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = VARIANT_LIMIT
