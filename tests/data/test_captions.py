# SPDX-License-Identifier: Apache-2.0
"""Captions as people have them: every format is told by its content, and every fault by file and place."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from bitmar_tiny.data.captions import FORMATS, read_captions
from bitmar_tiny.data.corpus import CaptionSet
from bitmar_tiny.errors import DataError

COCO = {
    "info": {"year": 2014},
    "images": [{"id": 9, "file_name": "COCO_val2014_000000000009.jpg"}, {"id": 25, "file_name": "b.jpg"}],
    "annotations": [
        {"image_id": 25, "id": 1, "caption": "a giraffe"},
        {"image_id": 9, "id": 2, "caption": "a plate"},
        {"image_id": 25, "id": 3, "caption": "two giraffes"},
    ],
}
NARRATIVE = {"dataset_id": "mscoco_val2017", "image_id": "137576", "caption": "I can see.", "traces": []}

#: What a file holds -> texts, the row of each, the pictures.
FILES = {
    "a list": (json.dumps(["a cat", "a dog"]), ["a cat", "a dog"], [0, 1], []),
    "a list of lists": (
        json.dumps([["a cat", "one cat"], "a dog"]),
        ["a cat", "one cat", "a dog"],
        [0, 0, 1],
        [],
    ),
    "coco": (
        json.dumps(COCO),
        ["a giraffe", "a plate", "two giraffes"],
        [0, 1, 0],
        ["b.jpg", "COCO_val2014_000000000009.jpg"],
    ),
    "coco, readable": (json.dumps(COCO, indent=2), ["a giraffe", "a plate", "two giraffes"], [0, 1, 0], None),
    "metadata.jsonl": (
        '{"file_name": "1.png", "text": "a cat"}\n\n{"file_name": "2.png", "text": ["a dog", "one dog"]}\n',
        ["a cat", "a dog", "one dog"],
        [0, 1, 1],
        ["1.png", "2.png"],
    ),
    "localized narratives": (
        json.dumps(NARRATIVE) + "\n" + json.dumps(NARRATIVE | {"image_id": 7}),
        [NARRATIVE["caption"]] * 2,
        [0, 1],
        ["137576", "7"],
    ),
    "metadata.csv": (
        'file_name,text\n1.png,a cat\n2.png,"a dog, ""asleep"""\n',
        ["a cat", 'a dog, "asleep"'],
        [0, 1],
        ["1.png", "2.png"],
    ),
    "flickr8k": (
        "image,caption\r\n1.jpg,a cat .\r\n1.jpg,one cat .\r\n",
        ["a cat .", "one cat ."],
        [0, 0],
        ["1.jpg"],
    ),
    "flickr30k": (
        'image_name| comment_number| comment\n1.jpg| 0| "a" cat, red .\n1.jpg| 1| one cat\n2.jpg| 0| a dog\n',
        ['"a" cat, red .', "one cat", "a dog"],
        [0, 0, 1],
        ["1.jpg", "2.jpg"],
    ),
    "flickr30k, five in a cell": (
        'raw,sentids,split,filename,img_id\n"[""a cat"", ""one cat""]","[0, 1]",train,1.jpg,0\n',
        ["a cat", "one cat"],
        [0, 0],
        ["1.jpg"],
    ),
    "flickr tokens": (
        "1.jpg#0\ta cat\n1.jpg#1\tone cat\n2.jpg#0\ta dog\n",
        ["a cat", "one cat", "a dog"],
        [0, 0, 1],
        ["1.jpg", "2.jpg"],
    ),
    "cc3m": (
        "a cat\thttp://x.y/a.jpg\na cat, again\thttp://x.y/a.jpg\n",
        ["a cat", "a cat, again"],
        [0, 1],
        ["http://x.y/a.jpg", "http://x.y/a.jpg"],
    ),
}


@pytest.mark.parametrize("packed", ["plain", "bom", "gzip"])
@pytest.mark.parametrize("name", FILES)
def test_every_format_is_told_by_its_content(tmp_path, name, packed):
    content, texts, rows, pictures = FILES[name]
    raw = content.encode()
    raw = b"\xef\xbb\xbf" + raw if packed == "bom" else gzip.compress(raw) if packed == "gzip" else raw
    (tmp_path / "x").write_bytes(raw)
    read = read_captions(tmp_path / "x")
    assert read.texts == texts and read.rows == rows and (pictures is None or read.pictures == pictures)


