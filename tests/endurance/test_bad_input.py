"""At least 500 distinct bad inputs to every reader: each is refused in one line, or handled as is documented.

Most are built by hand after what has broken other programs; Hypothesis adds broken bits and trees of values. The verbs
are called in this process, a few in one of their own.
"""

import contextlib
import csv
import hashlib
import io
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daso import provenance
from daso.cli import main
from daso.config.params import load
from daso.config.resolve import data_config, split_config
from daso.data.files import pretty, sealed
from daso.report.published import PUBLISHED
from tests.endurance import bad_archives, bad_images
from tests.endurance.judge import Judge, call, fine, instead
from tests.workflow.project import METHODS, PROTOCOL, ROOT, SETTING, SUITE

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("bad input")]
RUN = f"digits/{SETTING}/tiny/supervised/s0"
STORE, SPLIT = Path("data/store/digits"), Path(f"data/splits/digits/{SETTING}/s0.json")
TRAINED, METRICS = Path("runs", RUN), Path("metrics", f"{RUN}.json")
CHECK = ("split", "--check", SPLIT, "--store", STORE)
LIST = ("list", "runs")
REPORT = ("report", "--suite", "tiny", "--out", "out")
EVALUATE = ("evaluate", "--run", TRAINED, "--out", "out.json")
WANTED = 500
JUDGE = Judge()
RAN = set()


