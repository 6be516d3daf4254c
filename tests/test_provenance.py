import json
from pathlib import Path

import pytest

from daso import provenance
from daso.data.files import digest, sealed
from daso.errors import DasoError

RUN = "runs/digits/n20/smoke/fixmatch/s0/train.json"
RECORD = {"rule": "train", "params": ["'abc'"], "starttime": 1.0, "endtime": 2.0, "job_hash": 5}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def output(path, record=RECORD):
    """An output with its record, as Snakemake leaves them."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text("content")
    name = provenance.META / provenance.record_name(path)
    name.parent.mkdir(parents=True, exist_ok=True)
    name.write_text(json.dumps(record))


@pytest.mark.parametrize("length", [1, 100, 190, 191, 400])
def test_a_record_lies_where_snakemake_looks_for_it(length):
    from snakemake.persistence.file import FilePersistence

    path, theirs = "r" * length, FilePersistence.__new__(FilePersistence)
    theirs._max_len = 255  # of a name on every common file system
    assert Path("metadata") / provenance.record_name(path) == Path(theirs._record_path("metadata", path))


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        (RUN, "runs"),
        ("data/store/digits/manifest.json", "data/store"),
        ("data/splits/digits/n20/s0.json", "data/splits"),
        ("reports/smoke/index.html", "reports/smoke"),
        ("reports/index.html", None),
        ("scratch/x", None),
        ("runs", None),
    ],
)
def test_who_keeps_the_record_of_an_output(path, owner):
    assert provenance.owner_of(path) == owner


def test_records_go_out_without_what_varies_and_come_back():
    output(RUN)
    provenance.export()
    kept = Path("runs/provenance.json").read_text()
    records = {RUN: {"rule": "train", "params": ["'abc'"]}}
    assert json.loads(kept) == {**records, "sha256": digest(records)}
    record = provenance.META / provenance.record_name(RUN)
    record.unlink()
    Path(".snakemake/metadata").rename(".snakemake/gone")
    provenance.sync()
    back = json.loads(record.read_text())
    assert back == {"rule": "train", "params": ["'abc'"]} | dict.fromkeys(
        ("starttime", "endtime"), Path(RUN).stat().st_mtime
    )
    provenance.export()
    assert Path("runs/provenance.json").read_text() == kept


def test_all_that_snakemake_decides_by_goes_out_and_comes_back():
    """Without the checksums of its inputs, an output would be made again after each checkout."""
    lasting = {
        **{"rule": "train", "input": ["a"], "log": ["b"], "params": ["'abc'"], "shellcmd": "c", "code": "d"},
        **{"incomplete": False, "input_checksums": {"a": "sha256:0"}, "record_format_version": 6},
        **{"conda_env": None, "container_img_url": None, "software_stack_hash": "e"},
    }
    output(RUN, {**lasting, "starttime": 1.0, "endtime": 2.0, "job_hash": 5, "external_jobid": "7"})
    provenance.export()
    assert json.loads(Path("runs/provenance.json").read_text())[RUN] == lasting
    Path(".snakemake/metadata").rename(".snakemake/gone")
    provenance.sync()
    time = Path(RUN).stat().st_mtime
    back = json.loads((provenance.META / provenance.record_name(RUN)).read_text())
    assert back == {**lasting, "starttime": time, "endtime": time}


def test_newer_records_are_kept_until_the_file_changes():
    output(RUN)
    provenance.export()
    output(RUN, RECORD | {"params": ["'new'"]})
    provenance.sync()
    assert "'new'" in (provenance.META / provenance.record_name(RUN)).read_text()
    Path("runs/provenance.json").write_bytes(sealed({RUN: {"rule": "train", "params": ["'old'"]}}))
    provenance.sync()
    assert "'old'" in (provenance.META / provenance.record_name(RUN)).read_text()


def test_a_file_of_records_is_replaced_and_never_written_into():
    output(RUN)
    Path("cache").write_text("{}")
    Path("runs/provenance.json").symlink_to(Path("cache").resolve())
    provenance.export()
    assert Path("cache").read_text() == "{}"
    assert not Path("runs/provenance.json").is_symlink()


def test_the_record_of_a_missing_output_is_dropped():
    output(RUN)
    output("runs/other")
    Path("runs/other").unlink()
    provenance.export()
    assert list(json.loads(Path("runs/provenance.json").read_text())) == [RUN, "sha256"]


def test_orphans_are_outputs_without_a_record_or_an_open_job():
    output(RUN)
    for name in ("runs/unknown", "runs/open"):
        Path(name).write_text("")
    provenance.INCOMPLETE.mkdir(parents=True)
    (provenance.INCOMPLETE / provenance.record_name("runs/open")).touch()
    assert provenance.orphans([RUN, "runs/unknown", "runs/open", "runs/missing"]) == ["runs/unknown"]


def test_a_doubted_output_is_one_of_an_open_job():
    output(RUN)
    Path("runs/unknown").write_text("")
    provenance.doubt([RUN, "runs/unknown", "runs/missing"])
    names = [path.relative_to(provenance.INCOMPLETE) for path in provenance.INCOMPLETE.rglob("*") if path.is_file()]
    assert names == [provenance.record_name("runs/unknown")]
    assert provenance.orphans([RUN, "runs/unknown"]) == []


def test_a_damaged_file_is_told(capsys):
    Path("runs").mkdir()
    Path("runs/provenance.json").write_text("{")
    with pytest.raises(DasoError, match="runs/provenance.json: the file is damaged"):
        provenance.sync()
    assert provenance.main(["sync"]) == 1
    assert provenance.main(["nonsense"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "usage: python -m daso.provenance export|sync|mend"


def test_a_changed_record_is_told():
    """By the digest of the file; Snakemake's own copy, which it would drop in silence, where it cannot be read."""
    output(RUN)
    provenance.export()
    path, record = Path("runs/provenance.json"), provenance.META / provenance.record_name(RUN)
    path.write_text(path.read_text().replace("abc", "abd"))
    with pytest.raises(DasoError, match="runs/provenance.json: the file is damaged; .*`rm runs/provenance.json`$"):
        provenance.sync()
    record.write_text(record.read_text()[:-1])
    with pytest.raises(DasoError, match=rf"^{record}: the file is damaged; mend .* `python -m daso\.provenance mend`$"):
        provenance.orphans([RUN])
    with pytest.raises(DasoError, match=f"{record}: the file is damaged"):
        provenance.export()


