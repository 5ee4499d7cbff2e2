# SPDX-License-Identifier: Apache-2.0
"""Small stores and everything that a device may do to them: the C store by a model checker, the Python one
write by write.
"""

from __future__ import annotations

import fcntl
import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from firmware.build import ROOT, RUNTIME, SANITIZE, STORE, compile
from store.store_support import DIGEST, KEY, aged_store, call, episode_after, random_memory, same

from bitmar_tiny import files
from bitmar_tiny.errors import StoreError
from bitmar_tiny.memory import store as store_module
from bitmar_tiny.memory.format import UNIT, Layout
from bitmar_tiny.memory.store import Memory, MemoryStore

SOAK = bool(os.environ.get("BITMAR_SOAK"))
#: Of a write that was not synced: lost, whole, the front of it, the back of it, nonsense.
FATES = 5


@pytest.fixture(scope="module")
def checker(tmp_path_factory):
    sources = [
        ROOT / "tests" / "firmware" / "store_check.c",
        *(STORE / f"bm_{name}.c" for name in ("store", "store_episode", "store_format")),
        RUNTIME / "bm_crc32.c",
    ]
    flags = [f"-I{STORE}", *(["-O2"] if SOAK else ["-O1", *SANITIZE])]
    return compile(sources, flags, tmp_path_factory.mktemp("check") / "check")


def explore(
    command: list[str], function: str, tmp_path: Path, slots: int, fates: int, more: int, aged: int
) -> int:
    """Nothing goes wrong; returns how many media were looked at."""
    zeros = Memory(np.zeros((slots, 64), np.int16), np.zeros(slots, np.float32), np.zeros(slots, np.uint32))
    MemoryStore.create(tmp_path / "m", zeros, DIGEST)
    wrong, looked = call(
        command, function, (slots, 64, fates, more, aged), arrays=(KEY, np.fromfile(tmp_path / "m", np.uint8))
    )
    assert wrong == 0
    return looked


@pytest.mark.parametrize(
    "slots, fates, depth, aged",
    [(50, FATES, 1, 0), (50, FATES, 1, 1), (70, FATES, 1, 2), (50, 3, 2, 1)]
    + [(50, FATES, 2, 1), (50, 3, 3, 2), (130, 4, 2, 1), (500, 3, 1, 1)] * SOAK,
)
def test_every_combination_of_what_a_power_cut_leaves(tmp_path, checker, slots, fates, depth, aged):
    """And cuts in the episode after a cut: lost, whole and torn writes in every combination."""
    assert explore(checker, "cuts", tmp_path, slots, fates, depth, aged) > fates**3


@pytest.mark.parametrize(
    "way", [0, 1, 2], ids=["the program goes on", "opened again", "the cache was dropped"]
)
@pytest.mark.parametrize("slots, aged", [(50, 2), (70, 3)])
def test_every_failed_write_and_sync_then_a_cut(tmp_path, checker, slots, aged, way):
    """A sync that failed may have dropped any of its writes from the cache, which showed them: they never
    reach the medium.
    """
    assert explore(checker, "failures", tmp_path, slots, 3, way, aged) > 1000


@pytest.mark.parametrize("slots", [70, 500])
@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("aged", [2, 3])
def test_reads_that_fail_never_show_an_older_memory(tmp_path, checker, slots, count, aged):
    assert explore(checker, "reads", tmp_path, slots, 3, count, aged) > 20


# -- Python
# ----------------------------------------------------------------------------------------------------


def recorded(monkeypatch, work) -> list[list[tuple[int, bytes]]]:
    """What ``work`` writes between syncs."""
    windows: list[list[tuple[int, bytes]]] = [[]]
    write, sync = store_module._write, store_module._sync
    with monkeypatch.context() as m:
        m.setattr(
            store_module,
            "_write",
            lambda f, offset, data: (windows[-1].append((offset, data)), write(f, offset, data)),
        )
        m.setattr(store_module, "_sync", lambda f: (windows.append([]), sync(f)))
        work()
    assert windows.pop() == [], "something is written and never synced"
    return windows


def media(image: bytes, windows: list[list[tuple[int, bytes]]], seed: int = 0):
    """Every medium that a power cut in one of the windows may leave, and whether all windows were over."""
    rng, durable = np.random.default_rng(seed), bytearray(image)
    for window in windows:
        for fates in itertools.product(range(FATES), repeat=len(window)):
            medium = bytearray(durable)
            for (offset, data), fate in zip(window, fates, strict=False):
                cut = int(rng.integers(len(data)))
                old = bytes(medium[offset : offset + len(data)])
                medium[offset : offset + len(data)] = (
                    old,
                    data,
                    data[:cut] + old[cut:],
                    old[:cut] + data[cut:],
                    b"\xff" * len(data),
                )[fate]
            yield bytes(medium), False
        for offset, data in window:
            durable[offset : offset + len(data)] = data
    yield bytes(durable), True


