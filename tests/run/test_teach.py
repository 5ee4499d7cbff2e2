# SPDX-License-Identifier: Apache-2.0
"""Things shown once, asked, forgotten and listed: in golden, in C, and in a store that is opened again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from kills import contents, writes
from support import KEYED, need
from taught_support import COLOURS, SOME_BACKBONE, knowing, picture, seen

import bitmar_tiny as bt
from bitmar_tiny.data.backbone_record import UNKNOWN
from bitmar_tiny.frozen import FrozenModel, random_model
from bitmar_tiny.golden import numerics as nm
from bitmar_tiny.golden.model import GoldenModel
from bitmar_tiny.golden.streams import Streams
from bitmar_tiny.memory.inspect import memory_of
from bitmar_tiny.memory.recital import Rehearsal, first_sentence
from bitmar_tiny.memory.store import Memory, MemoryStore
from bitmar_tiny.run.golden import GoldenSession
from bitmar_tiny.verify.script import random_image


@pytest.fixture(scope="module")
def model():
    return knowing()


def names(things: list[bt.Thing]) -> list[str]:
    return [thing.name for thing in things]


def alone(memory: Memory, slot: int) -> Memory:
    """The memory with one slot in use: the usage of all others, the learned ones included, is 0."""
    usage = np.zeros_like(memory.usage)
    usage[slot] = memory.usage[slot]
    return replace(memory, usage=usage)


@pytest.mark.parametrize("kv_heads", [None, 1])
def test_slots_that_are_recited_at_once_are_so_to_the_bit(kv_heads):
    """Of every slot the logits of each step that a golden model has that reads it alone, empty ones, too."""
    keyed = random_model(KEYED.model_copy(update={"n_kv_heads": kv_heads, "memory_slots": 20}), 4)
    memory, rng = memory_of(keyed), np.random.default_rng(0)
    slots = rng.permutation(memory.slots)
    many, one = Streams(keyed.config, keyed.arrays), GoldenModel(keyed.config, keyed.arrays)
    tokens = rng.integers(0, keyed.config.vocab_size, (keyed.config.context + 4, len(slots)))
    many.begin(memory.codes[slots], memory.scales[slots], memory.usage[slots])
    found = [many.step(row) for row in tokens]
    assert (memory.usage == 0).any()
    for i, slot in enumerate(slots):
        one.m_usage = alone(memory, int(slot)).usage
        one.begin_episode()
        for row, logits in zip(tokens, found, strict=True):
            assert np.array_equal(one.step(int(row[i])), logits[i])


def test_a_slot_alone_is_read_whatever_is_asked(keyed):
    """The value itself, learned slots silent: with and without a picture, at every step."""
    golden, memory = GoldenModel(keyed.config, keyed.arrays), memory_of(keyed)
    read: list[np.ndarray] = []
    golden.tap = lambda name, array: read.append(array) if name == "read.vector" else None
    _, values = nm.planes(memory.codes)
    rng = np.random.default_rng(0)
    slots = np.flatnonzero(memory.usage)[[0, 1, 2, -1]]
    for slot in slots:
        golden.m_usage = alone(memory, int(slot)).usage
        for image in (None, random_image(keyed.config, rng)):
            golden.begin_episode()
            if image is not None:
                golden.set_image(image)
            for token in rng.integers(0, keyed.config.vocab_size, 4):
                golden.step(int(token))
        assert all(np.array_equal(vector, values[slot]) for vector in read) and len(read) == 4
        read.clear()


def test_shown_once_known_from_then_on(model):
    with bt.session(model) as s:
        assert bt.ask_thing(model, picture("red"), on=s).name is None
        assert bt.taught_things(model, on=s) == []
        done = bt.teach_thing(model, "my cup", picture("red"), on=s)
        assert done == bt.Taught(bt.Thing(1, "my cup", 0), None, False, 1)
        bt.teach_thing(model, "dax", picture("lime"), on=s)
        seen = bt.ask_thing(model, picture("red", side=20), on=s)
        assert (seen.text, seen.name) == ("This is my cup.", "my cup")
        assert [(a.slot, a.name, a.learned) for a in seen.slots] == [(1, "my cup", False)]
        assert seen.slots[0].share == pytest.approx(1)
        strange = bt.ask_thing(model, picture("blue"), on=s)
        assert strange.text == "I don't know." and strange.name is None and strange.slots[0].learned
        assert seen.learned_share < 1e-3 and 0.5 < strange.learned_share <= 1
        assert bt.taught_things(model, on=s) == [bt.Thing(2, "dax", 0), bt.Thing(1, "my cup", 1)]
        assert bt.forget_thing(model, "my cup", on=s) == [bt.Thing(1, "my cup", 1)]
        assert bt.ask_thing(model, picture("red"), on=s).name is None
        assert names(bt.taught_things(model, on=s)) == ["dax"]


def test_what_takes_the_place_of_what(model):
    """The same thing keeps its slot; where the memory is full the thing that was shown longest ago goes."""
    with bt.session(model) as s:
        for name, colour in zip(("dax", "wug", "my cup"), COLOURS, strict=False):
            bt.teach_thing(model, name, picture(colour), on=s)
        renamed = bt.teach_thing(model, "apple", picture("red"), on=s)
        assert renamed == bt.Taught(bt.Thing(1, "apple", 0), bt.Thing(1, "dax", 2), True, 3)
        full = bt.teach_thing(model, "my wug", picture("cyan"), on=s)
        assert full == bt.Taught(bt.Thing(2, "my wug", 0), bt.Thing(2, "wug", 2), False, 3)
        assert names(bt.taught_things(model, on=s)) == ["my wug", "apple", "my cup"]
        bt.forget_thing(model, "apple", on=s)
        assert bt.teach_thing(model, "dax", picture("red"), on=s).replaced is None


def test_a_name_is_found_with_and_without_its_article(model):
    with bt.session(model) as s:
        bt.teach_thing(model, " an apple ", picture("red"), on=s)
        bt.teach_thing(model, "apple", picture("lime"), on=s)
        assert names(bt.forget_thing(model, "apple", on=s)) == ["apple", "apple"]
        with pytest.raises(bt.StoreError, match="nothing is known by the name 'apple'") as refused:
            bt.forget_thing(model, "an apple", on=s)
        assert "memory list" in refused.value.hint
        bt.teach_thing(model, "my cup", picture("red"), on=s)
        with pytest.raises(bt.StoreError, match="Did you mean 'my cup'"):
            bt.forget_thing(model, "my cap", on=s)


def test_forgetting_leaves_all_else_as_it_is(model):
    with bt.session(model) as s:
        for name, colour in zip(("dax", "wug"), COLOURS, strict=False):
            bt.teach_thing(model, name, picture(colour), on=s)
        before = s.read_memory()
        bt.forget_thing(model, "dax", on=s)
        after = s.read_memory()
    for part in ("codes", "scales", "usage"):
        was, now = getattr(before, part), getattr(after, part)
        assert not now[1].any() and now.dtype == was.dtype
        assert np.array_equal(np.delete(now, 1, 0), np.delete(was, 1, 0))


@pytest.mark.parametrize(
    "name, error, words",
    [
        ("", bt.ConfigError, "name is empty"),
        (" \t", bt.ConfigError, "name is empty"),
        ("my\ncup", bt.ConfigError, "line break"),
        ("my\x1b[31mcup", bt.ConfigError, "control character"),
        ("St. Cup", bt.ConfigError, "full stop"),
        ("cup " * 20, bt.ConfigError, "an answer has 12 at most"),
        ("\udc80", bt.DataError, "no Unicode text"),
        ("zog", bt.ConfigError, "cannot keep the name 'zog'.* 'a dax.'"),
    ],
    ids=["empty", "blank", "line", "control", "stop", "long", "bytes", "not recited"],
)
def test_a_name_that_cannot_be_kept_changes_nothing(model, tmp_path, name, error, words):
    with pytest.raises(error, match=words) as refused:
        bt.teach_thing(model, name, picture("red"), memory=tmp_path / "m.store")
    assert refused.value.hint and not any(tmp_path.iterdir())
    with bt.session(model) as s:
        before = s.read_memory()
        with pytest.raises(error, match=words):
            bt.teach_thing(model, name, picture("red"), on=s)
        assert np.array_equal(before.usage, s.read_memory().usage)


def test_models_that_nothing_can_be_shown_to(model):
    for other, words in (
        (bt.load("recall"), "no keys"),
        (FrozenModel(model.config, model.arrays), "without a tokenizer"),
    ):
        for call in (bt.teach_thing, bt.forget_thing):
            with pytest.raises(bt.ConfigError, match=words) as refused:
                call(other, "dax", *([picture("red")] if call is bt.teach_thing else []))
            assert refused.value.hint


def test_what_cannot_keep_it_is_refused(model, tmp_path):
    red, store = picture("red"), tmp_path / "m.store"
    for options, error, words in (
        ({}, bt.ConfigError, "needs a memory"),
        ({"on": "torch", "memory": store}, bt.ConfigError, "ends with the command"),
        ({"on": "mps2-an500"}, bt.ConfigError, "ends with the command"),
        ({"on": "/dev/ttyUSB7", "memory": store}, bt.ConfigError, "where its firmware has it"),
        ({"on": "esp33", "memory": store}, bt.ConfigError, "esp33"),
        ({"on": GoldenSession(model, "flash")}, bt.ConfigError, "read-only"),
        ({"on": bt.session(knowing(7))}, bt.ConfigError, "another model"),
    ):
        with pytest.raises(error, match=words):
            bt.teach_thing(model, "dax", red, **options)
    assert not store.exists()
    for call in (bt.ask_thing, bt.forget_thing, bt.taught_things):
        given = {bt.ask_thing: (red,), bt.forget_thing: ("dax",)}.get(call, ())
        with pytest.raises(bt.StoreError, match="no such memory store"):
            call(model, *given, memory=store)
    assert not store.exists()
    MemoryStore.create(store, memory_of(knowing(7)), knowing(7).digest)
    before = contents(tmp_path)
    with pytest.raises(bt.StoreError, match="another model"):
        bt.teach_thing(model, "dax", red, memory=store)
    assert contents(tmp_path) == before


def test_pictures_that_cannot_be_read(model, tmp_path):
    (tmp_path / "cut.png").write_bytes(picture("red")[:50])
    for image, words in (
        (tmp_path / "none.png", "none.png"),
        (tmp_path / "cut.png", "cut.png"),
        (b"", "Standard input: an empty file"),
        (b"no picture", "Standard input: not a picture"),
        (np.zeros((4, 768), np.uint8), r"needs \[1, 768\]"),
        (np.full((1, 768), np.nan, np.float32), "NaN"),
    ):
        with pytest.raises(bt.DataError, match=words):
            bt.teach_thing(model, "dax", image, memory=tmp_path / "m.store")
    assert not (tmp_path / "m.store").exists()


def test_a_store_outlives_its_sessions(model, tmp_path):
    """Each teach is one commit, and so is a forgetting."""
    store = tmp_path / "m.store"
    bt.teach_thing(model, "my cup", picture("red"), memory=store)
    assert MemoryStore.open(store, model.digest).sequence == 2  # the trained memory, and the thing
    bt.teach_thing(model, "dax", picture("lime"), memory=store)
    assert bt.ask_thing(model, picture("red"), memory=store).name == "my cup"
    bt.forget_thing(model, "my cup", memory=bt.memory_store(store, model))
    assert MemoryStore.open(store, model.digest).sequence == 4
    assert bt.ask_thing(model, picture("red"), memory=store).name is None
    assert bt.taught_things(model, memory=store) == [bt.Thing(2, "dax", 0)]


def test_two_at_once_lose_nothing(model, tmp_path):
    """What another program has written meanwhile is not written over."""
    store = tmp_path / "m.store"
    bt.teach_thing(model, "my cup", picture("red"), memory=store)
    with bt.session(model, memory=store) as one, bt.session(model, memory=store) as other:
        bt.teach_thing(model, "dax", picture("lime"), on=one)
        with pytest.raises(bt.StoreError, match="meanwhile"):
            bt.teach_thing(model, "wug", picture("blue"), on=other)
    assert names(bt.taught_things(model, memory=store)) == ["dax", "my cup"]


def test_killed_at_any_moment_it_was_shown_or_was_not(model, tmp_path):
    """The store is not there, or is what it was, or holds the thing: never in between."""
    for kept in (0, 1):
        folder = tmp_path / str(kept)
        folder.mkdir()

        def begin(store, kept=kept):
            store.unlink(missing_ok=True)
            if kept:
                bt.teach_thing(model, "my cup", picture("red"), memory=store)

        def work(store=folder / "m.store"):
            bt.teach_thing(model, "dax", picture("lime"), memory=store)

        begin(folder / "m.store")
        count = writes(work, folder)
        found = set()
        for stop in range(count):
            begin(folder / "m.store")
            writes(work, folder, stop)
            there = (folder / "m.store").exists()
            found.add(tuple(names(bt.taught_things(model, memory=folder / "m.store"))) if there else None)
        old = ["my cup"][:kept]
        assert found <= {None, (), ("dax",), ("my cup",), ("dax", "my cup")} and count
        assert (None in found) <= (not kept) and all(f is None or set(old) <= set(f) for f in found)


def test_c_and_golden_are_taught_the_same(model, tmp_path):
    """One store by golden, one by the C program: the same bytes, and each answers out of the other's."""
    need("host", "gcc")
    stores = {on: tmp_path / on for on in ("golden", "host")}
    for on, store in stores.items():
        first = bt.teach_thing(model, "my cup", picture("red"), memory=store)
        assert first.thing.slot == 1
        with bt.session(model, on, memory=store) as s:
            assert bt.teach_thing(model, "dax", picture("lime"), on=s).known == 2
            assert bt.teach_thing(model, "wug", picture("lime"), on=s).replaced == bt.Thing(2, "dax", 0)
            assert bt.ask_thing(model, picture("red"), on=s).text == "This is my cup."
            assert bt.ask_thing(model, picture("blue"), on=s).text == "I don't know."
            assert names(bt.forget_thing(model, "my cup", on=s)) == ["my cup"]
            assert bt.taught_things(model, on=s) == [bt.Thing(2, "wug", 0)]
    memories = [MemoryStore.open(store, model.digest).read() for store in stores.values()]
    for part in ("codes", "scales", "usage"):
        assert np.array_equal(*(getattr(memory, part) for memory in memories))


