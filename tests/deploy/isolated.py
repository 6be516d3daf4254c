"""Process that has onnxruntime, Pillow and NumPy only: no torch, and nothing of this package."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

# Packages of the reader, with those that onnxruntime imports; `.libs` are their shared libraries.
PACKAGES = ("numpy", "numpy.libs", "PIL", "pillow.libs", "onnxruntime", "flatbuffers", "google", "packaging")
START = """
import importlib.util, json, runpy, sys
sys.path.append({packages!r})
assert not any(map(importlib.util.find_spec, ("torch", "daso", "timm", "onnx", "scipy")))
sys.argv = sys.argv[1:]
"""
RUN = "runpy.run_path(sys.argv[0], run_name='__main__')"
READ = """
reader = runpy.run_path(sys.argv[0])
session, metadata = reader["open_model"](sys.argv[1])
for path in sys.argv[2:]:
    outputs = session.run(None, {"images": reader["read_photo"](path, metadata["reading"])[None]})
    print(json.dumps([*outputs[0][0].tolist(), float(outputs[1][0])]))
assert not {"torch", "daso", "timm"} & sys.modules.keys()
"""


class IsolatedPython:
    """Python without site packages, except those of the reader."""

    def __init__(self, folder):
        installed = Path(importlib.util.find_spec("numpy").origin).parents[1]
        folder.mkdir()
        for name in PACKAGES:
            if (installed / name).exists():
                (folder / name).symlink_to(installed / name)
        self.start = START.format(packages=str(folder))

    def call(self, code, *arguments):
        """Run code with arguments; return the finished process."""
        command = [sys.executable, "-I", "-S", "-c", self.start + code, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True)

    def read(self, folder, files):
        """Return the predictions (n, K + 1) that the reader of an export computes from files."""
        done = self.call(READ, folder / "classify.py", folder / "model.onnx", *files)
        assert done.returncode == 0, done.stderr
        return np.array([json.loads(line) for line in done.stdout.splitlines()])
