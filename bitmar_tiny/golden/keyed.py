# SPDX-License-Identifier: Apache-2.0
"""The keyed memory: what was said is kept under what was seen, in a slot of its own (write_rule = keyed).

    what was seen ── norm ── W_k ── norm ── key ──── asks, and is kept under
    the fused states so far ── norm ── W_v ── norm ── value

These functions are parts of ``GoldenModel``, given as ``model``: the exporters run them on values of a graph,
too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

F32 = np.float32


def projected(model: Any, matrix: str, event: str, total: np.ndarray) -> tuple[np.ndarray, np.float32]:
    """norm(W norm(x)) of integer sums x int32 [C]: codes int8 [C] and their scale."""
    nm, tap = model.ops, model.tap
    c, s = nm.norm_quantize(total.astype("float32"))
    tap(f"{event}.source", c)
    acc = nm.gemv(model.a[f"{matrix}.trits"], c)
    tap(f"{event}.acc", acc)
    codes, scale = nm.norm_quantize(nm.scale_acc(acc, s, model.a[f"{matrix}.scale"]))
    tap(f"{event}.codes", codes)
    return codes, scale


def key(model: Any) -> tuple[np.ndarray, np.float32]:
    """What the memory is asked with now: codes int8 [d] and their scale."""
    return projected(model, "memory.wk", "read", model.source())


def read(model: Any) -> np.ndarray:
    """What lies under the keys that are like the query. float32 [d]."""
    q, qs = key(model)
    keys, values = model.rows()
    sharp = qs * model.a["memory.sharpness"]
    return model.ops.keyed_read(q, sharp, keys, model.m_scales, values, model.m_usage)


def write(model: Any) -> None:
    """The episode whole into one slot: that of the same key, or the least used."""
    nm, cfg = model.ops, model.cfg
    key, scale = projected(model, "memory.wk", "write.key", model.source())
    value, _ = projected(model, "memory.wv", "write.value", model.pooled)
    keys, _ = model.rows()
    slot = nm.keyed_slot(
        key, scale, keys, model.m_scales, model.m_usage, cfg.fixed_slots, F32(cfg.match_from)
    )
    model.tap("write.slot", slot)
    model.m_codes = nm.set_row(model.m_codes, slot, nm.codes_of(key, value))
    model.m_scales = nm.set_row(model.m_scales, slot, nm.stack((scale,)))
    model.m_usage = nm.keyed_usage(model.m_usage, slot, cfg.fixed_slots)
