# SPDX-License-Identifier: Apache-2.0
"""Looking at an episodic memory: how its slots are used, how long they rest, and which answer a text or a
picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ..errors import StoreError
from ..frozen import FrozenModel
from ..golden import keyed
from ..golden import numerics as nm
from ..golden.model import GoldenModel, forget_threshold
from .format import Layout
from .store import Memory

#: Usage keeps 31/32 of itself with every episode that does not reach the slot (numerics.md).
DECAY = 31 / 32


@dataclass(frozen=True)
class Source:
    """A memory and where it is from: a store, a snapshot, or the memory that a model was trained to.
    ``reads``: of a run, training step -> share of every slot in the probe's reads, float64 [K].
    """

    name: str
    memory: Memory
    digest: str
    sequence: int | None = None
    reads: dict[int, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """One memory in numbers. ``effective_slots``: exp of the entropy of the usage; ``stale``: slots that are
    being forgotten, if the model is known; ``rest``: episodes since a slot was last reached, estimated from
    the decay of its usage: median and largest.
    """

    name: str
    slots: int
    width: int
    sequence: int | None
    model_sha256: str
    empty: int
    effective_slots: float
    stale: int | None
    rest_median: float
    rest_max: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Near:
    """A slot that answers a query: its share of the read (softmax), the cosine of its row and the query, its
    usage.
    """

    slot: int
    share: float
    cosine: float
    usage: float
    rest: float


def layout_of(model: FrozenModel) -> Layout:
    """Layout of a store of the model."""
    return Layout(model.config.memory_slots, model.config.d_model, model.config.keyed)


def memory_of(model: FrozenModel, empty: bool = False) -> Memory:
    """The memory that a model starts with; ``empty``: of the same shape, all rows zero, usage uniform; of a
    keyed one the learned slots stay.
    """
    codes, scales, usage = (model.arrays[f"memory.m.{part}"] for part in ("codes", "scales", "usage"))
    if empty and model.config.keyed:
        fixed = np.arange(len(usage)) < model.config.fixed_slots
        codes, scales, usage = codes * fixed[:, None], scales * fixed, usage * fixed
    elif empty:
        codes, scales, usage = (
            np.zeros_like(codes),
            np.zeros_like(scales),
            np.full_like(usage, nm.USAGE_ONE // len(usage)),
        )
    return Memory(codes.copy(), scales.copy(), usage.copy(), model.config.keyed)


def rest(usage: np.ndarray, keyed: bool = False) -> np.ndarray:
    """Episodes since each slot was last reached. float64 [K]. Of a keyed memory exactly those since it was
    written, else estimated: how often 31/32 takes the uniform usage to what is left.
    """
    if keyed:
        return np.where(usage == 0, 0, nm.USAGE_ONE - usage.astype(np.float64))
    fresh = nm.USAGE_ONE / len(usage)
    return np.maximum(np.log(fresh / np.maximum(usage, 1)) / -math.log(DECAY), 0)


def summarise(source: Source, model: FrozenModel | None = None) -> Summary:
    """Figures of one memory. ``StoreError`` if it is not the model's."""
    if model is not None:
        _check_owner(source, model)
    m = source.memory
    share = m.usage / max(int(m.usage.sum(dtype=np.int64)), 1)
    entropy = -float(np.sum(share[share > 0] * np.log(share[share > 0])))
    still = rest(m.usage, m.keyed)
    still = still[~m.empty] if m.keyed and not m.empty.all() else still
    return Summary(
        source.name,
        m.slots,
        m.width,
        source.sequence,
        source.digest,
        int(m.empty.sum()),
        math.exp(entropy),
        None if model is None or m.keyed else int((m.usage < forget_threshold(model.config)).sum()),
        float(np.median(still)),
        float(still.max()),
    )


def nearest(
    source: Source, model: FrozenModel, tokens: Sequence[int], picture: np.ndarray | None, count: int
) -> list[Near]:
    """The slots that answer the query which the model forms from a picture (features float32 or patches uint8
    [image_inputs, 768]) and ``tokens``.
    """
    _check_owner(source, model)
    m = source.memory
    q, scale = _query(model, m.keyed, tokens, picture)
    share = shares(model, m, q, scale)
    rows, query, still = m.rows(), q.astype(np.float32) * scale, rest(m.usage, m.keyed)
    length = np.linalg.norm(rows, axis=1) * np.linalg.norm(query)
    cosine = np.divide(rows @ query, length, out=np.zeros(len(rows), np.float32), where=length > 0)
    return [
        Near(
            int(i),
            float(share[i]),
            float(cosine[i]),
            float(m.usage[i] * (1 if m.keyed else len(rows)) / nm.USAGE_ONE),
            float(still[i]),
        )
        for i in np.argsort(-share, kind="stable")[:count]
        if not (m.keyed and m.empty[i])
    ]


def doubt(model: FrozenModel, memory: Memory, picture: np.ndarray) -> float:
    """The share of the learned slots in a read of a keyed memory, 0 to 1: how little the picture is like all
    that was taught.
    """
    q, scale = _query(model, memory.keyed, (), picture)
    return float(shares(model, memory, q, scale)[: model.config.fixed_slots].sum())


def shares(model: FrozenModel, memory: Memory, query: np.ndarray, scale: np.float32) -> np.ndarray:
    """Shares of the slots in a read (softmax), for a query of codes int8 [C] and their scale: float64 [K],
    all 0 where no slot is in use.
    """
    sharp, unit = (model.arrays["memory.sharpness"], 1) if memory.keyed else (1, 256)
    scores = nm.memory_scores(
        query, scale * np.float32(sharp), nm.high_bytes(memory.codes), memory.scales * np.float32(unit)
    )
    scores = np.where(memory.keyed & memory.empty, -np.inf, scores.astype(np.float64))
    if np.isneginf(scores).all():
        return np.zeros(len(scores))
    share = np.exp(scores - scores.max())
    return share / share.sum()


def _query(
    model: FrozenModel, is_keyed: bool, tokens: Sequence[int], picture: np.ndarray | None
) -> tuple[np.ndarray, np.float32]:
    """What the memory is asked with after a picture and ``tokens``: codes int8 [C] and their scale."""
    golden = GoldenModel(model.config, model.arrays, memory_on=False)
    if picture is not None:
        golden.set_image(nm.as_features(picture))
    for token in (model.config.vocab_size - 1, *tokens):
        golden.step(token)
    return keyed.key(golden) if is_keyed else golden.query()


def _check_owner(source: Source, model: FrozenModel) -> None:
    if source.digest != model.digest:
        raise StoreError(
            f"{source.name}: the memory belongs to another model (SHA-256 {source.digest[:12]}...).",
            "Name the model that it belongs to with --model.",
        )
    check_rule(source, model)


def check_rule(source: Source, model: FrozenModel) -> None:
    """``StoreError`` for a memory whose rows are of another rule than the model's."""
    if source.memory.keyed != model.config.keyed:
        raise StoreError(
            f"{source.name}: holds {source.memory.layout.rule}, the model's memory is "
            f"{layout_of(model).rule}.",
            "Export it again with this program, from the model's own store or board.",
        )