def test_a_recital_ends_at_a_full_stop_or_after_some_tokens(model):
    assert first_sentence(" a dax. And so on.") == " a dax." and first_sentence(" a dax") == " a dax"
    tried, memory = Rehearsal(model), memory_of(model)
    assert tried.recite(memory, 0) == " I don't know."
    nothing = replace(memory, usage=memory.usage * 0)
    assert tried.recite(nothing, 0) == tried.recite(memory, 2)  # an empty slot says what no memory says


# -- through a backbone ----------------------------------------------------------------------------


def test_vectors_are_shown_once_and_known_in_golden_and_c(tmp_path):
    model = knowing(backbone=SOME_BACKBONE)
    need("host", "gcc")
    for on in ("golden", "host"):
        store = tmp_path / on
        taught = bt.teach_thing(model, "my cup", seen(model, "red"), memory=store)
        assert taught.thing == bt.Thing(1, "my cup", 0)
        np.save(tmp_path / "red.npy", seen(model, "red") * np.float32(1.2))
        with bt.session(model, on, memory=store) as s:
            bt.teach_thing(model, "dax", seen(model, "lime"), on=s)
            assert bt.ask_thing(model, tmp_path / "red.npy", on=s).text == "This is my cup."
            assert bt.ask_thing(model, seen(model, "blue"), on=s).name is None
            assert names(bt.taught_things(model, on=s)) == ["dax", "my cup"]
            assert names(bt.forget_thing(model, "my cup", on=s)) == ["my cup"]
            assert bt.ask_thing(model, seen(model, "red"), on=s).name is None


