"""Small complete project in its own folder: this code, digits, a protocol of a few steps."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from PIL import Image
from ruamel.yaml import YAML

from daso.data.files import checksummed, file_digest
from daso.engine.checkpoint import load_checkpoint, save

ROOT = Path(__file__).resolve().parents[2]
REAL = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # PATH of the real programs
TARGETS = {"all", "data", "features", "splits", "fits", "runs", "metrics", "corrections"}
METHODS = ("supervised", "fixmatch_daso")
# Of rules without a method and a seed.
WILDCARDS = {"download": ["dataset"], "split": ["seed"], "correct": ["suite"], "report": ["suite"]}
SETTING = "n20-m80-l20-u10r"
# Jobs of a first build: two methods, one seed.
EVERYTHING = Counter(
    [*("download digits", "split 0", "correct tiny", "report tiny")]
    + [f"{rule} {m} 0" for rule in ("train", "evaluate") for m in METHODS]
)
PROTOCOL = """\
title: a few steps
comparable: false
note: ""
steps: 6
batch_size: 8
precision: fp32
network: {name: small_convnet, channels: [4, 4], strides: [1, 2]}
optimizer: {lr: 0.03, momentum: 0.9, nesterov: true, weight_decay: 0.0005, warmup: 0, milestones: [], factor: 1.0}
teacher: {decay: 0.99, bn: authors}
evaluation: {every: 3, median_of: 2}
checkpoint_every: 2
overrides:
  daso.queue_length: 8
  daso.period: 2
  daso.warmup: 2
  optimizer.warmup: 0
  optimizer.milestones: []
"""
SUITE = f"""\
title: A few steps
protocol: tiny
seeds: [0]
tables:
  - {{name: digits, title: Digits, dataset: digits, settings: [{SETTING}], methods: [{", ".join(METHODS)}]}}
"""

OWN = """\
title: images of your own
source: {kind: image_folder, path: images}
num_classes: 2
image_size: 4
mean: [0.5, 0.5, 0.5]
std: [0.5, 0.5, 0.5]
holdout: 2
class_order: native
augment: {flip: false, pad: 1, cutout: 0, num_ops: 2, op_probability: 0.5, ops: [rotate]}
settings:
  few: {n1: 2, m1: 2, gamma_l: 1, gamma_u: 1}
