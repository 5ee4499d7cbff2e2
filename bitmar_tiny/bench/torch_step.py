# SPDX-License-Identifier: Apache-2.0
"""The same model as one would run it with PyTorch: float32, eager, one token at a time with a KV cache."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ..arch.config import ModelConfig
from .plain import check_plain


class EagerStep:
    """Random float32 weights in the shapes of ``cfg``; ``context`` tokens are in the cache and stay there.

    Rounds nothing, keeps no sums in order and reads no memory: less work than our step does.
    """

    def __init__(self, cfg: ModelConfig, context: int) -> None:
        check_plain(cfg)
        torch.manual_seed(0)
        d, self.cfg = cfg.d_model, cfg
        layers = cfg.n_encoder_layers + cfg.n_decoder_layers
        self.table, self.position = torch.randn(cfg.vocab_size, d), torch.randn(d)
        self.layers = [
            [
                torch.randn(3 * d, d) * 0.1,
                torch.randn(d, d) * 0.1,
                torch.randn(cfg.d_ffn, d) * 0.1,
                torch.randn(d, cfg.d_ffn) * 0.1,
                torch.ones(d),
                torch.ones(d),
            ]
            for _ in range(layers)
        ]
        shape = (cfg.n_heads, context, cfg.head_dim)
        self.cache = [(torch.randn(shape), torch.randn(shape)) for _ in range(layers)]
        self.head, self.norm = torch.randn(cfg.vocab_size, d) * 0.1, torch.ones(d)

    @torch.inference_mode()
    def step(self, token: int) -> int:
        """The greedy next token."""
        e = self.table[token]
        x, encoders = e + self.position, self.cfg.n_encoder_layers
        for i, (weights, cache) in enumerate(zip(self.layers, self.cache, strict=True)):
            x = self.block(x + e if i == encoders else x, weights, cache)
        return int(F.linear(F.rms_norm(x, x.shape, self.norm), self.head).argmax())

    def block(self, x: Tensor, weights: list[Tensor], cache: tuple[Tensor, Tensor]) -> Tensor:
        """One pre-norm block on [d]; the newest slot of the cache is overwritten."""
        wqkv, wo, w1, w2, g1, g2 = weights
        k, v = cache
        q, new_k, new_v = F.linear(F.rms_norm(x, x.shape, g1), wqkv).view(3, self.cfg.n_heads, -1)
        k[:, -1], v[:, -1] = new_k, new_v
        o = F.scaled_dot_product_attention(q[:, None], k, v)
        x = x + F.linear(o.flatten(), wo)
        return x + F.linear(F.relu(F.linear(F.rms_norm(x, x.shape, g2), w1)).square(), w2)


def eager_step(cfg: ModelConfig, context: int) -> Callable[[], int]:
    """A call that runs one decode step at this context on one thread."""
    torch.set_num_threads(1)
    model = EagerStep(cfg, context)
    return lambda: model.step(7)
