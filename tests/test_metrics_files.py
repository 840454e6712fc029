"""Every form of caption file, read from disk; and the one line each wrong file is answered with."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path

import pytest

from reelscribe.pipeline.metrics.files import FORMS, read_predictions, read_references

TWO = {"v1": "a cat", "v2": "a dog"}


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


def dump(path: Path, data: object) -> Path:
    return write(path, json.dumps(data))


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(TWO),
        json.dumps({"v1": ["a cat"], "v2": ["a dog"]}),
        json.dumps({"v1": [{"caption": "a cat"}], "v2": [{"caption": "a dog"}]}),
        json.dumps([{"image_id": k, "caption": v} for k, v in TWO.items()]),
        json.dumps({"annotations": [{"image_id": k, "id": 7, "caption": TWO[k]} for k in TWO]}),
        json.dumps({"sentences": [{"sen_id": 7, "video_id": k, "caption": TWO[k]} for k in TWO]}),
        json.dumps({"predictions": [{"image_id": k, "caption": v} for k, v in TWO.items()]}),
        json.dumps([{"caption": [v], "id": k} for k, v in TWO.items()]),
        json.dumps([{"videoID": k, "enCap": [v], "chCap": ["x"]} for k, v in TWO.items()]),
        '{"id": "v1", "caption": "a cat"}\n{"id": "v2", "caption": "a dog"}\n\n',
        '\ufeff{"video_id": "v1", "captions": ["a cat"]}\r\n'
        '{"video_id": "v2", "captions": "a dog"}',
        "video_id,caption\nv1,a cat\nv2,a dog\n",
        "Caption,Score,Video ID\r\na cat,0.5,v1\r\na dog,0.25,v2\r\n",
        "id\tcaption\nv1\ta cat\nv2\ta dog\n",
        "v1\ta cat\nv2\ta dog",
        "\nbeam_size_1\tv1\ta cat\r\nbeam_size_1\tv2\ta dog\r\n",
    ],
)
def test_one_caption_for_each_id(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "captions", text)
    assert read_predictions(path) == TWO
    assert read_references(path) == {"v1": ["a cat"], "v2": ["a dog"]}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"v1": ["a cat", "it sat"], "v2": "a dog"}),
        json.dumps(
            [{"caption": ["a cat", "it sat"], "id": "v1"}, {"caption": ["a dog"], "id": "v2"}]
        ),
        '{"id": "v1", "caption": "no", "references": ["a cat", "it sat"]}\n'
        '{"id": "v2", "caption": "no", "references": ["a dog"]}\n',
        "v1\ta cat\nv2\ta dog\nv1\tit sat\n",
    ],
)
def test_many_captions_for_an_id_in_the_order_of_the_file(tmp_path: Path, text: str) -> None:
    found = read_references(write(tmp_path / "captions", text))
    assert found == {"v1": ["a cat", "it sat"], "v2": ["a dog"]}


def test_a_clip_of_the_msvd_corpus_is_a_part_of_a_video(tmp_path: Path) -> None:
    """Two clips of one YouTube video are two ids, and captions in other languages are none."""
    path = write(
        tmp_path / "corpus.csv",
        "VideoID,Start,End,WorkerID,Source,AnnotationTime,Language,Description\n"
        "mv89psg6zh4,33,46,1,clean,9,English,A bird in a sink.\n"
        "mv89psg6zh4,33,46,2,clean,9,German,Ein Vogel.\n"
        'mv89psg6zh4,50,60,1,clean,9,English,"A bird, wet."\n'
        "mv89psg6zh4,33,46,3,clean,9,English,NULL\n\n"
        "mv89psg6zh4,33,46,3,clean,9,English,A bird bathes.\n",
    )
    assert read_references(path) == {
        "mv89psg6zh4_33_46": ["A bird in a sink.", "A bird bathes."],
        "mv89psg6zh4_50_60": ["A bird, wet."],
    }


def test_our_own_predictions_hold_both_sides(tmp_path: Path) -> None:
    path = write(
        tmp_path / "predictions.jsonl",
        '{"id": "v1", "caption": "a cow", "references": ["a cat"]}\n',
    )
    assert read_predictions(path) == {"v1": "a cow"}, "a file of one line is not a map of ids"
    assert read_references(path) == {"v1": ["a cat"]}


def test_one_table_with_both_sides(tmp_path: Path) -> None:
    """A table of predictions with a reference beside each."""
    path = write(tmp_path / "both.csv", "id,hypothesis,reference\nv1,a cow,a cat\nv2,a pig,a dog\n")
    assert read_predictions(path) == {"v1": "a cow", "v2": "a pig"}
    assert read_references(path) == {"v1": ["a cat"], "v2": ["a dog"]}


def test_numbers_and_texts_are_one_kind_of_id(tmp_path: Path) -> None:
    path = dump(tmp_path / "coco.json", [{"image_id": 42, "caption": "a cat"}])
    assert read_predictions(path) == {"42": "a cat"}


def test_captions_are_kept_to_the_letter(tmp_path: Path) -> None:
    odd = 'a "cat",\n\twith\u2028lines'
    path = tmp_path / "odd.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["id", "caption"], ["v1", odd], ["v2", ""]])
    assert read_predictions(path) == {"v1": odd, "v2": ""}
    lines = [json.dumps({"id": k, "caption": odd}, ensure_ascii=False) for k in TWO]
    path = write(tmp_path / "odd.jsonl", "\n".join(lines))
    assert read_predictions(path) == {"v1": odd, "v2": odd}
    path = write(tmp_path / "odd.tsv", 'v1\t"quoted" start\nv2\t\n')
    assert read_predictions(path) == {"v1": '"quoted" start', "v2": ""}


def test_a_zip_with_one_json_file(tmp_path: Path) -> None:
    path = tmp_path / "info.json.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
        archive.writestr("__MACOSX/._info.json", "shadow")
        archive.writestr(
            "info.json", json.dumps({"sentences": [{"video_id": "v", "caption": "c"}]})
        )
    assert read_references(path) == {"v": ["c"]}
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other.json", "{}")
    with pytest.raises(ValueError, match="holds 2 JSON files, and one is needed"):
        read_references(path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ValueError, match="is a damaged zip"):
        read_references(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; it can hold"),
        ("[]", "holds no caption"),
        ("{}", "holds no caption"),
        ("just some words\nand more\n", "has no form that is known .* starts 'just some words'"),
        ("name,score\nv1,3\n", "has no form that is known"),
        ("v1\ta cat\nv2 a dog\n", "row 2 has 1 columns and the first has 2: 'v2 a dog'"),
        ("v1\ta cat\nv2\ta\tdog\n", "row 2 has 3 columns"),
        ("id,caption\nv1,a, b\n", "row 1 has 3 columns"),
        ('{"a": "x"', "is not valid JSON"),
        ('{"id": "a", "caption": "x"}\n{"id": \n', "line 2 is not one JSON object"),
        ('[{"image_id": 1, "text_of_it": "x"}]', "entry 1 lacks a prediction: it has image_id"),
        ('[{"caption": "x"}]', "entry 1 lacks an id"),
        ('["a cat"]', "entry 1 is 'a cat' and no object"),
        ('[{"id": "v1", "caption": null}]', "id 'v1': expected a caption, got 'None'"),
        ('{"v1": 3}', "id 'v1': expected a caption, got '3'"),
        ('[{"id": null, "caption": "x"}]', "the id None is no text or number"),
        ("[" * 100_000, "captions"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_predictions(write(tmp_path / "captions", text))
    assert "\n" not in str(caught.value)


def test_an_unknown_form_lists_the_forms(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no form") as caught:
        read_references(write(tmp_path / "captions", "hello"))
    assert all(form in str(caught.value) for form in FORMS)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot read .*nothing: No such file"):
        read_predictions(tmp_path / "nothing")
    (tmp_path / "latin").write_bytes(b"v1\tcaf\xe9\n")
    with pytest.raises(ValueError, match=r"not UTF-8 text \(byte 6\)"):
        read_predictions(tmp_path / "latin")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v1\ta\nv1\tb\nv2\tc\nv2\tc\n", "2 of 2 ids have more than one prediction.*'v1', 'v2'"),
        ('{"v1": ["a", "b"]}', "1 of 1 ids have more than one prediction"),
        ('[{"id": 1, "caption": "a"}, {"id": "1", "caption": "b"}]', "1 of 1 ids"),
        ('{"v1": "a", "v1": "b"}', "the key 'v1' is there twice in one object"),
    ],
)
def test_two_predictions_for_one_video(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_predictions(write(tmp_path / "captions", text))


def test_real_files(real_data: Path) -> None:
    folder = real_data / "caption_eval"
    predictions = read_predictions(folder / "msvd_s2vt_predicted_sentences.txt")
    assert len(predictions) == 100
    assert predictions["vid1236"] == "A panda is walking."
    assert sum(map(len, read_references(folder / "msvd_references.txt").values())) == 4290
    found = read_references(real_data / "msrvtt" / "test_videodatainfo.json.zip")
    assert (len(found), {len(captions) for captions in found.values()}) == (2990, {20})
    assert len(read_references(real_data / "msrvtt" / "train_val_annotation.zip")) == 7010
