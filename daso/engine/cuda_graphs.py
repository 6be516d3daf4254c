"""Streams and guards of CUDA graph captures."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch

FREE_STREAMS: dict[torch.device, list[torch.cuda.Stream]] = {}  # capture streams of closed runs


def take_capture_stream(device: torch.device) -> torch.cuda.Stream:
    """Return a stream on which no other run captures.

    torch has 32 streams per priority, assigns them round-robin, and keeps one cuBLAS workspace per stream. Only
    captures use high priority, and streams of closed runs are reused, so no two live graphs share a workspace.
    """
    free = FREE_STREAMS.get(device)
    return free.pop() if free else torch.cuda.Stream(device, priority=-1)  # type: ignore[no-untyped-call]


@contextmanager
def garbage_collection_disabled() -> Iterator[None]:
    """Disable the garbage collector: deleting an old graph would break the capture of a new one."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def on_stream(stream: torch.cuda.Stream | None) -> Iterator[None]:
    """Use a different stream, after all earlier work of the current stream and before its later work."""
    if stream is None:
        yield
        return
    current = torch.cuda.current_stream(stream.device)
    stream.wait_stream(current)
    with torch.cuda.stream(stream):
        yield
    current.wait_stream(stream)
