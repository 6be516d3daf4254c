"""Lists of labels as tools export them, and the photos that their file names stand for.

Shapes of exports: Label Studio's CSV has a column for each key of the task's data and each question, a single choice as
text and several as JSON; JSON-MIN has the same as objects; JSON has tasks with data, annotations and predictions.
"""

import json

import pytest

from daso.errors import DataError
from daso.workspace.label_lists import read_label_list
from daso.workspace.label_paths import PhotoNames

IMAGE = "/data/upload/1/3f2a9c1d-IMG_8.JPG"
ROWS = [("line 2", IMAGE, "owl"), ("line 3", "b.jpg", "007")]
TABLES = {
    "columns of Label Studio": (
        "annotation_id,annotator,choice,created_at,id,image,lead_time\n"
        f"9,me@example.org,owl,2026-01-01,1,{IMAGE},3.2\n10,me@example.org,007,2026-01-01,2,b.jpg,1.0\n"
    ),
    "several choices as JSON": f'image,choice\n{IMAGE},"{{""choices"": [""owl""]}}"\nb.jpg,"[""007""]"\n',
    "semicolons, byte order mark": f"\ufeffFile;Label\r\n{IMAGE}; owl \r\nb.jpg;007\r\n",
    "tabs, quotes": f'"filename"\t"class"\n"{IMAGE}"\t"owl"\nb.jpg\t007\n',
    "answer beside a label of the task": f"path,label,choice\n{IMAGE},hawk,owl\nb.jpg,x,007\n",
}


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Return `read(text)`: the labels of a list."""
    monkeypatch.chdir(tmp_path)

    def call(text):
        (tmp_path / "list").write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_label_list((tmp_path / "list").relative_to(tmp_path))

    return call


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_tools_give_the_same_labels(read, name):
    assert read(TABLES[name]).given == ROWS


def choices(*labels, question="choice", kind="choices"):
    return {"from_name": question, "to_name": "image", "type": kind, "value": {"choices": list(labels)}}


def task(number, *annotations, **more):
    return {"id": number, "data": {"image": IMAGE}, "annotations": list(annotations), **more}


def test_annotations_of_label_studio_are_read_and_predictions_are_not(read):
    """Task 2 was skipped, task 3 has only a prediction; task 4 has two questions, the other one is a text."""
    text = {"from_name": "remark", "to_name": "image", "type": "textarea", "value": {"text": ["hidden"]}}
    tasks = [
        task(1, {"result": [choices("owl")]}, predictions=[{"result": [choices("hawk")]}]),
        task(2, {"result": [], "was_cancelled": True}),
        task(3, predictions=[{"result": [choices("hawk")]}]),
        {"id": 4, "data": {"path": "b c/x.jpg", "image": "y"}, "annotations": [{"result": [text, choices("wren")]}]},
        {"id": 5, "data": {"image": "z.jpg"}},
    ]
    labels = read(json.dumps(tasks))
    assert labels.given == [("task 1", IMAGE, "owl"), ("task 4", "b c/x.jpg", "wren")]
    assert labels.unlabeled == 3


def test_question_of_another_name_is_accepted_if_it_is_the_only_one(read):
    species, quality = choices("owl", question="species"), choices("good", question="quality")
    assert read(json.dumps([task(1, {"result": [species]})])).given == [("task 1", IMAGE, "owl")]
    named = choices("wren", question="label")
    assert read(json.dumps([task(1, {"result": [quality, named]})])).given == [("task 1", IMAGE, "wren")]
    with pytest.raises(DataError, match=r"list: task 1: 2 labels of one image, 'owl', 'good'; keep one of them"):
        read(json.dumps([task(1, {"result": [species, quality]})]))


def test_short_json_of_label_studio_is_read(read):
    """JSON-MIN has an object for each annotation; a skipped task has no answer."""
    entries = [
        {"image": IMAGE, "id": 1, "choice": "owl", "annotator": 1, "annotation_id": 9, "lead_time": 3.2},
        {"image": "b.jpg", "id": 2, "choice": {"choices": ["007"]}},
        {"image": "c.jpg", "id": 3, "annotator": 1},
    ]
    labels = read(json.dumps(entries))
    assert labels.given == [("task 1", IMAGE, "owl"), ("task 2", "b.jpg", "007")]
    assert labels.unlabeled == 1


ERRORS = {
    "file,kind\na.jpg,owl\n": "expected a column path or image and a column label or choice, got file, kind; rename",
    "path,class,probability\na.jpg,owl,0.9\n": "expected a column path or image and a column label or choice, got path",
    "path,label\na.jpg,owl,x\n": "expected 2 cells in each line, got another number in line 2 (3); put cells",
    "path,label\na.jpg,\n": "no label in 1 entries; expected a column or question named choice or choices or label",
    'path,label\na.jpg,"owl\n': "line 2: unexpected end of data; correct the quotes of this line",
    "": "empty; expected a header with a column path",
    "[1]": "entry 1: expected a task of Label Studio, got int",
    '[{"id": 1': "not readable JSON (Expecting ',' delimiter",
    '[{"id": 7, "data": {"text": "x"}}]': "task 7: expected a key path or image, got text; rename it",
    **{
        f'[{{"id": 7, "data": {{"image": "a.jpg"}}, "annotations": {value}}}]': "task 7: expected annotations with"
        for value in ("[5]", "3", '[{"result": null}]', '[{"result": [5]}]')
    },
    '[{"image": "a.jpg", "species": "owl"}]': "no label in 1 entries; expected a column or question named choice",
    'path,label\na.jpg,"{""choices"": [""owl"", ""wren""]}"\n': "line 2: 2 labels of one image, 'owl', 'wren'; keep",
    b"path,label\na.jpg,K\xe4uzchen\n": "line 2: not UTF-8; save it as `CSV UTF-8`",
}


@pytest.mark.parametrize("text", ERRORS)
def test_unusable_lists_are_one_line_each(read, text):
    """Predictions are no labels: the class of a list with probabilities is not read as one."""
    with pytest.raises(DataError) as raised:
        read(text)
    assert str(raised.value).startswith(f"list: {ERRORS[text]}")
    assert "\n" not in str(raised.value)


PHOTOS = PhotoNames(
    [
        *("IMG_1.JPG", "unlabeled/IMG_7.JPG", "unlabeled/b c/IMG_7.JPG", "unlabeled/b c/IMG_9.JPG"),
        *("train/owl/Käuzchen (2).jpg", "train/owl/a%20b.jpg", "train/owl/a b.jpg", "train/owl/3f2a9c1d-x.jpg"),
        *("train/wren/x.jpg", "unlabeled/c+d.jpg"),
    ]
)
OWL, SEVENS = "train/owl/Käuzchen (2).jpg", ["unlabeled/IMG_7.JPG", "unlabeled/b c/IMG_7.JPG"]
NAMES = {
    # Paths of the folder are returned unchanged, also if they have an escape in them.
    "unlabeled/IMG_7.JPG": ["unlabeled/IMG_7.JPG"],
    "train/owl/a%20b.jpg": ["train/owl/a%20b.jpg"],
    "./IMG_1.JPG": ["IMG_1.JPG"],
    "train/owl/Ka\u0308uzchen (2).jpg": [OWL],
    # Paths of other folders, of Windows and of servers, of which one ends with the other.
    "/mnt/nas/photos/unlabeled/b c/IMG_7.JPG": ["unlabeled/b c/IMG_7.JPG"],
    "D:\\photos\\unlabeled\\b c\\IMG_9.JPG": ["unlabeled/b c/IMG_9.JPG"],
    "./b c/IMG_7.JPG": ["unlabeled/b c/IMG_7.JPG"],
    "b c/IMG_7.JPG": ["unlabeled/b c/IMG_7.JPG"],
    "IMG_7.JPG": SEVENS,
    "other/IMG_9.JPG": [],
    "https://example.org/photos/unlabeled/b%20c/IMG_9.JPG?token=1": ["unlabeled/b c/IMG_9.JPG"],
    "s3://bucket/unlabeled/IMG_7.JPG": ["unlabeled/IMG_7.JPG"],
    # Local files of Label Studio.
    "/data/local-files/?d=unlabeled/b%20c/IMG_7.JPG": ["unlabeled/b c/IMG_7.JPG"],
    "http://localhost:8080/data/local-files/?d=photos/unlabeled/IMG_7.JPG": ["unlabeled/IMG_7.JPG"],
    "/data/local-files/?d=train/owl/a%20b.jpg": ["train/owl/a b.jpg", "train/owl/a%20b.jpg"],
    "/data/local-files/?d=unlabeled/c%2Bd.jpg": ["unlabeled/c+d.jpg"],
    "/data/local-files/?d=train/owl/K%C3%A4uzchen%20(2).jpg": [OWL],
    # Uploads: a prefix, no folder, and other characters for spaces and parentheses.
    "/data/upload/1/0a1b2c3d-IMG_1.JPG": ["IMG_1.JPG"],
    "/data/upload/1/77aa01be-IMG_7.JPG": SEVENS,
    "/data/upload/12/0a1b2c3d-K%C3%A4uzchen_2.jpg": [OWL],
    "/storage-data/uploaded/?filepath=upload/1/0a1b2c3d-IMG_1.JPG": ["IMG_1.JPG"],
    "0a1b2c3d-IMG_1.JPG": ["IMG_1.JPG"],
    "/data/upload/1/3f2a9c1d-x.jpg": ["train/owl/3f2a9c1d-x.jpg", "train/wren/x.jpg"],
    "/data/upload/1/0a1b2c3d-none.jpg": [],
}


@pytest.mark.parametrize("given", NAMES)
def test_names_of_tools_lead_to_all_photos_that_they_may_mean(given):
    assert PHOTOS.find(given) == NAMES[given]


def test_likely_photos_differ_in_case_or_folder():
    assert PHOTOS.likely("unlabeled/img_7.jpg") == SEVENS
    assert PHOTOS.likely("/data/upload/1/0a1b2c3d-img_1.jpg") == ["IMG_1.JPG"]
    assert PHOTOS.likely("new/x.jpg") == ["train/wren/x.jpg"]
