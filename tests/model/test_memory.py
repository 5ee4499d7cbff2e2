# SPDX-License-Identifier: Apache-2.0
"""A memory for every stream: the common rule of writing, apart, and with gradients to what is written."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from eval_support import byte_tokenizer
from support import ODD, TINY
from torch.nn.functional import cross_entropy

from bitmar_tiny.data.mixture import Mixture
from bitmar_tiny.data.sessions import Session, Sessions
from bitmar_tiny.model.bitmar import BitMar
from bitmar_tiny.train.config import TrainConfig
from bitmar_tiny.train.feed import prepare
from bitmar_tiny.train.losses import Objective


@pytest.mark.parametrize("cfg", [TINY, ODD], ids=lambda c: c.name)
def test_each_stream_is_written_as_if_it_were_alone(cfg):
    torch.manual_seed(0)
    model = BitMar(cfg).eval()
    queries = torch.randint(-500, 500, (3, 4, cfg.d_model)).float()
    there = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0]]).bool()
    with torch.no_grad():
        own = model.remember(queries, there)
        for stream, count in enumerate((4, 1, 0)):
            model.pending = queries[stream, :count]
            want = model.written() if count else model.weight("memory.m")
            torch.testing.assert_close(own[stream], want, rtol=1e-5, atol=1e-6)
    assert not torch.equal(own[0], own[1]) and torch.equal(own[2], model.weight("memory.m"))


@pytest.mark.parametrize("cfg", [TINY, ODD], ids=lambda c: c.name)
def test_a_memory_of_each_streams_own_reads_like_the_common_one(cfg):
    """To the bit where both hold the same; and a stream's logits depend on no other stream's memory."""
    torch.manual_seed(0)
    model = BitMar(cfg).eval()
    tokens = torch.randint(0, cfg.vocab_size, (3, 2 * cfg.read_every + 2))
    with torch.no_grad():
        m = model.weight("memory.m")
        own = torch.stack([m, m + torch.randn_like(m), -m])
        common, apart = model(tokens).acc, model.decode(model.encode(tokens), own=own).acc
        other = model.decode(model.encode(tokens), own=own.flip(0)).acc
    assert torch.equal(common[0], apart[0]) and torch.equal(apart[1], other[1])
    assert not torch.equal(common[1], apart[1]) and not torch.equal(common[2], apart[2])


def test_the_answer_teaches_what_to_write_and_where():
    """Gradients of a session's last text reach the encoder through the earlier episodes alone, and the write
    weights.
    """
    tokenizer = byte_tokenizer()
    sessions = Sessions.encode(
        tokenizer, [Session(("the key is here", "no"), "the key", " here"), Session(("so",), "what", " so")]
    )
    data = Mixture(tokenizer, sessions=sessions, batch_size=2, max_len=24, text_every=0, session_every=1)
    torch.manual_seed(0)
    model = BitMar(TINY).train()
    feed = prepare(data.batch(0))
    objective = Objective(model, TrainConfig(batch_size=2, writes_per_batch=0))
    own = objective.memories(feed.before, 2)
    cross_entropy(model.decode(model.encode(feed.tokens, at=feed.at), own=own).logits, feed.labels).backward(
        inputs=list(model.parameters())
    )
    assert model.latent["memory/ww"].grad.abs().max() > 0
    model.zero_grad()
    grads = torch.autograd.grad(
        objective.memories(feed.before, 2).square().sum(),
        [model.latent["enc/0/w1"], model.latent["memory/ww"]],
    )
    assert all(g.abs().max() > 0 for g in grads)
    loss, parts, queries = objective(feed)
    assert np.isfinite(loss.item()) and len(queries) == 0
