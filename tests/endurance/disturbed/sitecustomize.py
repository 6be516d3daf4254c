"""First on PYTHONPATH, this makes a training end with other bits, or tells it another version of a library.

OTHER_BITS=1 moves the first answer on the test images by the smallest float32 step; PILLOW=<version> is what is said of
Pillow.
"""

import importlib.metadata
import os
import sys

TRAINS = "daso" in sys.orig_argv[1:-1] and sys.orig_argv[sys.orig_argv.index("daso") + 1] == "train"


def move_a_bit():
    import numpy as np

    savez = np.savez

    def moved(file, **arrays):
        logits = arrays["logits"].copy()
        logits.flat[0] = np.nextafter(logits.flat[0], np.float32(np.inf))
        return savez(file, **{**arrays, "logits": logits})

    np.savez = moved


if TRAINS and "OTHER_BITS" in os.environ:
    move_a_bit()
if TRAINS and "PILLOW" in os.environ:
    version = importlib.metadata.version
    importlib.metadata.version = lambda name: os.environ["PILLOW"] if name == "pillow" else version(name)
