# SPDX-License-Identifier: Apache-2.0
"""Keys apart from values in PyTorch: the memory that golden keeps, read to the same bits, with gradients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from support import KEYED, ODD, TINY

from bitmar_tiny.data.mixture import Batch
from bitmar_tiny.data.sessions import NONE_OF_THEM, UNKNOWN
from bitmar_tiny.errors import ConfigError
from bitmar_tiny.frozen import random_model
from bitmar_tiny.golden.model import GoldenModel
from bitmar_tiny.model.bitmar import BitMar
from bitmar_tiny.model.export import freeze, load_frozen
from bitmar_tiny.model.memory import Slots, kept
from bitmar_tiny.train.config import TrainConfig
from bitmar_tiny.train.feed import prepare
from bitmar_tiny.train.losses import Objective, key_loss
from bitmar_tiny.train.start import latents
from bitmar_tiny.verify.script import random_image

#: One learned slot and four to write.
SMALL = KEYED.model_copy(update={"memory_slots": 5, "memory_fixed": None, "match": 0.9999})


@pytest.mark.parametrize("with_image", [True, False])
def test_a_full_memory_reads_as_in_golden(with_image):
    """Two blocks, empty slots among the others: every logit to the bit."""
    frozen = random_model(KEYED, seed=7)
    tokens = np.random.default_rng(1).integers(0, KEYED.vocab_size, 20)
    image = random_image(KEYED, np.random.default_rng(2)) if with_image else None
    golden = GoldenModel(KEYED, frozen.arrays)
    if image is not None:
        golden.set_image(image)
    want = np.array([golden.logits(golden.step(int(t))) for t in tokens])
    pictures = None if image is None else torch.from_numpy(image)[None]
    with torch.no_grad():
        got = load_frozen(frozen)(torch.from_numpy(tokens)[None], pictures).logits[0].numpy()
    assert np.array_equal(got.view(np.uint32), want.view(np.uint32))


def session(count: int, again: int | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens [count, 4] and pictures [count, n, 768] of episodes, two with the same picture."""
    rng = np.random.default_rng(seed)
    pictures = np.stack([random_image(SMALL, rng) for _ in range(count)])
    if again is not None:
        pictures[again] = pictures[0]
    return rng.integers(0, SMALL.vocab_size, (count, 4)), pictures


def fed(tokens: np.ndarray, pictures: np.ndarray, **more) -> Batch:
    count, length = tokens.shape
    lengths, there = np.full(count, length), np.ones(count, bool)
    return Batch(tokens, np.roll(tokens, -1, 1), lengths, pictures, there, np.arange(count), **more)


@pytest.mark.parametrize(
    "count, again",
    [(3, None), (4, 2), (7, None), (7, 3), (7, 6)],
    ids=["room", "name changed", "evictions", "both", "the first again, when it is gone"],
)
def test_a_session_leaves_the_memory_that_golden_keeps(count, again):
    """The same slots, and the same logits when it is asked."""
    torch.manual_seed(3)
    model = BitMar(SMALL).eval()
    golden = GoldenModel(SMALL, freeze(model).arrays)
    tokens, pictures = session(count, again, 5)
    for stream, picture in zip(tokens, pictures, strict=True):
        golden.begin_episode()
        golden.set_image(picture)
        for token in stream:
            golden.step(int(token))
        golden.end_episode()
    objective = Objective(model, TrainConfig(writes_per_batch=0))
    with torch.no_grad():
        own = objective.memories(prepare(fed(tokens, pictures)), 1)
    keys, values = golden.ops.planes(golden.m_codes)
    want = {(*keys[i], *values[i]) for i in np.flatnonzero(golden.m_usage)}
    there = own.there[0].numpy()
    held = torch.cat([own.keys[0], own.values[0]], 1).numpy()[there].astype(int)
    assert {tuple(row) for row in held} == want and len(want) == min(5, 1 + count - (again == 2))
    golden.begin_episode()
    golden.set_image(pictures[-1])
    asked = np.random.default_rng(8).integers(0, SMALL.vocab_size, (1, 6))
    logits = np.array([golden.step(int(t)) for t in asked[0]])
    with torch.no_grad():
        encoded = model.encode(torch.from_numpy(asked), torch.from_numpy(pictures[-1:]))
        assert np.array_equal(model.decode(encoded, own=own).acc[0].numpy(), logits)


def test_what_is_kept_of_a_session():
    def of(cosines, there, room):
        matrix = torch.eye(len(there))
        for (i, j), value in cosines.items():
            matrix[i, j] = matrix[j, i] = value
        return kept(matrix[None], torch.tensor([there], dtype=torch.bool), 0.9, room)[0].int().tolist()

    assert of({}, [1, 1, 1], 3) == [1, 1, 1]
    assert of({}, [1, 1, 1], 2) == [0, 1, 1]
    assert of({(0, 2): 0.95}, [1, 1, 1], 3) == [0, 1, 1]
    assert of({(0, 2): 0.95}, [1, 1, 1], 2) == [0, 1, 1]
    assert of({(0, 2): 0.95, (1, 2): 0.97}, [1, 1, 1], 3) == [1, 0, 1]
    assert of({(0, 1): 0.95}, [1, 0, 1], 3) == [1, 0, 1]
    assert of({(0, 3): 0.95}, [1, 1, 1, 1], 2) == [0, 0, 1, 1]


