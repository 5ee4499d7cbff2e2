# SPDX-License-Identifier: Apache-2.0
"""Folders of pictures: where their names come from, and what becomes of those that are missing or damaged."""

from __future__ import annotations

import json
import signal
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import TINY

from bitmar_tiny.data import drawn
from bitmar_tiny.data.backbones import Backbone
from bitmar_tiny.data.corpora import file_corpus
from bitmar_tiny.data.corpus import CaptionSet
from bitmar_tiny.data.drawn import listed, prepare_pictures
from bitmar_tiny.data.features import Preparation, write_features
from bitmar_tiny.data.pictures import find_pictures, read_album
from bitmar_tiny.data.pixels import load_image
from bitmar_tiny.data.processes import in_processes
from bitmar_tiny.data.tokenizer import EOS_TEXT, Tokenizer
from bitmar_tiny.errors import ConfigError, DataError

BYTES = Tokenizer([*(bytes([b]) for b in range(256)), EOS_TEXT], [])


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "photos"


def put(*paths: Path) -> None:
    """Pictures, each of another colour."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 30), tuple(zlib.crc32(path.name.encode()).to_bytes(4)[:3])).save(path)


def said(album) -> dict[str, list[str]]:
    return {path.name: texts for path, texts in zip(album.pictures, album.captions, strict=True)}


def test_file_names_are_names(folder):
    put(folder / "red_apple.png", folder / "a  cat.JPG", folder / ".hidden.png")
    (folder / "notes.txt").write_text("no picture")
    assert said(read_album([folder])) == {"a  cat.JPG": ["a cat"], "red_apple.png": ["red apple"]}


def test_sub_folders_are_names(folder):
    put(
        folder / "dog" / "1.png",
        folder / "dog" / "2.png",
        folder / "red_fox" / "deep" / "3.png",
        folder / "owl.png",
    )
    assert said(read_album([folder])) == {
        "1.png": ["dog"],
        "2.png": ["dog"],
        "3.png": ["deep"],
        "owl.png": ["owl"],
    }


def test_one_sub_folder_says_nothing(folder):
    put(folder / "images" / "dog.png", folder / "images" / "fox.png")
    assert said(read_album([folder])) == {"dog.png": ["dog"], "fox.png": ["fox"]}


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.csv"])
def test_metadata_goes_before_names(folder, name):
    """As Hugging Face's ImageFolder has it: in any folder, file names relative to it."""
    put(folder / "train" / "1.png", folder / "train" / "sub" / "2.png", folder / "train" / "3.png")
    rows = [("1.png", "a cat"), ("sub/2.png", "a dog"), ("1.png", "one cat"), ("none.png", "nothing")]
    (folder / "train" / name).write_text(
        "file_name,text\n" + "".join(f"{n},{t}\n" for n, t in rows)
        if name.endswith("csv")
        else "".join(json.dumps({"file_name": n, "text": t}) + "\n" for n, t in rows)
    )
    album = read_album([folder])
    assert said(album) == {"1.png": ["a cat", "one cat"], "2.png": ["a dog"]}
    place = 5 if name.endswith("csv") else 4
    assert album.unnamed == 1 and album.missing == [f"{folder / 'train' / name}: line {place}, none.png"]


def test_captions_find_their_pictures(folder, tmp_path):
    """By path, name, name without ending, URL, and by the number in COCO's names."""
    names = ["COCO_val2014_000000137576.jpg", "0001eeaf.jpg", "sub/a b.png", "x.png", "y/x.png"]
    put(*(folder / name for name in names))
    (tmp_path / "c.jsonl").write_text(
        "".join(
            json.dumps({"image_id": picture, "caption": f"of {picture}"}) + "\n"
            for picture in ("137576", "0001eeaf", "http://h/q/a%20b.png?s=1", "y/x.png", "x", 0)
        )
    )
    album = read_album([folder], [tmp_path / "c.jsonl"])
    assert [p.relative_to(folder).as_posix() for p in album.pictures] == [
        names[0],
        names[1],
        names[2],
        names[4],
    ]
    assert len(album.missing) == 2  # two files are called x


