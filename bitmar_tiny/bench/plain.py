# SPDX-License-Identifier: Apache-2.0
"""The architecture as somebody would export it without us: one plain float step, for the int8 tools of ONNX
Runtime and LiteRT.

Weights are the frozen model's, dequantised, and nothing is rounded between them. The caches of keys and
values are inputs that the caller keeps; a step gives the new row of each, so that nothing is copied. The
memory is read at every token and the result kept or dropped by a flag: such graphs have no branches. That is
2% more products for `paper`, 5% for `demo`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..arch.config import ModelConfig
from ..errors import ConfigError
from ..frozen import FrozenModel
from ..golden.model import GoldenModel
from ..golden.numerics import pool_2x2


@dataclass(frozen=True)
class Value:
    """A tensor of a graph: the writer's handle, and its shape."""

    id: Any
    shape: tuple[int, ...]


class Writer(Protocol):
    """What a file format provides. ``linear`` is [rows, K] times a weight matrix [N, K]; ``lookup`` a row of
    a weight table.
    """

    def input(self, name: str, shape: tuple[int, ...], integer: bool = False) -> Value: ...
    def output(self, name: str, value: Value) -> None: ...
    def constant(self, array: np.ndarray) -> Value: ...
    def linear(self, x: Value, name: str, weights: np.ndarray) -> Value: ...
    def lookup(self, name: str, table: np.ndarray, index: Value) -> Value: ...
    def add(self, a: Value, b: Value) -> Value: ...
    def sub(self, a: Value, b: Value) -> Value: ...
    def mul(self, a: Value, b: Value) -> Value: ...
    def div(self, a: Value, b: Value) -> Value: ...
    def relu(self, x: Value) -> Value: ...
    def absolute(self, x: Value) -> Value: ...
    def sqrt(self, x: Value) -> Value: ...
    def mean(self, x: Value) -> Value: ...
    def largest(self, x: Value) -> Value: ...
    def softmax(self, x: Value) -> Value: ...
    def argmax(self, x: Value) -> Value: ...
    def matmul(self, a: Value, b: Value, transpose_b: bool = False) -> Value: ...
    def reshape(self, x: Value, shape: tuple[int, ...]) -> Value: ...
    def joined(self, a: Value, b: Value) -> Value: ...
    def rest(self, x: Value, start: int, size: int) -> Value: ...


class PlainStep:
    """Writes one step. Inputs: token, position (clamped), mask [1, 1, T], read (1 where the memory is read),
    pooled, cond.i, k.NAME and v.NAME [heads, T, head_dim] of each layer for T = ``context`` tokens, image.i.k
    and .v; outputs: pick and what of them is new.
    """

    def __init__(self, g: Writer, frozen: FrozenModel, context: int) -> None:
        check_plain(frozen.config)
        self.g, self.cfg, self.a, self.context = g, frozen.config, frozen.arrays, context

    def weights(self, name: str) -> np.ndarray:
        return self.a[f"{name}.trits"].astype(np.float32) * self.a[f"{name}.scale"]

    def linear(self, x: Value, name: str) -> Value:
        return self.g.linear(x, name, self.weights(name))

    def row(self, name: str, index: Value) -> Value:
        return self.g.lookup(name, table(self.a, name), index)

    def norm(self, x: Value, gain: str = "") -> Value:
        g = self.g
        x = g.mul(x, g.constant(self.a[gain][None])) if gain else x
        return g.div(x, g.sqrt(g.add(g.mean(g.mul(x, x)), g.constant(np.float32([[1e-6]])))))

    def heads(self, x: Value) -> Value:
        return self.g.reshape(x, (self.cfg.n_heads, 1, self.cfg.head_dim))

    def scores(self, q: Value, k: Value) -> Value:
        return self.g.mul(
            self.g.matmul(q, k, transpose_b=True),
            self.g.constant(np.full((1, 1, 1), 1 / math.sqrt(self.cfg.head_dim), np.float32)),
        )

    def block(self, name: str, x: Value, mask: Value) -> Value:
        g, cfg = self.g, self.cfg
        h = self.norm(x, f"{name}.attn_norm")
        q, k, v = (self.heads(self.linear(h, f"{name}.{w}")) for w in ("wq", "wk", "wv"))
        shape = (cfg.n_heads, mask.shape[-1], cfg.head_dim)
        past_k, past_v = g.input(f"k.{name}", shape), g.input(f"v.{name}", shape)
        p = g.softmax(g.joined(self.scores(q, k), g.add(self.scores(q, past_k), mask)))
        own, past = g.rest(p, 0, 1), g.rest(p, 1, mask.shape[-1])
        o = g.add(g.mul(v, own), g.matmul(past, past_v))
        x = g.add(x, self.linear(self.norm(g.reshape(o, (1, cfg.d_model))), f"{name}.wo"))
        a = g.relu(self.linear(self.norm(x, f"{name}.ffn_norm"), f"{name}.w1"))
        a = g.mul(a, a) if cfg.ffn_activation == "relu2" else a
        g.output(f"new.k.{name}", k)
        g.output(f"new.v.{name}", v)
        return g.add(x, self.linear(self.norm(a), f"{name}.w2"))

    def fuse(self, z: Value) -> Value:
        g, cfg = self.g, self.cfg
        shape = (cfg.n_heads, cfg.image_tokens, cfg.head_dim)
        for i in range(cfg.n_fusion_layers):
            q = self.heads(self.linear(self.norm(z, f"fusion.{i}.norm"), f"fusion.{i}.wq"))
            p = g.softmax(self.scores(q, g.input(f"image.{i}.k", shape)))
            o = g.reshape(g.matmul(p, g.input(f"image.{i}.v", shape)), (1, cfg.d_model))
            z = g.add(z, self.linear(self.norm(o), f"fusion.{i}.wo"))
        return z

    def recall(self, pooled: Value) -> list[Value]:
        """What the memory adds to each decoder layer: kept from the last read, or new."""
        g, cfg = self.g, self.cfg
        m = self.a["memory.m.codes"].astype(np.float32) * self.a["memory.m.scales"][:, None]
        read = g.input("read", (1, 1))
        scores = g.mul(
            g.linear(self.norm(pooled), "memory.m", m), g.constant(np.float32([[1 / math.sqrt(cfg.d_model)]]))
        )
        r = self.norm(g.linear(g.softmax(scores), "memory.m.t", np.ascontiguousarray(m.T)))
        conds = []
        for i in range(cfg.n_decoder_layers):
            old = g.input(f"cond.{i}", (1, cfg.d_model))
            conds.append(g.add(old, g.mul(read, g.sub(self.linear(r, f"dec.{i}.wm"), old))))
            g.output(f"new.cond.{i}", conds[-1])
        return conds

    def write(self) -> None:
        g, cfg = self.g, self.cfg
        mask = g.input("mask", (1, 1, self.context))
        e = self.row("token_table", g.input("token", (1,), integer=True))
        x = g.add(e, self.row("position_table", g.input("position", (1,), integer=True)))
        for i in range(cfg.n_encoder_layers):
            x = self.block(f"enc.{i}", x, mask)
        f = self.fuse(x)
        p = g.mul(f, g.constant(self.a["memory.norm"][None]))
        pooled = g.add(g.input("pooled", (1, cfg.d_model)), g.div(p, g.largest(g.absolute(p))))
        g.output("new.pooled", pooled)
        x = g.add(e, f)
        for i, cond in enumerate(self.recall(pooled)):
            x = self.block(f"dec.{i}", g.add(x, cond), mask)
        g.output("pick", g.argmax(self.linear(self.norm(x, "head.norm"), "head.w")))


