# SPDX-License-Identifier: Apache-2.0
"""Sessions: files are checked line by line, a batch holds each stream's earlier episodes, order is pure."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from bitmar_tiny.data.batch import IGNORE
from bitmar_tiny.data.corpus import to_float
from bitmar_tiny.data.mixture import Mixture
from bitmar_tiny.data.places import MOST_TOLD, write_places
from bitmar_tiny.data.sessions import LONGEST, Session, Sessions, draw_pictures, read_sessions
from bitmar_tiny.data.tokenizer import EOS_TEXT, Tokenizer
from bitmar_tiny.errors import ConfigError, DataError

BYTES = Tokenizer([*(bytes([b]) for b in range(256)), EOS_TEXT], [])
SESSIONS = [Session(tuple(f"told {i} {j}" for j in range(1 + i % 4)), f"ask {i}", f" {i}") for i in range(11)]


def mixture(**options):
    return Mixture(
        BYTES,
        texts=["some text"] * 9,
        sessions=Sessions.encode(BYTES, SESSIONS),
        **({"batch_size": 4, "max_len": 32, "text_every": 1, "session_every": 2, "seed": 3} | options),
    )


def text_of(tokens: np.ndarray, length: int) -> str:
    return BYTES.decode_bytes(tokens[1:length].tolist()).decode()


def test_every_stream_comes_with_its_own_earlier_episodes():
    for step in range(1, 40, 2):
        b = mixture().batch(step)
        episodes = len(b.before.tokens) // 4
        for row, source in enumerate(b.source):
            session = SESSIONS[source]
            assert text_of(b.tokens[row], b.lengths[row]) == session.prompt + session.answer
            there = [
                slice_ for slice_ in range(row * episodes, (row + 1) * episodes) if b.before.lengths[slice_]
            ]
            assert [text_of(b.before.tokens[i], b.before.lengths[i]) for i in there] == list(session.told)
            assert there == list(range(row * episodes, row * episodes + len(session.told)))
        absent = b.before.lengths == 0
        assert (b.before.labels[absent] == IGNORE).all() and episodes == max(
            len(SESSIONS[s].told) for s in b.source
        )


def test_kinds_alternate_and_rows_are_rows_of_the_whole_batch():
    m = mixture()
    assert [m.kind_of(s)[0] for s in range(6)] == [1, 2, 1, 2, 1, 2] and m.batch(0).before is None
    whole, part = m.batch(7), m.batch(7, slice(1, 3))
    assert np.array_equal(part.source, whole.source[1:3]) and part.total == whole.lengths.sum()
    order = np.concatenate([m.batch(s).source for s in range(1, 66, 2)])
    assert sorted(order[:11]) == list(range(11)) and not np.array_equal(order[:11], order[11:22])
    three = mixture(session_every=3)
    assert [three.kind_of(s) for s in range(5)] == [(1, 0), (1, 1), (2, 0), (1, 2), (1, 3)]


def test_an_answer_begins_behind_the_tokens_of_its_prompt():
    """Whatever merges across the two: a board reads the prompt alone."""
    merging = Tokenizer([*(bytes([b]) for b in range(256)), b"ab", b"bc", EOS_TEXT], [(97, 98), (98, 99)])
    encoded = Sessions.encode(merging, [Session(("abc", "a"), "a", "b"), Session(("b",), "", "abc")])
    texts = [
        encoded.texts.flat[a : a + n].tolist()
        for a, n in zip(encoded.texts.starts, encoded.texts.sizes, strict=False)
    ]
    end = merging.eos
    assert texts == [[256, 99, end], [97, end], [97, 98, end], [98, end], [256, 99, end]]
    assert encoded.first.tolist() == [0, 3] and encoded.count.tolist() == [2, 1]
    assert encoded.last.tolist() == [2, 4]


def test_sessions_that_would_be_cut_or_not_be_seen_are_refused():
    with pytest.raises(ConfigError, match="session 11 has 10 tokens"):
        mixture(max_len=9)
    assert mixture(max_len=10)
    with pytest.raises(ConfigError, match="session_every=0"):
        mixture(session_every=0)


def test_made_up_sessions_can_be_answered_by_what_was_told_last(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_places(tmp_path / name, 200, seed)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()
    sessions = read_sessions(tmp_path / "a")
    assert len(sessions) == 200 and {len(s.told) for s in sessions} == set(range(1, MOST_TOLD + 1))
    for s in sessions:
        assert [t for t in s.told if t.startswith(s.prompt + " ")][-1] == s.prompt + s.answer


BAD = [
    b"",
    b"\n\n",
    b"[]",
    b'["told"]',
    b'["told", "asked"]',
    b'[["ask", "answer"]]',
    b'["told", ["ask", " "]]',
    b'["told", ["ask"]]',
    b'[3, ["ask", "answer"]]',
    b'[" ", ["ask", "answer"]]',
    b'{"told": 1}',
    b"told",
    b'["told", [3, "answer"]]',
    b"\xff\xfe",
    b"[" * 5000,
    json.dumps([*["told"] * (LONGEST + 1), ["ask", "answer"]]).encode(),
    b"null",
    b"3",
    b'[{"image": "a.png"}, ["ask", "answer"]]',
    b'[{"image": "a.png", "text": " "}, ["ask", "answer"]]',
    b'[{"image": "a.png", "text": "t", "txt": ""}, ["ask", "answer"]]',
    b'[{"image": 3, "text": "t"}, ["ask", "answer"]]',
    b'[{"image": "", "text": "t"}, ["ask", "answer"]]',
    b'["t", {"image": "a.png", "prompt": "ask"}]',
    b'["t", {"image": "a.png", "prompt": null, "answer": "answer"}]',
    b'["t", {"image": "a.png", "prompt": "ask", "answer": ""}]',
    b'["t", {"image": "gone.png", "prompt": "ask", "answer": "answer"}]',
    b'["t", {"image": ".", "prompt": "ask", "answer": "answer"}]',
    b'["t", {"image": "a.png", "prompt": "\\ud83d", "answer": "answer"}]',
]


@pytest.mark.parametrize("content", BAD, ids=range(len(BAD)))
def test_what_is_no_session_is_named(tmp_path, content):
    path = tmp_path / "s.jsonl"
    save_square(tmp_path / "a.png", 0)
    path.write_bytes((b'["told", ["ask", " answer"]]\n' if content.strip() else b"") + content)
    with pytest.raises(DataError) as error:
        read_sessions(path)
    assert str(path) in str(error.value) and error.value.hint
    assert f"{path}:2" in str(error.value) or not content.startswith(b"[")


def test_missing_files_and_missing_sessions():
    with pytest.raises(DataError, match="no such file"):
        read_sessions("nowhere.jsonl")
    with pytest.raises(DataError, match="no sessions"):
        Mixture(BYTES, texts=["text"], batch_size=2, max_len=8, text_every=1, session_every=2)


def save_square(path, shade: int) -> None:
    Image.new("RGB", (20, 20), (shade, 0, 255 - shade)).save(path)


def picture_file(folder) -> tuple:
    """Two sessions with pictures beside one without: (file, what it says)."""
    for name, shade in (("a.png", 0), ("b.png", 90), ("c.png", 200)):
        save_square(folder / name, shade)
    lines = [
        [
            {"image": "a.png", "text": "This is a dax."},
            "Rain.",
            {"image": "b.png", "prompt": "This is", "answer": " a dax."},
        ],
        ["The key is here.", ["The key is", " here."]],
        [
            {"image": str(folder / "c.png"), "text": "one"},
            {"image": "a.png", "text": "two"},
            {"image": "a.png", "prompt": "", "answer": "two"},
        ],
    ]
    path = folder / "s.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path, lines


def test_pictures_are_drawn_once_and_go_with_their_episodes(tmp_path):
    path, _ = picture_file(tmp_path)
    read = read_sessions(path)
    assert read[1] == Session(("The key is here.",), "The key is", " here.") and read[1].picture(-1) is None
    assert read[0].picture(0) == tmp_path / "a.png" and read[0].picture(1) is None
    drawn, pictures = draw_pictures(read, tmp_path / "drawn", 4)
    assert pictures.shape == (3, 4, 768) and pictures.dtype == np.uint8
    assert [s.pictures for s in drawn] == [(0, None, 1), (), (2, 0, 0)]
    m = Mixture(
        BYTES,
        sessions=Sessions.encode(BYTES, drawn, pictures),
        batch_size=3,
        max_len=24,
        text_every=1,
        session_every=1,
    )
    b, row = m.batch(0), {}
    for i, source in enumerate(b.source):
        row[int(source)] = i
    assert b.has_image.tolist() == [s != 1 for s in b.source]
    assert b.before.has_image.reshape(3, 2)[row[0]].tolist() == [True, False]
    assert b.before.has_image.reshape(3, 2)[row[2]].tolist() == [True, True]
    earlier = b.before.images.reshape(3, 2, 4, 768)
    assert np.array_equal(b.images[row[2]], earlier[row[2], 1]) and np.array_equal(
        earlier[row[0], 0], earlier[row[2], 1]
    )
    assert b.images[row[0], 0, 0] == to_float(np.array([90], np.uint8))[0]
    before = (tmp_path / "drawn" / "features.npy").stat().st_mtime_ns
    draw_pictures(read, tmp_path / "drawn", 4)
    assert (tmp_path / "drawn" / "features.npy").stat().st_mtime_ns == before


def test_a_picture_that_cannot_be_read_is_named_with_its_line(tmp_path):
    path, _ = picture_file(tmp_path)
    (tmp_path / "c.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"s\.jsonl:3: .*c\.png: not a picture"):
        draw_pictures(read_sessions(path), tmp_path / "drawn", 4)
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"s\.jsonl:1: .*a\.png"):
        draw_pictures(read_sessions(path), tmp_path / "other", 4)


def test_a_picture_more_is_another_corpus(tmp_path):
    drawn = [Session(("a",), "b", "c", (0, 1))]
    shades = [np.full((2, 1, 768), shade, np.uint8) for shade in (1, 2)]
    seals = [[a.tobytes() for a in Sessions.encode(BYTES, drawn, p).arrays()] for p in shades]
    assert seals[0] != seals[1]
