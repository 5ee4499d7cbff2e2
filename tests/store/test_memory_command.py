# SPDX-License-Identifier: Apache-2.0
"""`bitmar-tiny memory`, and the Python side of the store: what it says of damage, other models and other
files.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file
from support import need

from bitmar_tiny.cli.memory import command
from bitmar_tiny.errors import BitmarError, ConfigError, StoreError
from bitmar_tiny.evaluate.sources import load_source, logged_reads
from bitmar_tiny.frozen import FrozenModel, random_model
from bitmar_tiny.golden import numerics as nm
from bitmar_tiny.golden.model import GoldenModel
from bitmar_tiny.memory.format import UNIT, Layout, seal
from bitmar_tiny.memory.inspect import Source, memory_of, nearest, rest, summarise
from bitmar_tiny.memory.store import Memory, MemoryStore
from bitmar_tiny.report.memory import draw


@pytest.fixture
def saved(tiny, tmp_path):
    tiny.save(tmp_path / "m.bitmar")
    return tmp_path


def run(*arguments, code=0):
    done = CliRunner().invoke(command, [str(a) for a in arguments])
    if code == 0 and done.exception:
        raise done.exception
    return done


def equal(a: Memory, b: Memory) -> bool:
    return all(np.array_equal(getattr(a, k), getattr(b, k)) for k in ("codes", "scales", "usage"))


def test_reset_export_import_is_a_round_trip(tiny, saved):
    run("reset", saved / "m.bitmar", "-o", saved / "a.store")
    assert equal(MemoryStore.open(saved / "a.store", tiny.digest).read(), memory_of(tiny))
    run("export", saved / "a.store", "-o", saved / "s.safetensors")
    run("import", saved / "s.safetensors", "-o", saved / "b.store", "--model", saved / "m.bitmar")
    assert (saved / "a.store").read_bytes() == (saved / "b.store").read_bytes()
    with pytest.raises(ConfigError, match="is there already"):
        run("reset", saved / "m.bitmar", "-o", saved / "a.store")
    run("reset", saved / "m.bitmar", "-o", saved / "a.store", "--empty", "--force")
    assert not MemoryStore.open(saved / "a.store").read().rows().any()


def test_commits_leave_what_golden_leaves(tiny, saved):
    """Episode after episode, written by golden: the store holds exactly its memory, and one writing failed
    leaves the one before.
    """
    store = MemoryStore.create(saved / "a.store", memory_of(tiny), tiny.digest)
    golden = GoldenModel(tiny.config, tiny.arrays)
    for episode in range(12):
        golden.begin_episode()
        for token in (256, episode, 7):
            golden.step(token)
        golden.end_episode()
        store.commit(Memory(golden.m_codes.copy(), golden.m_scales.copy(), golden.m_usage.copy()))
        again = MemoryStore.open(saved / "a.store", tiny.digest)
        assert again.sequence == episode + 2 and not again.damaged
        assert equal(again.read(), Memory(golden.m_codes, golden.m_scales, golden.m_usage))


def test_every_flipped_byte_is_named_or_harmless(saved):
    rng = np.random.default_rng(0)
    memory = Memory(
        rng.integers(-32000, 32000, (70, 64)).astype(np.int16),
        rng.random(70).astype(np.float32),
        rng.integers(0, 1 << 24, 70).astype(np.uint32),
    )
    store = MemoryStore.create(saved / "a.store", memory, "ab" * 32)
    changed = Memory(memory.codes.copy(), memory.scales, memory.usage)
    changed.codes[3] = 5  # block 0 lives in its second home, block 1 in its first
    store.commit(changed)
    image, named = (saved / "a.store").read_bytes(), 0
    for at in rng.choice(len(image), 1500, replace=False):
        flipped = bytearray(image)
        flipped[at] ^= 1 << rng.integers(8)
        (saved / "f.store").write_bytes(flipped)
        opened = MemoryStore.open(saved / "f.store", "ab" * 32)
        found, lost = opened.check()
        named += bool(lost or opened.damaged)
        assert lost or equal(found, changed), at
    assert 300 < named < 1200  # dead homes and old records are most of the rest


@pytest.mark.parametrize(
    "content, words",
    [
        (None, "no such file"),
        (b"", "only blank bytes"),
        (bytes(70000), "only blank bytes"),
        (b"\xff" * 70000, "only blank bytes"),
        (b"%PDF-1.7" * 9000, "not a memory store"),
        (seal(b"", 0x54534D42, 9, 0) + bytes(60000), "format 9, this program reads 1"),
    ],
)
def test_what_is_no_store(tmp_path, content, words):
    path = tmp_path / "x"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoreError, match=words) as caught:
        MemoryStore.open(path)
    assert caught.value.hint


def test_cut_short_wrong_model_no_commit(tiny, saved):
    image = MemoryStore.create(saved / "a.store", memory_of(tiny), tiny.digest).path.read_bytes()
    (saved / "b.store").write_bytes(image[:-UNIT])
    with pytest.raises(StoreError, match="cut short"):
        MemoryStore.open(saved / "b.store")
    with pytest.raises(StoreError, match="belongs to another model"):
        MemoryStore.open(saved / "a.store", "00" * 32)
    at, blank = Layout(tiny.config.memory_slots, tiny.config.d_model), bytearray(image)
    for copy in (0, 1):
        blank[at.copy_at(1, copy) : at.copy_at(1, copy) + 2 * UNIT] = bytes(2 * UNIT)
    (saved / "c.store").write_bytes(blank)
    with pytest.raises(StoreError, match="no commit record"):
        MemoryStore.open(saved / "c.store")


def test_verify_names_lost_rows_and_salvage_keeps_the_rest(tiny, saved):
    run("reset", saved / "m.bitmar", "-o", saved / "a.store")
    at = Layout(tiny.config.memory_slots, tiny.config.d_model)
    image = bytearray((saved / "a.store").read_bytes())
    image[at.plane_at(1, 0, False) + 3] ^= 4
    (saved / "a.store").write_bytes(image)
    failed = run("verify", saved / "a.store", code=1)
    assert isinstance(failed.exception, StoreError) and "high bytes of rows 64 to 69" in str(failed.exception)
    assert failed.exception.exit_code == 1
    with pytest.raises(StoreError, match="damaged: the high bytes of rows 64 to 69[.].*--salvage"):
        run("export", saved / "a.store", "-o", saved / "s.safetensors")
    run("export", saved / "a.store", "-o", saved / "s.safetensors", "--salvage")
    run("import", saved / "s.safetensors", "-o", saved / "b.store")
    saved_rows, rows = MemoryStore.open(saved / "b.store").read().codes, memory_of(tiny).codes
    assert np.array_equal(saved_rows[:64], rows[:64]) and not saved_rows[64:].any()


def test_inspect_in_numbers_and_pictures(tiny, saved):
    run("reset", saved / "m.bitmar", "-o", saved / "a.store")
    out = json.loads(
        run(
            "inspect",
            saved / "a.store",
            saved / "m.bitmar",
            "--model",
            saved / "m.bitmar",
            "--json",
            "--figure",
            saved / "f.png",
        ).output
    )
    first, second = out["memories"]
    assert first["slots"] == 70 and first["sequence"] == 1 and second["sequence"] is None
    assert first["effective_slots"] == pytest.approx(70) and first["stale"] == 0
    assert (saved / "f.png").read_bytes()[:4] == b"\x89PNG"
    run("inspect", saved / "a.store", "--figure", saved / "f.svg")
    assert "<svg" in (saved / "f.svg").read_text()
    for arguments, words in (
        (("--text", "a"), "Add --model"),
        (("--figure", saved / "f.gif"), ".png or .svg"),
        (("--text", "a", "--model", saved / "m.bitmar"), "no tokenizer"),
    ):
        with pytest.raises(ConfigError, match=words):
            run("inspect", saved / "a.store", *arguments)


def test_inspect_refuses_the_memory_of_another_model(tiny, saved):
    run("reset", saved / "m.bitmar", "-o", saved / "a.store")
    random_model(tiny.config, seed=5).save(saved / "other.bitmar")
    with pytest.raises(StoreError, match="a.store: the memory belongs to another model"):
        run("inspect", saved / "a.store", "--model", saved / "other.bitmar")


def test_a_card_that_is_not_mounted_is_not_made_up(saved):
    run("reset", saved / "m.bitmar", "-o", saved / "a.store")
    for arguments in (("reset", saved / "m.bitmar"), ("export", saved / "a.store")):
        with pytest.raises(StoreError, match="there is no folder .*card"):
            run(*arguments, "-o", saved / "card" / "x")
    assert not (saved / "card").exists()


def test_devices_and_pipes_are_never_replaced(tiny, saved):
    os.mkfifo(saved / "pipe")
    run("reset", saved / "m.bitmar", "-o", saved / "a.store")
    for arguments in (("reset", saved / "m.bitmar"), ("export", saved / "a.store")):
        with pytest.raises(StoreError, match="is a device or a pipe, not a file"):
            run(*arguments, "-o", saved / "pipe", "--force")
    assert (saved / "pipe").is_fifo()


def test_a_block_device_is_written_in_place(tiny, saved, monkeypatch):
    """A file stands in for the device: as large as it was, the same node, the store at its start."""
    size = Layout(tiny.config.memory_slots, tiny.config.d_model).size
    device, small = saved / "card", saved / "small"
    device.write_bytes(b"\x55" * (size + 4096))
    small.write_bytes(b"\x55" * (size - 1))
    node = device.stat().st_ino
    monkeypatch.setattr(Path, "is_block_device", lambda path: path in (device, small))
    run("reset", saved / "m.bitmar", "-o", device, "--force")
    assert device.stat().st_ino == node and device.read_bytes()[size:] == b"\x55" * 4096
    assert equal(MemoryStore.open(device, tiny.digest).read(), memory_of(tiny))
    with pytest.raises(StoreError, match=f"has {size - 1:,} bytes, {size:,} are needed"):
        run("reset", saved / "m.bitmar", "-o", small, "--force")
    assert small.read_bytes() == b"\x55" * (size - 1)


def test_the_nearest_slot_is_the_one_that_was_written(tiny):
    """A row set to the query itself answers it."""
    golden = GoldenModel(tiny.config, tiny.arrays)
    for token in (256, 3, 4):
        golden.step(token)
    q, scale = golden.query()
    codes, row_scale = nm.quantize16(q.astype(np.float32) * scale * np.float32(40))
    memory = memory_of(tiny)
    memory.codes[11], memory.scales[11] = codes, row_scale
    arrays = tiny.arrays | {"memory.m.codes": memory.codes, "memory.m.scales": memory.scales}
    changed = FrozenModel(tiny.config, arrays)
    source = load_of(changed)
    best = nearest(source, changed, [3, 4], None, 3)
    assert best[0].slot == 11 and best[0].cosine > 0.999 and best[0].share > 0.5 >= best[1].share
    with pytest.raises(StoreError, match="another model"):
        nearest(source, tiny, [3, 4], None, 3)


def load_of(model):
    return Source("memory", memory_of(model), model.digest)


def test_rest_counts_episodes():
    usage = np.full(100, nm.USAGE_ONE // 100, np.uint32)
    for _ in range(40):
        usage[5:] = usage[5:] - (usage[5:] >> 5)
    found = rest(usage)
    assert found[0] == pytest.approx(0, abs=0.1) and np.allclose(found[5:], 40, atol=0.5)


def test_a_full_disk_leaves_nothing_behind(tiny, saved, monkeypatch):
    import os

    monkeypatch.setattr(os, "fsync", lambda fd: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(BitmarError):
        MemoryStore.create(saved / "a.store", memory_of(tiny), tiny.digest)
    assert sorted(p.name for p in saved.iterdir()) == ["m.bitmar"]
    assert summarise(load_source(saved / "m.bitmar")).slots == 70


def test_memory_of_a_board_goes_both_ways(tiny, odd, tmp_path):
    """Over the link: out of a board into a snapshot, and back; another model's is refused."""
    need("host")
    tiny.save(tmp_path / "m.bitmar")
    odd.save(tmp_path / "other.bitmar")
    on_board = ["--port", "host:", "--model", str(tmp_path / "m.bitmar")]
    assert CliRunner().invoke(command, ["export", "-o", str(tmp_path / "s"), *on_board]).exit_code == 0
    assert np.array_equal(load_file(tmp_path / "s")["codes"], tiny.arrays["memory.m.codes"])
    assert CliRunner().invoke(command, ["import", str(tmp_path / "s"), *on_board]).exit_code == 0
    refused = CliRunner().invoke(
        command, ["import", str(tmp_path / "s"), "--port", "host:", "--model", str(tmp_path / "other.bitmar")]
    )
    assert isinstance(refused.exception, StoreError) and "another model" in str(refused.exception)
    assert "STORE" in str(CliRunner().invoke(command, ["export", "-o", str(tmp_path / "t")]).exception)


