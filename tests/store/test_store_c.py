# SPDX-License-Identifier: Apache-2.0
"""The memory store of the firmware: power cuts, failures, flipped bits, files; and the same bytes as the
Python one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import store.store_support as ss
from firmware.build import SANITIZE
from store.store_support import (
    DIGEST,
    KEY,
    STATUSES,
    aged_store,
    build_driver,
    call,
    changed,
    episode_after,
    keyed_memory,
    planes,
    random_memory,
)

from bitmar_tiny.golden import numerics as nm
from bitmar_tiny.memory.format import HEADER, UNIT, seal
from bitmar_tiny.memory.store import MemoryStore

#: Many more episodes and shapes: minutes.
SOAK = bool(os.environ.get("BITMAR_SOAK"))


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """The driver under address and undefined-behaviour sanitizers."""
    return build_driver(["-O1", *SANITIZE], tmp_path_factory.mktemp("checked") / "driver")


@pytest.fixture(scope="module")
def fast(tmp_path_factory):
    return build_driver(["-O2"], tmp_path_factory.mktemp("fast") / "driver")


def image_of(path: Path) -> np.ndarray:
    return np.fromfile(path, np.uint8)


@pytest.mark.parametrize(
    "slots, width, episodes", [(50, 64, 60), (70, 96, 60), (500, 64, 60), (1000, 128, 20)]
)
@pytest.mark.parametrize("what", ["power cut", "failed operation"])
def test_old_memory_or_new_whatever_happens(tmp_path, checked, slots, width, episodes, what):
    """Power is cut, or the device fails, at every write and sync of random episodes; 200 of each kind in all
    shapes together.
    """
    memory = random_memory(slots, width)
    MemoryStore.create(tmp_path / "m", memory, DIGEST)
    for seed in range(5 if SOAK else 1):
        wrong, tried = call(
            checked,
            "crash",
            (slots, width, 200 if SOAK else episodes, seed, what != "power cut"),
            arrays=(image_of(tmp_path / "m"), KEY, *planes(memory)),
        )
        assert wrong == 0 and tried >= 5 * episodes


@pytest.mark.parametrize(
    "compiler, flags", [("gcc", ("-O1", *SANITIZE)), ("zig", ("-O3",)), ("aarch64-gcc", ("-O2",))]
)
@pytest.mark.parametrize("slots, width", [(70, 64), (500, 128)])
def test_firmware_and_python_write_the_same_bytes(tmp_path, slots, width, compiler, flags):
    """After every episode; and no more than the state, the changed planes, the record and, after opening, the
    one before it.
    """
    command = build_driver([*flags], tmp_path / "driver", compiler)
    store, memory = aged_store(tmp_path / "m", slots, width, 0)
    at = store.layout
    for i in range(4):
        before, after = image_of(store.path), episode_after(memory, list(range(i, at.blocks, 3)), i)
        how = changed(memory, after)
        status, written, image = call(
            command, "episode", (slots, width), want=(0,), arrays=(before, KEY, *planes(after), how)
        )
        store.commit(after)
        assert (status, written) == (0, (at.groups + 4) * UNIT + 2 * at.plane * int((how == 2).sum()))
        differ = np.flatnonzero(image != image_of(store.path))
        assert differ.size == 0, f"episode {i}: first difference at byte {differ[0]}"
        memory = after


def live_pieces(store: MemoryStore) -> np.ndarray:
    """uint32 [bytes]: 1 + the piece (kind << 24 | index) that a byte is part of, 0 where it is of none that
    is live.
    """
    at, parity = store.layout, store.sequence & 1
    owner = np.zeros(at.size, np.uint32)

    def own(start: int, n: int, kind: int, index: int) -> None:
        owner[start : start + n] = 1 + (kind << 24 | index)

    for copy in (0, 1):
        own(at.copy_at(0, copy), UNIT, ss.HEADER, copy)
        own(at.copy_at(1 + parity, copy), UNIT, ss.RECORD, copy)
    image = image_of(store.path)
    for group in range(at.groups):
        own(at.state_at(group, parity), UNIT, ss.STATE, group)
        homes = int(image[at.state_at(group, parity) + 16 :][:4].view("<u4")[0])
        for block in range(7 * group, min(at.blocks, 7 * group + 7)):
            for low in (0, 1):
                own(
                    at.plane_at(block, homes >> block % 7 & 1, bool(low)),
                    at.plane,
                    (ss.HIGH, ss.LOW)[low],
                    block,
                )
    return owner


def test_every_flipped_bit_is_named_or_harmless(tmp_path, fast):
    """All single bits of a whole image: verification names exactly the damaged piece; a read is right, or an
    error.
    """
    store, memory = aged_store(tmp_path / "m", *((450, 64) if SOAK else (70, 64)))
    image = image_of(store.path)
    found = np.zeros(8 * image.size, np.uint32)
    _, _, found = call(
        fast, "flips", (memory.slots, memory.width), want=(6,), arrays=(image, KEY, *planes(memory), found)
    )
    owner = np.repeat(live_pieces(store), 8)
    assert not (found >> 31).any(), f"wrong data at bit {np.flatnonzero(found >> 31)[0]}"
    assert np.array_equal(found & (1 << 30) - 1, owner)
    needed = np.isin(owner - 1 >> 24, (ss.STATE, ss.HIGH)) & (owner > 0)
    assert np.array_equal(found >> 30 & 1 == 1, needed), (
        "a read fails exactly where something that it reads is damaged"
    )
    assert {0, *(1 + np.arange(5))} == set(np.unique(np.where(owner, 1 + (owner - 1 >> 24), 0)))


def test_python_names_flipped_bits_or_they_are_harmless(tmp_path):
    store, memory = aged_store(tmp_path / "m", 70, 64)
    owner, image, rng = live_pieces(store), image_of(store.path), np.random.default_rng(5)
    step = 1 if SOAK else 37
    for byte in range(0, image.size, step):
        with open(store.path, "r+b") as f:
            for value in (int(image[byte]) ^ 1 << int(rng.integers(8)), int(image[byte])):
                f.seek(byte)
                f.write(bytes([value]))
                f.flush()
                if value == image[byte]:
                    break
                opened = MemoryStore.open(store.path, DIGEST)
                got, damaged = opened.check()
                assert bool(opened.damaged or damaged) == (owner[byte] > 0), byte
                assert bool(damaged) == (
                    owner[byte] > 0 and int(owner[byte]) - 1 >> 24 in (ss.STATE, ss.HIGH, ss.LOW)
                ), byte
                assert damaged or ss.same(got, memory), byte


def test_blocks_out_of_order_are_refused(tmp_path, checked):
    store, memory = aged_store(tmp_path / "m", 200, 64)
    accepted, intact = call(
        checked, "disorder", (200, 64), arrays=(image_of(store.path), KEY, *planes(memory))
    )
    assert (accepted, intact) == (0, 1)


def damaged_copy(store: MemoryStore, unit: int, copy: int) -> None:
    with open(store.path, "r+b") as f:
        f.seek(store.layout.copy_at(unit, copy) + 100)
        f.write(b"x")


def named(command: list[str], image: np.ndarray, slots: int = 70, width: int = 64) -> list[tuple[int, int]]:
    """(kind, index) of all pieces that verification names."""
    pieces = np.zeros(64, np.uint32)
    status, n, pieces = call(command, "verify", (slots, width), arrays=(image, KEY, pieces), want=(2,))
    assert STATUSES[status] == ("damaged" if n else "ok")
    return [(int(p) >> 24, int(p) & 0xFFFFFF) for p in pieces[:n]]


@pytest.mark.parametrize("copy", [0, 1])
def test_a_damaged_copy_is_named_and_mended_when_the_next_episode_begins(tmp_path, checked, copy):
    store, memory = aged_store(tmp_path / "m", 70, 64)
    damaged_copy(store, 0, copy)
    damaged_copy(store, 1 + (store.sequence & 1), copy)
    assert named(checked, image_of(store.path)) == [(ss.HEADER, copy), (ss.RECORD, copy)]
    for only_begun in (1, 0):
        status, _, image = call(
            checked,
            "episode",
            (70, 64, only_begun),
            want=(0,),
            arrays=(image_of(store.path), KEY, *planes(memory), changed(memory, memory)),
        )
        assert STATUSES[status] == "ok" and named(checked, image) == []


def test_what_a_lost_or_misplaced_write_leaves_is_found(tmp_path, checked):
    """Whole and sealed, but of an older memory, or of another place."""
    store, memory = aged_store(tmp_path / "m", 500, 64)
    at, blocks, images = store.layout, list(range(8)), [image_of(store.path)]
    for i in range(2):
        memory = episode_after(memory, blocks, 20 + i)
        store.commit(memory)
        images.append(image_of(store.path))
    (old, _, new), parity = images, store.sequence & 1
    home = int(new[at.state_at(0, parity) + 16]) >> 3 & 1

    def with_piece(start: int, n: int, source: np.ndarray, source_start: int) -> list[tuple[int, int]]:
        image = new.copy()
        image[start : start + n] = source[source_start : source_start + n]
        return named(checked, image, 500)

    state, other = at.state_at(1, parity), at.state_at(0, parity)
    assert with_piece(state, UNIT, old, state) == [(ss.STATE, 1)]
    assert with_piece(state, UNIT, new, other) == [(ss.STATE, 1)]
    for low, kind in ((False, ss.HIGH), (True, ss.LOW)):
        plane = at.plane_at(3, home, low)
        assert with_piece(plane, at.plane, old, plane) == [(kind, 3)]
        assert with_piece(plane, at.plane, new, plane + at.plane) == [(kind, 3)]
    record, elsewhere = at.copy_at(1 + parity, 0), at.copy_at(2 - parity, 0)
    assert with_piece(record, UNIT, old, record) == [(ss.RECORD, 0)]
    assert with_piece(record, UNIT, new, elsewhere) == [(ss.RECORD, 0)]
    new[elsewhere : elsewhere + UNIT] = new[record : record + UNIT]
    assert with_piece(record, UNIT, old, record) == [(ss.RECORD, 0)], (
        "a misplaced record does not stand in for its copy"
    )


# -- files
# ----------------------------------------------------------------------------------------------------


def open_file(command: list[str], path: Path, slots: int = 70, width: int = 64, writable: bool = True) -> str:
    return STATUSES[call(command, "file_open", (slots, width, writable), arrays=(ss.text(path), KEY))[0]]


def spoil(path: Path, what: str) -> None:
    size = path.stat().st_size
    if what == "blank":
        path.write_bytes(bytes(size))
    elif what == "erased":
        path.write_bytes(b"\xff" * size)
    elif what == "foreign":
        path.write_bytes(b"\x89PNG" * (size // 4))
    elif what.startswith("short "):
        kind, length = what.split()[1:]
        begin = {"blank": bytes(4), "erased": b"\xff" * 4, "foreign": b"\x89PNG"}.get(kind)
        path.write_bytes((begin * size if begin else path.read_bytes())[: int(length)])
    elif what == "short":
        os.truncate(path, size - 1)
    elif what == "empty":
        os.truncate(path, 0)
    elif what == "newer":
        with open(path, "r+b") as f:
            f.write(seal(b"", HEADER, 2, 0))
    elif what == "both headers":
        store = MemoryStore.open(path)
        damaged_copy(store, 0, 0)
        damaged_copy(store, 0, 1)
    elif what == "all records":
        store = MemoryStore.open(path)
        for unit, copy in ((1, 0), (1, 1), (2, 0), (2, 1)):
            damaged_copy(store, unit, copy)
    elif what == "missing":
        path.unlink()
    elif what == "pipe":
        path.unlink()
        os.mkfifo(path)
    else:
        path.unlink()
        path.mkdir()


@pytest.mark.parametrize(
    "what, status",
    [
        ("blank", "blank"),
        ("erased", "blank"),
        ("foreign", "foreign"),
        ("short", "short"),
        ("empty", "short"),
        *((f"short {kind} {n}", kind) for kind in ("blank", "foreign") for n in (3, 300, UNIT, UNIT + 300)),
        ("short erased 300", "blank"),
        ("short store 300", "short"),
        (f"short store {UNIT + 300}", "short"),
        ("newer", "newer"),
        ("both headers", "damaged"),
        ("all records", "damaged"),
        ("missing", "missing"),
        ("pipe", "foreign"),
        ("folder", "foreign"),
    ],
)
@pytest.mark.parametrize("writable", [False, True])
def test_a_file_that_is_no_store_of_ours_gets_its_word(tmp_path, checked, what, status, writable):
    path = tmp_path / "m"
    aged_store(path, 70, 64)
    assert open_file(checked, path, writable=writable) == "ok"
    spoil(path, what)
    assert open_file(checked, path, writable=writable) == status


def test_other_shape_or_model_gets_its_word(tmp_path, checked):
    MemoryStore.create(tmp_path / "m", random_memory(70, 64), DIGEST)
    assert open_file(checked, tmp_path / "m", slots=71) == "shape"
    assert open_file(checked, tmp_path / "m", width=65) == "shape"
    MemoryStore.create(tmp_path / "m", random_memory(70, 64), DIGEST[::-1])
    assert open_file(checked, tmp_path / "m") == "model"


def test_one_writer_or_many_readers(tmp_path, checked):
    import fcntl

    MemoryStore.create(tmp_path / "m", random_memory(70, 64), DIGEST)
    with open(tmp_path / "m", "rb") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        assert open_file(checked, tmp_path / "m") == "busy"
        assert open_file(checked, tmp_path / "m", writable=False) == "ok"
        fcntl.flock(other, fcntl.LOCK_EX)
        assert open_file(checked, tmp_path / "m", writable=False) == "busy"


def test_full_disk_and_write_protection_get_their_words(tmp_path, fast):
    """On file systems mounted for the test: a file with holes on a disk without room for them, and a
    read-only one.
    """
    if (
        not shutil.which("unshare")
        or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode
    ):
        pytest.skip("this machine does not let its users mount file systems of their own (unshare -rm)")
    MemoryStore.create(tmp_path / "m", random_memory(70, 64), DIGEST)
    (tmp_path / "disk").mkdir()
    file = tmp_path / "disk" / "m"
    mount = (
        f"mount -t tmpfs -o size=32k none {file.parent} && cp --sparse=always {tmp_path / 'm'} {file} "
        f"2>/dev/null; truncate -s 65536 {file}"
    )
    full = ["unshare", "-rm", "sh", "-c", f"{mount}; exec {fast[0]}"]
    assert open_file(full, file) == "full"
    mount = (
        f"mount -t tmpfs none {file.parent} && cp {tmp_path / 'm'} {file} && mount -o remount,bind,ro "
        f"{file.parent}"
    )
    protected = ["unshare", "-rm", "sh", "-c", f"{mount}; exec {fast[0]}"]
    assert open_file(protected, file) == "read-only"
    assert open_file(protected, file, writable=False) == "ok"


def test_permission_gets_its_word(tmp_path, fast):
    MemoryStore.create(tmp_path / "m", random_memory(70, 64), DIGEST)
    (tmp_path / "m").chmod(0)
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        pytest.skip(
            "root may open every file, and there is no setpriv (apt-get install util-linux) to give that up"
        )
    humble = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    assert open_file([*humble, *fast], tmp_path / "m") == "permission"


def test_every_status_has_a_sentence_of_its_own(checked):
    sentences = {
        call(checked, "text", (i,), arrays=(np.zeros(200, np.uint8),), want=(0,))[2].tobytes()
        for i in range(len(STATUSES))
    }
    assert len(sentences) == len(STATUSES) and not any(b"unknown" in s for s in sentences)
    assert (
        b"unknown"
        in call(checked, "text", (len(STATUSES),), arrays=(np.zeros(200, np.uint8),), want=(0,))[2].tobytes()
    )


def test_an_episode_on_a_file_is_what_python_reads(tmp_path, checked):
    store, memory = aged_store(tmp_path / "m", 1000, 96)
    after = episode_after(memory, [0, 3, 8, 15], 4)
    status, read_back = call(
        checked,
        "file_episode",
        (1000, 96),
        arrays=(ss.text(store.path), KEY, *planes(after), changed(memory, after)),
    )
    assert (STATUSES[status], read_back) == ("ok", 1)
    opened = MemoryStore.open(store.path, DIGEST)
    assert opened.sequence == store.sequence + 1 and not opened.damaged and ss.same(opened.read(), after)


@pytest.mark.parametrize("slots, width, episodes", [(65536, 128, 1), (1, 1, 0), (64, 64, 2), (449, 100, 3)])
def test_a_read_from_a_file_is_golden(tmp_path, fast, slots, width, episodes):
    """Bit for bit, several times through the buffers."""
    store, memory = aged_store(tmp_path / "m", slots, width, episodes)
    rng = np.random.default_rng(3)
    q, scale = np.zeros(-(-width // 64) * 64, np.int8), np.float32(0.02)
    q[:width] = rng.integers(-127, 128, width)
    status, _, got = call(
        fast,
        "file_read",
        (slots, width, 3),
        f=(scale,),
        want=(3,),
        arrays=(ss.text(store.path), KEY, q, np.zeros(width, np.float32)),
    )
    want = nm.memory_read(q[:width], scale, nm.high_bytes(memory.codes), memory.scales * np.float32(256))
    assert status == 0
    assert np.array_equal(got.view(np.uint32), want.view(np.uint32))


@pytest.mark.parametrize("slots, width, episodes", [(1000, 96, 1), (2, 1, 0), (64, 64, 2), (449, 100, 3)])
def test_a_keyed_read_from_a_file_is_golden(tmp_path, checked, slots, width, episodes):
    """Keys and values of the slots in use, several times through the buffers."""
    rng = np.random.default_rng(5)
    memory = keyed_memory(slots, width)
    store = MemoryStore.create(tmp_path / "m", memory, DIGEST)
    for episode in range(episodes):
        memory = keyed_memory(slots, width, episode + 1)
        store.commit(memory)
    q, scale = np.zeros(-(-width // 64) * 64, np.int8), np.float32(0.02)
    q[:width] = rng.integers(-127, 128, width)
    status, _, got = call(
        checked,
        "file_read",
        (slots, width, 3, 1),
        f=(scale,),
        want=(3,),
        arrays=(ss.text(store.path), KEY, q, np.zeros(width, np.float32)),
    )
    keys, values = nm.planes(memory.codes)
    want = nm.keyed_read(q[:width], scale, keys, memory.scales, values, memory.usage)
    assert status == 0
    assert np.array_equal(got.view(np.uint32), want.view(np.uint32))
