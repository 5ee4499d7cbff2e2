# SPDX-License-Identifier: Apache-2.0
"""Some hundred mutated files for the reader of everything that a user hands in, and what all text has in
common; ``fuzz_readers.py`` reads as many files as one likes.
"""

from __future__ import annotations

import fuzz_readers
import pytest

#: Of each kind.
FILES = 25
#: Kinds of which every file is JSON, or has JSON in every line.
JSON = ("captions", "thing lists", "sessions", "settings", "rows", "profiles", "recordings", "declarations")
#: Endings of what furniture is made of, in archives.
MODELS = (".obj", ".mtl", ".properties")


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


def is_text(content: bytes) -> bool:
    return not content.count(0) and not content.startswith(b"\xef\xbb\xbf") and content.isascii()


def test_every_text_reader_takes_a_byte_order_mark(kinds, work):
    """JSON, JSON lines, CSV, TOML, lists and plain text alike; models of other programs have none."""
    done = set()
    for kind in kinds.values():
        for name, content in kind.seeds.items():
            if is_text(content) and not name.endswith((".ppm", ".svg", *MODELS)):
                (work / name).write_bytes(b"\xef\xbb\xbf" + content)
                assert fuzz_readers.outcome(kind, work / name) == (0, ""), name
                done.add(name.rpartition(".")[2])
    assert {"json", "jsonl", "csv", "toml", "txt"} <= done


@pytest.mark.parametrize("name", JSON)
def test_every_json_reader_refuses_what_is_nested_too_deep(kinds, work, name):
    kind = kinds[name]
    for file, content in kind.seeds.items():
        if content[:1] not in (b"[", b"{"):
            continue
        for deep in (b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000):
            (work / file).write_bytes(deep)
            code, said = fuzz_readers.outcome(kind, work / file)
            assert code == 2 and file in said


#: Who reads JSON that this program wrote a moment ago, or that a package has; all other JSON is somebody's.
OWN_JSON = {
    *("files.py", "data/rows.py", "data/tokenizer.py", "data/tokenizer_train.py", "data/worker.py"),
    *("data/frontend/declaration.py", "profile/recording.py", "device/connect.py", "evaluate/token_cost.py"),
    *(
        "bench/baseline.py",
        "bench/exact_run.py",
        "bench/training.py",
        "bench/ours.py",
        "bench/plain_run.py",
        "bench/c_program.py",
    ),
    *("bench/training_worker.py", "data/collect/readers.py"),
}


def test_json_of_others_is_read_in_one_place():
    """By ``files.parse_json``: a byte order mark, depth and half characters are met there."""
    root = fuzz_readers.HERE.parent
    found = {
        path.relative_to(root / "bitmar_tiny").as_posix()
        for path in (root / "bitmar_tiny").rglob("*.py")
        if "json.loads(" in path.read_text() and not {"codegen", "firmware_templates"} & {*path.parts}
    }
    assert found <= OWN_JSON, found - OWN_JSON
