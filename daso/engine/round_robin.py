"""Train several runs in one process, one chunk of each in turn; on CUDA each on its own stream, so they share the GPU.

Runs share the data on the device and nothing else, so each is bit-identical to the run trained alone.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Any

import torch

from daso.engine.trainer import Trainer

RunChunks = Generator[Any, None, None]  # yields after each chunk; starts at the first `next`


def round_robin(runs: Iterable[RunChunks], width: int, device: torch.device) -> None:
    """Train runs, at most `width` at once, one chunk of each in turn; when one ends, the next starts.

    When a run raises an error, the others are closed, which writes their checkpoints, and the error is raised again.
    """
    pending = iter(runs)
    active = dict(enumerate(islice(pending, width)))
    streams = {index: _new_stream(device) for index in active}
    try:
        while active:
            for index in sorted(active):
                with _on_stream(streams[index]):
                    while next(active[index], None) is None:
                        del active[index]
                        if (next_run := next(pending, None)) is None:
                            break
                        active[index] = next_run
    except BaseException:
        for index, run in active.items():
            try:
                with _on_stream(streams[index]):
                    run.close()
            except Exception as error:  # logged only: the first error is raised, after all runs are closed
                logging.error("error while another run was closed: %s", error)
        raise
    finally:
        for stream in streams.values():
            if stream is not None:  # later work on this stream waits for the runs
                torch.cuda.current_stream(device).wait_stream(stream)


def advance_together(trainers: Sequence[Trainer], end: int) -> None:
    """Train runs up to step `end` without evaluating or saving; on CUDA their last steps may still be running."""
    device = trainers[0].loader.device
    round_robin((trainer.advance_by_chunks(end) for trainer in trainers), len(trainers), device)


def _new_stream(device: torch.device) -> torch.cuda.Stream | None:
    if device.type != "cuda":
        return None
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(device))  # data may still be copied to the device
    return stream


def _on_stream(stream: torch.cuda.Stream | None) -> AbstractContextManager[Any]:
    return nullcontext() if stream is None else torch.cuda.stream(stream)