@pytest.mark.parametrize("text", ["", "{", "{}"])
def test_a_damaged_file_is_written_anew_from_the_records_there_are(text):
    """Those of results that DVC does not know yet are among them."""
    output(RUN)
    provenance.export()
    path = Path("runs/provenance.json")
    kept = path.read_text()
    path.write_text(text)
    with pytest.raises(DasoError, match="^runs/provenance.json: the file is damaged; .*`rm runs/provenance.json`$"):
        provenance.sync()
    path.unlink()
    provenance.sync()
    provenance.export()
    assert path.read_text() == kept


def test_a_damaged_file_without_other_records_comes_from_dvc_alone():
    """Nothing else beside the results is touched."""
    output("metrics/other.json")
    Path("runs").mkdir()
    Path("runs/provenance.json").write_text("{")
    mend = "restore it alone by `dvc checkout --force runs/provenance.json`"
    with pytest.raises(DasoError, match=f"^runs/provenance.json: the file is damaged; {mend}$"):
        provenance.sync()


def record_of(path):
    return provenance.META / provenance.record_name(path)


def open_jobs():
    return [path.relative_to(provenance.INCOMPLETE) for path in provenance.INCOMPLETE.rglob("*") if path.is_file()]


@pytest.mark.parametrize("text", ["", '{"rule": "tr'])
def test_a_record_that_was_being_written_is_that_of_an_open_job(text):
    """Snakemake writes into a record, and removes the marker of the job when all are written: see a kill between."""
    output(RUN)
    output("runs/other")
    provenance.export()
    record_of(RUN).write_text(text)
    provenance.mark([RUN])
    assert provenance.orphans([RUN, "runs/other"]) == []
    provenance.export()
    assert list(json.loads(Path("runs/provenance.json").read_text())) == ["runs/other", "sha256"]
    assert provenance.main(["mend"]) == 0
    assert record_of(RUN).read_text() == text
    assert open_jobs() == [provenance.record_name(RUN)]


def test_a_damaged_record_comes_back_alone(capsys):
    """Those that have not gone out yet, as of what a killed call has finished, stay as they are."""
    output(RUN)
    output("runs/other", RECORD | {"params": ["'old'"]})
    provenance.export()
    output("runs/other", RECORD | {"params": ["'new'"]})
    record_of(RUN).write_text("")
    assert provenance.main(["mend"]) == 0
    assert json.loads(record_of(RUN).read_text())["params"] == ["'abc'"]
    assert json.loads(record_of("runs/other").read_text())["params"] == ["'new'"]
    assert provenance.orphans([RUN, "runs/other"]) == open_jobs() == []
    assert capsys.readouterr().out.splitlines() == [f"{RUN}: its record is back from runs/provenance.json"]


@pytest.mark.parametrize("path", [RUN, "reports/index.html"])
def test_a_damaged_record_that_is_kept_nowhere_makes_its_job_an_open_one(path, capsys):
    """Its output is made again; a run's last state is there, as it stays until the record has gone out."""
    output(path)
    record_of(path).write_text("")
    assert provenance.main(["mend"]) == 0
    assert not record_of(path).exists()
    assert open_jobs() == [provenance.record_name(path)]
    assert provenance.orphans([path]) == []
    assert capsys.readouterr().out.splitlines() == [f"{path}: no record of it is kept; `snakemake` makes it again"]


def test_a_damaged_record_of_a_missing_output_goes(capsys):
    output(RUN)
    Path(RUN).unlink()
    record_of(RUN).write_text("")
    assert provenance.main(["mend"]) == 0
    assert not record_of(RUN).exists()
    assert open_jobs() == []


def test_a_key_is_recorded():
    output(RUN)
    assert provenance.recorded(RUN, "abc")
    assert not provenance.recorded(RUN, "ab")
    assert not provenance.recorded("runs/other", "abc")
    provenance.mark([RUN])
    assert not provenance.recorded(RUN, "abc")


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"params": null}', '{"params": "abc"}', '{"params": ["abcd"]}'])
def test_no_key_is_recorded_where_the_record_says_none(record):
    output(RUN)
    record_of(RUN).write_text(record)
    assert not provenance.recorded(RUN, "abc")
