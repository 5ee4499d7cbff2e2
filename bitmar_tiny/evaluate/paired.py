# SPDX-License-Identifier: Apache-2.0
"""The difference of two conditions on the same items, with an interval: a paired bootstrap over the items."""

from __future__ import annotations

from typing import Any

import numpy as np

#: How often the items are drawn anew, and the share of the draws that lies between the ends of an interval.
DRAWS, INSIDE = 2000, 0.95


def difference(a: dict[str, Any], b: dict[str, Any], seed: int = 0) -> dict[str, float] | None:
    """The figure of ``a`` minus that of ``b``, results of one task: {"value", "low", "high"}; None where a
    task is not scored item by item (a correlation).

    Accuracy as a fraction; of text bits per byte, its samples being the items. Every draw takes as many items
    as there are, with replacement, the same for both.
    """
    if a.get("correlation") is not None:
        return None
    first, sizes = per_item(a)
    change = first - per_item(b)[0]
    rng, n = np.random.default_rng(seed), len(change)
    drawn = np.empty(DRAWS)
    for i in range(DRAWS):
        some = rng.integers(0, n, n)
        drawn[i] = change[some].sum() / sizes[some].sum()
    low, high = np.quantile(drawn, [(1 - INSIDE) / 2, (1 + INSIDE) / 2]).tolist()
    return {"value": float(change.sum() / sizes.sum()), "low": low, "high": high}


def per_item(r: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """What every item adds to a figure, and what the sum is divided by the sum of: float64 [n] both."""
    if "sample_bits" in r:
        return np.array(r["sample_bits"]), np.array(r["sample_bytes"], float)
    return np.array(r["credits"]), np.ones(len(r["credits"]))
