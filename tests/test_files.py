# SPDX-License-Identifier: Apache-2.0
"""Files that are written whole or not at all, and folders that a command fills."""

import os
import shutil
from pathlib import Path

import command_line
import numpy as np
import pytest
from kills import contents, writes

from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.emit import MANIFEST, emit, read_manifest
from bitmar_tiny.data.files import write_json, write_npy
from bitmar_tiny.errors import BitmarError, ConfigError, DataError
from bitmar_tiny.files import TemporaryFolder, atomic_file, sweep
from bitmar_tiny.memory.inspect import memory_of
from bitmar_tiny.memory.snapshot import write_snapshot
from bitmar_tiny.memory.store import MemoryStore


def put(path, data=b"new", **options):
    with atomic_file(path, **options) as f:
        f.write(data)


# -- links -----------------------------------------------------------------------------------------


@pytest.fixture
def card(tmp_path):
    """A file on a card, and links to it: absolute, relative, and a link to a link."""
    (tmp_path / "card").mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / "card" / "file").write_bytes(b"old")
    (tmp_path / "here" / "absolute").symlink_to(tmp_path / "card" / "file")
    (tmp_path / "here" / "relative").symlink_to(Path("..") / "card" / "file")
    (tmp_path / "here" / "twice").symlink_to("relative")
    return tmp_path


@pytest.mark.parametrize("link", ["absolute", "relative", "twice"])
@pytest.mark.parametrize("make_folder", [True, False])
def test_a_link_is_written_through(card, link, make_folder):
    put(card / "here" / link, make_folder=make_folder)
    assert (card / "here" / link).is_symlink() and (card / "card" / "file").read_bytes() == b"new"
    assert os.listdir(card / "card") == ["file"] and len(os.listdir(card / "here")) == 3


def test_a_link_to_a_file_that_is_not_there_yet_makes_it(card):
    (card / "card" / "file").unlink()
    put(card / "here" / "twice")
    assert (card / "card" / "file").read_bytes() == b"new" and (card / "here" / "twice").is_symlink()


@pytest.mark.parametrize(
    "target, words",
    [
        ("itself", "symbolic link that leads in a circle"),
        ("/nowhere/at/all", "there is no folder /nowhere/at"),
        (".", "is a folder, not a file"),
        ("/dev/null", "is a device or a pipe, not a file"),
    ],
)
def test_a_link_that_cannot_be_written_through_stays(tmp_path, target, words):
    link = tmp_path / "itself"
    link.symlink_to(target)
    with pytest.raises(DataError, match=f"itself: .*{words}"):
        put(link, make_folder=False)
    assert os.readlink(link) == target and os.listdir(tmp_path) == ["itself"]


def write_all(tiny, folder):
    """Something of every kind that is written atomically below a name that the user chooses."""
    tiny.save(folder / "model.bitmar")
    MemoryStore.create(folder / "memory.store", memory_of(tiny), tiny.digest)
    write_snapshot(folder / "snapshot.safetensors", memory_of(tiny), tiny.digest, 1)
    write_npy(folder / "array.npy", np.zeros(3))
    write_json(folder / "captions.json", ["a cat"])


def test_every_kind_of_file_goes_through_its_link(tiny, tmp_path):
    (tmp_path / "card").mkdir()
    (tmp_path / "here").mkdir()
    write_all(tiny, tmp_path / "card")
    whole = contents(tmp_path / "card")
    for name in whole:
        (tmp_path / "card" / name).write_bytes(b"")
        (tmp_path / "here" / name).symlink_to(tmp_path / "card" / name)
    (tmp_path / "card" / "memory.store").write_bytes(whole["memory.store"])
    write_all(tiny, tmp_path / "here")
    after = contents(tmp_path / "card")  # safetensors writes its metadata in any order
    assert {n: len(data) for n, data in after.items()} == {n: len(data) for n, data in whole.items()}
    assert all((tmp_path / "here" / name).is_symlink() for name in whole)