def test_faults_of_folders(folder, tmp_path):
    with pytest.raises(DataError, match="photos: does not exist"):
        read_album([folder])
    folder.mkdir()
    with pytest.raises(DataError, match="photos: holds no picture"):
        read_album([folder])
    put(folder / "1.png")
    (tmp_path / "c.json").write_text('["a cat"]')
    with pytest.raises(ConfigError, match="c.json: a JSON list of strings names no pictures"):
        read_album([folder], [tmp_path / "c.json"])
    (tmp_path / "c.csv").write_text("file_name,text\n7.png,a cat\n../../8.png,x\n")
    with pytest.raises(DataError, match=r"c.csv: line 2, 7.png: no such picture in .*photos"):
        read_album([folder], [tmp_path / "c.csv"])
    (folder / "metadata.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="metadata.parquet: Parquet is not read"):
        read_album([folder])


def test_bad_pictures_are_listed_and_the_good_ones_drawn(folder, tmp_path, monkeypatch):
    put(*(folder / f"thing_{i}.png" for i in range(5)))
    (folder / "bad.jpg").write_bytes(b"hello")
    (folder / "empty.png").write_bytes(b"")
    heard: list[str] = []
    captions, features = prepare_pictures(read_album([folder]), tmp_path / "out", 4, say=heard.append)
    read = CaptionSet.load(captions, features)
    assert read.captions == [f"thing {i}" for i in range(5)]
    assert (read.features[2] == load_image(folder / "thing_2.png", 4)).all()
    assert "2 pictures cannot be read" in heard[0] and "bad.jpg" in heard[1] and "empty.png" in heard[2]
    assert len(list(listed("x is", "x are", ["y"] * 20))) == 7

    # Of what is there, nothing is drawn again; what is new, is.
    put(folder / "other.png")
    drawn_now: list[str] = []
    one = drawn._one
    monkeypatch.setattr(
        drawn, "_one", lambda vectors, path: (drawn_now.append(path.name), one(vectors, path))[1]
    )
    captions, features = prepare_pictures(read_album([folder]), tmp_path / "out", 4)
    assert sorted(drawn_now) == ["bad.jpg", "empty.png", "other.png"]
    assert CaptionSet.load(captions, features).captions == ["other", *(f"thing {i}" for i in range(5))]
    (folder / "thing_2.png").write_bytes((folder / "thing_4.png").read_bytes())
    captions, features = prepare_pictures(read_album([folder]), tmp_path / "out", 4)
    assert (CaptionSet.load(captions, features).features[3] == load_image(folder / "thing_4.png", 4)).all()


def test_processes_draw_what_one_draws(folder, tmp_path, monkeypatch):
    put(*(folder / f"{i}.png" for i in range(12)))
    alone = np.load(prepare_pictures(read_album([folder]), tmp_path / "one", 4)[1])
    monkeypatch.setattr(drawn, "WORTH", 4)
    monkeypatch.setattr(drawn.os, "cpu_count", lambda: 2)
    assert (np.load(prepare_pictures(read_album([folder]), tmp_path / "two", 4)[1]) == alone).all()


@pytest.mark.parametrize("hold_out", [0, 400])
def test_no_caption_of_a_picture_that_is_learnt_is_held_out(folder, tmp_path, hold_out):
    np.save(tmp_path / "f.npy", np.zeros((100, 4, 768), np.uint8))
    (tmp_path / "c.json").write_text(
        json.dumps([[f"picture {i}", f"number {i}", f"the {i}"] for i in range(100)])
    )
    cfg = TINY.model_copy(update={"vocab_size": 257})
    corpus = file_corpus(
        cfg,
        [tmp_path / "c.json"],
        [tmp_path / "f.npy"],
        [],
        tmp_path / "data",
        tokenizer=BYTES,
        hold_out=hold_out,
    )
    rows = corpus.captions.rows
    assert len(corpus.held_out) and not {*rows[corpus.train]} & {*rows[corpus.held_out]}
    assert len(corpus.train) > 200 and corpus.captions.images(corpus.train[:3]).shape == (3, 4, 768)


def counted(limit: int = 10**9):
    """A backbone whose vectors tell the picture, and how many it has seen; it ends after ``limit``."""
    seen: list[float] = []

    def run(pixels):
        if pixels.any():  # the blank one is only asked for its widths
            if len(seen) == limit:
                raise KeyboardInterrupt
            seen.append(float(pixels.sum()))
        return [np.full((4, 768), pixels.mean(), np.float32)]

    return Backbone(run, "n", ("b",), 32, {"sha256": "x"}), seen


PLAIN = Preparation(mean=(0, 0, 0), std=(1, 1, 1), normalise=False)


def test_features_go_on_where_they_were_and_leave_bad_pictures_out(folder, tmp_path):
    put(*(folder / f"{i}.png" for i in range(9)))
    (folder / "4.png").write_bytes(b"hello")
    pictures, names = find_pictures(folder), [f"name {i}" for i in range(9)]
    backbone, seen = counted(5)
    for _ in range(2):  # ended twice, at the same picture
        with pytest.raises(KeyboardInterrupt):
            write_features(tmp_path / "out", backbone, pictures, names, PLAIN)
    assert len(seen) == 5 and not (tmp_path / "out" / "features.npy").exists()
    part = tmp_path / "out" / "features.part"
    part.write_bytes(part.read_bytes()[:-1])  # a kill in the middle of a row: that row is done again
    backbone, seen = counted()
    bad = write_features(tmp_path / "out", backbone, pictures, names, PLAIN)
    assert len(seen) == 4 and len(bad) == 1 and "4.png" in str(bad[0])
    read = CaptionSet.load(tmp_path / "out" / "captions.json", tmp_path / "out" / "features.npy")
    assert read.captions == [f"name {i}" for i in range(9) if i != 4]
    write_features(tmp_path / "whole", counted()[0], pictures, names, PLAIN)
    assert (np.load(tmp_path / "whole" / "features.npy") == read.features).all()
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "captions.json",
        "features.json",
        "features.npy",
        "pictures.json",
    ]

    # The bad one is mended, one is left out: only the new one is computed.
    put(folder / "4.png")
    backbone, seen = counted()
    assert not write_features(tmp_path / "out", backbone, pictures[1:], names[1:], PLAIN)
    assert len(seen) == 1 and len(np.load(tmp_path / "out" / "features.npy")) == 8
    backbone, seen = counted()
    write_features(tmp_path / "out", backbone, pictures, names, Preparation(mean=(0, 0, 0), std=(1, 1, 1)))
    assert len(seen) == 9  # prepared in another way


