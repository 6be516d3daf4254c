"""Train and correct on the CPU instead of simulated GPUs, and record the device of each training; put it on PYTHONPATH.

SEEN=<file> gets a line of JSON when a training begins and when it ends: the process, the time on a clock shared by all
processes, CUDA_VISIBLE_DEVICES, and the type of the device used. HOLD=<seconds> prolongs each training by that time.
"""

import json
import os
import sys
import time
from pathlib import Path

ARGV = sys.orig_argv


def record(event, execution):
    line = {"what": event, "process": os.getpid(), "time": time.monotonic(), "device": execution.device.type}
    line["visible"] = os.environ.get("CUDA_VISIBLE_DEVICES")
    with Path(os.environ["SEEN"]).open("a") as file:
        file.write(json.dumps(line) + "\n")


def compute_on_the_cpu():
    """Choose the CPU, because a listed GPU that torch cannot use would be an error."""
    from daso.engine import environment

    choose = environment.choose_device
    environment.choose_device = lambda name: choose("cpu")


def record_trainings():
    from daso.runs import train as training

    train = training.train

    def train_recorded(jobs, execution):
        record("begin", execution)
        try:
            train(jobs, execution)
            time.sleep(float(os.environ.get("HOLD", "0")))
        finally:
            record("end", execution)

    training.train = train_recorded


COMMAND = ARGV[ARGV.index("daso") + 1] if "daso" in ARGV[1:-1] else ""
if COMMAND in ("train", "corrections"):
    compute_on_the_cpu()
if COMMAND == "train" and "SEEN" in os.environ:
    record_trainings()
