"""What goes into an exported graph and comes out of it: names, types and shapes (docs/onnx-and-litert.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..arch.config import ModelConfig
from .arrays import blocks
from .builder import Builder, Value

#: In front of the name of a state that is handed back.
PAST = "past."


@dataclass(frozen=True)
class Port:
    """One input or output of a graph. ``default``: the frozen array an input stands for when it is not fed."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    default: str = ""


@dataclass(frozen=True)
class Graph:
    """One entry point: ``body(builder, inputs by name) -> outputs by name``, in the order of ``outputs``. ``about``: for who looks at it."""

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    body: Callable[[Builder, dict[str, Value]], dict[str, Value]]
    about: str = ""


def state_ports(cfg: ModelConfig) -> list[Port]:
    """What a step hands to the next: position, rings, pooled query, the conditioning of the last read."""
    n, d = cfg.context, cfg.d_model
    rings = [
        Port(f"{name}.cache.{t}{suffix}", dtype, shape)
        for name in blocks(cfg)
        for t in "kv"
        for suffix, dtype, shape in (("", "int8", (n, d)), ("_scale", "float32", (n,)))
    ]
    cond = [Port(f"dec.{i}.cond", "float32", (1, d)) for i in range(cfg.n_decoder_layers)]
    return [Port("position", "int32", (1,)), *rings, Port("pool.sum", "int32", (1, d)), *cond]


def image_ports(cfg: ModelConfig) -> list[Port]:
    """Keys and values of an image, as fusion attends to them."""
    n, d = cfg.image_tokens, cfg.d_model
    return [
        Port(f"fusion.{i}.image.{t}{suffix}", dtype, shape)
        for i in range(cfg.n_fusion_layers)
        for t in "kv"
        for suffix, dtype, shape in (("", "int8", (n, d)), ("_scale", "float32", (n,)))
    ]


def memory_ports(cfg: ModelConfig) -> list[Port]:
    """The memory: high and low bytes of its 16-bit codes, a scale and a usage (Q24) for every slot."""
    k, d = cfg.memory_slots, cfg.d_model
    return [
        Port(f"memory.{name}", dtype, shape, f"memory.{name}")
        for name, dtype, shape in (
            ("high", "int8", (k, d)),
            ("low", "int8", (k, d)),
            ("scales", "float32", (k,)),
            ("usage", "int32", (k,)),
        )
    ]


def past(ports: list[Port]) -> tuple[Port, ...]:
    """The inputs that carry these outputs of the call before."""
    return tuple(Port(PAST + p.name, p.dtype, p.shape, p.default) for p in ports)