def check_plain(cfg: ModelConfig) -> None:
    """``ConfigError`` for grouped queries, convolutions and a keyed memory, which the models that ours is
    compared with do not have.
    """
    if cfg.keyed:
        raise ConfigError(
            f"Model {cfg.name} keeps keys apart from values (write_rule='keyed'), the plain model it is "
            "compared with does not.",
            "Compare a model of another write_rule.",
        )
    if cfg.vision_channels:
        raise ConfigError(
            f"Model {cfg.name} sees by convolutions (vision_channels), the plain model it is compared with "
            "has none.",
            "Compare a model without vision_channels.",
        )
    if cfg.kv_width != cfg.d_model:
        raise ConfigError(
            f"Model {cfg.name} has grouped queries (n_kv_heads={cfg.n_kv_heads}), the plain model it is "
            "compared with has none.",
            "Compare a model without n_kv_heads.",
        )


def table(a: dict[str, np.ndarray], name: str) -> np.ndarray:
    """An int8 table, dequantised: float32 [N, d]."""
    return a[f"{name}.codes"].astype(np.float32) * a[f"{name}.scales"][:, None]


def image_caches(frozen: FrozenModel, features: np.ndarray) -> dict[str, np.ndarray]:
    """The image inputs of a step for features float32 [image_inputs, 768], in float: once a picture, so NumPy
    will do.
    """
    cfg, a = frozen.config, frozen.arrays

    def w(name):
        return (a[f"{name}.trits"].astype(np.float32) * a[f"{name}.scale"]).T

    x = pool_2x2(features) if cfg.image_pool == 2 else features
    x = (np.maximum(x @ w("vision.w1"), 0) @ w("vision.w2") + table(a, "vision.positions")) * a[
        "fusion.image_norm"
    ]
    x = x / np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(1e-6))

    def split(y):
        return np.ascontiguousarray(y.reshape(cfg.image_tokens, cfg.n_heads, cfg.head_dim).swapaxes(0, 1))

    return {
        f"image.{i}.{part}": split(x @ w(f"fusion.{i}.w{part}"))
        for i in range(cfg.n_fusion_layers)
        for part in "kv"
    }


def golden_stream(
    frozen: FrozenModel, images: list[np.ndarray], length: int
) -> tuple[list[list[int]], list[list[int]]]:
    """Streams that golden continues greedily, one for each image and ``length`` tokens long, and its picks
    after every token.

    Where it picks the end, a token drawn at random goes on in its place. The memory is read and never
    written.
    """
    rng, eos = np.random.default_rng(0), frozen.config.vocab_size - 1
    model, streams, picks = GoldenModel(frozen.config, frozen.arrays, read_only=True), [], []
    for image in images:
        model.begin_episode()
        model.set_image(image)
        tokens, chosen = [eos], []
        for _ in range(length):
            chosen.append(int(model.step(tokens[-1]).argmax()))
            tokens.append(chosen[-1] if chosen[-1] != eos else int(rng.integers(0, eos)))
        streams.append(tokens[:length])
        picks.append(chosen)
    return streams, picks


def layers(cfg: ModelConfig) -> list[str]:
    """Names of the layers that have a cache."""
    return [f"enc.{i}" for i in range(cfg.n_encoder_layers)] + [
        f"dec.{i}" for i in range(cfg.n_decoder_layers)
    ]