@pytest.mark.parametrize(
    "damage",
    [None, (0, 0), (0, 1), (1, 0), (1, 1)],
    ids=["whole", "header 0", "header 1", "record 0", "record 1"],
)
def test_a_commit_cut_anywhere_leaves_the_old_memory_or_the_new(tmp_path, monkeypatch, damage):
    """Also where one copy of the header or of the record was damaged before."""
    store, before = aged_store(tmp_path / "m", 60, 64)
    if damage:
        unit = damage[0] and 1 + (store.sequence & 1)
        with open(store.path, "r+b") as f:
            f.seek(store.layout.copy_at(unit, damage[1]) + 99)
            f.write(b"x")
    store, after = MemoryStore.open(store.path), episode_after(before, [0], 9)
    assert bool(store.damaged) == bool(damage)
    image, count = store.path.read_bytes(), 0
    for medium, over in media(image, recorded(monkeypatch, lambda: store.commit(after))):
        (tmp_path / "cut").write_bytes(medium)
        found = MemoryStore.open(tmp_path / "cut", DIGEST).read()
        assert same(found, after) or (same(found, before) and not over)
        count += 1
    assert count > FATES**3 and not MemoryStore.open(store.path).damaged


def test_a_device_that_is_written_over_is_the_old_store_the_new_one_or_none(tmp_path, monkeypatch):
    """Cut anywhere, a store that is made on a card never shows the memory of another model, nor a mixture."""
    store, old = aged_store(tmp_path / "card", 60, 64)
    new, other, stages = random_memory(60, 64, 8), "f" * 64, []
    monkeypatch.setattr(Path, "is_block_device", lambda path: True)
    monkeypatch.setattr(store_module, "write_device", lambda path, given, error: stages.extend(given))
    image = store.path.read_bytes()
    MemoryStore.create(store.path, new, other)
    seen = set()
    for medium, over in media(image, stages):
        (tmp_path / "cut").write_bytes(medium)
        try:
            opened = MemoryStore.open(tmp_path / "cut")
            found = opened.read()
        except StoreError:
            assert not over
            seen.add("none")
            continue
        assert same(found, old if opened.digest == DIGEST else new)
        seen.add(opened.digest)
    assert seen == {"none", DIGEST, other}


def test_a_device_keeps_the_order_of_the_stages(tmp_path, monkeypatch):
    """What one stage writes is on the device before the next begins."""
    device, seen = tmp_path / "card", []
    device.write_bytes(b"\x55" * 64)
    monkeypatch.setattr(os, "fsync", lambda fd: seen.append(device.read_bytes()))
    files.write_device(device, ([(0, b"aa"), (62, b"bb")], [(2, b"cc")]))
    assert seen == [b"aa" + b"\x55" * 60 + b"bb", b"aacc" + b"\x55" * 58 + b"bb"]


def test_the_second_header_is_found_where_the_shape_says(tmp_path):
    """On a card that is larger than the store."""
    store, memory = aged_store(tmp_path / "card", 70, 64)
    image = bytearray(store.path.read_bytes() + b"\x55" * 9 * UNIT)
    image[60] ^= 1
    store.path.write_bytes(image)
    with pytest.raises(StoreError, match="header"):
        MemoryStore.open(store.path, DIGEST)
    opened = MemoryStore.open(store.path, DIGEST, Layout(70, 64))
    assert opened.damaged == ["the first copy of the header"] and same(opened.read(), memory)


def test_bad_sectors_are_named_and_the_rest_is_kept(tmp_path, monkeypatch):
    """Every read of a sector fails. What can stand in for it does; an older memory never does."""
    store, memory = aged_store(tmp_path / "m", 500, 64)
    at, parity, bad = store.layout, store.sequence & 1, set()

    def reading(f, offset, n):
        f.seek(offset)
        return b"" if any(b < offset + n and offset < b + 512 for b in bad) else f.read(n)

    monkeypatch.setattr(store_module, "read_at", reading)
    monkeypatch.setattr("bitmar_tiny.memory.format.read_at", reading)
    for unit, copy, name in (
        (0, 0, "header"),
        (0, 1, "header"),
        (1 + parity, 0, "record"),
        (1 + parity, 1, "record"),
    ):
        bad = {at.copy_at(unit, copy)}
        opened = MemoryStore.open(store.path)
        assert len(opened.damaged) == 1 and name in opened.damaged[0] and same(opened.read(), memory)
    for place in (1, 2):
        bad = {at.copy_at(place, 0), at.copy_at(place, 1)}
        with pytest.raises(StoreError, match="reported an error where a commit record is"):
            MemoryStore.open(store.path)
    bad = {at.state_at(1, parity)}
    kept, lost = MemoryStore.open(store.path).check()
    assert lost == ["the state of rows 448 to 499"] and np.array_equal(kept.codes[:448], memory.codes[:448])


def test_a_store_in_use_is_left_alone(tmp_path):
    store, memory = aged_store(tmp_path / "m", 70, 64)
    with open(store.path, "rb") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        assert same(MemoryStore.open(store.path).read(), memory)
        for change in (lambda: store.commit(memory), lambda: MemoryStore.create(store.path, memory, DIGEST)):
            with pytest.raises(StoreError, match="another program has it open"):
                change()
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match="another program has it open"):
            MemoryStore.open(store.path)
