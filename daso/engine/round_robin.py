"""Train several runs in one process, chunk by chunk in turn; on CUDA each on its own stream, so they share the GPU.

Runs share the data on the device and nothing else, so each is bit for bit what it is alone.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Any

import torch

from daso.engine.train import Trainer

Run = Generator[Any, None, None]  # yields after each chunk; starts at the first `next`


def round_robin(runs: Iterable[Run], width: int, device: torch.device) -> None:
    """Train runs, at most `width` at once, one chunk of each in turn; where one ends, the next begins.

    When a run raises, the others are closed, which writes their checkpoints, and the error is raised again.
    """
    pending = iter(runs)
    active = dict(enumerate(islice(pending, width)))
    streams = {place: _stream(device) for place in active}
    try:
        while active:
            for place in sorted(active):
                with _on(streams[place]):
                    while next(active[place], None) is None:
                        del active[place]
                        if (following := next(pending, None)) is None:
                            break
                        active[place] = following
    except BaseException:
        for place, run in active.items():
            try:
                with _on(streams[place]):
                    run.close()
            except Exception as error:  # the first error is raised, after all other runs are closed
                logging.error("error while another run was closed: %s", error)
        raise
    finally:
        for stream in streams.values():
            if stream is not None:  # later work on this stream waits for the runs
                torch.cuda.current_stream(device).wait_stream(stream)


def advance_together(trainers: Sequence[Trainer], end: int) -> None:
    """Train several runs up to step `end` without evaluating or saving; on CUDA their last steps may be under way."""
    device = trainers[0].loader.device
    round_robin((trainer.advance_by_chunks(end) for trainer in trainers), len(trainers), device)


def _stream(device: torch.device) -> torch.cuda.Stream | None:
    if device.type != "cuda":
        return None
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(device))  # the data may not have arrived yet
    return stream


def _on(stream: torch.cuda.Stream | None) -> AbstractContextManager[Any]:
    return nullcontext() if stream is None else torch.cuda.stream(stream)
