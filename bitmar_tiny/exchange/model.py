# SPDX-License-Identifier: Apache-2.0
"""golden/model.py run over graph values: the entry points of an exported model, under the names of
``arch.tables.tap_table``.

    image            features -> keys and values that fusion attends to
    step             token, state -> logits, state
    write_episode    pooled query, memory -> memory

State is explicit: an input ``past.NAME`` and an output ``NAME``. A new episode starts with zeros in all of it
but the memory.
"""

from __future__ import annotations

from ..arch.config import VISION_DIM, ModelConfig
from ..arch.records import Cache
from ..arch.tables import cache_table, stacks
from ..errors import FitError
from ..golden.model import GoldenModel
from . import numerics as nm
from .builder import Builder, Value, both, minimum, where
from .ports import PAST, Graph, Port, image_ports, memory_ports, past, read_ports, state_ports, write_ports

#: The rescaling of a memory read is unrolled, one block after the other.
MAX_SLOTS = 1 << 16
Values = dict[str, Value]


def graphs(cfg: ModelConfig) -> tuple[Graph, Graph, Graph]:
    """Entry points ``step``, ``image`` and ``write_episode``. ``FitError``: memory too large to unroll."""
    if cfg.memory_slots > MAX_SLOTS:
        raise FitError(
            f"A memory of {cfg.memory_slots:,} slots is too large to export, the limit is {MAX_SLOTS:,}.",
            "Generate C for it: 'bitmar-tiny codegen --memory sd'.",
        )
    memory = memory_ports(cfg)
    d, v = cfg.d_model, cfg.vocab_size

    def flag(name):
        return Port(name, "bool", (1,))

    step = Graph(
        "step",
        (
            Port("token", "int32", (1,)),
            flag("memory_on"),
            flag("image_on"),
            *past(state_ports(cfg)),
            *image_ports(cfg),
            *read_ports(cfg),
        ),
        (
            Port("logits", "int32", (1, v)),
            Port("logits.float", "float32", (1, v)),
            Port("logits.scale", "float32", (1, 1)),
            *state_ports(cfg),
        ),
        lambda b, v: GraphModel(cfg, b, v).step_graph(),
        "One token. Hand every output NAME to the next call as past.NAME; a new episode starts with zeros "
        "in all of them.",
    )
    image = Graph(
        "image",
        (Port("features", "float32", (cfg.image_inputs, VISION_DIM)),),
        tuple(image_ports(cfg)),
        lambda b, v: GraphModel(cfg, b, v).image_graph(),
        "The vectors of a picture into the keys and values that step looks at.",
    )
    write = Graph(
        "write_episode",
        (Port(PAST + "pool.sum", "int32", (1, d)), *write_ports(cfg), *past(memory)),
        tuple(memory),
        lambda b, v: GraphModel(cfg, b, v).write_graph(),
        "At the end of an episode: the pooled query into the memory that later calls get.",
    )
    return step, image, write


class _Arrays:
    """``GoldenModel.a``: a matrix stands for itself by its name, a scale of a stack is one of its rows."""

    def __init__(self, cfg: ModelConfig, b: Builder) -> None:
        self.b, self.rows = b, {}
        for stack in stacks(cfg):
            for i, piece in enumerate(stack.pieces):
                self.rows[f"{piece.tensor}.scale"] = f"{stack.name}.scale", i

    def __getitem__(self, name: str) -> Value | str:
        if name.endswith(".trits"):
            return name.removesuffix(".trits")
        stacked, i = self.rows.get(name, (name, 0))
        return self.b.array(stacked).rows(i, i + 1) if name in self.rows else self.b.array(name)


class _Ring:
    """``golden.model.Ring``: the cache that comes in, then the one with the token in its slot."""

    def __init__(self, v: Values, cache: Cache, slot: Value, used: Value) -> None:
        self.k, self.k_scale, self.v, self.v_scale = (v[PAST + a.name] for a in cache.arrays())
        self.slot, self.used = slot, used

    def store(self, t: Value, k: Value, k_scale: Value, v: Value, v_scale: Value) -> Value:
        self.k, self.v = self.k.with_row(self.slot, k), self.v.with_row(self.slot, v)
        self.k_scale = self.k_scale.with_row(self.slot, k_scale.reshape(1))
        self.v_scale = self.v_scale.with_row(self.slot, v_scale.reshape(1))
        return self.used


