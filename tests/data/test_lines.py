# SPDX-License-Identifier: Apache-2.0
"""Text in the files in which people have it: what is named is read, or refused by its name."""

from __future__ import annotations

import gzip
import os
import pickle

import pytest

from bitmar_tiny import extras
from bitmar_tiny.data import shards
from bitmar_tiny.data.lines import read_lines, text_files
from bitmar_tiny.data.shards import build_tokens
from bitmar_tiny.data.tokenizer import EOS_TEXT, Tokenizer
from bitmar_tiny.data.tokenizer_train import train_tokenizer
from bitmar_tiny.errors import DataError

BYTES = Tokenizer([*(bytes([b]) for b in range(256)), EOS_TEXT], [])
LINES = [f"line {i} of the wörds" for i in range(500)]
TEXT = "\n".join(LINES).encode()


def packed(kind: str, data: bytes) -> bytes:
    if kind == "zst":
        zstandard = pytest.importorskip("zstandard", reason="pip install 'bitmar-tiny[train]'")
        return zstandard.ZstdCompressor(write_checksum=True).compress(data)
    return gzip.compress(data) if kind == "gz" else b"\xef\xbb\xbf" + data if kind == "bom" else data


def tokenised(*paths, folder) -> list[str]:
    tokens = build_tokens(BYTES, paths, folder, workers=1)
    spans = zip(tokens.starts, tokens.sizes, strict=True)
    return [BYTES.decode(tokens.flat[start : start + size - 1]) for start, size in spans]


@pytest.mark.parametrize("kind", ["plain", "bom", "gz", "zst"])
@pytest.mark.parametrize("name", ["x.txt", "x"])  # told by content
def test_compressed_or_plain_the_lines_are_the_same(tmp_path, monkeypatch, kind, name):
    monkeypatch.setattr(shards, "PIECE_BYTES", 1000)
    (tmp_path / name).write_bytes(packed(kind, TEXT))
    assert list(read_lines(tmp_path / name)) == LINES
    assert tokenised(tmp_path / name, folder=tmp_path / "cache") == LINES
    assert sorted(os.listdir(next((tmp_path / "cache").iterdir()))) == ["sizes.npy", "tokens.npy"]


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_damaged_compression_is_one_sentence(tmp_path, kind):
    whole = packed(kind, os.urandom(30_000).hex().encode())
    for damaged in (whole[: len(whole) // 2], whole[:100] + bytes(50) + whole[150:], whole[:12]):
        (tmp_path / "x.txt").write_bytes(damaged)
        for read in (
            lambda: list(read_lines(tmp_path / "x.txt")),
            lambda: tokenised(tmp_path / "x.txt", folder=tmp_path),
        ):
            with pytest.raises(DataError, match=r"x.txt: a (gzip|Zstandard) file that is damaged"):
                read()


def test_a_missing_package_is_named_with_its_file(tmp_path, monkeypatch):
    (tmp_path / "x.txt").write_bytes(packed("zst", TEXT))
    monkeypatch.setattr("bitmar_tiny.data.lines.installed", lambda module: False)
    with pytest.raises(DataError, match="x.txt: a Zstandard file, which needs the package zstandard"):
        list(read_lines(tmp_path / "x.txt"))
    assert extras.install("zstandard") == "pip install 'bitmar-tiny[train]'"


@pytest.mark.parametrize(
    "content, words",
    [
        (b"PK\x03\x04" + bytes(40), "a ZIP archive, not text"),
        (b"BZh9" + bytes(40), "a bzip2 file, not text"),
        (b"%PDF-1.7 " + bytes(40), "a PDF document, not text"),
        (gzip.compress(bytes(257) + b"ustar" + bytes(300)), "a tar archive, not text"),
        ("hello".encode("utf-16"), "UTF-16 text, expected UTF-8"),
        ("hello".encode("utf-16-le"), "bytes that are no text"),
        (b"\x89PNG\r\n\x1a\n", "a PNG picture, not text"),
        (b"\x04\x22\x4d\x18\x64\x40\xa7", "an LZ4 file, not text"),
        (pickle.dumps(["hello"]), "a Python pickle, not text"),
        (b"\xe9t\xe9", "line 1 is not UTF-8"),
        ("one\n\ncaf\xe9\nfour\n".encode("latin-1"), "line 3 is not UTF-8"),
        (gzip.compress(b"one\ntwo \xff"), "line 2 is not UTF-8"),
        (b"one\n" * 700 + b"\xc3", "line 701 is not UTF-8"),
    ],
    ids=["zip", "bzip2", "pdf", "tar.gz", "utf-16", "utf-16 without mark", "png", "lz4", "pickle"]
    + ["latin-1", "latin-1 below", "gzip of latin-1", "cut short, in the second piece"],
)
def test_what_is_no_text_is_refused_by_name(tmp_path, monkeypatch, content, words):
    monkeypatch.setattr(shards, "PIECE_BYTES", 1500)
    (tmp_path / "x.train").write_bytes(content)
    for read in (lambda: list(read_lines(tmp_path)), lambda: tokenised(tmp_path, folder=tmp_path / "cache")):
        with pytest.raises(DataError, match=f"x.train: {words}"):
            read()


def test_a_folder_is_its_train_files_or_its_text_files(tmp_path):
    for name in ("b/2.txt", "a.txt.gz", "c.md", ".hidden.txt", "d.txt.zst"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [f.name for f in text_files(tmp_path)] == ["a.txt.gz", "2.txt", "d.txt.zst"]
    (tmp_path / "b" / "z.train.gz").write_bytes(b"x")  # a BabyLM corpus with a README.txt
    assert [f.name for f in text_files(tmp_path)] == ["z.train.gz"]


def test_content_decides_what_was_tokenised(tmp_path):
    """Two files of one name, size and time."""
    for folder, text in (("A", "one two\n"), ("B", "six ten\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.train").write_text(text)
        os.utime(tmp_path / folder / "x.train", (1, 1))
    assert tokenised(tmp_path / "A", folder=tmp_path / "cache") == ["one two"]
    assert tokenised(tmp_path / "B" / "x.train", folder=tmp_path / "cache") == ["six ten"]


def test_a_tokenizer_of_ones_own_text():
    own = train_tokenizer(LINES * 3, 400)
    assert own.identity == train_tokenizer(LINES * 3, 400).identity and own.vocab_size <= 400
    assert Tokenizer.from_bytes(own.to_bytes()).identity == own.identity
    for text in (LINES[7], "wörds, öther \u2028 ☃\n", "", "<|endoftext|>", "\0"):
        assert own.decode(own.encode(text)) == text and own.eos not in own.encode(text)
    assert len(own.encode(LINES[7])) < len(LINES[7].encode()) / 2
    assert train_tokenizer(["ab"], 4096).vocab_size == 257  # no pair is there twice
    assert train_tokenizer([], 257).vocab_size == 257
    with pytest.raises(DataError, match="256 tokens is not possible"):
        train_tokenizer(LINES, 256)
