# SPDX-License-Identifier: Apache-2.0
"""Packing: store order = kernel order. The layout is that of the kernel family, which its C file draws."""

from __future__ import annotations

import numpy as np

from .kernels import K_BLOCK, HeadLayout, KernelLayout, families

#: Bits of a weight of the vocabulary head: four weights in a byte, or five, or four in tiles of which a pick
#: leaves out what cannot win (bm_gemv_skip.c).
HEAD_BITS = ("2", "1.6", "2-skip")
K_STEP5 = 5
SKIP_ROWS, SKIP_STEP, SKIP_WINDOW = 16, 16, 64
_PLACES5 = 3 ** np.arange(K_STEP5)


def pack(trits: np.ndarray, family: str) -> bytes:
    """int8 [N, K] in {-1, 0, 1} -> codes w + 1, four in a byte. Padding is code 1, that is w = 0."""
    layout, (n, k) = _layout(family), trits.shape
    codes = np.ones((_up(n, layout.row_pad), _up(k, K_BLOCK)), np.uint8)
    codes[:n, :k] = trits + 1
    step = layout.step(codes.shape[1])
    steps = codes.shape[1] // step
    if layout.plane_rows:
        groups = codes.reshape(-1, 4, layout.rows // 4, steps, step)
        order = (0, 3, 1, 2, 4)
    else:
        groups = codes.reshape(-1, layout.rows, steps, 4, step // 4)
        order = (0, 2, 3, 4, 1) if layout.lanes else (0, 2, 3, 1, 4)
    planes = groups.transpose(order)  # group, step, plane, row, byte
    return sum(planes[:, :, p] * np.uint8(place) for p, place in enumerate(layout.places)).tobytes()


def unpack(data: bytes, n: int, k: int, family: str) -> np.ndarray:
    """Inverse of :func:`pack`: int8 [N, K]."""
    layout, k_pad = _layout(family), _up(k, K_BLOCK)
    step = layout.step(k_pad)
    shape = (step // 4, layout.rows) if layout.lanes else (layout.rows, step // 4)
    if layout.plane_rows:
        shape = (layout.rows // 4, step)
    rest = np.frombuffer(data, np.uint8).reshape(-1, k_pad // step, *shape)
    if layout.lanes:
        rest = rest.swapaxes(2, 3)
    planes = np.empty((*rest.shape[:2], 4, *rest.shape[2:]), np.uint8)
    for p, place in reversed([*enumerate(layout.places)]):
        planes[:, :, p], rest = rest // place, rest % place
    order = (0, 2, 3, 1, 4) if layout.plane_rows else (0, 3, 1, 2, 4)
    return planes.transpose(order).reshape(-1, k_pad)[:n, :k].astype(np.int8) - 1


def packed_size(n: int, k: int, family: str) -> int:
    """Bytes of a packed [n, k] matrix."""
    return _up(n, _layout(family).row_pad) * _up(k, K_BLOCK) // 4


def pack4(codes: np.ndarray) -> bytes:
    """Rows of codes in [-7, 7], two a byte, the first in the lower half, as code + 8; a row ends with a whole
    byte.
    """
    n, k = codes.shape
    nibbles = np.full((n, k + k % 2), 8, np.uint8)
    nibbles[:, :k] = codes + 8
    return (nibbles[:, ::2] | nibbles[:, 1::2] << 4).tobytes()


def pack5(trits: np.ndarray, family: str) -> bytes:
    """int8 [N, K] in {-1, 0, 1} -> five weights in a byte, in the order that bm_gemv_t5.c or the family
    draws. Padding is w = 0.
    """
    (n, k), rows = trits.shape, _head(family).rows
    codes = np.ones((_up(n, rows), _up(k, K_STEP5)), np.uint8)
    codes[:n, :k] = trits + 1
    steps = codes.reshape(-1, rows, codes.shape[1] // K_STEP5, K_STEP5).transpose(0, 2, 1, 3)
    if _head(family).fraction:
        return (-(-256 * (steps @ _PLACES5[::-1]) // 3**K_STEP5)).astype(np.uint8).tobytes()
    return (steps @ _PLACES5).astype(np.uint8).tobytes()


def unpack5(data: bytes, n: int, k: int, family: str) -> np.ndarray:
    """Inverse of :func:`pack5`: int8 [N, K]."""
    steps = _up(k, K_STEP5) // K_STEP5
    packed = np.frombuffer(data, np.uint8).astype(np.int64).reshape(-1, steps, _head(family).rows, 1)
    if _head(family).fraction:
        codes = packed * 3**K_STEP5 // 256 // _PLACES5[::-1] % 3
    else:
        codes = packed // _PLACES5 % 3
    return codes.transpose(0, 2, 1, 3).reshape(-1, steps * K_STEP5)[:n, :k].astype(np.int8) - 1


def pack_skip(trits: np.ndarray, columns: np.ndarray, places: np.ndarray) -> bytes:
    """int8 [N, K] in {-1, 0, 1} -> tiles of 16 rows in steps of 16 k, in the order that bm_gemv_skip.c draws;
    k = 0, 1, ... are ``columns``, rows the ids ``skip_ids(places)``. Padding is w = 0.
    """
    n, k = trits.shape
    codes = np.ones((_up(n, SKIP_ROWS), _up(k, SKIP_STEP)), np.uint8)
    codes[:n, :k] = trits[skip_ids(places)][:, columns] + 1
    steps = codes.reshape(-1, SKIP_ROWS, codes.shape[1] // SKIP_STEP, 4, 4).transpose(0, 2, 3, 4, 1)
    return sum(steps[:, :, p] << np.uint8(2 * p) for p in range(4)).tobytes()


def skip_ids(places: np.ndarray) -> np.ndarray:
    """The ids [N] of rows as they lie. places: uint8 [N], the place of each in its window of 64 ids."""
    return np.arange(len(places)) // SKIP_WINDOW * SKIP_WINDOW + places


def unpack_skip(data: bytes, columns: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Inverse of :func:`pack_skip`: int8 [N, K]."""
    n, k = len(places), len(columns)
    steps = np.frombuffer(data, np.uint8).reshape(-1, _up(k, SKIP_STEP) // SKIP_STEP, 1, 4, SKIP_ROWS)
    codes = steps >> (2 * np.arange(4, dtype=np.uint8)).reshape(4, 1, 1) & 3
    ordered = codes.transpose(0, 4, 1, 2, 3).reshape(-1, _up(k, SKIP_STEP))[:n, :k].astype(np.int8) - 1
    return ordered[np.argsort(skip_ids(places))][:, np.argsort(columns)]


def packed5_size(n: int, k: int, family: str) -> int:
    """Bytes of [n, k] packed by :func:`pack5`."""
    return _up(n, _head(family).rows) * _up(k, K_STEP5) // K_STEP5


def table5_bytes(k: int, family: str) -> int:
    """Bytes of what the kernel makes of k activations: a table of sums (BM_T5_TABLE in bm_gemv_t5.h) or,
    where a family takes the codes apart, vectors of three steps and the sum of all (pie/bm_kernels.c).
    """
    steps = _up(k, K_STEP5) // K_STEP5
    return 16 * (_up(steps, 3) // 3) + 4 if _head(family).fraction else 2 * (3**K_STEP5 * steps + 13)


def _layout(family: str) -> KernelLayout:
    return families()[family].layout


def _head(family: str) -> HeadLayout:
    return families()[family].head_layout


def _up(n: int, to: int) -> int:
    return -(-n // to) * to
