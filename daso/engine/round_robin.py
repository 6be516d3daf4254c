"""Several runs in one process, taking turns; on CUDA each on a stream of its own, so that together they fill it.

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

Course = Generator[Any, None, None]  # a run in pieces: begins when it is first asked for one


def in_turn(courses: Iterable[Course], width: int, device: torch.device) -> None:
    """Carry out runs, at most `width` at once, piece by piece; where one ends the next begins.

    When one raises, the others are closed, which makes them save themselves, and the error is passed on.
    """
    waiting = iter(courses)
    under_way = dict(enumerate(islice(waiting, width)))
    lanes = {place: _lane(device) for place in under_way}
    try:
        while under_way:
            for place in sorted(under_way):
                with _on(lanes[place]):
                    while next(under_way[place], None) is None:
                        del under_way[place]
                        if (following := next(waiting, None)) is None:
                            break
                        under_way[place] = following
    except BaseException:
        for place, course in under_way.items():
            try:
                with _on(lanes[place]):
                    course.close()
            except Exception as error:  # the first one is to be told, and the others are to be closed too
                logging.error("while another run was given up: %s", error)
        raise
    finally:
        for lane in lanes.values():
            if lane is not None:  # what follows on this stream comes after what the runs still have to do
                torch.cuda.current_stream(device).wait_stream(lane)


def advance_together(trainers: Sequence[Trainer], end: int) -> None:
    """Train several runs up to step `end` without evaluating or saving; on CUDA their last steps may be under way."""
    device = trainers[0].loader.device
    in_turn((trainer.take(end) for trainer in trainers), len(trainers), device)


def _lane(device: torch.device) -> torch.cuda.Stream | None:
    if device.type != "cuda":
        return None
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(device))  # the data may still be on its way
    return stream


def _on(lane: torch.cuda.Stream | None) -> AbstractContextManager[Any]:
    return nullcontext() if lane is None else torch.cuda.stream(lane)
