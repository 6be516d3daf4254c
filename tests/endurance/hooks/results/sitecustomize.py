"""Change the results of trainings, or the version of a library that they record; put it on PYTHONPATH.

OTHER_BITS=1 moves the first logit on the test images to the next float32. PILLOW=<version> is recorded as Pillow's.
"""

import importlib.metadata
import os
import sys

TRAINS = "daso" in sys.orig_argv[1:-1] and sys.orig_argv[sys.orig_argv.index("daso") + 1] == "train"


def change_one_bit():
    import numpy as np

    savez = np.savez

    def save_changed(file, **arrays):
        logits = arrays["logits"].copy()
        logits.flat[0] = np.nextafter(logits.flat[0], np.float32(np.inf))
        return savez(file, **{**arrays, "logits": logits})

    np.savez = save_changed


if TRAINS and "OTHER_BITS" in os.environ:
    change_one_bit()
if TRAINS and "PILLOW" in os.environ:
    version = importlib.metadata.version
    importlib.metadata.version = lambda name: os.environ["PILLOW"] if name == "pillow" else version(name)
