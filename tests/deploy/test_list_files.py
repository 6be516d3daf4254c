"""CSV files of lists, as spreadsheets and the reader of labels.csv read them."""

import csv

import pytest

from daso.data.labels_csv import read_labels
from daso.deploy.list_files import write_list
from daso.errors import DasoError

PATHS = [
    "=cmd|' /C calc'!A0.jpg",
    "+1.jpg",
    "-2/x.png",
    "@SUM(A1).jpg",
    "\tx.jpg",
    "＝1.jpg",
    'Mäuse, jung/"a".jpg',
    "a=b.png",
]


def test_file_has_a_byte_order_mark_and_commas(tmp_path):
    write_list(tmp_path / "x.csv", ("path", "predicted"), [["a b/ö,1.jpg", "owl"]])
    assert (tmp_path / "x.csv").read_bytes() == b'\xef\xbb\xbfpath,predicted\n"a b/\xc3\xb6,1.jpg",owl\n'


def test_no_cell_is_a_formula_and_paths_and_names_come_back(tmp_path):
    """The prefix ./ leads to the same file; outer spaces of labels are removed."""
    rows = [[path, name] for path, name in zip(PATHS, ["=a", "+b", "-c", "@d", "e", "f", "g", "h"], strict=True)]
    write_list(tmp_path / "x.csv", ("path", "label"), rows)
    with (tmp_path / "x.csv").open(encoding="utf-8-sig", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell[0] in "=+-@\t\r\n＝＋－＠"]
    assert cells[2:4] == ["./=cmd|' /C calc'!A0.jpg", " =a"]
    table = read_labels((tmp_path / "x.csv").read_bytes(), PATHS)
    assert [[row.path, row.label] for row in table.rows] == rows


@pytest.mark.parametrize(
    "saved", ["path,label\na.jpg,owl\n", "label,path\nowl\n", "path;label\na.jpg;owl\n", "path,label\nb.jpg,fox\n"]
)
def test_list_with_labels_that_were_filled_in_is_not_overwritten(tmp_path, saved):
    path, columns = tmp_path / "next.csv", ("path", "label")
    path.write_text(saved)
    with pytest.raises(DasoError, match=r"next\.csv: exists, and its labels would be lost; read them by"):
        write_list(path, columns, [["a.jpg", ""]], {("b.jpg", "owl")})
    assert path.read_text() == saved


def test_list_whose_labels_are_known_is_replaced(tmp_path):
    path, columns, known = tmp_path / "x.csv", ("path", "label"), {("=b.jpg", "@owl")}
    for rows in ([["a.jpg", ""], ["=b.jpg", "@owl"]], [["c.jpg", ""]]):
        write_list(path, columns, rows, known)
    assert path.read_bytes() == b"\xef\xbb\xbfpath,label\nc.jpg,\n"
