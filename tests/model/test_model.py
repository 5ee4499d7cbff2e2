# SPDX-License-Identifier: Apache-2.0
"""The PyTorch model: equal to golden to the bit, causal, and blind to padding and batch mates."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from support import GROUPED, KEYED, ODD, SEEING, SEEING_ODD, SHOWN, TINY

from bitmar_tiny.arch.config import ModelConfig
from bitmar_tiny.arch.tables import tensor_table
from bitmar_tiny.errors import ConfigError
from bitmar_tiny.evaluate.agreement import agreement
from bitmar_tiny.frozen import random_model
from bitmar_tiny.golden.model import GoldenModel
from bitmar_tiny.model.bitmar import BitMar
from bitmar_tiny.model.export import freeze, load_frozen
from bitmar_tiny.verify.script import random_image


def trained(cfg: ModelConfig, steps: int = 3) -> BitMar:
    """A model whose latents have moved, in eval mode."""
    torch.manual_seed(0)
    model = BitMar(cfg).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.3)
    tokens = torch.randint(0, cfg.vocab_size, (4, 20))
    images = torch.from_numpy(np.stack([random_image(cfg, np.random.default_rng(i)) for i in range(4)]))
    for _ in range(steps):
        out = model(tokens, images)
        loss = torch.nn.functional.cross_entropy(out.logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        model.commit(out.pooled[:2, -1])
    model.commit(model.pending[:0])
    return model.eval()


def golden_logits(frozen, tokens, image=None, memory_on=True):
    golden = GoldenModel(frozen.config, frozen.arrays, memory_on=memory_on)
    if image is not None:
        golden.set_image(image)
    return np.array([golden.logits(golden.step(int(t))) for t in tokens])


@pytest.mark.parametrize("cfg", [TINY, ODD, GROUPED, KEYED, SEEING, SEEING_ODD, SHOWN], ids=lambda c: c.name)
@pytest.mark.parametrize("with_image", [True, False])
@pytest.mark.parametrize("memory_on", [True, False])
def test_equals_golden_bit_for_bit(cfg, with_image, memory_on):
    """Latent model, frozen model in PyTorch and golden: one set of bits, past eviction, clamping and memory
    reads.
    """
    model = trained(cfg)
    frozen = freeze(model)
    tokens = np.random.default_rng(1).integers(0, cfg.vocab_size, 3 * cfg.context)
    image = random_image(cfg, np.random.default_rng(2)) if with_image else None
    want = golden_logits(frozen, tokens, image, memory_on)
    for candidate in (model, load_frozen(frozen)):
        candidate.memory_on = memory_on
        with torch.no_grad():
            got = candidate(
                torch.from_numpy(tokens)[None], None if image is None else torch.from_numpy(image)[None]
            ).logits
        assert np.array_equal(got[0].numpy().view(np.uint32), want.view(np.uint32))


def test_white_paper_says_nothing_and_is_no_fault(seeing):
    image = np.ones((SEEING.image_inputs, 768), np.float32)
    with torch.no_grad():
        got = load_frozen(seeing)(torch.arange(6)[None], torch.from_numpy(image)[None]).logits[0].numpy()
    assert np.array_equal(got, golden_logits(seeing, range(6), image)) and np.isfinite(got).all()


def test_agreement_report(tiny):
    rng = np.random.default_rng(3)
    streams = [rng.integers(0, 257, 25) for _ in range(3)]
    report = agreement(tiny, streams, [random_image(TINY, rng), None, random_image(TINY, rng)])
    assert (
        report["tokens"] == 75 and report["top1_agreement"] == 1 and report["integer_logits_different"] == 0
    )
    assert report["max_logit_difference"] == 0 and report["perplexity_torch"] == pytest.approx(
        report["perplexity_golden"]
    )


def test_a_disturbed_golden_is_noticed(tiny):
    """The agreement report can fail: one trit more and it does."""
    broken = random_model(TINY, seed=1)
    broken.arrays["dec.0.w1.trits"][3, 5] ^= 1
    model = load_frozen(broken)
    with torch.no_grad():
        got = model(torch.arange(20)[None]).logits[0].numpy()
    assert not np.array_equal(got, golden_logits(tiny, range(20)))


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_causality(mode):
    """Perturb token t: no earlier logit changes by a bit; later ones do."""
    model = trained(TINY).train(mode == "train")
    tokens = torch.randint(0, 257, (1, 24))
    image = torch.from_numpy(random_image(TINY, np.random.default_rng(0)))[None]
    with torch.no_grad():
        before = model(tokens, image).logits[0]
        for t in (1, 7, 12, 23):
            other = tokens.clone()
            other[0, t] = (other[0, t] + 1) % 257
            after = model(other, image).logits[0]
            assert torch.equal(before[:t], after[:t]) and not torch.equal(before[t:], after[t:])


def test_padding_and_batch_mates_change_nothing():
    model = trained(TINY)
    rng = np.random.default_rng(5)
    tokens = torch.from_numpy(rng.integers(0, 257, (5, 18)))
    images = torch.from_numpy(np.stack([random_image(TINY, rng) for _ in range(5)]))
    with torch.no_grad():
        together = model(tokens, images).logits
        mixed = model(tokens, images, torch.tensor([True, False, True, False, True])).logits
        for i in range(5):
            alone = model(tokens[i : i + 1, :9], images[i : i + 1]).logits
            assert torch.equal(alone[0], together[i, :9])
            if i % 2:
                assert torch.equal(model(tokens[i : i + 1]).logits[0], mixed[i])


def test_no_label_leaks():
    """On i.i.d. random tokens nothing can be predicted: the loss must never fall below ln V (design section
    3).
    """
    torch.manual_seed(0)
    cfg = TINY.model_copy(update={"vocab_size": 32, "window": 30})
    model = BitMar(cfg).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(300):
        tokens = torch.randint(0, 32, (32, 17))
        out = model(tokens[:, :-1])
        loss = torch.nn.functional.cross_entropy(out.logits.flatten(0, 1), tokens[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        model.commit(out.pooled[:2, -1])
        losses.append(loss.item())
    assert min(losses) > math.log(32) - 0.05 and np.mean(losses[-50:]) < math.log(32) + 0.15


@pytest.mark.parametrize("cfg", [TINY, SEEING], ids=lambda c: c.name)
def test_every_parameter_gets_a_gradient(cfg):
    torch.manual_seed(0)
    model = BitMar(cfg).train()
    seen = set()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for step in range(50):
        tokens = torch.randint(0, 257, (8, 12))
        images = torch.from_numpy(
            np.stack([random_image(cfg, np.random.default_rng(step * 8 + i)) for i in range(8)])
        )
        out = model(tokens, images)
        torch.nn.functional.cross_entropy(
            out.logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()
        ).backward()
        seen |= {n for n, p in model.latent.items() if p.grad is not None and p.grad.abs().max() > 0}
        if len(seen) == len(model.latent):
            break
        optimiser.step()
        optimiser.zero_grad()
        model.commit(out.pooled[:2, -1])
    assert seen == set(model.latent.keys())


def test_freezing_keeps_the_names_of_the_table():
    frozen = freeze(trained(ODD), b"")
    assert list(frozen.arrays) == [name for spec in tensor_table(ODD) for name, _, _ in spec.arrays()]
    assert set(np.unique(frozen.arrays["head.w.trits"])) == {-1, 0, 1}


def test_a_float_twin_cannot_be_frozen():
    with pytest.raises(ConfigError, match="quantisation-aware"):
        freeze(BitMar(TINY, float_twin=True))


def test_the_float_twin_rounds_nothing_and_is_causal():
    torch.manual_seed(0)
    twin = BitMar(TINY, float_twin=True).eval()
    tokens = torch.randint(0, 257, (1, 15))
    with torch.no_grad():
        a = twin(tokens).logits
        tokens[0, 10] = (tokens[0, 10] + 1) % 257
        b = twin(tokens).logits
    assert torch.allclose(a[:, :10], b[:, :10]) and not torch.allclose(a[:, 10:], b[:, 10:])
    assert a.frac().abs().max() > 0
