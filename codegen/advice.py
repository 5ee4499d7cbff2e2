# SPDX-License-Identifier: Apache-2.0
"""What to turn when a model does not fit a board: each knob is an option of a command."""

from __future__ import annotations

import bisect
from collections.abc import Callable

from bitmar_tiny.arch.config import ModelConfig

from .buffers import pad, rings, slot_bytes
from .lower import Blob
from .pack import packed5_size

#: Bytes that the padding of rows and sections may keep from what a smaller vocabulary saves.
ROUNDING = 1024


def smaller_blob(cfg: ModelConfig, blob: Blob, over: int) -> str:
    """The mildest change that helps: the head's bits (the same logits), the token table's, then the
    vocabulary.
    """
    size = {s.name: len(s.data) for s in blob.sections}
    head = pad(size["head_w"]) - pad(packed5_size(cfg.vocab_size, cfg.d_model, blob.family))
    table = size["token_codes"] // 2 if size["token_codes"] > cfg.vocab_size * cfg.d_model // 2 else 0
    if head >= over:
        return f"Store the head in 1.6 bits a weight (--head-bits 1.6), which saves {human(head)}."
    if table >= over:
        return (
            "Store the token table in 4 bits (bitmar-tiny freeze --token-bits 4), which saves "
            f"{human(table)} and costs some accuracy."
        )
    if head > 0 and head + table >= over:
        return (
            "Store the head in 1.6 bits a weight (--head-bits 1.6) and the token table in 4 bits "
            "(bitmar-tiny freeze --token-bits 4), "
            f"which saves {human(head + table)}."
        )
    row = size["head_w"] // cfg.vocab_size + size["token_codes"] // cfg.vocab_size + 4
    tokens = cfg.vocab_size - -(-(over + ROUNDING) // row)
    if tokens > 256:
        return (
            f"Prune the vocabulary from {cfg.vocab_size} to {tokens} tokens or fewer ({row} B for each; "
            f"bitmar-tiny freeze --vocab {tokens}), "
            f"which is another model, or train with as many."
        )
    return f"Train with a smaller vocabulary (vocab_size={cfg.vocab_size}) and fewer layers."


def smaller_window(cfg: ModelConfig, fits: Callable[[int], bool]) -> str:
    """The largest window for which ``fits``, by bisection."""
    per_slot = sum(map(slot_bytes, rings(cfg)))
    if cfg.window > 1 and fits(1):
        window = bisect.bisect_left(range(1, cfg.window), True, key=lambda w: not fits(w))
        return (
            f"Reduce window from {cfg.window} to {window} or less ({human(per_slot)} for each slot; "
            f"bitmar-tiny freeze --window {window})."
        )
    return (
        f"Reduce window ({human(per_slot)} for each of its {cfg.window} slots), memory_slots="
        f"{cfg.memory_slots} and vocab_size={cfg.vocab_size} together."
    )


def fewer_slots(cfg: ModelConfig, fits: Callable[[int], bool]) -> str:
    """The most slots of a memory's store for which ``fits``, by bisection."""
    slots = bisect.bisect_left(range(1, cfg.memory_slots), True, key=lambda n: not fits(n))
    if slots:
        return f"Train with {slots} memory slots or fewer (memory_slots={slots})."
    return "Leave out --memory sd."


def human(n: int) -> str:
    """Bytes in words: 1536 -> '1.5 KiB'."""
    for unit, size in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if n >= size:
            return f"{n / size:.1f} {unit}"
    return f"{n} B"
