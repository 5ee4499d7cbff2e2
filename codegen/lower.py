# SPDX-License-Identifier: Apache-2.0
"""Lowering: a frozen model becomes one packed blob whose sections lie in kernel order.

Blob (little-endian): "BMBL", u32 version, u32 size, u32 CRC-32 of everything after the header,
32 bytes SHA-256 of the frozen model, 16 bytes of text that name the layout; then the sections, each aligned
to 64.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

import numpy as np

from bitmar_tiny.arch import records
from bitmar_tiny.arch.tables import cache_table, matrix_table, section_table
from bitmar_tiny.errors import FitError
from bitmar_tiny.frozen import FrozenModel
from bitmar_tiny.golden import numerics as nm

from .kernels import families
from .pack import pack, pack4, pack5, pack_skip
from .skip import skip_order

VERSION = 3
HEADER_BYTES = 64
ALIGN = 64
INT32_MAX = 2**31 - 1
#: Where the memory lies: in an arena; where the blob has it, read-only; in a store on a card or in a file.
MEMORY_TIERS = ("ram", "flash", "sd")


@dataclass(frozen=True)
class Section:
    """One piece of the blob: ``data`` at ``offset``; ``source`` names the frozen arrays it holds."""

    name: str
    offset: int
    data: bytes
    what: str
    source: tuple[str, ...] = ()


@dataclass
class Blob:
    """The packed weights of one model for one kernel family; ``head_bits`` is one of ``pack.HEAD_BITS``,
    ``memory`` one of ``MEMORY_TIERS``.
    """

    family: str
    digest: str
    head_bits: str = "2"
    memory: str = "ram"
    sections: list[Section] = field(default_factory=list)
    #: Share of the head that a greedy pick reads, of a 2-skip head measured while the model writes.
    head_read: float = 1.0

    @property
    def size(self) -> int:
        last = self.sections[-1]
        return last.offset + _pad(len(last.data))

    def offset(self, name: str) -> int:
        return next(s.offset for s in self.sections if s.name == name)

    def add(self, name: str, data: bytes, what: str, *source: str) -> None:
        """Append a section at the next aligned offset."""
        offset = self.size if self.sections else HEADER_BYTES
        self.sections.append(Section(name, offset, data, what, source))

    def to_bytes(self) -> bytes:
        """The blob as it is linked, flashed or mapped."""
        body = bytearray(self.size)
        for s in self.sections:
            body[s.offset : s.offset + len(s.data)] = s.data
        return seal(body, self.digest, self.layout)

    @property
    def layout(self) -> str:
        """Names the order of the weights, which no size or digest tells: kernel family, a p where the planes
        of a byte are rows, bits of the head (2k: those of 2-skip), an f where five weights of it are a
        fraction, and an s where the memory is in a store and not here.
        """
        family = families()[self.family]
        planes = "p" * family.layout.plane_rows
        head = self.head_bits.replace("-skip", "k")
        fraction = "f" * (self.head_bits == "1.6" and family.head_layout.fraction)
        return f"{self.family}{planes}/{head}{fraction}{'s' * (self.memory == 'sd')}"


def seal(body: bytearray, digest: str, layout: str) -> bytes:
    """Write the header of a blob whose sections are in place; ``layout``: up to 16 bytes."""
    crc = zlib.crc32(memoryview(body)[HEADER_BYTES:])
    body[:HEADER_BYTES] = struct.pack(
        "<4sIII32s16s", b"BMBL", VERSION, len(body), crc, bytes.fromhex(digest), layout.encode()
    )
    return bytes(body)


def _pad(n: int) -> int:
    return -(-n // ALIGN) * ALIGN


def lower(model: FrozenModel, family: str, head_bits: str = "2", memory: str = "ram") -> Blob:
    """Pack a frozen model for one kernel family. Raises ``FitError`` if an accumulator could overflow."""
    check_bounds(model)
    blob = Blob(family, model.digest, head_bits, memory)
    for section in section_table(model.config):
        if section.form != "memory" or memory != "sd":
            blob.add(section.name, *_packed(model, blob, section), *section.arrays)
    if head_bits == "2-skip":
        order = skip_order(model)
        blob.head_read = order.read
        blob.add(
            "head_order",
            order.columns.astype("<u2").tobytes(),
            "uint16: the head's columns as they are multiplied",
        )
        blob.add(
            "head_places", order.places.tobytes(), "uint8: of the head's rows, each one's place among 64"
        )
    blob.add("tokenizer", model.tokenizer, "GPT-2 BPE tables")
    blob.add("check", kernel_check(model), "CRC-32 of three products, for the check of the kernels at start")
    return blob


def _packed(model: FrozenModel, blob: Blob, section: records.Section) -> tuple[bytes, str]:
    """The bytes of a section, and what they are in words."""
    if section.form == "memory":
        return memory_planes(model), "memory: high and low bytes, scales, usage"
    data = np.concatenate([np.atleast_1d(model.arrays[name]) for name in section.arrays])
    if section.form == "float32":
        return data.astype("<f4").tobytes(), f"float32 [{data.size}]"
    if section.form == "tokens" and token_bits(model) == 4:
        return pack4(data), "int4 table"
    if section.form in ("rows", "tokens"):
        return data.tobytes(), "int8 table"
    what = f"ternary [{data.shape[0]}, {data.shape[1]}]"
    if section.form == "head" and blob.head_bits == "1.6":
        return pack5(data, blob.family), f"{what}, five weights a byte"
    if section.form == "head" and blob.head_bits == "2-skip":
        order = skip_order(model)
        return pack_skip(data, order.columns, order.places), f"{what}, in tiles"
    return pack(data, blob.family), what


def kernel_check(model: FrozenModel) -> bytes:
    """CRC-32 of the int32 products of the first layer's q, k, v, of its second feed-forward matrix and of the
    head's first 32 rows with the codes x[k] = 37 k + 11 mod 255 - 127: a kernel that computes something else
    on the board is found when it starts.
    """
    a, found = model.arrays, []
    for rows in (
        np.concatenate([a[f"enc.0.{w}.trits"] for w in ("wq", "wk", "wv")]),
        a["enc.0.w2.trits"],
        a["head.w.trits"][:32],
    ):
        x = ((np.arange(rows.shape[1]) * 37 + 11) % 255 - 127).astype(np.int64)
        found.append(zlib.crc32((rows.astype(np.int64) @ x).astype("<i4").tobytes()))
    return struct.pack("<3I", *found)


def token_bits(model: FrozenModel) -> int:
    """4 where every token's codes are in [-7, 7], else 8."""
    return 4 if np.abs(model.arrays["token_table.codes"]).max() <= nm.CODE4_MAX else 8