def test_a_store_is_renewed_on_the_card_that_its_link_names(tiny, tmp_path):
    tiny.save(tmp_path / "m.bitmar")
    card = tmp_path / "card.store"
    MemoryStore.create(card, memory_of(tiny, empty=True), tiny.digest)
    link = tmp_path / "memory.store"
    link.symlink_to(card)
    done = command_line.run("memory", "reset", tmp_path / "m.bitmar", "-o", link, "--force")
    assert done.returncode == 0 and link.is_symlink()
    assert np.array_equal(MemoryStore.open(card).read().codes, memory_of(tiny).codes)


def test_what_a_kill_leaves_is_swept_and_nothing_else(tmp_path):
    (tmp_path / ".a.npy.123.tmp").write_bytes(b"half")
    for name in (".mine.tmp", "a.123.tmp", ".a.npy"):
        (tmp_path / name).write_bytes(b"whole")
    sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".a.npy", ".mine.tmp", "a.123.tmp"]


# -- folders ---------------------------------------------------------------------------------------

BOARDS = [("host", "sd"), ("esp32-s3-n16r8", "auto")]


@pytest.mark.parametrize("board, memory", BOARDS, ids=lambda v: v)
def test_a_project_that_was_killed_anywhere_goes_on(tiny, tmp_path, board, memory):
    profile = load_board(board)

    def write(folder):
        return emit(tiny, profile, folder, "portable", memory=memory)

    def begin(full):
        """A new folder, or one that holds a project."""
        shutil.rmtree(out, ignore_errors=True)
        if full:
            shutil.copytree(tmp_path / "whole", out)

    whole, out = contents(write(tmp_path / "whole").path), tmp_path / "out"
    for full in (False, True):
        begin(full)
        count = writes(lambda: write(out), out)
        assert count > len(whole)
        for stop in (0, 2, 3, count // 2, count - 2, count - 1):
            begin(full)
            writes(lambda: write(out), out, stop)
            if 2 < stop < count - 1:  # the manifest is there, and not the last one
                with pytest.raises(ConfigError, match="was interrupted while it wrote"):
                    read_manifest(out)
            write(out)
            assert contents(out) == whole and read_manifest(out)["board"] == board


@pytest.mark.parametrize(
    "name, data",
    [
        ("tokenizer.bin", b"mine"),
        ("manifest.json", b'{"name": "a web page"}'),
        ("manifest.json", b"[1, 2]"),
        ("manifest.json", b'{"schema": "bitmar-tiny/onnx-export"}'),
        (".hidden", b""),
        (".mine.tmp", b""),
    ],
)
def test_a_folder_of_somebody_else_is_left_alone(tiny, tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BitmarError, match="not empty and not a project of bitmar-tiny"):
        emit(tiny, load_board("host"), tmp_path)
    assert contents(tmp_path) == {name: data}


def test_an_empty_folder_and_our_own_are_filled(tiny, tmp_path):
    for _ in range(2):
        emit(tiny, load_board("host"), tmp_path)
        (tmp_path / "mine.txt").write_text("beside it")
    assert (tmp_path / "mine.txt").exists() and (tmp_path / MANIFEST).is_file()


def test_a_file_in_the_place_of_the_folder_is_named(tiny, tmp_path):
    (tmp_path / "f").write_text("x")
    with pytest.raises(ConfigError, match="f: cannot be written: it is a file, not a folder"):
        emit(tiny, load_board("host"), tmp_path / "f")


# -- temporary folders -----------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["mkdir", "rmdir"])
def test_a_temporary_folder_is_gone_wherever_it_was_interrupted(tmp_path, monkeypatch, call):
    """The worst moments for a signal: the folder was just made; it was just used."""
    whole = getattr(os, call)

    def interrupted(*args, **options):
        whole(*args, **options)
        raise SystemExit(143)

    monkeypatch.setattr(os, call, interrupted)
    with pytest.raises(SystemExit), TemporaryFolder(tmp_path) as name:
        Path(name, "file").write_text("in use")
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []
