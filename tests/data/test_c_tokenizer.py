# SPDX-License-Identifier: Apache-2.0
"""The C tokenizer against the Python one: the same ids for thousands of texts, and no crash on any bytes."""

import os
import random
import shutil
import struct
import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest
from data.hard_texts import WRITTEN, assigned, between, long_pieces, random_texts, revealing

ROOT = Path(__file__).resolve().parents[2]
RUNTIME = ROOT / "firmware_templates" / "runtime" / "model"
SOURCES = [
    ROOT / "tests" / "firmware" / "tokenizer_driver.c",
    RUNTIME / "bm_tokenizer.c",
    RUNTIME / "bm_unicode.c",
]
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
SANITIZE = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
OK, FULL, LONG = 0, -2, -3


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """The harness with sanitizers on, under whichever system compiler there is."""
    compiler = shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        pytest.skip("no C compiler with sanitizers: install gcc or clang")
    program = tmp_path_factory.mktemp("driver") / "tokenizer_driver"
    build = subprocess.run(
        [compiler, *STRICT, *SANITIZE, f"-I{RUNTIME}", *map(str, SOURCES), "-o", str(program)],
        capture_output=True,
        text=True,
    )
    assert build.returncode == 0, build.stderr
    return program


@pytest.fixture(scope="module")
def run(driver, tmp_path_factory):
    folder = tmp_path_factory.mktemp("blobs")

    def call(tokenizer, records, *options):
        blob = tokenizer if isinstance(tokenizer, bytes) else tokenizer.to_bytes()
        path = folder / "tokenizer.bin"
        path.write_bytes(blob)
        stdin = b"".join(struct.pack("<I", len(r)) + r for r in records)
        done = subprocess.run([str(driver), str(path), *map(str, options)], input=stdin, capture_output=True)
        assert done.returncode in (0, 3), done.stderr.decode()[-2000:]
        if done.returncode == 3:
            return None
        rows = [line.split() for line in done.stdout.decode().splitlines()]
        assert all("DECODE" not in row for row in rows), "decoding did not give the bytes back"
        return [(int(row[0]), [int(i) for i in row[1:]]) for row in rows]

    return call


def compare(run, tokenizer, texts):
    for text, (status, ids) in zip(texts, run(tokenizer, [t.encode() for t in texts]), strict=True):
        assert (status, ids) == (OK, tokenizer.encode(text)), ascii(text)


def test_full_vocabulary(run, gpt2):
    compare(run, gpt2, [*WRITTEN, *random_texts(2500, 7)])


def test_pruned_vocabularies(run, gpt2):
    texts = [*WRITTEN, *random_texts(400, 8)]
    for size in (257, 258, 700, 4096):
        compare(run, gpt2.prune(texts[:100], size), texts)


def test_every_assigned_character_is_classed_alike(run):
    """Scripts of thousands of like characters are left to the tests of the table."""
    many = (range(0x3400, 0xA000), range(0xAC00, 0xD7A0), range(0x17000, 0x18D00), range(0x20000, 0x110000))
    compare(run, revealing(), between([c for c in assigned() if not any(ord(c) in some for some in many)]))


def test_long_pieces_are_exact_and_quick(run, gpt2):
    compare(run, gpt2, long_pieces())


def test_any_bytes_are_kept_and_do_not_crash(run, gpt2):
    """Every record must come back from its ids; the harness compares, the sanitizers watch."""
    rng = random.Random(5)
    records = [rng.randbytes(rng.randrange(80)) for _ in range(1500)]
    records += [bytes([b]) for b in range(256)] + [
        bytes([a, b]) for a in range(0xBE, 256) for b in (0, 0x7F, 0x80, 0xBF, 0xC0)
    ]
    records += [
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe0\x80\x80",
        b"\xf0\x9f\x98",
        "é".encode()[:1],
        b"ab\xff cd",
    ]
    small = gpt2.prune([], 600)
    for tokenizer in (gpt2, small):
        assert all(status == OK for status, _ in run(tokenizer, records))


def test_small_arrays_are_never_overrun(run, gpt2):
    text = b"The quick brown fox jumps over hippopotamuses"
    whole = gpt2.encode(text.decode())
    for room in range(len(whole) + 1):
        status, ids = run(gpt2, [text], len(text), room)[0]
        assert ids == whole[:room] and status == (OK if room == len(whole) else FULL)
    for cells in (0, 3, 5, 14, 15):
        status, ids = run(gpt2, [text], cells)[0]
        assert ids == whole[: len(ids)] and status == (OK if cells >= 15 else LONG)


def test_damaged_binaries_do_not_crash(run, gpt2):
    blob = gpt2.prune(["hello world"], 300).to_bytes()
    assert run(blob, [b"hello"]) is not None
    records = [b"hello world, hello \xff", bytes(range(256))]
    rng = random.Random(9)
    for at in [*range(0, 40), *(rng.randrange(len(blob)) for _ in range(120))]:
        damaged = bytearray(blob)
        damaged[at] ^= 1 << rng.randrange(8)
        opened = None
        try:
            opened = run(bytes(damaged), records)
        except AssertionError as error:  # another token text is no danger; a sanitizer report is
            assert "did not give the bytes back" in str(error)
        assert at >= 32 or opened is None
    for n in (0, 4, 31, 32, 543, 544, len(blob) - 4, len(blob) - 1):
        assert run(blob[:n], records) is None


@pytest.mark.skipif(
    not util.find_spec("ziglang"), reason="second compiler not installed: pip install ziglang"
)
def test_compiles_without_a_warning_under_clang(tmp_path):
    for source in SOURCES:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "ziglang",
                "cc",
                *STRICT,
                "-O2",
                f"-I{RUNTIME}",
                "-c",
                str(source),
                "-o",
                str(tmp_path / "x.o"),
            ],
            capture_output=True,
            text=True,
            env=dict(os.environ),
        )
        assert done.returncode == 0, done.stderr
