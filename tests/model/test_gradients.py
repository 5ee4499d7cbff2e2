# SPDX-License-Identifier: Apache-2.0
"""The steps with gradients of their own beside the chains of operations that they stand for, and streams that
are encoded together beside the same ones apart.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support import GROUPED, KEYED, ODD, TINY

from bitmar_tiny.data.batch import Batch
from bitmar_tiny.model.arithmetic import PROB_ONE, Quantised, divide, round_ste
from bitmar_tiny.model.attention import attend, visible
from bitmar_tiny.model.bitmar import BitMar
from bitmar_tiny.model.rows import Rows
from bitmar_tiny.train import head_loss
from bitmar_tiny.train.feed import Feed, joined, prepare
from bitmar_tiny.train.losses import last_queries, summed_loss


def both(ours, chain, *inputs):
    """The same values to the bit, and gradients that differ by the order of sums alone."""
    found = []
    for rule in (ours, chain):
        given = [x.clone().requires_grad_() for x in inputs]
        out = rule(*given)
        weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
        (out * weights).sum().backward()
        found.append((out.detach(), [x.grad for x in given]))
    (a, a_grads), (b, b_grads) = found
    assert torch.equal(a, b)
    for x, y in zip(a_grads, b_grads, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-5 * float(y.abs().max()))


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def chain_codes(v):
    top = v.detach().abs().amax(-1, keepdim=True)
    x = v * divide(127.0, top)
    return round_ste(x), top / 127.0


def test_quantiser():
    v = normal(5, 7, 33)
    both(lambda v: torch.mul(*Quantised(0.5).quantize(v)), lambda v: torch.mul(*chain_codes(v)), v)


def test_norm_with_a_gain():
    def chain(v, gain):
        codes, _ = chain_codes(v * gain)
        return codes * torch.reciprocal(torch.sqrt((codes * codes).sum(-1, keepdim=True) / codes.shape[-1]))

    both(
        lambda v, g: torch.mul(*Quantised(0.5).norm(v, g)), chain, normal(6, 50), 1 + 0.1 * normal(50, seed=2)
    )


def test_a_row_of_zeros_has_no_codes_and_no_gradient():
    v = torch.zeros(2, 8, requires_grad=True)
    codes, scale = Quantised(0.5).norm(v)
    (codes * scale).sum().backward()
    assert not codes.any() and not scale.any() and not v.grad.any()


def test_trits_of_several_matrices():
    w = 0.02 * normal(3, 16, 24)

    def chain(w):
        gamma = w.detach().abs().mean((1, 2), keepdim=True)
        trits = torch.sign(w) * (w.abs() > 0.5 * gamma)
        return (w + (gamma * trits - w).detach()) / gamma

    trits, gamma = Quantised(0.5).ternary(w)
    assert torch.equal(gamma, torch.stack([one.abs().mean() for one in w]))
    w1, w2 = w.clone().requires_grad_(), w.clone().requires_grad_()
    weights = normal(3, 16, 24, seed=4)
    (Quantised(0.5).ternary(w1)[0] * weights).sum().backward()
    (chain(w2) * weights).sum().backward()
    torch.testing.assert_close(w1.grad, w2.grad)


@pytest.mark.parametrize("window", [True, False])
def test_attention(window):
    math, (b, h, t, n, dh) = Quantised(0.5), (2, 3, 9, 9 if window else 5, 8)
    mask = visible(TINY.model_copy(update={"window": 4, "n_sinks": 1}), t) if window else None
    q, k, v = (math.quantize(normal(b, m, h * dh, seed=s)) for m, s in ((t, 1), (n, 2), (n, 3)))

    def heads(x):
        return x.view(b, -1, h, dh).transpose(1, 2)

    def chain(qc, kc, vc):
        scale = k[1].transpose(1, 2) * (q[1] * float(1 / dh**0.5))
        scores = (heads(qc) @ heads(kc).transpose(-1, -2)) * scale[:, None]
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        e = torch.exp((scores - scores.detach().amax(-1, keepdim=True)).clamp_min(-80.0))
        e = e if mask is None else e * mask
        seen = v[1].transpose(1, 2) if mask is None else v[1].transpose(1, 2).masked_fill(~mask, 0.0)
        top, fold = math.fold(v[1].transpose(1, 2), seen.amax(-1, keepdim=True))
        out = round_ste(e * fold[:, None]) @ heads(vc)
        out = out * (top[:, None] / round_ste(e * PROB_ONE).sum(-1, keepdim=True))
        return out.transpose(1, 2).reshape(b, t, h * dh)

    def ours(qc, kc, vc):
        return attend(math, (qc, q[1]), (kc, k[1]), (vc, v[1]), h, mask)

    both(ours, chain, q[0], k[0], v[0])


@pytest.mark.parametrize("size", [1.0, 60.0], ids=["as they are", "less the largest"])
@pytest.mark.parametrize("rows", [4, 11])
def test_head_and_loss_in_blocks_of_rows(monkeypatch, size, rows):
    """Small logits, whose exponentials are added up as they are, and logits too large for that."""
    n, vocabulary, d = 11, 40, 24
    monkeypatch.setitem(head_loss.BLOCK, "cpu", rows * vocabulary)
    codes, trits = (30 * normal(n, d)).round(), normal(vocabulary, d, seed=2).sign()
    scale, labels = size * (0.002 + 0.001 * normal(n, 1, seed=3).abs()), torch.arange(n) % 7
    found = []
    for rule in (
        lambda c, s, t: head_loss.summed_cross_entropy(Quantised(0.5), c, s, t, labels),
        lambda c, s, t: F.cross_entropy((c @ t.T) * s, labels, reduction="sum"),
    ):
        given = [x.clone().requires_grad_() for x in (codes, scale, trits)]
        (loss := rule(*given)).backward()
        found.append([loss.detach(), *(x.grad for x in given)])
    for x, y in zip(*found, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-5 * float(y.abs().max()))
    with torch.no_grad():
        assert torch.equal(
            head_loss.summed_cross_entropy(Quantised(0.5), codes, scale, trits, labels), found[0][0]
        )


def feed(cfg, lengths, seed, pictures):
    lengths = torch.tensor(lengths)
    tokens = torch.randint(
        cfg.vocab_size, (len(lengths), int(lengths.max())), generator=torch.Generator().manual_seed(seed)
    )
    at = (torch.arange(tokens.shape[1]) < lengths[:, None]).flatten().nonzero()[:, 0]
    images = normal(len(lengths), cfg.image_inputs, 768, seed=seed) if pictures else None
    return Feed(tokens, at, at, lengths, images, None, 1.0, lengths.numpy(), len(at))


@pytest.mark.parametrize("cfg", [TINY, ODD, GROUPED, KEYED], ids=lambda c: c.name)
@pytest.mark.parametrize("pictures", [(True, True), (False, False), (True, False), (False, True)])
def test_streams_encoded_together_are_those_encoded_apart(cfg, pictures):
    torch.manual_seed(0)
    model = BitMar(cfg).eval()
    a, b = feed(cfg, [5, 3, 6], 1, pictures[0]), feed(cfg, [7, 2], 2, pictures[1])
    with torch.no_grad():
        parts = model.encode(*joined(a, b)).split(len(a.tokens), len(a.at))
        for part, one in zip(parts, (a, b), strict=True):
            alone = model.encode(one.tokens, one.images, one.has_image, one.at)
            assert torch.equal(part.fused, alone.fused) and torch.equal(part.embedded, alone.embedded)
            ends = last_queries(part.pooled, one.lengths), last_queries(alone.pooled, one.lengths)
            assert torch.equal(*ends)


@pytest.mark.parametrize("cfg", [TINY, GROUPED, KEYED], ids=lambda c: c.name)
def test_streams_in_groups_of_one_length_are_those_of_one_batch(monkeypatch, cfg):
    """The same integers, and gradients that differ by the order of sums alone; as many groups as streams
    have lengths, the shortest first.
    """
    torch.manual_seed(0)
    lengths = [9, 2, 5, 5, 1, 9]
    batch = Batch(
        np.random.default_rng(1).integers(0, cfg.vocab_size, (6, 9)),
        np.arange(54).reshape(6, 9) % cfg.vocab_size,
        np.array(lengths),
        np.random.default_rng(2).normal(size=(6, cfg.image_inputs, 768)).astype(np.float32),
        np.ones(6, bool),
        np.arange(6),
    )
    one, model, found = prepare(batch), BitMar(cfg), []
    assert torch.equal(one.labels, torch.arange(54)[one.at] % cfg.vocab_size)
    for worth, groups in ((1 << 40, 1), (-1, 6)):
        monkeypatch.setattr("bitmar_tiny.model.rows.WORTH", worth)
        assert len(Rows(one.tokens, one.at).groups()) == groups
        with torch.no_grad():
            exact = model.eval()(one.tokens, one.images, one.has_image, one.at).acc
        model.train().zero_grad()
        out = model(one.tokens, one.images, one.has_image, one.at, logits=False)
        summed_loss(model, out, one.labels).backward()
        found.append((exact, {n: p.grad for n, p in model.latent.items() if p.grad is not None}))
    (a, a_grads), (b, b_grads) = found
    assert torch.equal(a, b) and a_grads.keys() == b_grads.keys()
    for name, x in a_grads.items():
        torch.testing.assert_close(x, b_grads[name], rtol=1e-3, atol=1e-4 * float(x.abs().max()) + 1e-9)
