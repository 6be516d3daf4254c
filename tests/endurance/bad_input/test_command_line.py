"""Invalid arguments of the command line, environment variables and sources."""

import json
from pathlib import Path

import pytest

from tests.endurance.bad_input.cases import RUN, SPLIT, STORE
from tests.endurance.bad_input.checker import expect_error

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("bad input")]
BAD_RUNS = (
    *("", "/", "a/b/c/d/s0", "../../x/y/s0", f"{RUN}9" * 3),
    *(RUN.replace("s0", value) for value in ("s²", "s" + "9" * 5000, "s", "s-1")),
    *(RUN.replace("supervised", value) for value in ("..", "", "supervised.", "supervised.x")),
    *(RUN.replace("supervised", value) for value in ("a\nb", "\x1b[2J", "ü", "*")),
)
BAD_CELLS = ("", "table 99", "t1 r99 c1", "t1 r0 c0", "t" + "9" * 5000, "table one", "t1 r² c1", "\0", "a\nb")
BAD_PATHS = ("x" * 300, "config.json/x", "/".join(["y" * 200] * 30))
BAD_ARGUMENTS = [
    *(("resolve", value) for value in BAD_RUNS),
    *(("explain", value) for value in ("", "+", "fixmatch++", "x" * 3000, "a\nb", "../x", "\0", "daso+daso")),
    *(("cell", value) for value in BAD_CELLS),
    *(("list", value) for value in ("", "rund", "../tiny", "a\nb", "\ud800")),
    *(("report", "--suite", value, "--out", "out") for value in ("", "..", "../../etc", "Tiny", "a\nb", "\ud800")),
    *(("keep", value) for value in ("", "x", "../../a/b/s0")),
    *(("bundle", value, "--out", "out") for value in ("", "x", "../../../../s0")),
    *(("adopt", value) for value in ("nowhere", "params", "params/pipeline.yaml", "a\nb")),
    *(("train", "--bundle", value) for value in ("nowhere", "params", "params/pipeline.yaml", "a\nb")),
    *(("train", RUN, "--device", value) for value in ("gpu", "cuda:99", "cuda:-1", "cuda:x", "", "meta")),
    *(("train", RUN, "--device", "cpu", "--mode", value) for value in ("", "fast", "graph")),
    *(("train", "--bundle", "bundle", "--device", "cpu", "--replicas", value) for value in ("0", "-3")),
    *(("download", value, "--out", "out") for value in ("", "digit", "../digits", "a\nb")),
    *(("adopt", value) for value in BAD_PATHS),
    *(("bundle", RUN, "--out", value) for value in BAD_PATHS),
    *(("download", "digits", "--out", value) for value in BAD_PATHS),
    *(("report", "--suite", "tiny", "--out", value) for value in BAD_PATHS),
    *(("split", "--check", value, "--store", STORE.as_posix()) for value in BAD_PATHS),
    *(("split", "--check", SPLIT.as_posix(), "--store", value) for value in BAD_PATHS),
    *(("train", "--bundle", value) for value in BAD_PATHS),
]
BAD_SOURCES = (
    *("file:///etc/passwd", "ftp://x/y", "x://", "http://", "http://127.0.0.1:1/a", "://", "http://[::1", "nowhere"),
    *("~nobody/x", ".", "/dev/null", "a\nb", "http://a b/\r\nc", "https://\udcff/"),
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("DASO_GPUS", value) for value in ("-1", "x", "1.5", " ", "9" * 5000, "1000000000", "²", "0x1", "1,2")),
        *(("DASO_SLOTS", value) for value in ("-1", "x", "9" * 5000, "10000000000", "1e3")),
    ],
)
def test_invalid_environment_variable_is_refused(monkeypatch, name, value):
    monkeypatch.setenv("DASO_GPUS", "1")
    monkeypatch.setenv(name, value)
    expect_error("train", RUN, message=name)


@pytest.mark.parametrize("arguments", BAD_ARGUMENTS, ids=lambda arguments: ascii(" ".join(arguments))[:60])
def test_invalid_arguments_are_refused(arguments):
    expect_error(*arguments)


@pytest.mark.parametrize("address", BAD_SOURCES, ids=ascii)
def test_unavailable_source_is_refused(address, monkeypatch):
    monkeypatch.setenv("DASO_BAD", address)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    source = {"kind": "cifar10", "urls": ["http://127.0.0.1:1/b"], "md5": "0" * 32, "override": "DASO_BAD"}
    Path("own.json").write_text(json.dumps({"dataset": "own", "source": source, "num_classes": 10, "image_size": 32}))
    expect_error("download", "--config", "own.json", "--out", "out")