class GraphModel(GoldenModel):
    """Golden's own text over the values of a graph: a vector is a row [1, n]. ``named``: what was tapped, and
    outputs.
    """

    ops = nm

    def __init__(self, cfg: ModelConfig, b: Builder, v: Values) -> None:
        self.cfg, self.b, self.v, self.a = cfg, b, v, _Arrays(cfg, b)
        self.named: Values = {}
        if PAST + "position" in v:
            self._stream(v)
        if "memory.high" in v:  # as a step reads it
            self.m_scales, self.m_usage = v["memory.scales"], v.get("memory.usage")
        elif PAST + "memory.high" in v:
            high, low, self.m_scales, self.m_usage = (v[PAST + p.name] for p in memory_ports(cfg))
            self.pooled, self.m_codes = v[PAST + "pool.sum"], nm.codes16(high, low)

    def _stream(self, v: Values) -> None:
        cfg, self.t = self.cfg, v[PAST + "position"]
        slot = where(self.t < cfg.n_sinks, self.t, (self.t - cfg.n_sinks) % cfg.window + cfg.n_sinks)
        used = minimum(self.t + 1, cfg.context)
        rings = [_Ring(v, cache, slot, used) for cache in cache_table(cfg) if cache.ring]
        self.enc, self.dec = rings[: cfg.n_encoder_layers], rings[cfg.n_encoder_layers :]
        self.image = [[v[a.name] for a in cache.arrays()] for cache in cache_table(cfg) if not cache.ring]
        self.pooled = v[PAST + "pool.sum"]
        self.cond = [v[f"{PAST}dec.{i}.cond"] for i in range(cfg.n_decoder_layers)]

    def tap(self, name: str, value: Value) -> None:
        self.named[name] = self.b.name(name, value)

    def high(self) -> Value:
        return self.v["memory.high"] if "memory.high" in self.v else self.v[PAST + "memory.high"]

    def rows(self) -> tuple[Value, Value]:
        return (self.v["memory.high"], self.v["memory.low"]) if "memory.high" in self.v else super().rows()

    def source(self) -> Value:
        return where(self.v["image_on"], self.v["image.sum"], self.pooled)

    def see(self, h: Value) -> None:
        self.seen = h.astype("int32").sum(0)

    def fuse(self, z: Value) -> Value:
        return where(self.v["image_on"], super().fuse(z), z)

    def recall(self) -> None:
        """What is tapped on the way becomes a result of the branch too: no name in it could be looked at."""
        taps, others, results = {}, list(self.cond), []

        def read() -> list[Value]:
            self.tap = lambda name, value: taps.update({value: name})
            cond = self.read()
            del self.tap  # the method again
            results.extend([*cond, *(value for value in taps if value not in cond)])
            others.extend([None] * (len(results) - len(cond)))
            return results

        due = both(self.v["memory_on"], (self.t % self.cfg.read_every).eq(0))
        outs = self.b.when(due, read, others)
        for value, out in zip(results, outs, strict=True):
            self.tap(taps[value], out)
        self.cond = outs[: len(self.cond)]

    def hidden(self, token: Value) -> Value:
        x = super().hidden(token)
        self.tap("position", self.t)
        return x

    # -- entry points ----------------------------------------------------------------------------

    def step_graph(self) -> Values:
        return self.logits_graph(self.hidden(self.v["token"]))

    def logits_graph(self, x: Value) -> Values:
        acc = self.head(x)
        scale = self.head_scale * self.a["head.w.scale"]
        self.tap("logits.scale", scale)
        self.tap("logits.float", acc.astype("float32") * scale)
        return self.named

    def image_graph(self) -> Values:
        """All vectors of the image side by side."""
        x, n = self.v["features"], self.cfg.image_tokens
        x = nm.pool_2x2(x) if self.cfg.image_pool == 2 else x
        codes, scale = self.convolve(x) if self.cfg.vision_channels else self.compress(x)
        position = nm.rows(self.a["vision.positions.codes"], self.a["vision.positions.scales"])
        for i, (k, k_scale, v, v_scale) in enumerate(self.image_token(codes, scale, position)):
            name = f"fusion.{i}.image."
            self.named |= {name + "k": k, name + "k_scale": k_scale.reshape(n)}
            self.named |= {name + "v": v, name + "v_scale": v_scale.reshape(n)}
        if self.cfg.keyed:
            self.tap("image.sum", self.seen)
        return self.named

    def write_graph(self) -> Values:
        self.write()
        return self.named
