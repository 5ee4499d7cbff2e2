# SPDX-License-Identifier: Apache-2.0
"""The tokenizer's binary: every byte.

It stands unchanged in the frozen model file and in the C program's blob, where
``runtime/model/bm_tokenizer.c`` reads it in place. All numbers are little-endian; each section starts at
a multiple of 4; padding bytes are zero. V = vocabulary size, M = V - 257 merges.

    offset      type            content
    0           u8[4]           "BMTK"
    4           u32             version, 1
    8           u32             V, 257..65536
    12          u32             M = V - 257
    16          u32             id of EOS = V - 1
    20          u32             total bytes of token text, X
    24          u32             bytes of the longest token (EOS included)
    28          u32             size of the whole binary
    32          u16[256]        id of each byte's own token (a permutation of 0..255)
    544         u32[V+1]        token i is text[offset[i] .. offset[i+1]), offset[0] = 0, offset[V] = X
    548 + 4V    u16[3M]         merges {left, right, result}, ascending by (left, right), for binary
                                search; rank = result - 256, so a lower result merges first
    pad to 4
    ...         u8[X]           text: bytes of token 0, token 1, ...; EOS last, "<|endoftext|>"
    pad to 4    = size

Ids 0..255 are the bytes, 256 + r is the result of the merge of rank r, V - 1 is EOS. Both sides of
a merge have smaller ids than its result, and its text is theirs joined: nothing here is redundant
by accident, and :func:`unpack` checks all of it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NoReturn

import numpy as np

from ..errors import FrozenError

MAGIC = b"BMTK"
VERSION = 1
HEADER = struct.Struct("<4s7I")
EOS_TEXT = b"<|endoftext|>"
#: 256 bytes and EOS: the smallest vocabulary that can spell any text.
MIN_VOCAB = 257
MAX_VOCAB = 65536


def _pad(n: int) -> int:
    return (n + 3) & ~3


def _layout(vocab: int, text: int) -> tuple[int, int, int, int]:
    """Byte positions of offsets, merges and text, and the whole size."""
    offsets = HEADER.size + 2 * 256
    merges = offsets + 4 * (vocab + 1)
    start = _pad(merges + 6 * (vocab - MIN_VOCAB))
    return offsets, merges, start, _pad(start + text)


def pack(tokens: Sequence[bytes], merges: Sequence[tuple[int, int]]) -> bytes:
    """Write the binary. tokens: bytes by id; merges: (left, right) by rank."""
    text = b"".join(tokens)
    vocab = len(tokens)
    at_offsets, at_merges, at_text, size = _layout(vocab, len(text))
    out = bytearray(size)
    HEADER.pack_into(
        out, 0, MAGIC, VERSION, vocab, len(merges), vocab - 1, len(text), max(map(len, tokens)), size
    )
    byte_ids = np.zeros(256, "<u2")
    for i, token in enumerate(tokens[:256]):
        byte_ids[token[0]] = i
    out[HEADER.size : at_offsets] = byte_ids.tobytes()
    out[at_offsets:at_merges] = np.cumsum([0, *map(len, tokens)]).astype("<u4").tobytes()
    rows = sorted((left, right, 256 + rank) for rank, (left, right) in enumerate(merges))
    table = np.array(rows, "<u2").tobytes()
    out[at_merges : at_merges + len(table)] = table
    out[at_text : at_text + len(text)] = text
    return bytes(out)


def unpack(blob: bytes) -> tuple[list[bytes], list[tuple[int, int]]]:
    """Read and check the binary; returns (tokens by id, merges by rank). Raises ``FrozenError``."""
    vocab, n_text, longest = _header(blob)
    at_offsets, at_merges, at_text, _ = _layout(vocab, n_text)
    n_merges = vocab - MIN_VOCAB
    offsets = np.frombuffer(blob, "<u4", vocab + 1, at_offsets).astype(np.int64)
    if offsets[0] != 0 or offsets[-1] != n_text or (np.diff(offsets) < 1).any():
        _bad("its token offsets do not rise from 0 to the end of the text")
    text = blob[at_text : at_text + n_text]
    tokens = [text[a:b] for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)]
    byte_ids = np.frombuffer(blob, "<u2", 256, HEADER.size)
    if any(i > 255 or tokens[i] != bytes([b]) for b, i in enumerate(byte_ids.tolist())):
        _bad("its byte table does not name the single-byte tokens")
    rows = np.frombuffer(blob, "<u2", 3 * n_merges, at_merges).reshape(-1, 3).astype(np.int64)
    keys = rows[:, 0] * MAX_VOCAB + rows[:, 1]
    if (np.diff(keys) <= 0).any():
        _bad("its merges are not in ascending order")
    order = np.argsort(rows[:, 2], kind="stable")
    by_rank = rows[order]
    if not np.array_equal(by_rank[:, 2], np.arange(256, vocab - 1)):
        _bad("its merges do not result in each merged token once")
    if (by_rank[:, :2] >= by_rank[:, 2:]).any():
        _bad("a merge joins tokens that come later than its result")
    merges = [(left, right) for left, right in by_rank[:, :2].tolist()]
    for i, (left, right) in enumerate(merges, 256):
        if tokens[i] != tokens[left] + tokens[right]:
            _bad(f"token {i} is not what its merge gives")
    if tokens[-1] != EOS_TEXT or len(set(tokens)) != vocab:
        _bad("two tokens have the same text, or the last is not the end-of-text token")
    if max(map(len, tokens)) != longest:
        _bad("its longest token is not as long as the header says")
    gaps = blob[at_merges + 6 * n_merges : at_text] + blob[at_text + n_text :]
    if any(gaps):
        _bad("its padding is not zero")
    return tokens, merges


def _header(blob: bytes) -> tuple[int, int, int]:
    """Check the 32-byte header and the size; returns (vocabulary, text bytes, longest token)."""
    if len(blob) < HEADER.size or blob[:4] != MAGIC:
        _bad("it does not begin with BMTK")
    _, version, vocab, n_merges, eos, n_text, longest, size = HEADER.unpack_from(blob)
    if version != VERSION:
        raise FrozenError(
            f"The tokenizer binary has version {version}, this program reads {VERSION}.",
            "Freeze the model again with this program.",
        )
    if not MIN_VOCAB <= vocab <= MAX_VOCAB or n_merges != vocab - MIN_VOCAB or eos != vocab - 1:
        _bad(f"its header counts disagree (V={vocab}, M={n_merges}, EOS={eos})")
    if size != len(blob) or _layout(vocab, n_text)[3] != size:
        _bad(f"it is {len(blob)} bytes long, its header says {size}")
    return vocab, n_text, longest


def _bad(what: str) -> NoReturn:
    raise FrozenError(f"The tokenizer binary is damaged: {what}.", "Freeze the model again.")
