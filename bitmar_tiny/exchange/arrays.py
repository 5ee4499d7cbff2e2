# SPDX-License-Identifier: Apache-2.0
"""The frozen arrays as exported files hold them: each once, in the narrowest type that was asked for."""

from __future__ import annotations

import numpy as np

from ..arch.tables import stacks
from ..errors import FrozenError
from ..frozen import FrozenModel
from ..golden import numerics as nm

#: Bits of a ternary weight that ONNX and LiteRT have a type for.
WEIGHT_BITS = (2, 4, 8)


def exported_arrays(frozen: FrozenModel) -> dict[str, np.ndarray]:
    """Every array that graphs refer to: the frozen ones, the memory as planes (``ports.memory_ports``), and
    stacks.
    """
    arrays = {name: a for name, a in frozen.arrays.items() if not name.startswith("memory.m.")}
    for stack in stacks(frozen.config):
        names = [piece.tensor for piece in stack.pieces]
        arrays[f"{stack.name}.trits"] = np.concatenate([arrays.pop(f"{n}.trits") for n in names])
        arrays[f"{stack.name}.scale"] = np.array([[arrays.pop(f"{n}.scale")] for n in names], np.float32)
    codes, usage = frozen.arrays["memory.m.codes"], frozen.arrays["memory.m.usage"]
    if usage.max(initial=0) > nm.USAGE_ONE:
        raise FrozenError(
            "The memory holds a usage above 1, which no write makes.", "Freeze the model again."
        )
    high, low = nm.planes(codes)
    return arrays | {
        "memory.high": high,
        "memory.low": low,
        "memory.usage": usage.astype(np.int32),
        "memory.scales": frozen.arrays["memory.m.scales"],
    }


def stored_bits(name: str, a: np.ndarray, weight_bits: int) -> int:
    """Bits of a value of an array in a file. A token table that was frozen to 4 bits keeps them, where the
    runtime knows narrow types.
    """
    if name.endswith(".trits"):
        return weight_bits
    narrow = name == "token_table.codes" and weight_bits < 8 and np.abs(a).max(initial=0) <= nm.CODE4_MAX
    return 4 if narrow else 8 * a.itemsize


def pack_signed(a: np.ndarray, bits: int) -> np.ndarray:
    """int8 values as ``bits``-bit two's complement, first value in the lowest bits of a byte: uint8 [ceil(n *
    bits / 8)].
    """
    if bits == 8:
        return np.ascontiguousarray(a, np.int8).view(np.uint8).ravel()
    n = 8 // bits
    fields = np.zeros(-(-a.size // n) * n, np.uint8)
    fields[: a.size] = a.ravel().view(np.uint8) & ((1 << bits) - 1)
    packed = np.zeros(fields.size // n, np.uint8)
    for i in range(n):
        packed |= fields[i::n] << np.uint8(bits * i)
    return packed


def unpack_signed(packed: np.ndarray, bits: int, count: int) -> np.ndarray:
    """Inverse of :func:`pack_signed`: int8 [count]."""
    if bits == 8:
        return packed[:count].view(np.int8)
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    fields = (packed[:, None] >> shifts & ((1 << bits) - 1)).ravel()[:count].astype(np.int16)
    return np.where(fields >= 1 << (bits - 1), fields - (1 << bits), fields).astype(np.int8)
