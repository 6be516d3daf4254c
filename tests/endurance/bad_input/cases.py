"""Paths of good files, the commands that read them, and bad content, shared by the tests of bad input."""

import os
import shutil
from pathlib import Path

from hypothesis import HealthCheck, settings

from tests.workflow.project import SETTING

RUN = f"digits/{SETTING}/tiny/supervised/s0"
STORE, SPLIT = Path("data/store/digits"), Path(f"data/splits/digits/{SETTING}/s0.json")
TRAINED, METRICS = Path("runs", RUN), Path("metrics", f"{RUN}.json")
CORRECTIONS = Path("corrections", f"{RUN}.json")
CHECK = ("split", "--check", SPLIT, "--store", STORE)
LIST = ("list", "runs")
REPORT = ("report", "--suite", "tiny", "--out", "out")
EVALUATE = ("evaluate", "--run", TRAINED, "--out", "out.json")
FILES = {
    "dataset": "params/datasets/digits.yaml",
    "method": "params/methods/supervised.yaml",
    "protocol": "params/protocols/tiny.yaml",
    "suite": "params/suites/tiny.yaml",
    "pipeline": "params/pipeline.yaml",
}
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(12)
)
BAD_YAMLS = {
    "nothing": b"",
    "a comment": b"# nothing\n",
    "null": b"null\n",
    "a list": b"- 1\n- 2\n",
    "a text": b"hello\n",
    "a number": b"42\n",
    "two documents": b"title: a\n---\ntitle: b\n",
    "a tab": b"title: x\n\tsteps: 6\n",
    "a duplicate key": b"title: a\ntitle: b\n",
    "an unknown key": b"titel: a\n",
    "not UTF-8": bytes(range(256)),
    "latin-1": "title: Münster\n".encode("latin-1"),
    "utf-16": "title: x\n".encode("utf-16"),
    "a NUL": b"title: \x00\n",
    "an escape": b"title: \x1b[31mred\n",
    "zeroes": bytes(4096),
    "brackets": b"[" * 20_000,
    "deep": b"a: " + b"{a: " * 2000,
    "deep and closed": b"a: " + b"[" * 300 + b"]" * 300 + b"\n",
    "a bomb": BOMB.encode(),
    "a cycle": b"a: &a [*a]\n",
    "a cycle of keys": b"&a {title: x, more: *a}\n",
    "a merge of itself": b"a: &a\n  <<: *a\n",
    "an unknown anchor": b"title: *nowhere\n",
    "a python tag": b"!!python/object/apply:os.system ['touch out']\n",
    "a set": b"!!set {title, steps}\n",
    "a date": b"2020-01-01: x\ntitle: 2020-01-01\n",
    "a list as a key": b"? [1, 2]\n: x\n",
    "numbers as keys": b"1: x\n2.5: y\nnull: z\ntrue: w\n",
    "a huge number": b"steps: 1" + b"0" * 6000 + b"\nseeds: [1e999]\n",
    "an open quote": b'title: "x\n',
    "an odd escape": b'title: "\\q"\n',
    "a directive": b"%YAML 9.9\n---\ntitle: x\n",
    "a tag alone": b"!<>\n",
    "megabytes": b"title: " + b"x" * 3_000_000 + b"\n",
    "many keys": b"".join(b"k%d: 1\n" % i for i in range(20_000)),
    "a BOM in the middle": "title: x\n\ufeffsteps: 1\n".encode(),
}
BAD_JSONS = {
    "nothing": b"",
    "a brace": b"{",
    "an empty object": b"{}",
    "a list": b"[]",
    "a text": b'"x"',
    "null": b"null",
    "NaN": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity, "sha256": "0"}',
    "a huge number": b'{"a": 1' + b"0" * 6000 + b"}",
    "1e999": b'{"key": 1e999, "sha256": 1}',
    "deep": b"[" * 100_000,
    "deep and closed": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "not UTF-8": bytes(range(256)),
    "zeroes": bytes(512),
    "a BOM": b"\xef\xbb\xbf{}",
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "a lone surrogate": b'{"a": "\\ud800"}',
    "a duplicate key": b'{"sha256": "1", "sha256": "2"}',
    "two objects": b"{} {}",
    "a trailing comma": b'{"a": 1,}',
}
SPECIAL = {
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
    "link to itself": lambda path: path.symlink_to(path.name),
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "link to an endless file": lambda path: path.symlink_to("/dev/zero"),
}


def fuzz(examples):
    """Return settings of Hypothesis for the same examples every time and no files on disk."""
    return settings(
        max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )


def damaged(content, positions, damage):
    """Return content with flipped bits (0), truncated (1), with a repeated head (2) or without some bytes (3)."""
    changed, cut = bytearray(content), positions[0] // 8
    if damage == 0:
        for position in positions:
            changed[position // 8] ^= 1 << position % 8
        return bytes(changed)
    return (content[:cut], content[:cut] + content, content[:cut] + content[cut + 7 :])[damage - 1]


def remove(name):
    """Delete a file or folder; return True if it existed."""
    path = Path(name)
    existed = path.exists()
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return existed


def readers():
    """Yield each JSON file that a command reads, together with the command."""
    yield SPLIT, CHECK
    yield STORE / "manifest.json", CHECK
    yield TRAINED / "train.json", EVALUATE
    yield TRAINED / "config.json", EVALUATE
    yield METRICS, REPORT
    yield CORRECTIONS, REPORT
    yield METRICS, ("keep", RUN)
    yield from readers_of_given_files()
    yield (
        Path("recipe.json"),
        ("derive", "--config", "recipe.json", "--store", STORE, "--split", SPLIT, "--out", "out.json"),
    )


def readers_of_given_files():
    """Yield each JSON file that may come from a different machine or a user, together with its command."""
    yield Path("bundle/bundle.json"), ("train", "--bundle", "bundle")
    yield Path(f"bundle/configs/{RUN}.json"), ("train", "--bundle", "bundle")
    yield Path("data.json"), ("download", "--config", "data.json", "--out", "out")
    yield Path("split.json"), ("split", "--config", "split.json", "--store", STORE, "--out", "out.json")
    yield (
        Path("config.json"),
        ("train", "--config", "config.json", "--store", STORE, "--split", SPLIT, "--out", "out", "--scratch", "s"),
    )
