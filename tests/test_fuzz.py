# SPDX-License-Identifier: Apache-2.0
"""Some hundred mutated files for the reader of everything that a user hands in, and the worst for all JSON;
``fuzz_readers.py`` reads as many as one likes.
"""

from __future__ import annotations

import fuzz_readers
import pytest

#: Of each kind.
FILES = 25
#: Kinds of which every file is JSON, or has JSON in every line.
JSON = ("captions", "sessions", "settings", "rows", "profiles", "recordings", "declarations")


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    return fuzz_readers.all_kinds(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("mutated")


def test_whole_files_are_read(kinds, work):
    for kind in kinds.values():
        for name, content in kind.seeds.items():
            (work / name).write_bytes(content)
            assert fuzz_readers.outcome(kind, work / name) == (0, ""), name


def test_mutated_files_are_read_or_refused_in_a_sentence(kinds, work, capfd):
    """In this process; the command limits time and memory as well. ``--only N`` reads one again."""
    refused = 0
    for number in range(FILES * len(kinds)):
        kind, name, content = fuzz_readers.make_file(kinds, number, seed=1)
        (work / name).write_bytes(content)
        try:
            code, _ = fuzz_readers.outcome(kinds[kind], work / name)
        except Exception as error:
            raise AssertionError(f"{kind} {name}: fuzz_readers.py --seed 1 --only {number}") from error
        assert code in (0, 2)
        refused += code == 2
    assert refused > FILES * len(kinds) // 2


def test_the_command_tells_of_faults(tmp_path):
    """A reader that fails, one that takes memory and one that ends its process."""

    def failing(path):
        content = path.read_bytes()
        if content[:1] == b"a":
            raise KeyError("x")
        if content[:1] == b"b":
            return bytearray(2 * fuzz_readers.BYTES)
        return fuzz_readers.os._exit(3)

    for first, told in ((b"a", "KeyError"), (b"b", "MemoryError"), (b"c", "ended its process")):
        heard: list[str] = []
        kind = fuzz_readers.Kind({"x": first * 100}, failing)
        number = next(n for n in range(100) if fuzz_readers.make_file({"x": kind}, n, 0)[2].startswith(first))
        assert not fuzz_readers.run({"x": kind}, range(number, number + 1), 0, tmp_path, heard.append)
        assert told in heard[0] and "1 files, 1 faults" in heard[-1]


@pytest.mark.parametrize("name", JSON)
def test_every_json_reader_takes_a_byte_order_mark_and_refuses_depth(kinds, work, name):
    kind = kinds[name]
    for file, content in kind.seeds.items():
        if content[:1] not in (b"[", b"{"):
            continue
        (work / file).write_bytes(b"\xef\xbb\xbf" + content)
        assert fuzz_readers.outcome(kind, work / file) == (0, ""), file
        for deep in (b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000):
            (work / file).write_bytes(deep)
            code, said = fuzz_readers.outcome(kind, work / file)
            assert code == 2 and file in said
