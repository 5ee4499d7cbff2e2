# SPDX-License-Identifier: Apache-2.0
"""The ESP32's card, on this computer: the second task that reads ahead, with threads for tasks, under a
thread sanitizer.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from espidf_support import settings
from support import need

from bitmar_tiny.arch.config import preset
from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.frozen import random_model
from bitmar_tiny.golden import numerics as nm
from bitmar_tiny.memory.format import ROWS
from bitmar_tiny.memory.store import Memory, MemoryStore

FIRMWARE = Path(__file__).parents[1] / "firmware"
COMPILE_TIMEOUT_S, RUN_TIMEOUT_S = 300, 120
SLOTS = 500


@pytest.fixture(scope="module")
def model():
    return random_model(preset("demo").model_copy(update={"memory_slots": SLOTS}))


@pytest.fixture(scope="module")
def program(model, tmp_path_factory):
    need("host", "gcc")
    project = emit(
        model, load_board("esp32-s3-n16r8"), tmp_path_factory.mktemp("card") / "p", "portable", memory="sd"
    )
    ours = ["-Dopen=host_open", "-Dread=host_read", "-Dwrite=host_write", "-DCONFIG_BITMAR_MEMORY_SDMMC=1"]
    ours += settings(project)
    flags = [
        "-std=gnu11",
        "-O1",
        "-g",
        "-fsanitize=thread",
        "-Wall",
        f"-I{project.sources}",
        f"-I{project.path / 'main'}",
        "-isystem",
        str(FIRMWARE / "idf_headers"),
    ]
    objects, out = [], project.path / "card"
    for source, more in (
        (project.path / "main" / "espidf_store.c", ours),
        (FIRMWARE / "espidf_card.c", []),
        *(
            (project.sources / f"bm_{name}.c", [])
            for name in ("store", "store_episode", "store_format", "crc32")
        ),
    ):
        objects.append(str(out.with_name(f"{source.stem}.o")))
        _run(["gcc", *flags, *more, "-c", str(source), "-o", objects[-1]])
    _run(["gcc", "-fsanitize=thread", *objects, "-o", str(out), "-lpthread"])
    return out


def start(program: Path, *arguments) -> subprocess.CompletedProcess:
    """Run it at fixed addresses where the system allows that: the sanitizers of older compilers know no
    others.
    """
    fixed = ["setarch", "-R"]
    if not shutil.which(fixed[0]) or subprocess.run([*fixed, "true"], capture_output=True).returncode:
        fixed = []
    return subprocess.run(
        [*fixed, str(program), *map(str, arguments)], capture_output=True, timeout=RUN_TIMEOUT_S
    )


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S)
    assert done.returncode == 0, done.stderr[-2000:]


def store_of(model, path: Path) -> MemoryStore:
    a = model.arrays
    return MemoryStore.create(
        path, Memory(a["memory.m.codes"], a["memory.m.scales"], a["memory.m.usage"]), model.digest
    )


def shown(memory: Memory) -> bytes:
    """What the program prints of a memory."""
    pitch = -(-memory.width // 64) * 64
    high = np.zeros((memory.slots, pitch), np.int8)
    high[:, : memory.width] = nm.high_bytes(memory.codes)
    return b"".join(
        high[i : i + ROWS].tobytes() + memory.scales[i : i + ROWS].tobytes()
        for i in range(0, memory.slots, ROWS)
    )


@pytest.mark.parametrize("delay_us", [0, 300])
def test_what_is_read_ahead_is_what_is_there(tmp_path, model, program, delay_us):
    """Slow and fast cards, short reads and writes, episodes between the reads: no race, and the bytes of the
    memory.
    """
    store = store_of(model, tmp_path / "memory.store")
    memory, episodes = store.read(), 3
    done = start(program, tmp_path, delay_us, episodes)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    codes, want = memory.codes.copy(), shown(memory)
    for episode in range(1, episodes + 1):
        high, low = nm.high_bytes(codes), codes.astype(np.int32) - 256 * nm.high_bytes(codes).astype(np.int32)
        high[::ROWS, 0] += np.int8(episode)
        codes = (256 * high.astype(np.int32) + low).astype(np.int16)
        want += shown(Memory(codes, memory.scales, memory.usage))
    assert done.stdout == want
    assert np.array_equal(MemoryStore.open(store.path, model.digest).read().codes, codes)


@pytest.mark.parametrize(
    "what, words",
    [
        ("no card", "no SD card"),
        ("no file", "no file memory.store"),
        ("another model", "another model"),
        ("short", "cut short"),
        ("blank", "blank"),
    ],
)
def test_a_card_that_cannot_be_used_gets_a_sentence(tmp_path, model, program, what, words):
    folder = tmp_path / "card"
    if what != "no card":
        folder.mkdir()
    if what == "another model":
        store_of(random_model(model.config, seed=7), folder / "memory.store")
    elif what in ("short", "blank"):
        size = store_of(model, folder / "memory.store").layout.size
        with open(folder / "memory.store", "r+b") as f:
            f.truncate(0 if what == "blank" else size - 1)
            f.truncate(size if what == "blank" else size - 1)
    done = start(program, folder, 0, 0)
    assert done.returncode == 3 and words in done.stderr.decode() and len(done.stderr.splitlines()) == 1
