"""Kill processes of `python -m daso <command>` at chosen points and record their training steps; put it on PYTHONPATH.

KILL="<command> <point> <number> <signal> <file>": a process of the command that reaches the point for the number-th
time sends itself the signal. The first process to do so creates the file; later ones are not killed.
STEPS=<file> gets a line "<run> <step>" for every training step.
"""

import os
import signal
import stat
import sys
from collections import Counter

ARGV = sys.orig_argv
COMMAND = ARGV[ARGV.index("daso") + 1] if "daso" in ARGV[1:-1] else ""
VISITS = Counter()


def reach(point):
    """Send the signal if the process is at the point of $KILL for the given number of times."""
    command, where, number, name, token = os.environ["KILL"].split()
    if (COMMAND, point) != (command, where):
        return
    VISITS[point] += 1
    if VISITS[point] < int(number):
        return
    try:
        os.close(os.open(token, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.Signals[name])


def before(point, function):
    def at_point(*args, **kwargs):
        reach(point)
        return function(*args, **kwargs)

    return at_point


def hook_files():
    """Add the points `write`, after half of a file's first write, and `rename`, after all writes of a file."""
    from daso.data import files

    open_alone = files.open_exclusive

    def open_hooked(partial):
        file = open_alone(partial)
        write = file.write

        def write_in_halves(content):
            write(content[: len(content) // 2])
            file.flush()
            reach("write")
            return write(content[len(content) // 2 :])

        file.write = write_in_halves
        return file

    files.open_exclusive = open_hooked
    sync = os.fsync

    def hooked_sync(handle):
        if stat.S_ISREG(os.fstat(handle).st_mode):  # not the folder, which is synchronized after the rename
            reach("rename")
        return sync(handle)

    files.os.fsync = hooked_sync


def hook_training():
    """Add the points `step`, after the student's update and before the teacher's, `evaluation` and `checkpoint`."""
    from daso.engine import checkpoint, trainer

    trainer.MovingAverage.update = before("step", trainer.MovingAverage.update)
    trainer.predict = before("evaluation", trainer.predict)
    checkpoint.dump = before("checkpoint", checkpoint.dump)


def record_steps():
    from daso.engine.trainer import Trainer

    step, handle = Trainer.training_step, os.open(os.environ["STEPS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def recorded_step(self, batch):
        step(self, batch)
        os.write(handle, f"{self.config['run']} {self.t + 1}\n".encode())

    Trainer.training_step = recorded_step


if COMMAND and "KILL" in os.environ:
    hook_files()
    if COMMAND == "train":
        hook_training()
if COMMAND == "train" and "STEPS" in os.environ:
    record_steps()