"""


class Project:
    """Working copy and the commands that a user types in it."""

    programs = Path(sys.executable).parent  # folder of the programs that `call` runs

    def __init__(self, path):
        self.path = path

    @classmethod
    def create(cls, path):
        """Create a project with this repository's code and the tiny suite as its only suite, and commit it."""
        listed = subprocess.run(
            [
                "git",
                "ls-files",
                "-co",
                "--exclude-standard",
                "-z",
                *("daso", "workflow", "reports", "params", "profiles"),
            ]
            + [*("Snakefile", "dvc.yaml", ".dvc", ".dvcignore", ".gitignore", "docs/fidelity.md", "pyproject.toml")],
            **{"cwd": ROOT, "capture_output": True, "text": True, "check": True},
        )
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).exists():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, path / name, follow_symlinks=False)
        project = cls(path)
        project._tiny_params()
        project.git("init", "-q", "-b", "main")
        project.commit("the project")
        return project

    def _tiny_params(self):
        params = self.path / "params"
        for kind, kept in (("datasets", ["digits"]), ("methods", METHODS), ("protocols", []), ("suites", [])):
            for path in (params / kind).glob("*.yaml"):
                if path.stem not in kept:
                    path.unlink()
        self.write("params/pipeline.yaml", "suite: tiny\n")
        self.write("params/protocols/tiny.yaml", PROTOCOL)
        self.write("params/suites/tiny.yaml", SUITE)
        where = {f"digits/{SETTING}": {"daso.dist_temperature": 0.3}}
        self.edit("methods/fixmatch_daso.yaml", lambda tree: tree.update(where=where))

    def copy(self, path):
        """Copy the project into a different folder with its modification times."""
        shutil.copytree(self.path, path, symlinks=True)
        return Project(path)

    def environment(self, **more):
        """Return variables for this Python, one thread, no GPU, no files of DVC outside, and Snakemake's messages."""
        place = self.path.parent / "dvc-site"
        dvc = {f"DVC_{name}_DIR": str(place) for name in ("SITE_CACHE", "GLOBAL_CONFIG", "SYSTEM_CONFIG")}
        who = {f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        inherited = {
            name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "CUDA_VISIBLE_DEVICES")
        }
        path = f"{self.programs}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**inherited, **dvc, **who, "PATH": path, "OMP_NUM_THREADS": "1", "DASO_GPUS": "0"} | {
            "DASO_MESSAGES": "snakemake",
            **more,
        }

    def call(self, *command, fails=False, cwd=None, **environment):
        """Run a command and return its output, both streams; it must succeed, or fail if `fails`."""
        done = subprocess.run(
            command,
            **{"cwd": cwd or self.path, "env": self.environment(**environment), "check": False, "timeout": 900},
            **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True},
        )
        assert (done.returncode != 0) == fails, f"{' '.join(command)}: {done.returncode}\n{done.stdout[-3000:]}"
        return done.stdout

    def start(self, *command, **environment):
        """Start the real program in a new session; Ctrl-C reaches it also in a background job."""
        return subprocess.Popen(
            command,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            **{"cwd": self.path, "env": self.environment(**{"PATH": REAL, **environment}), "start_new_session": True},
            **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True},
        )

    def snakemake(self, *arguments, **options):
        """Call `snakemake` on two cores."""
        return self.call("snakemake", *arguments, "--cores", "2", **options)

    def dvc(self, *arguments, **options):
        """Call `dvc`."""
        return self.call("dvc", *arguments, **options)

    def git(self, *arguments, **options):
        """Call `git`."""
        return self.call("git", *arguments, **options)

    def commit(self, message):
        """Commit all files that are not ignored."""
        self.git("add", "-A")
        self.git("commit", "-qm", message)

    def planned(self, *arguments, agreed=False):
        """Return the jobs of `snakemake -n`; if `agreed`, check that `daso list` and `daso plan` show the same runs."""
        planned = jobs(self.snakemake("-n", *arguments))
        if agreed:
            trained = Counter(
                job.split()[1].partition(".")[0] for job in planned.elements() if job.startswith("train ")
            )
            assert trained == self.listed() == self.forecast()
        return planned

    def listed(self):
        """Return the number of runs to train by method, from `daso list`."""
        lines = (line.split("\t") for line in self.call("python", "-m", "daso", "list").splitlines() if "\t" in line)
        return Counter(
            run.split("/")[3].partition(".")[0] for run, status in lines if status in ("stale", "running", "missing")
        )

    def forecast(self):
        """Return the number of runs to train by method, from `daso plan`."""
        table = self.call("python", "-m", "daso", "plan").split("measured in\n")[1]
        rows = re.findall(r"^(\S+) +\d+ +(\d+)  ", table, re.MULTILINE)
        return Counter({method: int(number) for method, number in rows if int(number)})

    def edit(self, file, change):
        """Change the content of a file of params/."""
        yaml, path = YAML(), self.path / "params" / file
        tree = yaml.load(path.read_text())
        change(tree)
        with path.open("w") as out:
            yaml.dump(tree, out)

    def write(self, file, text):
        """Write a file."""
        (self.path / file).parent.mkdir(parents=True, exist_ok=True)
        (self.path / file).write_text(text)

    def replace(self, file, old, new):
        """Replace text that the file contains."""
        text = (self.path / file).read_text()
        assert old in text
        (self.path / file).write_text(text.replace(old, new, 1))

    def read(self, file):
        """Return the text of a file."""
        return (self.path / file).read_text()

    def trained_elsewhere(self, run, name):
        """Change bytes of a run's file under the same key, as a training on a different device would."""
        folder = self.path / "runs" / run
        result = json.loads((folder / "train.json").read_text())
        if name == "final.pt":
            state = load_checkpoint(folder / name, result["key"])
            state["teacher"]["classifier.bias"] += 1e-3
            save(folder / name, state)
        else:
            with (folder / name).open("ab") as file:
                file.write(b"\n")
        result["files"][name] = file_digest(folder / name, "sha256")
        (folder / "train.json").write_bytes(checksummed(result))

    def results(self):
        """Return the metrics of every run as bytes, by path."""
        return {
            path.relative_to(self.path).as_posix(): path.read_bytes() for path in self.path.glob("metrics/*/**/*.json")
        }


def jobs(output):
    """Return the jobs in Snakemake's output: `<rule> <method> <seed>`, if the rule has these wildcards."""
    counts = Counter()
    for block in re.split(r"\n(?=(?:local)?rule \w+:|\[)", output):
        if (rule := re.search(r"^(?:local)?rule (\w+):", block)) and rule[1] not in TARGETS:
            named = dict(re.findall(r"(\w+)=([^,\s]+)", (re.search(r"wildcards: (.*)", block) or [""])[0]))
            words = WILDCARDS.get(rule[1], ["method", "seed"])
            counts[" ".join([rule[1], *(named[word] for word in words if word in named)])] += 1
    return counts


def runs(*methods, seeds=(0,)):
    """Return the jobs of these methods, their corrections and the report."""
    return Counter(
        [f"{rule} {m} {s}" for rule in ("train", "evaluate") for m in methods for s in seeds]
        + ["correct tiny", "report tiny"]
    )


def with_own_images(project):
    """Add an image folder of two classes to the project, and use it in its suite."""
    for part, number in (("train", 8), ("test", 2)):
        for word in ("cat", "dog"):
            for i in range(number):
                path = project.path / f"images/{part}/{word}/{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (4, 4), (i, 0, 0)).save(path)
    project.write("params/datasets/own.yaml", OWN)
    project.edit("suites/tiny.yaml", lambda t: t["tables"][0].update(dataset="own", settings=["few"]))