def fuzz(examples):
    """Hypothesis, the same examples every time, with nothing left on disk."""
    return settings(
        max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A tiny project with one finished run; all tests work in it, and leave it as it was."""
    folder, home = tmp_path_factory.mktemp("project"), Path.cwd()
    for name in ("datasets/digits.yaml", *(f"methods/{method}.yaml" for method in METHODS)):
        (folder / "params" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "params" / name, folder / "params" / name)
    text = (folder / "params/methods/fixmatch_daso.yaml").read_text()
    (folder / "params/methods/fixmatch_daso.yaml").write_text(text.partition("where:")[0])
    for name, text in (("pipeline", "suite: tiny\n"), ("protocols/tiny", PROTOCOL), ("suites/tiny", SUITE)):
        path = folder / f"params/{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    os.chdir(folder)
    params = load()
    Path("data.json").write_text(json.dumps(data_config(params, "digits")))
    Path("split.json").write_text(json.dumps(split_config(params, "digits", SETTING, 0)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DASO_GPUS", "0")
        words = f"resolve {RUN}".split()
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert main(words) == 0
        Path("config.json").write_text(out.getvalue())
        for argv in (
            ["download", "digits", "--out", str(STORE)],
            ["split", "--config", "split.json", "--store", str(STORE), "--out", str(SPLIT)],
            ["train", RUN, "--out", str(TRAINED), "--scratch", "scratch/run"],
            ["evaluate", "--run", str(TRAINED), "--out", str(METRICS)],
            ["bundle", RUN, "--out", "bundle"],
        ):
            assert main(argv) == 0
        yield folder
    os.chdir(home)


@pytest.fixture(autouse=True)
def here(project, request, monkeypatch):
    """Remember which tests have been here: only after all of them the inputs can be counted."""
    monkeypatch.setenv("DASO_GPUS", "0")
    yield project
    RAN.add(request.node.originalname)
    left = [name for name in ("out", "out.json", "harm", "s") if clear(name)]
    assert not left, f"half a result: {left}"


def clear(name):
    """Whether something of that name was there; now it is not."""
    path = Path(name)
    there = path.exists()
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return there


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
TEXTS = {
    "nothing": b"",
    "a comment": b"# nothing\n",
    "null": b"null\n",
    "a list": b"- 1\n- 2\n",
    "a text": b"hello\n",
    "a number": b"42\n",
    "two documents": b"title: a\n---\ntitle: b\n",
    "a tab": b"title: x\n\tsteps: 6\n",
    "a twin key": b"title: a\ntitle: b\n",
    "an unknown key": b"titel: a\n",
    "no text": bytes(range(256)),
    "latin-1": "title: Münster\n".encode("latin-1"),
    "utf-16": "title: x\n".encode("utf-16"),
    "a NUL": b"title: \x00\n",
    "an escape": b"title: \x1b[31mred\n",
    "zeroes": bytes(4096),
    "brackets": b"[" * 20_000,
    "deep": b"a: " + b"{a: " * 2000,
    "deep and closed": b"a: " + b"[" * 300 + b"]" * 300 + b"\n",
    "a bomb": BOMB.encode(),
    "a circle": b"a: &a [*a]\n",
    "a circle of keys": b"&a {title: x, more: *a}\n",
    "a merge of itself": b"a: &a\n  <<: *a\n",
    "an unknown anchor": b"title: *nowhere\n",
    "a python tag": b"!!python/object/apply:os.system ['touch out']\n",
    "a set": b"!!set {title, steps}\n",
    "a date": b"2020-01-01: x\ntitle: 2020-01-01\n",
    "a key that is a list": b"? [1, 2]\n: x\n",
    "a key that is a number": b"1: x\n2.5: y\nnull: z\ntrue: w\n",
    "a huge number": b"steps: 1" + b"0" * 6000 + b"\nseeds: [1e999]\n",
    "an open quote": b'title: "x\n',
    "an odd escape": b'title: "\\q"\n',
    "a directive": b"%YAML 9.9\n---\ntitle: x\n",
    "a tag alone": b"!<>\n",
    "megabytes": b"title: " + b"x" * 3_000_000 + b"\n",
    "many keys": b"".join(b"k%d: 1\n" % i for i in range(20_000)),
    "a BOM in the middle": "title: x\n\ufeffsteps: 1\n".encode(),
}
VALUES = {
    "dataset": ("num_classes", "image_size", "mean", "std", "holdout", "class_order", "augment", "settings", "source"),
    "method": ("unlabeled_ratio", "learner", "optimizer", "paper", "title"),
    "protocol": ("steps", "batch_size", "precision", "network", "optimizer", "teacher", "evaluation", "overrides"),
    "suite": ("protocol", "seeds", "tables"),
    "pipeline": ("suite",),
}
WRONG = (
    *("-1", ".nan", "-.inf", "1" + "0" * 400, "1e400", "''", "[[[]]]", "{? {} : 1}", "../../etc/passwd"),
    *(
        "2020-01-01",
        "!!binary aGk=",
        '"a\\nb\\u2028"',
        "{name: ../x}",
        "{../x: {n1: 1, m1: 1, gamma_l: 1, gamma_u: 1}}",
    ),
)


@pytest.mark.parametrize("kind", FILES)
def test_params_that_are_no_such_yaml(kind):
    for name, content in TEXTS.items():
        with instead(FILES[kind], content):
            said = JUDGE.refused(f"params {name}", kind.encode() + content, *LIST)
            assert FILES[kind] in said, said


@pytest.mark.parametrize("kind", FILES)
def test_params_with_values_that_cannot_be(kind):
    from ruamel.yaml import YAML

    tree = YAML(typ="safe").load(Path(FILES[kind]).read_text())
    for key in VALUES[kind]:
        for word in WRONG:
            rest = {name: value for name, value in tree.items() if name != key}
            content = (
                f"{key}: {word}\n{''.join(f'{name}: {json.dumps(value)}{chr(10)}' for name, value in rest.items())}"
            )
            with instead(FILES[kind], content.encode()):
                if JUDGE.survived("values", content, *LIST):
                    JUDGE.survived("values", content, "resolve", RUN)


@pytest.mark.parametrize("kind", FILES)
def test_params_with_broken_bits(kind):
    whole = Path(FILES[kind]).read_bytes()

    @fuzz(25)
    @given(st.lists(st.tuples(st.integers(0, 8 * len(whole) - 1)), min_size=1, max_size=6), st.integers(0, 3))
    def broken(places, way):
        with instead(FILES[kind], damaged(whole, [place for (place,) in places], way)) as path:
            content = path.read_bytes()
            JUDGE.survived("broken params", content, *LIST)

    broken()


def damaged(whole, places, way):
    """Bits flipped, a piece cut off, doubled or dropped."""
    content, cut = bytearray(whole), places[0] // 8
    if way == 0:
        for place in places:
            content[place // 8] ^= 1 << place % 8
        return bytes(content)
    return (whole[:cut], whole[:cut] + whole, whole[:cut] + whole[cut + 7 :])[way - 1]


def test_names_of_files_that_cannot_be():
    method = Path(FILES["method"]).read_bytes()
    odd = ("a b", "..x", "A", "ü", "a\nb", "a'b", "%s", "{x}", "-" * 200 + "Z", "a.b", os.fsdecode(b"\xff\xfe"))
    for name in odd:
        path = Path("params/methods") / f"{name}.yaml"
        with instead(path, method):
            JUDGE.refused("names", name.encode("utf-8", "surrogateescape"), *LIST)
    with instead("params/methods/short.yml", method):
        JUDGE.refused("names", "yml", *LIST, says="files end in .yaml")


def test_params_that_are_no_files(tmp_path):
    path = Path(FILES["protocol"])
    whole = path.read_bytes()
    for name, make in SPECIAL.items():
        path.unlink()
        make(path)
        try:
            JUDGE.refused("no file", f"params {name}", *LIST, says=str(path))
        finally:
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
            path.write_bytes(whole)


SPECIAL = {
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
    "circle": lambda path: path.symlink_to(path.name),
    "nowhere": lambda path: path.symlink_to("nowhere"),
    "endless": lambda path: path.symlink_to("/dev/zero"),
}
JSONS = {
    "nothing": b"",
    "a brace": b"{",
    "an empty one": b"{}",
    "a list": b"[]",
    "a text": b'"x"',
    "null": b"null",
    "no number": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity, "sha256": "0"}',
    "a huge number": b'{"a": 1' + b"0" * 6000 + b"}",
    "1e999": b'{"key": 1e999, "sha256": 1}',
    "deep": b"[" * 100_000,
    "deep and closed": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "no text": bytes(range(256)),
    "zeroes": bytes(512),
    "a BOM": b"\xef\xbb\xbf{}",
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "a lone surrogate": b'{"a": "\\ud800"}',
    "a twin key": b'{"sha256": "1", "sha256": "2"}',
    "more after it": b"{} {}",
    "a comma": b'{"a": 1,}',
}


def readers():
    """Every JSON file that is read, and who reads it."""
    yield SPLIT, CHECK
    yield STORE / "manifest.json", CHECK
    yield TRAINED / "train.json", EVALUATE
    yield TRAINED / "config.json", EVALUATE
    yield METRICS, REPORT
    yield METRICS, ("keep", RUN)
    yield Path("bundle/bundle.json"), ("train", "--bundle", "bundle")
    yield Path(f"bundle/configs/{RUN}.json"), ("train", "--bundle", "bundle")
    yield Path("data.json"), ("download", "--config", "data.json", "--out", "out")
    yield Path("split.json"), ("split", "--config", "split.json", "--store", STORE, "--out", "out.json")
    yield (
        Path("config.json"),
        ("train", "--config", "config.json", "--store", STORE, "--split", SPLIT, "--out", "out", "--scratch", "s"),
    )
    yield (
        Path("way.json"),
        ("derive", "--config", "way.json", "--store", STORE, "--split", SPLIT, "--out", "out.json"),
    )


@pytest.mark.parametrize(
    ("path", "argv"), list(readers()), ids=lambda word: str(word[0]) if isinstance(word, tuple) else None
)
def test_json_that_is_none(path, argv):
    for content in JSONS.values():
        with instead(path, content):
            JUDGE.refused(
                "json", str(path).encode() + content, *argv, says="" if path.name == "way.json" else path.name
            )


@pytest.mark.parametrize(("path", "argv"), [row for row in readers() if row[0].name != "way.json"], ids=ascii)
def test_json_with_another_tree(path, argv):
    """Values of another type or no values in a file that is whole by its digest, if it has one."""
    whole = json.loads(path.read_text())
    seal = next((name for name in ("manifest_sha256", "sha256") if name in whole), None)
    keys, rng = sorted(set(whole) - {seal}), random.Random(0)
    others = [None, [], {}, "x", -1, 1.5, True, ["a"], {"a": 1}, 10**30, [[1]], "../../x", "a\nb"]
    for key in keys:
        for other in rng.sample(others, 1 if argv[0] == "report" else 3):  # a report takes long
            tree = {**whole, key: other}
            check_tree(path, argv, tree, seal)
        check_tree(path, argv, {name: part for name, part in whole.items() if name != key}, seal)


def check_tree(path, argv, tree, seal):
    tree = {name: part for name, part in tree.items() if name != seal}
    content = sealed(tree, seal) if seal else pretty(tree)
    with instead(path, content):
        good = JUDGE.survived("trees", str(path).encode() + content, *argv)
    if good:  # what it made is that of a value that may be another
        for name in ("out", "out.json", "reports/measured", "s"):
            clear(name)


@pytest.mark.parametrize(
    ("path", "argv"),
    [(SPLIT, CHECK), (STORE / "manifest.json", CHECK), (TRAINED / "train.json", EVALUATE), (METRICS, REPORT)],
    ids=str,
)
def test_json_with_broken_bits(path, argv):
    """What is taken all the same says what the whole file says: a bit of a blank, or of the case of an exponent."""
    whole = path.read_bytes()

    @fuzz(25)
    @given(st.lists(st.integers(0, 8 * len(whole) - 1), min_size=1, max_size=3), st.integers(0, 3))
    def broken(places, way):
        content = damaged(whole, places, way)
        with instead(path, content):
            if content != whole and JUDGE.survived("broken json", content, *argv):
                assert json.loads(content) == json.loads(whole), f"taken for good: {path}"
                for name in ("out", "out.json"):
                    clear(name)

    broken()


CSVS = {
    "nothing": "",
    "a heading": "source,table,dataset\n",
    "no NUL": "\0",
    "a short row": "{head}\n{row}\ndaso_paper,1\n",
    "a long row": "{head}\n{row},more,and,more\n",
    "an open quote": '{head}\n"{row}\n{row}\n',
    "more after a quote": "{head}\n{row}x\n",
    "a NUL": "{head}\n{row}\0\n",
    "no mean": "{head}\n{blank}\n",
    "a mean in words": "{head}\n{words}\n",
    "an infinite mean": "{head}\n{infinite}\n",
    "a fraction of nothing": "{head}\n{fraction}\n",
    "twin columns": "{head},mean\n{row},1\n",
    "latin-1": "{head}\n{row}ü\n",
    "a field without end": "{head}\n" + "x" * 200_000 + "\n",
    "a huge number": "{head}\n{huge}\n",
}


def test_published_numbers_that_are_none(tmp_path, monkeypatch):
    with PUBLISHED.open(newline="") as file:
        rows = list(csv.DictReader(file))
    head, row = ",".join(rows[0]), next(row for row in rows if row["table"] == "1")

    def line(**changes):
        return ",".join(f'"{value}"' for value in {**row, **changes}.values())

    parts = {
        "head": head,
        "row": line(),
        "blank": line(mean=""),
        "words": line(mean="abc"),
        "infinite": line(mean="inf"),
    }
    parts |= {"fraction": line(gamma_l="1/0"), "huge": line(mean="9" * 5000)}
    path = tmp_path / "results.csv"
    for module in ("daso.report.cell", "daso.report.page"):
        monkeypatch.setattr(f"{module}.PUBLISHED", path)
    for text in CSVS.values():
        content = text
        for word, part in parts.items():
            content = content.replace(f"{{{word}}}", part)
        path.write_bytes(content.encode("latin-1"))
        JUDGE.refused("published", content, "cell", "table 1", says="results.csv")
        JUDGE.refused("published", content, "report", "--suite", "tiny", "--out", "out", says="results.csv")
    for make in SPECIAL.values():
        path.unlink()
        make(path)
        JUDGE.refused("no file", f"published {make}", "cell", "table 1", says="results.csv")
        path.rmdir() if path.is_dir() else path.unlink()
        path.touch()


HISTORIES = {
    "nothing": b"",
    "a heading": b"step,test_top1,test_top1_la\n",
    "no step": b"a,b\n1,2\n",
    "words": b"step,test_top1,test_top1_la\n1,x,0.5\n",
    "a short row": b"step,test_top1,test_top1_la\n1,0.5,0.5\n2\n",
    "a long row": b"step,test_top1,test_top1_la\n1,0.5,0.5,7\n",
    "a NUL": b"step,test_top1,test_top1_la\n1,0.5,\x00\n",
    "no text": bytes(range(128, 256)),
    "a quote": b'step,test_top1,test_top1_la\n"1,0.5,0.5\n',
    "a field without end": b"step,test_top1,test_top1_la\n" + b"1" * 200_000 + b"\n",
    "nothing known": b"step,test_top1,test_top1_la\n1,,\n",
}


def test_histories_and_predictions_that_are_none():
    """Damaged, and whole by their digest."""
    answers = {"logits": np.zeros((3, 10), np.float32), "labels": np.array([0, 1, 2])}
    wrong = [answers | {"labels": np.array([0, 1, 99])}, answers | {"logits": np.zeros(3)}, {"labels": np.zeros(3)}]
    wrong += [answers | {"labels": np.array(["a"])}, answers | {"logits": np.zeros((4, 10))}]
    files = [npz(arrays) for arrays in wrong]
    files += [npz({"logits": np.array([bad_archives.Malice()], object)}), b"", b"PK\x03\x04", bytes(99), files[0][:-40]]
    for name, contents in (("history.csv", HISTORIES.values()), ("predictions.npz", files)):
        for content in contents:
            with instead(TRAINED / name, content):
                JUDGE.refused(name, content, *EVALUATE, says=f"snakemake {TRAINED / name}")
                tree = json.loads((TRAINED / "train.json").read_text())
                del tree["sha256"]
                tree["files"][name] = hashlib.sha256(content).hexdigest()
                with instead(TRAINED / "train.json", sealed(tree)):
                    JUDGE.refused(name, b"whole" + content, *EVALUATE, says=f"{TRAINED / name}")
    assert not Path("harm").exists()


def npz(arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_arrays_of_a_store_that_are_none():
    for name in ("train_labels.npy", "train_images.npy"):
        whole, objects = (STORE / name).read_bytes(), io.BytesIO()
        np.save(objects, np.array([bad_archives.Malice()] * 5, object), allow_pickle=True)
        contents = [
            b"",
            bytes(200),
            whole[:5],
            whole[:100],
            whole[:-9],
            objects.getvalue(),
            b"\x93NUMPY\x09\x00" + whole[8:],
        ]
        contents += [whole.replace(b"'shape': (", b"'shape': (9", 1), whole.replace(b"descr", b"descx", 1)]
        contents += [
            whole[:8] + b"\xff\xff" + whole[10:],
            whole.replace(b"{", b"[", 1),
            whole.replace(b"<i8", b"|O8"),
            whole.replace(b"|u1", b"|V1"),
        ]
        for content in set(contents) - {whole}:
            with instead(STORE / name, content):
                JUDGE.refused("arrays", content, *CHECK, says=name)
    assert not Path("harm").exists()


def test_records_that_are_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("runs", ".snakemake/metadata"):
        Path(name).mkdir(parents=True)
    path, sync = Path("runs/provenance.json"), (provenance.main, ("sync",))
    good = {"runs/x": {"rule": "train"}}
    trees = [{"runs/x": 1}, {"runs/x": [1]}, {"../../x": {}}, {"/etc/x": {}}, {"": {}}, {"runs/x" * 500: None}]
    contents = [*JSONS.values(), *(sealed(tree) for tree in trees), sealed(good).replace(b"train", b"trajn")]
    for content in contents:
        path.write_bytes(content)
        JUDGE.refused("records", content, *sync[1], says="provenance.json", verb=sync[0])
    path.write_bytes(sealed(good))
    assert call("sync", verb=provenance.main)[0] == 0
    for content in JSONS.values():
        Path(".snakemake/provenance.seen").write_bytes(content)
        JUDGE.survived("records", b"seen" + content, "sync", verb=provenance.main)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("DASO_GPUS", word) for word in ("-1", "x", "1.5", "", " ", "9" * 5000, "1000000000", "²", "0x1", "1,2")),
        *(("DASO_SLOTS", word) for word in ("-1", "x", "9" * 5000, "10000000000", "", "1e3")),
    ],
)
def test_environment_variables_that_are_wrong(monkeypatch, name, value):
    monkeypatch.setenv("DASO_GPUS", "1")
    monkeypatch.setenv(name, value)
    JUDGE.refused("environment", f"{name}={value}", "train", RUN, says=name)


OTHER_RUNS = (
    *("", "/", "a/b/c/d/s0", "../../x/y/s0", f"{RUN}9" * 3),
    *(RUN.replace("s0", word) for word in ("s²", "s" + "9" * 5000, "s", "s-1")),
    *(RUN.replace("supervised", word) for word in ("..", "", "supervised.", "supervised.x")),
    *(RUN.replace("supervised", word) for word in ("a\nb", "\x1b[2J", "ü", "*")),
)
OTHER_CELLS = ("", "table 99", "t1 r99 c1", "t1 r0 c0", "t" + "9" * 5000, "table one", "t1 r² c1", "\0", "a\nb")
NO_PLACES = ("x" * 300, "config.json/x", "/".join(["y" * 200] * 30))
WORDS = [
    *(("resolve", word) for word in OTHER_RUNS),
    *(("explain", word) for word in ("", "+", "fixmatch++", "x" * 3000, "a\nb", "../x", "\0", "daso+daso")),
    *(("cell", word) for word in OTHER_CELLS),
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
    *(("adopt", word) for word in NO_PLACES),
    *(("bundle", RUN, "--out", word) for word in NO_PLACES),
    *(("download", "digits", "--out", word) for word in NO_PLACES),
    *(("report", "--suite", "tiny", "--out", word) for word in NO_PLACES),
    *(("split", "--check", word, "--store", STORE.as_posix()) for word in NO_PLACES),
    *(("split", "--check", SPLIT.as_posix(), "--store", word) for word in NO_PLACES),
    *(("train", "--bundle", word) for word in NO_PLACES),
]


@pytest.mark.parametrize("words", WORDS, ids=lambda words: ascii(" ".join(words))[:60])
def test_words_that_name_nothing(words):
    JUDGE.refused("words", "\n".join(words), *words)


@pytest.fixture
def dataset():
    """Calls the reader of image folders on a path, a part of which was made by a test."""

    def argv(path, size=8, classes=2):
        config = {"dataset": "own", "source": {"kind": "image_folder", "path": str(path)}}
        Path("own.json").write_text(json.dumps(config | {"num_classes": classes, "image_size": size}))
        return "download", "--config", "own.json", "--out", "out"

    return argv


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("name", bad_images.BROKEN)
def test_images_that_are_none(name, packed, tmp_path, dataset):
    files = bad_images.good() | {f"train/a/{name}": bad_images.BROKEN[name]()}
    path = bad_images.pack(files, tmp_path, packed)
    JUDGE.refused(
        "images",
        files[f"train/a/{name}"] + bytes(packed),
        *dataset(path),
        says=f"train/a/{name} is not a readable image",
    )


@pytest.mark.parametrize("name", bad_images.ODD)
def test_odd_images_are_read_as_documented(name, tmp_path, dataset):
    content, pixel = bad_images.ODD[name]
    path = bad_images.pack(bad_images.good() | {f"train/a/{name}": content}, tmp_path, packed=False)
    JUDGE.handled("odd images", content, *dataset(path))
    row = sorted([*(word.name for word in (path / "train/a").iterdir())]).index(name)
    found = np.load("out/train_images.npy")[row, :, 4, 4].tolist()
    shutil.rmtree("out")
    assert found == pytest.approx(pixel, abs=3)


def test_images_with_broken_bits(tmp_path, dataset):
    path, rng = bad_images.pack(bad_images.good(), tmp_path, packed=False), random.Random(0)
    for kind, whole in bad_images.formats().items():
        for _ in range(12):
            way, places = rng.randrange(4), [rng.randrange(8 * len(whole)) for _ in range(rng.randint(1, 8))]
            content = damaged(whole, places, way)
            with instead(path / f"train/a/x.{kind}", content):
                if JUDGE.survived("broken images", content, *dataset(path)):
                    shutil.rmtree("out")


@pytest.mark.parametrize("name", bad_images.TREES)
def test_trees_that_are_no_dataset(name, tmp_path, dataset):
    path, says = bad_images.TREES[name](tmp_path)
    JUDGE.refused("trees of images", name, *dataset(path), says=says)


@pytest.mark.parametrize("name", bad_images.FINE)
def test_odd_trees_are_read_as_documented(name, tmp_path, dataset):
    path, classes, images = bad_images.FINE[name](tmp_path)
    JUDGE.handled("odd trees", name, *dataset(path, classes=classes))
    assert len(np.load("out/train_images.npy")) == images
    shutil.rmtree("out")


@pytest.mark.parametrize("name", bad_archives.ZIPS)
def test_zips_that_are_refused(name, tmp_path, dataset):
    path = tmp_path / "images.zip"
    path.write_bytes(bad_archives.ZIPS[name]())
    JUDGE.refused("zips", path.read_bytes(), *dataset(path), says="images.zip")
    assert not list(tmp_path.parent.glob("slip*"))


@pytest.mark.parametrize("kind", ["cifar10", "cifar100", "stl10"])
@pytest.mark.parametrize("name", bad_archives.TARS)
def test_archives_that_are_refused(name, kind, tmp_path, monkeypatch):
    """Their MD5 is what the configuration wants: what is wrong is inside."""
    content = bad_archives.TARS[name](kind)
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(content)
    monkeypatch.setenv("DASO_BAD", str(path))
    source = {"kind": kind, "urls": [], "md5": hashlib.md5(content).hexdigest(), "override": "DASO_BAD"}
    size = 96 if kind == "stl10" else 32
    config = {"dataset": "own", "source": source, "num_classes": 100 if kind == "cifar100" else 10, "image_size": size}
    Path("own.json").write_text(json.dumps(config))
    JUDGE.refused(
        "archives", kind.encode() + content, "download", "--config", "own.json", "--out", "out", says="archive.tar.gz"
    )
    assert not Path("harm").exists()
    assert not list(tmp_path.parent.glob("slip*"))


NOWHERE = (
    *("file:///etc/passwd", "ftp://x/y", "x://", "http://", "http://127.0.0.1:1/a", "://", "http://[::1", "nowhere"),
    *("~nobody/x", ".", "/dev/null", "a\nb", "http://a b/\r\nc", "https://\udcff/"),
)


@pytest.mark.parametrize("where", NOWHERE, ids=ascii)
def test_sources_that_are_nowhere(where, monkeypatch):
    monkeypatch.setenv("DASO_BAD", where)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    source = {"kind": "cifar10", "urls": [], "md5": "0" * 32, "override": "DASO_BAD"}
    Path("own.json").write_text(json.dumps({"dataset": "own", "source": source, "num_classes": 10, "image_size": 32}))
    JUDGE.refused("sources", where, "download", "--config", "own.json", "--out", "out")


def test_in_processes_of_their_own():
    """What a user sees, the lines of the interpreter included."""
    cases = [(path, content, argv) for path, argv in readers() for content in list(JSONS.values())[1:4]]
    cases += [(Path(file), TEXTS[name], LIST) for file in FILES.values() for name in ("a bomb", "no text")]
    for path, content, argv in random.Random(0).sample(cases, 8):
        with instead(path, content):
            done = subprocess.run(
                [sys.executable, "-m", "daso", *map(str, argv)],
                **{"capture_output": True, "text": True, "timeout": 120, "check": False},
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )
        assert done.returncode == 1, done
        fine(done.stderr, 1)
        JUDGE.count("processes", str(path).encode() + content)


def test_there_were_enough_of_them():
    """By their digests; the same bytes for another reader are another input."""
    mine = {name for name in globals() if name.startswith("test_")} - {"test_there_were_enough_of_them"}
    if mine - RAN:
        pytest.skip(f"not all tests of this file have run here: {len(mine - RAN)} are missing")
    assert JUDGE.total >= WANTED, {family: len(seen) for family, seen in JUDGE.seen.items()}
