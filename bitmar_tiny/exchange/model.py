"""golden/model.py over graph values: the entry points of an exported model, under the names of ``arch.tables.tap_table``.

    image            features -> keys and values that fusion attends to
    step             token, state -> logits, state
    write_episode    pooled query, memory -> memory

State is explicit: an input ``past.NAME`` and an output ``NAME``. A new episode starts with zeros in all of it but the memory.
"""

from __future__ import annotations

import numpy as np

from ..arch.config import VISION_DIM, ModelConfig
from ..errors import FitError
from ..golden import numerics as golden_nm
from ..golden.model import POOL_MAX, forget_threshold
from . import numerics as nm
from .arrays import stacks
from .builder import Builder, Value, both, concat, maximum, minimum, where
from .ports import PAST, Graph, Port, image_ports, memory_ports, past, state_ports

F32 = np.float32
#: The rescaling of a memory read is unrolled, one block after the other.
MAX_SLOTS = 1 << 16
Values = dict[str, Value]
Codes = tuple[Value, Value]  # and their scale


def graphs(cfg: ModelConfig) -> tuple[Graph, Graph, Graph]:
    """Entry points ``step``, ``image`` and ``write_episode``. ``FitError`` for a memory too large to unroll."""
    if cfg.memory_slots > MAX_SLOTS:
        raise FitError(
            f"A memory of {cfg.memory_slots:,} slots is too large to export, the limit is {MAX_SLOTS:,}.",
            "Generate C for it: 'bitmar-tiny codegen --memory sd'.",
        )
    model, memory = Model(cfg), memory_ports(cfg)
    d, v = cfg.d_model, cfg.vocab_size
    flag = lambda name: Port(name, "bool", (1,))
    step = Graph(
        "step",
        (
            Port("token", "int32", (1,)),
            flag("memory_on"),
            flag("image_on"),
            *past(state_ports(cfg)),
            *image_ports(cfg),
            memory[0],
            memory[2],
        ),
        (
            Port("logits", "int32", (1, v)),
            Port("logits.float", "float32", (1, v)),
            Port("logits.scale", "float32", (1, 1)),
            *state_ports(cfg),
        ),
        model.step,
        "One token. Hand every output NAME to the next call as past.NAME; a new episode starts with zeros in all of them.",
    )
    image = Graph(
        "image",
        (Port("features", "float32", (cfg.image_inputs, VISION_DIM)),),
        tuple(image_ports(cfg)),
        model.image,
        "The vectors of a picture into the keys and values that step looks at.",
    )
    write = Graph(
        "write_episode",
        (Port(PAST + "pool.sum", "int32", (1, d)), *past(memory)),
        tuple(memory),
        model.write_episode,
        "At the end of an episode: the pooled query into the memory that later calls get.",
    )
    return step, image, write