def test_a_caption_of_a_picture_that_the_file_does_not_list_is_left_out(tmp_path):
    notes = [*COCO["annotations"], {"image_id": 4, "caption": "of none"}]
    (tmp_path / "c.json").write_text(json.dumps(COCO | {"annotations": notes}))
    read = read_captions(tmp_path / "c.json")
    assert read.texts == FILES["coco"][1] and read.rows == FILES["coco"][2]
    assert read.orphans == ["annotation 4 is of image 4, which is not listed"]
    np.save(tmp_path / "f.npy", np.zeros((2, 4, 768), np.uint8))
    with pytest.raises(DataError, match="c.json: annotation 4 is of image 4"):  # its features may be there
        CaptionSet.load(tmp_path / "c.json", tmp_path / "f.npy")


def test_the_table_of_formats_is_whole():
    assert len({f.read for f in FORMATS}) == len(FORMATS) == 6


@pytest.mark.parametrize(
    "content, words",
    [
        ("[" * 100_000, "not JSON text .nested too deep"),
        ('{"images": ' * 50_000, "not JSON text .nested too deep"),
        ('{"file_name": "a", "text": "b"}\n' + '{"a":' * 50_000, "line 2 is not JSON .nested too deep"),
        ('["a", "b\\ud800"]', r"caption 2 holds half a character .\\ud800"),
        ('[["a", "\\udc00"]]', "caption 1 holds half"),
        ('{"file_name": "a", "text": "b"}\n{"file_name": "c", "text": "\\ud83d"}', "line 2 holds half"),
        ('{"file_name": "\\ud83d", "text": "c"}', "picture of line 1 holds half"),
        (json.dumps(COCO).replace("a plate", "\\\\ud800").replace("\\\\", "\\"), "annotation 2 holds half"),
        ('["a", 1]', "caption 2 is none"),
        ('["a", []]', "caption 2 is none"),
        ('["a", " "]', "caption 2 is empty"),
        ("[" + "1" * 5000 + "]", "not JSON text"),
        (json.dumps(COCO | {"annotations": [{"image_id": 4, "caption": "x"}]}), "annotation 1 is of image 4"),
        (json.dumps(COCO | {"annotations": [{"image_id": [], "caption": "x"}]}), "annotation 1 is of image"),
        (json.dumps(COCO | {"annotations": [{"image_id": 9}]}), "annotation 1 has no 'caption'"),
        (json.dumps(COCO | {"images": [{"id": 9}]}), "image 1 has no"),
        ('{"a": 1}', "JSON list of strings, or COCO"),
        ('{"file_name": "a", "text": "b"}\n{"file_name": "c"}', "line 2 has no caption"),
        ('{"file_name": "a", "text": "b"}\n{"text": "c"}', "line 2 names no picture"),
        ('{"file_name": "a", "text": "b"}\n[]', "line 2 is no object"),
        ("file_name,text\n1.png,a cat, asleep\n", "line 2 has 3 columns.*in quotes"),
        ("file_name,text\n1.png,a\n,b\n", "line 3 names no picture"),
        ("file_name,text\n1.png,\n", "line 2 is empty"),
        ("file_name,text\n", "holds no caption"),
        ("file_name,text\n1.png,a cat\n2.png,caf\xe9\n", "line 3 is not UTF-8"),
        ('{"file_name": "a", "text": "b"}\n{"file_name": "c", "text": "\xe9"}', "line 2 is not UTF-8"),
        ("1.jpg#0\ta cat\n2.jpg#0\tcaf\xe9\n", "line 2 is not UTF-8"),
        ("file_name,text" + "," * 70_000 + "|\n", "line 1 names no|holds no caption"),
        ("file_name,text\r1.png,a cat\r2.png,a dog", "holds no caption|no known format|is not CSV"),
        ("1.jpg#0\ta cat\n1.jpg a dog\n", "line 2 is not NAME#NUMBER"),
        ("a cat\thttp://x\na dog\n", "line 2 is not a caption, a tab and a URL"),
        ("hello", "no known format"),
        ("", "an empty file"),
        ("PK\x03\x04" + "\0" * 99, "a ZIP archive"),
    ],
)
def test_a_fault_is_told_with_its_place(tmp_path, content, words):
    (tmp_path / "x.json").write_text(content, encoding="latin-1")
    with pytest.raises(DataError, match=words) as refused:
        read_captions(tmp_path / "x.json")
    said = str(refused.value)
    assert "x.json" in said and "\n" not in said and len(said) < 700
    said.encode()  # can be printed
