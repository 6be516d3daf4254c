"""Exports of a model of a frozen network: their files, and the predictions of a program with onnxruntime alone."""

import csv
import json
import shutil
import sys

import numpy as np
import onnx
import pytest
import torch

from daso.cli import main
from daso.deploy import export_check
from daso.deploy.export import export_onnx, export_tensors
from daso.deploy.export_check import predicted
from daso.deploy.model import read_model, save_model
from daso.deploy.onnx_model import OnnxPredictor
from daso.deploy.predictor import TorchPredictor
from daso.deploy.reading import reading_of
from daso.errors import DasoError
from tests.deploy.isolated import RUN
from tests.deploy.models import CLASSES, LITE0, TINY, frozen_model, trained_model
from tests.deploy.six_files import write_six

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Export a model; return it, the folder of its export, and the printed lines."""
    folder = tmp_path_factory.mktemp("exported")
    model = frozen_model()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        save_model(model, folder / "saved")
        lines = list(export_onnx(model, folder / "flowers"))
    return model, folder / "flowers", lines


@pytest.fixture(scope="module")
def six(tmp_path_factory):
    return write_six(tmp_path_factory.mktemp("six") / "new")


def test_one_file_has_everything_and_states_its_readers(exported):
    _, folder, lines = exported
    assert sorted(path.name for path in folder.iterdir()) == ["README-onnx.md", "classify.py", "model.onnx"]
    assert lines[0] == "opset 18, IR version 8, onnxruntime 1.17 or newer"
    assert lines[1].startswith("checked on 0 photos and 6 generated files (the photos of its dataset are missing): ")
    proto = onnx.load(folder / "model.onnx")
    onnx.checker.check_model(proto, full_check=True)
    assert (proto.ir_version, [(each.domain, each.version) for each in proto.opset_import]) == (8, [("", 18)])
    assert not any(each.external_data for each in proto.graph.initializer)
    (images,), outputs = proto.graph.input, proto.graph.output
    axes = [each.dim_param or each.dim_value for each in images.type.tensor_type.shape.dim]
    assert axes == ["n", 3, 64, 64]
    assert [each.name for each in outputs] == ["probabilities", "unlike"]
    assert b"/daso/" not in proto.SerializeToString()


def test_metadata_state_classes_reading_and_calibration(exported):
    model, folder, _ = exported
    entries = onnx.load(folder / "model.onnx").metadata_props
    metadata = {entry.key: json.loads(entry.value) for entry in entries}
    assert {name: metadata[name] for name in model.record if name not in ("reading", "versions")} == {
        name: value for name, value in model.record.items() if name not in ("reading", "versions")
    }
    assert metadata["classes"] == CLASSES
    assert metadata["format"] == {"opset": 18, "ir_version": 8, "onnxruntime": "1.17"}
    assert metadata["license_of_weights"] == "apache-2.0"
    assert metadata["network"]["sha256"] == "0" * 64
    assert {"daso", "torch", "onnx", "pillow"} <= metadata["versions"].keys()
    reading = metadata["reading"]
    assert (reading["image_size"], reading["fit"], reading["bits"]) == (96, "pad", 12)
    assert reading["view"] == {"size": 64, "method": "resize", "filter": "bicubic"}
    assert len(reading["steps"]) == 9


def test_isolated_program_predicts_six_difficult_files_as_predict_does(exported, six, isolated, tmp_path):
    """Three predictions of each file: of `daso predict`, of its exported file, and of the reader alone."""
    _, folder, _ = exported
    new = six[0].parent
    statuses = [
        main(["predict", str(model), str(new), "--csv", str(tmp_path / f"{i}.csv")])
        for i, model in enumerate((folder.parent / "saved", folder / "model.onnx"))
    ]
    assert statuses == [0, 0]
    rows, of_onnx = (list(csv.DictReader((tmp_path / f"{i}.csv").read_text().splitlines())) for i in range(2))
    done = isolated.call(RUN, folder / "classify.py", folder / "model.onnx", *six)
    assert (done.returncode, done.stderr) == (0, "")
    printed = [line.split("\t") for line in done.stdout.splitlines()]
    assert [line[0] for line in printed] == [row["path"] for row in rows] == [str(path) for path in six]
    assert [line[1] for line in printed] == [row["class"] for row in rows] == [row["class"] for row in of_onnx]
    for line, row in zip(printed, rows, strict=True):
        assert float(line[2]) == pytest.approx(float(row["probability"]), abs=2e-4)  # two rounded numbers
        assert float(line[3]) == pytest.approx(float(row["unlike"]), abs=2e-4)
        assert ("uncertain" in line[4], "unlike" in line[4]) == (row["abstain"] == "yes", row["is_unlike"] == "yes")
    assert {row["class"] for row in rows} == {"beech", "clover"}
    assert [line[4] for line in printed] == ["", "uncertain", "unlike", "", "", ""]


@pytest.mark.parametrize("fit", ["pad", "crop", "squash"])
def test_probabilities_from_files_are_equal_with_each_fit(exported, six, isolated, tmp_path, fit):
    model, folder, _ = exported
    changed = frozen_model(reading={"image_size": 96, "fit": fit, "bits": 12})
    shutil.copytree(folder, tmp_path / fit)
    proto = onnx.load(folder / "model.onnx")
    (entry,) = (each for each in proto.metadata_props if each.key == "reading")
    entry.value = json.dumps({**json.loads(entry.value), "fit": fit})
    onnx.save(proto, tmp_path / fit / "model.onnx")
    read, expected = isolated.read(tmp_path / fit, six), predicted(changed, list(map(str, six)))
    np.testing.assert_allclose(read, expected, rtol=0, atol=1e-4)
    narrow = [path.name for path in six].index("narrow.png")
    other = predicted(model, [str(six[narrow])])[0]
    assert fit == "pad" or np.abs(expected[narrow] - other).max() > 0.01


def test_prediction_of_an_image_does_not_depend_on_its_batch(exported):
    _, folder, _ = exported
    images = np.random.default_rng(0).integers(0, 256, (33, 3, 64, 64), np.uint8)
    predictor = OnnxPredictor(folder / "model.onnx")
    single = np.concatenate([predictor.session.run(None, {"images": image[None]})[0] for image in images])
    for batch in (1, 2, 7, 33):
        probabilities, unlike = predictor.session.run(None, {"images": images[:batch]})
        assert (probabilities.shape, unlike.shape) == ((batch, 3), (batch,))
        np.testing.assert_allclose(probabilities, single[:batch], rtol=0, atol=1e-4)
        np.testing.assert_allclose(predictor.probabilities(images[:batch])[0], single[:batch], rtol=0, atol=1e-4)
    np.testing.assert_allclose(single.sum(1), 1, atol=1e-5)


def test_tensors_contain_the_frozen_network(six, tmp_path, monkeypatch):
    model = frozen_model(LITE0)
    (line,) = export_tensors(model, tmp_path / "flowers")
    complete, files = read_model(tmp_path / "flowers"), list(map(str, six))
    assert line == f"{len(complete.tensors)} tensors, all weights included"
    expected = predicted(model, files)
    monkeypatch.setattr("daso.deploy.model.encoder_weights", None)  # a file of weights would be an error
    np.testing.assert_array_equal(predicted(complete, files), expected)


@pytest.mark.parametrize("network", [{**TINY, "train": "all"}, {"name": "wide_resnet", "depth": 10, "width": 1}])
def test_networks_trained_on_images_are_exported_as_a_whole(network, tmp_path, monkeypatch):
    """Two members with different encoders; the mean of their logits."""
    monkeypatch.chdir(tmp_path)
    model = trained_model(network)
    list(export_onnx(model, tmp_path / "flowers"))
    side = reading_of(model.record)["view"]["size"]
    images = np.random.default_rng(0).integers(0, 256, (5, 3, side, side), np.uint8)
    computed = OnnxPredictor(tmp_path / "flowers/model.onnx").probabilities(images)
    expected = TorchPredictor(model, torch.device("cpu")).probabilities(images)
    for each, other in zip(computed, expected, strict=True):
        np.testing.assert_allclose(each, other, rtol=0, atol=1e-5)
    assert computed[0].std(0).min() > 1e-3


CHANGES = {
    "differs": (".transpose(2, 0, 1)", "[..., ::-1].transpose(2, 0, 1)", "model.onnx: differs from the model by"),
    "torch": ("import numpy as np", "import numpy as np\nimport torch", "classify.py: cannot read the exported model"),
    "daso": ("import numpy as np", "import numpy as np\nimport daso", "classify.py: cannot read the exported model"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_reader_that_predicts_otherwise_or_needs_torch_is_refused(exported, tmp_path, change):
    model, folder, _ = exported
    before, after, message = CHANGES[change]
    text = (folder / "classify.py").read_text()
    assert before in text
    (tmp_path / "classify.py").write_text(text.replace(before, after))
    with pytest.raises(DasoError, match=message) as error:
        export_check.check_export(model, tmp_path / "classify.py", folder / "model.onnx")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("earlier", [True, False])
def test_failed_check_leaves_no_file(exported, tmp_path, monkeypatch, earlier):
    model, folder, _ = exported
    if earlier:
        shutil.copytree(folder, tmp_path / "flowers")
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*/*")}

    def fail(model, reader, exported):
        assert exported.exists()
        raise DasoError("differs")

    monkeypatch.setattr("daso.deploy.export.check_export", fail)
    monkeypatch.setattr("daso.deploy.export.write_onnx", lambda path, *rest: path.write_bytes(b"other"))
    with pytest.raises(DasoError, match="differs"):
        list(export_onnx(model, tmp_path / "flowers"))
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*/*")} == before
    assert len(list(tmp_path.iterdir())) == earlier


def test_other_files_than_exports_are_refused(exported, tmp_path, capsys):
    proto = onnx.load(exported[1] / "model.onnx")
    del proto.metadata_props[:]
    onnx.save(proto, tmp_path / "foreign.onnx")
    (tmp_path / "damaged.onnx").write_bytes((exported[1] / "model.onnx").read_bytes()[:5000])
    lines = {
        "missing.onnx": "no such file; write it with `daso export`",
        "damaged.onnx": "not a readable model of `daso export` (",
        "foreign.onnx": "not a readable model of `daso export` (",
    }
    for name, reason in lines.items():
        assert main(["predict", str(tmp_path / name), str(tmp_path)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"{tmp_path / name}: {reason}")
    assert main(["export", str(exported[1] / "model.onnx")]) == 1
    assert "model.onnx: an ONNX file only predicts; name a suite, a run id" in capsys.readouterr().err
    assert main(["export", str(exported[1].parent / "saved"), "--out", "birds.onnx"]) == 1
    assert "--out birds.onnx: a file; name a folder" in capsys.readouterr().err


@pytest.mark.parametrize("package", ["onnxscript", "onnxruntime"])
def test_missing_package_is_one_line_with_the_fix(exported, tmp_path, monkeypatch, capsys, package):
    _, folder, _ = exported
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.chdir(tmp_path)
    calls = {
        "onnxscript": ["export", str(folder.parent / "saved"), "--out", "new"],
        "onnxruntime": ["predict", str(folder / "model.onnx"), str(folder)],
    }
    assert main(calls[package]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"missing package {package}; run `pip install '.[export]'`")