def test_a_boards_dump_is_looked_at_like_a_store(tiny, saved):
    """A snapshot has no store around it; the picture of both is of the same memory."""
    run("reset", saved / "m.bitmar", "-o", saved / "a.store")
    run("export", saved / "a.store", "-o", saved / "s.safetensors", "--model", saved / "m.bitmar")
    out = json.loads(
        run(
            "inspect", saved / "a.store", saved / "s.safetensors", "--model", saved / "m.bitmar", "--json"
        ).output
    )["memories"]
    same = [{k: v for k, v in m.items() if k not in ("name", "sequence")} for m in out]
    assert same[0] == same[1] and [m["sequence"] for m in out] == [1, None]
    with pytest.raises(StoreError, match="a memory store, not a snapshot"):
        run("import", saved / "a.store", "-o", saved / "b.store")
    with pytest.raises(StoreError, match="damaged or not a snapshot"):
        (saved / "t.safetensors").write_bytes(b"not one at all")
        run("inspect", saved / "t.safetensors")


def test_the_figure_of_a_run_is_drawn_from_its_log(tiny, tmp_path):
    reads = {step: np.roll(np.linspace(0, 2 / 70, 70), step) for step in (10, 20, 40)}
    log = [{"kind": "step", "step": s, "memory": {"reads": r.tolist()}} for s, r in reads.items()]
    log += [
        {"kind": "step", "step": 50, "memory": {}},
        {"kind": "step", "step": 60, "memory": {"reads": [1.0]}},
        {"kind": "note", "step": 60, "text": ""},
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    found = logged_reads(tmp_path, 70)
    assert list(found) == [10, 20, 40] and all(np.array_equal(found[s], reads[s]) for s in reads)
    assert logged_reads(tmp_path / "none", 70) == {}
    pictures = []
    for source in (
        Source("run", memory_of(tiny), tiny.digest, reads=found),
        Source("run", memory_of(tiny), tiny.digest),
    ):
        draw([source], tmp_path / "f.svg")
        pictures.append((tmp_path / "f.svg").read_text())
    assert (
        pictures[0].count("<image") == 4 and pictures[1].count("<image") == 4 and pictures[0] != pictures[1]
    )


def test_a_named_model_has_to_be_the_stores(tiny, saved):
    run("reset", saved / "m.bitmar", "-o", saved / "a.store")
    random_model(tiny.config, seed=5).save(saved / "other.bitmar")
    for arguments in (("verify",), ("export", "-o", saved / "s.safetensors")):
        with pytest.raises(StoreError, match="belongs to another model"):
            run(arguments[0], saved / "a.store", *arguments[1:], "--model", saved / "other.bitmar")