def test_who_needs_a_backbone_says_which(model, tmp_path):
    """Whatever is not the one that it was trained with is refused, by both names."""
    through, store = knowing(backbone=SOME_BACKBONE), tmp_path / "m.store"
    (tmp_path / "other.onnx").write_bytes(b"another")
    is_named = r"colours\.onnx \(colours, 1 vector a picture, SHA-256 abababababab\.\.\.\)"
    for image, backbone, words in (
        (picture("red"), None, f"knowing: this model sees through a backbone, {is_named}"),
        (seen(model, "red"), None, f"{is_named}, and these are pixels"),
        (picture("red"), tmp_path / "other.onnx", f"other.onnx .*not the backbone that .*{is_named}"),
    ):
        for ask in (bt.teach_thing, bt.ask_thing):
            given = ("dax", image) if ask is bt.teach_thing else (image,)
            with pytest.raises(bt.ConfigError, match=words) as refused:
                ask(through, *given, memory=store, backbone=backbone)
            assert refused.value.hint and not store.exists()
    with pytest.raises(bt.ConfigError, match="trained on pixels, and other.onnx makes vectors"):
        bt.teach_thing(model, "dax", picture("red"), memory=store, backbone="other.onnx")
    with pytest.raises(bt.DataError, match="none.onnx: does not exist"):
        bt.open_backbone(through, "none.onnx")
    damaged = knowing(backbone=SOME_BACKBONE)
    damaged.provenance["backbone"] = {"label": 3}
    with pytest.raises(bt.ConfigError, match="knowing, backbone: "):
        bt.ask_thing(damaged, picture("red"), memory=store)
    unknown = knowing(backbone=UNKNOWN)
    with pytest.raises(bt.ConfigError, match="nobody recorded which") as refused:
        bt.ask_thing(unknown, picture("red"), memory=store)
    assert ".npy" in refused.value.hint and "--backbone" not in refused.value.hint