def test_a_list_names_pictures(folder, tmp_path, monkeypatch):
    put(folder / "a cat.png", folder / "deep" / "dog.png", tmp_path / "here.png")
    (folder / "list.txt").write_text("a cat.png\n\ndeep/dog.png\nhere.png\nnone.png\n")
    monkeypatch.chdir(tmp_path)
    found = find_pictures(folder / "list.txt")
    assert [p.name for p in found] == ["a cat.png", "dog.png", "here.png", "none.png"]
    assert read_album([folder / "list.txt"]).captions[:2] == [["a cat"], ["dog"]]
    bad = write_features(tmp_path / "out", counted()[0], found, list("abcd"), PLAIN)
    assert [str(fault).split(":")[0] for fault in bad] == ["none.png"]
    (folder / "list.txt").write_text("\n")
    with pytest.raises(DataError, match="list.txt: lists no picture"):
        find_pictures(folder / "list.txt")


def test_a_picture_that_is_missing_is_listed_like_a_damaged_one(folder, tmp_path):
    put(folder / "a.png")
    album = read_album([folder / "a.png", folder / "none.png"])
    bad = write_features(tmp_path / "out", counted()[0], album.pictures, list("ab"), PLAIN)
    assert len(bad) == 1 and "none.png: cannot be read" in str(bad[0])


def test_an_annotation_of_no_picture_is_listed(folder, tmp_path):
    put(folder / "a.png", folder / "4.png")
    notes = [{"image_id": n, "caption": f"of {n}"} for n in (4, 1)]
    coco = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": notes}
    (tmp_path / "c.json").write_text(json.dumps(coco))
    album = read_album([folder], [tmp_path / "c.json"])
    assert said(album) == {"a.png": ["of 1"]}
    assert album.missing == [f"{tmp_path / 'c.json'}: annotation 1 is of image 4, which is not listed"]


@pytest.mark.parametrize("n", [1, 2])
def test_one_picture_is_too_few_and_two_are_not(tmp_path, n):
    np.save(tmp_path / "f.npy", np.zeros((n, 4, 768), np.uint8))
    (tmp_path / "c.json").write_text(json.dumps(["a cat"] * n))
    (tmp_path / "t.txt").write_text("text\n")
    (tmp_path / "empty.txt").write_text("\n\n")
    cfg = TINY.model_copy(update={"vocab_size": 257})

    def corpus(text):
        files = [tmp_path / "c.json"], [tmp_path / "f.npy"], [tmp_path / text]
        return file_corpus(cfg, *files, tmp_path / "data", tokenizer=BYTES)

    with pytest.raises(DataError, match="empty.txt: holds no text"):
        corpus("empty.txt")
    if n == 1:
        with pytest.raises(DataError, match="There is one picture.* two pictures at least"):
            corpus("t.txt")
    else:
        said = (
            "2 pictures, 1 caption to learn from, 1 held out, 1 line of text, 257 tokens in the vocabulary."
        )
        assert corpus("t.txt").summary == said


def test_a_process_that_is_killed_is_one_sentence():
    """As the system does where memory runs out."""
    with pytest.raises(DataError, match="A process that prepares data was killed"):
        list(in_processes(signal.raise_signal, [signal.SIGKILL] * 3, 1))
    assert list(in_processes(abs, range(-3, 3), 2, 2)) == [3, 2, 1, 0, 1, 2]
