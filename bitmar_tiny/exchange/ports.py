# SPDX-License-Identifier: Apache-2.0
"""What goes into an exported graph and comes out of it: names, types and shapes (docs/how-to/export.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..arch.config import ModelConfig
from ..arch.records import State
from ..arch.tables import cache_table, memory_table, seen_table, state_table
from .builder import Builder, Value

#: In front of the name of a state that is handed back.
PAST = "past."


@dataclass(frozen=True)
class Port:
    """One input or output of a graph. ``default``: the frozen array that an input stands for unless fed."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    default: str = ""


@dataclass(frozen=True)
class Graph:
    """One entry point: ``body(builder, inputs by name) -> outputs by name``, in the order of ``outputs``.
    ``about``: for who looks at it.
    """

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    body: Callable[[Builder, dict[str, Value]], dict[str, Value]]
    about: str = ""


def state_ports(cfg: ModelConfig) -> list[Port]:
    """What a step hands to the next: position, rings, pooled query, the conditioning of the last read.
    Vectors are rows [1, d].
    """
    position, *vectors = state_table(cfg)
    rings = [_port(a) for cache in cache_table(cfg) if cache.ring for a in cache.arrays()]
    return [_port(position), *rings, *(Port(v.name, v.dtype, (1, *v.shape)) for v in vectors)]


def image_ports(cfg: ModelConfig) -> list[Port]:
    """Keys and values of an image, as fusion attends to them, and what a keyed memory is asked with."""
    caches = [_port(a) for cache in cache_table(cfg) if not cache.ring for a in cache.arrays()]
    return [*caches, *seen_ports(cfg)]


def seen_ports(cfg: ModelConfig) -> list[Port]:
    """What an image leaves for a keyed memory: a row [1, d]."""
    return [Port(a.name, a.dtype, (1, *a.shape)) for a in seen_table(cfg)]


def memory_ports(cfg: ModelConfig) -> list[Port]:
    """The memory: high and low bytes of its 16-bit codes, a scale and a usage (Q24, below 2**31) for every
    slot.
    """
    return [Port(a.name, a.dtype.replace("uint", "int"), a.shape, a.name) for a in memory_table(cfg)]


def read_ports(cfg: ModelConfig) -> list[Port]:
    """What a read takes of the memory: high bytes and scales, or all of a keyed one."""
    ports = memory_ports(cfg)
    return ports if cfg.keyed else [ports[0], ports[2]]


def write_ports(cfg: ModelConfig) -> list[Port]:
    """What a write takes beside the pooled query and the memory: whether a keyed one has a picture, and
    which.
    """
    return [Port("image_on", "bool", (1,)), *seen_ports(cfg)] if cfg.keyed else []


def _port(a: State) -> Port:
    return Port(a.name, a.dtype, a.shape)


def past(ports: list[Port]) -> tuple[Port, ...]:
    """The inputs that carry these outputs of the call before."""
    return tuple(Port(PAST + p.name, p.dtype, p.shape, p.default) for p in ports)
