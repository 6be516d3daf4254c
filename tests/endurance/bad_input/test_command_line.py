"""Words of the command line, variables and sources that name nothing."""

import json
from pathlib import Path

import pytest

from tests.endurance.bad_input.cases import CHECKER, RUN, SPLIT, STORE

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("bad input")]
BAD_RUNS = (
    *("", "/", "a/b/c/d/s0", "../../x/y/s0", f"{RUN}9" * 3),
    *(RUN.replace("s0", word) for word in ("s²", "s" + "9" * 5000, "s", "s-1")),
    *(RUN.replace("supervised", word) for word in ("..", "", "supervised.", "supervised.x")),
    *(RUN.replace("supervised", word) for word in ("a\nb", "\x1b[2J", "ü", "*")),
)
BAD_CELLS = ("", "table 99", "t1 r99 c1", "t1 r0 c0", "t" + "9" * 5000, "table one", "t1 r² c1", "\0", "a\nb")
BAD_PATHS = ("x" * 300, "config.json/x", "/".join(["y" * 200] * 30))
BAD_ARGUMENTS = [
    *(("resolve", word) for word in BAD_RUNS),
    *(("explain", word) for word in ("", "+", "fixmatch++", "x" * 3000, "a\nb", "../x", "\0", "daso+daso")),
    *(("cell", word) for word in BAD_CELLS),
    *(("list", word) for word in ("", "rund", "../tiny", "a\nb", "\ud800")),
    *(("report", "--suite", word, "--out", "out") for word in ("", "..", "../../etc", "Tiny", "a\nb", "\ud800")),
    *(("keep", word) for word in ("", "x", "../../a/b/s0")),
    *(("bundle", word, "--out", "out") for word in ("", "x", "../../../../s0")),
    *(("adopt", word) for word in ("nowhere", "params", "params/pipeline.yaml", "a\nb")),
    *(("train", "--bundle", word) for word in ("nowhere", "params", "params/pipeline.yaml", "a\nb")),
    *(("train", RUN, "--device", word) for word in ("gpu", "cuda:99", "cuda:-1", "cuda:x", "", "meta")),
    *(("train", RUN, "--device", "cpu", "--mode", word) for word in ("", "fast", "graph")),
    *(("train", RUN, "--device", "cpu", "--replicas", word) for word in ("0", "-3")),
    *(("download", word, "--out", "out") for word in ("", "digit", "../digits", "a\nb")),
    *(("adopt", word) for word in BAD_PATHS),
    *(("bundle", RUN, "--out", word) for word in BAD_PATHS),
    *(("download", "digits", "--out", word) for word in BAD_PATHS),
    *(("report", "--suite", "tiny", "--out", word) for word in BAD_PATHS),
    *(("split", "--check", word, "--store", STORE.as_posix()) for word in BAD_PATHS),
    *(("split", "--check", SPLIT.as_posix(), "--store", word) for word in BAD_PATHS),
    *(("train", "--bundle", word) for word in BAD_PATHS),
]
BAD_SOURCES = (
    *("file:///etc/passwd", "ftp://x/y", "x://", "http://", "http://127.0.0.1:1/a", "://", "http://[::1", "nowhere"),
    *("~nobody/x", ".", "/dev/null", "a\nb", "http://a b/\r\nc", "https://\udcff/"),
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("DASO_GPUS", word) for word in ("-1", "x", "1.5", " ", "9" * 5000, "1000000000", "²", "0x1", "1,2")),
        *(("DASO_SLOTS", word) for word in ("-1", "x", "9" * 5000, "10000000000", "1e3")),
    ],
)
def test_environment_variables_that_are_wrong(monkeypatch, name, value):
    monkeypatch.setenv("DASO_GPUS", "1")
    monkeypatch.setenv(name, value)
    CHECKER.refuses("environment", f"{name}={value}", "train", RUN, says=name)


@pytest.mark.parametrize("words", BAD_ARGUMENTS, ids=lambda words: ascii(" ".join(words))[:60])
def test_words_that_name_nothing(words):
    CHECKER.refuses("words", "\n".join(words), *words)


@pytest.mark.parametrize("where", BAD_SOURCES, ids=ascii)
def test_sources_that_are_nowhere(where, monkeypatch):
    monkeypatch.setenv("DASO_BAD", where)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    source = {"kind": "cifar10", "urls": [], "md5": "0" * 32, "override": "DASO_BAD"}
    Path("own.json").write_text(json.dumps({"dataset": "own", "source": source, "num_classes": 10, "image_size": 32}))
    CHECKER.refuses("sources", where, "download", "--config", "own.json", "--out", "out")