def test_in_training_the_session_says_what_replaces_what():
    """Keys that have learned nothing are alike, so they could not; nobody knows it of things below 0."""
    torch.manual_seed(4)
    model = BitMar(SMALL.model_copy(update={"match": 0.01})).train()
    tokens, pictures = session(4, None, 9)
    objective = Objective(model, TrainConfig(writes_per_batch=0))

    def held(things: list[int] | None) -> list[bool]:
        batch = fed(tokens, pictures, things=None if things is None else np.array(things))
        return objective.memories(prepare(batch), 1).there[0, 1:].tolist()

    with torch.no_grad():
        assert held(None) == [True] * 4 and held([-1] * 4) == [True] * 4
        assert held([7, 3, 7, -1]) == [False, True, True, True]
        model.eval()
        assert held([0, 1, 2, 3]) == [False, False, False, True]


def test_nothing_is_kept_between_batches_and_all_learns():
    """Gradients reach the keys, the values and what was told; commits change nothing."""
    torch.manual_seed(0)
    model = BitMar(SMALL).train()
    before = {name: p.detach().clone() for name, p in model.latent.items()}
    model.commit(torch.randn(2, SMALL.d_model))
    model.commit(torch.randn(2, SMALL.d_model))
    assert not len(model.pending)
    assert all(torch.equal(p, before[name]) for name, p in model.latent.items())
    tokens, pictures = session(3, None, 6)
    told = fed(np.concatenate([tokens] * 2), np.concatenate([pictures] * 2))
    target = np.array([1, NONE_OF_THEM])
    feed = prepare(fed(tokens[:2], pictures[:2], before=told, target=target))
    objective = Objective(model, TrainConfig(writes_per_batch=0, key_weight=1.0))
    loss, _, _ = objective(feed)
    loss.backward()
    moved = ("memory/m", "memory/wk", "memory/wv", "memory/sharpness", "memory/norm", "vision/w1", "enc/0/w1")
    assert all(model.latent[name].grad.abs().max() > 0 for name in moved)


def test_the_loss_of_the_keys():
    """Minus the logarithm of what the read gives the right slot; streams that nobody knows it of are left
    out.
    """
    torch.manual_seed(1)
    model = BitMar(SMALL).train()
    tokens, pictures = session(3, None, 7)
    told = fed(np.concatenate([tokens] * 3), np.concatenate([pictures] * 3))
    batch = fed(tokens, pictures, before=told, target=np.array([0, UNKNOWN, NONE_OF_THEM]))
    feed = prepare(batch)
    objective = Objective(model, TrainConfig(writes_per_batch=0, key_weight=1.0))
    with torch.no_grad():
        encoded, own = objective.encoded(feed), objective.memories(feed.before, 3)
        model.math.maps = maps = []
        model.decode(encoded, own=own)
        read = next(m for m in maps if m.ndim == 3)[:, 0]  # [streams, slots], the learned one first
        want = -(read[0, 1].log() + read[2, 0].log()) / 2
        assert torch.isclose(key_loss(model, encoded, own, feed), want, rtol=1e-5)
        nobody = replace(feed, target=torch.full((3,), UNKNOWN))
        assert key_loss(model, encoded, own, nobody) == 0
        gone = Slots(own.keys, own.scales, own.values, own.there & (torch.arange(4) != 1))
        assert torch.isfinite(key_loss(model, encoded, gone, feed))
    with pytest.raises(ConfigError, match="key_weight"):
        Objective(BitMar(TINY), TrainConfig(key_weight=0.5))


def test_the_keys_of_other_memories_are_compared_too_but_never_those_of_the_same_thing():
    torch.manual_seed(1)
    model = BitMar(SMALL).train()
    tokens, pictures = session(2, None, 7)
    told = fed(np.concatenate([tokens] * 2), np.concatenate([pictures] * 2))
    objective = Objective(model, TrainConfig(writes_per_batch=0, key_weight=1.0))

    def loss(things: list[int]) -> torch.Tensor:
        batch = fed(tokens, pictures, before=replace(told, things=np.array(things)), target=np.array([0, 1]))
        feed = prepare(batch)
        return key_loss(model, objective.encoded(feed), objective.memories(feed.before, 2), feed)

    with torch.no_grad():
        alone, same, other = loss([-1] * 4), loss([5, 6, 5, 6]), loss([5, 6, 7, 8])
    assert alone < same < other, "a key more to be told from at a time"


def test_what_is_asked_without_a_picture_reads_its_own_episode_alone():
    torch.manual_seed(1)
    model = BitMar(SMALL).train()
    tokens, pictures = session(3, None, 7)
    told = fed(np.concatenate([tokens] * 2), np.concatenate([pictures] * 2))
    batch = fed(tokens[:2], pictures[:2], before=told, target=np.array([2, 1]))
    feed = prepare(replace(batch, has_image=np.array([False, True])))
    objective = Objective(model, TrainConfig(writes_per_batch=0, key_weight=1.0))
    own = objective.own(objective.memories(feed.before, 2), feed)
    assert own.there.tolist() == [[False, False, False, True], [True] * 4]


def test_a_run_goes_on_from_a_frozen_model():
    torch.manual_seed(2)
    model = BitMar(SMALL).eval()
    frozen = freeze(model)
    assert (frozen.arrays["memory.m.usage"] > 0).sum() == SMALL.fixed_slots == 1
    again = freeze(latents(frozen).eval())
    assert np.array_equal(again.arrays["memory.m.codes"], frozen.arrays["memory.m.codes"])
    assert np.allclose(again.arrays["memory.m.scales"], frozen.arrays["memory.m.scales"], rtol=1e-5)


def test_settings_of_another_rule_are_refused():
    values = ODD.model_dump() | {"match": 0.9}
    with pytest.raises(ConfigError, match="are for write_rule='keyed'"):
        type(ODD).parse(values, "settings")
    with pytest.raises(ConfigError, match="leaves none"):
        type(ODD).parse(KEYED.model_dump() | {"memory_fixed": 70}, "settings")
    assert "memory_fixed" not in ODD.model_dump() and ODD.fixed_slots == 0