class Model:
    """The bodies of the graphs; every method mirrors the one of ``GoldenModel``."""

    def __init__(self, cfg: ModelConfig) -> None:
        self.cfg, self.stacks = cfg, {stack.name: stack for stack in stacks(cfg)}

    def linear(self, name: str, codes: Value, scale: Value) -> Value:
        return nm.scale_acc(nm.gemv(name, codes), scale, codes.builder.array(f"{name}.scale"))

    def table(self, b: Builder, table: str, i: Value | None = None) -> Value:
        """Row i [1, d] of an int8 table, or all its rows."""
        codes, scales = b.array(f"{table}.codes"), b.array(f"{table}.scales")
        if i is not None:
            codes, scales = codes.row(i), scales.row(i)
        return codes.astype("float32") * scales.reshape(codes.shape[0], 1)

    def ring(self, b: Builder, name: str, v: Values, key: Codes, value: Codes) -> list[Value]:
        """Store the token's key and value in its slot: the ring's k, k_scale, v, v_scale after that."""
        out = []
        for t, (codes, scale) in (("k", key), ("v", value)):
            for part, row in ((t, codes), (f"{t}_scale", scale.reshape(1))):
                cache = f"{name}.cache.{part}"
                v[cache] = b.name(cache, v[PAST + cache].with_row(v["slot"], row))
                out.append(v[cache])
        return out

    def block(self, b: Builder, name: str, v: Values, x: Value) -> Value:
        """The three projections side by side, which are the rows of one stack."""
        h, s = nm.norm_quantize(x, b.array(f"{name}.attn_norm"))
        b.name(f"{name}.attn.codes", h)
        stack = self.stacks[f"{name}.wqkv"]
        acc, scales = b.name(f"{name}.qkv.acc", nm.gemv(stack.name, h)), b.array(f"{stack.name}.scale")
        (q, qs), key, value = (
            nm.quantize(nm.scale_acc(acc.columns(first, end), s, scales.rows(i, i + 1)))
            for i, (_, first, end) in enumerate(stack.pieces)
        )
        for t, codes in (("q", q), ("k", key[0]), ("v", value[0])):
            b.name(f"{name}.{t}.codes", codes)
        b.name(f"{name}.qkv.scales", concat([qs, key[1], value[1]], 0))
        o = nm.attend(q, qs, *self.ring(b, name, v, key, value), self.cfg.n_heads, v["used"])
        b.name(f"{name}.attn.out", o)
        x = b.name(f"{name}.attn.x", x + self.linear(f"{name}.wo", *nm.norm_quantize(o)))
        h, _ = nm.norm_quantize(x, b.array(f"{name}.ffn_norm"))
        b.name(f"{name}.ffn.codes", h)
        acc1 = b.name(f"{name}.ffn.acc", nm.gemv(f"{name}.w1", h))
        g, gs = nm.norm_quantize(nm.activation(acc1, self.cfg.ffn_activation))
        b.name(f"{name}.ffn.hidden", g)
        return b.name(f"{name}.ffn.x", x + self.linear(f"{name}.w2", g, gs))

    def image(self, b: Builder, v: Values) -> Values:
        """``GoldenModel.set_image``, all vectors of the image side by side."""
        x = v["features"]
        x = b.name("image.input", nm.pool_2x2(x) if self.cfg.image_pool == 2 else x)
        c, s = nm.quantize(x)
        b.name("image.codes", c)
        hidden, hs = nm.quantize(maximum(self.linear("vision.w1", c, s), 0.0))
        b.name("image.hidden", hidden)
        token = b.name(
            "image.token", self.linear("vision.w2", hidden, hs) + self.table(b, "vision.positions")
        )
        h, s = nm.norm_quantize(token, b.array("fusion.image_norm"))
        b.name("image.norm.codes", h)
        out: Values = {}
        for i in range(self.cfg.n_fusion_layers):
            for t in "kv":
                codes, scale = nm.quantize(self.linear(f"fusion.{i}.w{t}", h, s))
                name = f"fusion.{i}.image.{t}"
                out[name], out[f"{name}_scale"] = codes, scale.reshape(self.cfg.image_tokens)
        return out

    def fuse(self, b: Builder, v: Values, z: Value) -> Value:
        text = z
        for i in range(self.cfg.n_fusion_layers):
            h, s = nm.norm_quantize(z, b.array(f"fusion.{i}.norm"))
            b.name(f"fusion.{i}.codes", h)
            q, qs = nm.quantize(self.linear(f"fusion.{i}.wq", h, s))
            b.name(f"fusion.{i}.q.codes", q)
            image = [v[f"fusion.{i}.image.{part}"] for part in ("k", "k_scale", "v", "v_scale")]
            o = b.name(f"fusion.{i}.out", nm.attend(q, qs, *image, self.cfg.n_heads))
            z = b.name(f"fusion.{i}.x", z + self.linear(f"fusion.{i}.wo", *nm.norm_quantize(o)))
        return b.name("fused", where(v["image_on"], z, text))

    def step(self, b: Builder, v: Values) -> Values:
        return self.logits(b, v, self.hidden(b, v))

    def hidden(self, b: Builder, v: Values) -> Value:
        """A step without its head: the last decoder state [1, d]; the new state joins ``v``."""
        cfg, t = self.cfg, v[PAST + "position"]
        v["slot"] = where(t < cfg.n_sinks, t, (t - cfg.n_sinks) % cfg.window + cfg.n_sinks)
        v["used"] = minimum(t + 1, cfg.context)
        e = self.table(b, "token_table", v["token"])
        x = b.name("embed", e + self.table(b, "position_table", minimum(t, cfg.n_positions - 1)))
        for i in range(cfg.n_encoder_layers):
            x = self.block(b, f"enc.{i}", v, x)
        f = self.fuse(b, v, x)
        p, _ = nm.norm_quantize(f, b.array("memory.norm"))
        b.name("pool.codes", p)
        before = v[PAST + "pool.sum"]
        v["pool.sum"] = b.name("pool.sum", where(t < POOL_MAX, before + p.astype("int32"), before))
        cond = self.conditioning(b, v)
        x = e + f
        for i in range(cfg.n_decoder_layers):
            v[f"dec.{i}.cond"] = b.name(f"dec.{i}.cond", cond[i])
            x = b.name(f"dec.{i}.in", x + cond[i])
            x = self.block(b, f"dec.{i}", v, x)
        v["position"] = b.name("position", t + 1)
        return x

    def logits(self, b: Builder, v: Values, x: Value) -> Values:
        h, s = nm.norm_quantize(x, b.array("head.norm"))
        b.name("head.codes", h)
        v["logits"] = b.name("logits", nm.gemv("head.w", h))
        v["logits.scale"] = b.name("logits.scale", s * b.array("head.w.scale"))
        v["logits.float"] = b.name("logits.float", v["logits"].astype("float32") * v["logits.scale"])
        return v

    def query(self, v: Value) -> tuple[Value, Value]:
        return nm.norm_quantize(v.astype("float32"))

    def conditioning(self, b: Builder, v: Values) -> list[Value]:
        """What the memory tells every decoder layer: read anew every ``read_every`` tokens, kept in between."""
        cfg = self.cfg
        kept = [v[f"{PAST}dec.{i}.cond"] for i in range(cfg.n_decoder_layers)]
        due = both(v["memory_on"], (v[PAST + "position"] % cfg.read_every).eq(0))
        query, vector, *cond = b.when(due, lambda: self.read(b, v), [None, None, *kept])
        b.name("read.query", query)
        b.name("read.vector", vector)
        return cond

    def read(self, b: Builder, v: Values) -> list[Value]:
        q, qs = self.query(v["pool.sum"])
        r = nm.memory_read(q, qs, v["memory.high"], v["memory.scales"] * 256.0)
        c, s = nm.norm_quantize(r)
        return [q, r, *(self.linear(f"dec.{i}.wm", c, s) for i in range(self.cfg.n_decoder_layers))]

    def write_episode(self, b: Builder, v: Values) -> Values:
        """``GoldenModel.end_episode``: every slot is computed, a slot of weight zero keeps what it holds."""
        cfg, k = self.cfg, self.cfg.memory_slots
        high, low, scales, usage = (v[f"{PAST}memory.{name}"] for name in ("high", "low", "scales", "usage"))
        q, qs = self.query(v[PAST + "pool.sum"])
        b.name("write.query", q)
        acc = b.name("write.acc", nm.gemv("memory.ww", q))
        w, total = nm.address(nm.scale_acc(acc, qs, b.array("memory.ww.scale")))
        b.name("write.weights", w)
        r, r_total = nm.address(nm.memory_scores(q, qs, high, scales * 256.0))
        qf = q.astype("float32") * qs
        rate = (w.astype("float32") / total.astype("float32")).reshape(k, 1) * F32(cfg.write_rate)
        codes = high.astype("float32") * 256.0 + low.astype("float32")
        m = codes * scales.reshape(k, 1)
        m = m + rate * (qf - m if cfg.write_rule == "bounded" else qf)
        new_codes, new_scales = nm.quantize16(m)
        untouched = w.eq(0).reshape(k, 1)
        codes = where(untouched, codes, new_codes)
        scales = where(untouched, scales.reshape(k, 1), new_scales).reshape(k)
        used = maximum(nm.share_q24(w, total), nm.share_q24(r, r_total)).reshape(k)
        usage = usage - usage // 32 + used // 32
        stale = usage < min(forget_threshold(cfg), 2**31 - 1)
        scales = where(stale, scales * (F32(1) - F32(cfg.forget_rate)), scales)
        high = nm.high_bytes(codes)
        return {
            "memory.high": high.astype("int8"),
            "memory.low": (codes - high * 256.0).astype("int8"),
            "memory.scales": where(scales < golden_nm.TINY, 0.0, scales),
            "memory.usage": usage,
        }
