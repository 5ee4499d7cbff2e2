# SPDX-License-Identifier: Apache-2.0
"""A store and a snapshot of keys and values: what is kept of them, and what is said of a memory of another
rule.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors import safe_open
from support import need

from bitmar_tiny.api.memory import import_memory, open_store
from bitmar_tiny.api.run import session
from bitmar_tiny.cli.memory import command
from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.lower import lower
from bitmar_tiny.codegen.memory_cost import memory_cost
from bitmar_tiny.codegen.plan import make_plan
from bitmar_tiny.errors import StoreError
from bitmar_tiny.golden.model import GoldenModel
from bitmar_tiny.memory.inspect import Source, memory_of, nearest, summarise
from bitmar_tiny.memory.snapshot import write_snapshot
from bitmar_tiny.memory.store import Memory, MemoryStore
from bitmar_tiny.verify.script import random_image


def run(*arguments) -> None:
    done = CliRunner().invoke(command, [str(a) for a in arguments])
    if done.exception:
        raise done.exception


def test_reset_export_import_is_a_round_trip(keyed, tmp_path):
    keyed.save(tmp_path / "m.bitmar")
    run("reset", tmp_path / "m.bitmar", "-o", tmp_path / "a.store")
    run("export", tmp_path / "a.store", "-o", tmp_path / "s.safetensors")
    with safe_open(tmp_path / "s.safetensors", framework="numpy") as f:
        assert f.metadata()["rule"] == "keyed"
    run("import", tmp_path / "s.safetensors", "-o", tmp_path / "b.store", "--model", tmp_path / "m.bitmar")
    assert (tmp_path / "a.store").read_bytes() == (tmp_path / "b.store").read_bytes()
    opened = open_store(tmp_path / "b.store", keyed)
    assert opened.layout.keyed and opened.read().keyed
    assert np.array_equal(opened.read().codes, keyed.arrays["memory.m.codes"])


def test_an_empty_memory_keeps_what_was_learned(keyed):
    memory, fixed = memory_of(keyed, empty=True), keyed.config.fixed_slots
    assert np.array_equal(memory.empty, np.arange(memory.slots) >= fixed)
    assert np.array_equal(memory.codes[:fixed], keyed.arrays["memory.m.codes"][:fixed])


def test_a_memory_of_another_rule_is_refused_in_words(keyed, tmp_path):
    """Even one that says it is this model's."""
    other = replace(memory_of(keyed), keyed=False)
    store = MemoryStore.create(tmp_path / "m.store", other, keyed.digest)
    with pytest.raises(StoreError, match="rows of 16 bits.*keys and values") as refused:
        open_store(tmp_path / "m.store", keyed)
    assert refused.value.hint
    with pytest.raises(StoreError, match="rows of 16 bits.*keys and values"):
        store.commit(memory_of(keyed))
    write_snapshot(tmp_path / "s", other, keyed.digest, 1)
    with pytest.raises(StoreError, match="rows of 16 bits.*keys and values"):
        import_memory(tmp_path / "s", tmp_path / "new.store", model=keyed)
    with pytest.raises(StoreError, match="rows of 16 bits.*keys and values"):
        summarise(Source("s", other, keyed.digest), keyed)


def test_what_was_seen_is_found_again(keyed):
    """The slot that a picture was kept in answers it, and says how many episodes ago that was."""
    golden = GoldenModel(keyed.config, keyed.arrays)
    pictures = [random_image(keyed.config, np.random.default_rng(i)) for i in range(3)]
    slots = []
    golden.tap = lambda name, a: slots.append(int(a[0])) if name == "write.slot" else None
    for picture in pictures:
        golden.begin_episode()
        golden.set_image(picture)
        golden.step(5)
        golden.end_episode()
    memory = Memory(golden.m_codes, golden.m_scales, golden.m_usage, keyed=True)
    source = Source("taught", memory, keyed.digest)
    for episode, picture in enumerate(pictures):
        found = nearest(source, keyed, [], picture, memory.slots)
        first = max(found, key=lambda near: near.cosine)
        assert first.slot == slots[episode] and first.rest == 2 - episode
        assert len(found) == (~memory.empty).sum() and abs(sum(n.share for n in found) - 1) < 1e-6
    summary = summarise(source, keyed)
    assert summary.empty == memory.empty.sum() and summary.stale is None
    nothing = Memory(memory.codes, memory.scales, memory.usage * 0, keyed=True)
    assert nearest(Source("nothing", nothing, keyed.digest), keyed, [], None, 3) == []


def test_a_board_says_what_its_rows_are_and_writes_one_block(keyed):
    """As many bytes an episode as the plan says, but for the first, which makes sure of what it found."""
    need("host")
    written = []
    with session(keyed, "host", memory_in="sd") as board:
        memory = board.read_memory()
        for episode in range(3):
            board.begin()
            board.tokens([5, episode])
            board.end()
            written.append(board.counters()["written_bytes"])
    assert memory.keyed and np.array_equal(memory.codes, keyed.arrays["memory.m.codes"])
    host, blob = load_board("host"), lower(keyed, "portable", memory="sd")
    cost = memory_cost(keyed.config, blob, host, make_plan(keyed.config, blob, host))
    assert np.diff(written).tolist() == [cost.write_most] * 2