def memory_planes(model: FrozenModel) -> bytes:
    """The memory as the runtime keeps it: high [K][pad d], low [K][pad d], scales [K], usage [K]."""
    codes = model.arrays["memory.m.codes"]
    high, low = nm.planes(codes)
    planes = np.zeros((2, len(codes), _pad(codes.shape[1])), np.int8)
    planes[0, :, : codes.shape[1]], planes[1, :, : codes.shape[1]] = high, low
    return (
        planes.tobytes()
        + model.arrays["memory.m.scales"].astype("<f4").tobytes()
        + model.arrays["memory.m.usage"].astype("<u4").tobytes()
    )


def check_bounds(model: FrozenModel) -> None:
    """Prove from the shapes that no integer reduction can leave int32 (design section 4, rule 5)."""
    cfg = model.config
    width = max(m.width for m in matrix_table(cfg))
    picture = cfg.image_tokens * cfg.vision_width if cfg.vision_channels else 0  # one norm for all of it
    worst = {
        "ternary product": 127 * width * 2,  # codes are w + 1 <= 2
        "attention score": 127 * 127 * cfg.head_dim,
        "memory score": 127 * 127 * cfg.d_model,
        "attention-weighted value": nm.PROB_ONE * 127 * max(c.slots for c in cache_table(cfg)),
        "memory read of one block": nm.PROB_ONE * 127 * nm.READ_BLOCK,
        "sum of squares of a norm": 127 * 127 * max(width, picture),
        "write weights": 255 * cfg.memory_slots,
    }
    for what, bound in worst.items():
        if bound > INT32_MAX:
            raise FitError(
                f"Model {cfg.name}: the {what} could reach {bound}, beyond int32.", "Reduce the shape."
            )
