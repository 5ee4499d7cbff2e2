# SPDX-License-Identifier: Apache-2.0
"""Peers are checked before they are timed: what cannot compute the product is not a peer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bitmar_tiny.bench.peers import PEERS, Peer, PeerMissing
from bitmar_tiny.bench.timing import measure


@pytest.fixture(autouse=True)
def threads():
    """Peers run on one thread; the rest of the tests must not."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("peer", PEERS, ids=lambda p: p.name)
@pytest.mark.parametrize("n, k", [(128, 128), (96, 256)])
def test_every_peer_computes_the_product(peer, n, k):
    trits = np.random.default_rng(n).integers(-1, 2, (n, k)).astype(np.int8)
    try:
        for stacked in (True, False):
            call, products = peer.product(trits, stacked)
            call()
            assert products == (16 if stacked else 1)
    except PeerMissing as reason:
        assert "gave a wrong product" not in str(reason)
        pytest.skip(str(reason))


def test_a_wrong_product_is_refused():
    wrong = Peer("wrong", "numpy", 8, lambda w, x: (lambda: None, lambda: w[0].astype(float) @ x + 999))
    with pytest.raises(PeerMissing, match="wrong product"):
        wrong.product(np.ones((8, 8), np.int8))


def test_a_missing_package_is_a_sentence():
    with pytest.raises(PeerMissing, match="no-such-package is not installed"):
        Peer("absent", "no-such-package", 8, lambda w, x: None).product(np.ones((8, 8), np.int8))


def test_a_library_that_fails_is_a_sentence():
    def fail(w, x):
        raise RuntimeError("unsupported\nstack ...")

    with pytest.raises(PeerMissing, match="^numpy .*unsupported$"):
        Peer("failing", "numpy", 8, fail).product(np.ones((8, 8), np.int8))


def test_figures_are_ordered():
    timing = measure(lambda: sum(range(50)), seconds=0.02)
    assert 0 < timing.min_s <= timing.median_s <= timing.p95_s and timing.runs >= 15
