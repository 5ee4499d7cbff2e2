"""Lowering: a frozen model becomes one packed blob whose sections lie in kernel order.

Blob (little-endian): "BMBL", u32 version, u32 size, u32 CRC-32 of everything after the header,
32 bytes SHA-256 of the frozen model, 16 bytes of text that name the layout; then the sections, each aligned to 64.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

import numpy as np

from bitmar_tiny.errors import FitError
from bitmar_tiny.frozen import FrozenModel
from bitmar_tiny.golden import numerics as nm

from .pack import pack, pack4, pack5

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
    """The packed weights of one model for one kernel family; ``head_bits`` is one of ``pack.HEAD_BITS``, ``memory`` one of
    ``MEMORY_TIERS``."""

    family: str
    digest: str
    head_bits: str = "2"
    memory: str = "ram"
    sections: list[Section] = field(default_factory=list)

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
        """Names the order of the weights, which no size or digest tells: kernel family, bits of the head, and an s where the
        memory is in a store and not here."""
        return f"{self.family}/{self.head_bits}{'s' * (self.memory == 'sd')}"


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
    blob, a = Blob(family, model.digest, head_bits, memory), model.arrays

    def ternary(section: str, *names: str) -> None:
        trits = np.concatenate([a[f"{n}.trits"] for n in names])
        blob.add(
            section,
            pack(trits, family),
            f"ternary [{trits.shape[0]}, {trits.shape[1]}]",
            *(f"{n}.trits" for n in names),
        )

    def floats(section: str, *names: str) -> None:
        values = np.concatenate([np.atleast_1d(a[n]) for n in names]).astype("<f4")
        blob.add(section, values.tobytes(), f"float32 [{values.size}]", *names)

    def token_rows() -> None:
        codes = a["token_table.codes"]
        if token_bits(model) == 8:
            return rows8("token", "token_table")
        blob.add("token_codes", pack4(codes), "int4 table", "token_table.codes")
        floats("token_scales", "token_table.scales")

    def rows8(section: str, name: str) -> None:
        blob.add(f"{section}_codes", a[f"{name}.codes"].tobytes(), "int8 table", f"{name}.codes")
        floats(f"{section}_scales", f"{name}.scales")

    def layer(section: str, name: str) -> None:
        floats(f"{section}.attn_norm", f"{name}.attn_norm")
        ternary(f"{section}.wqkv", f"{name}.wq", f"{name}.wk", f"{name}.wv")
        ternary(f"{section}.wo", f"{name}.wo")
        floats(f"{section}.ffn_norm", f"{name}.ffn_norm")
        ternary(f"{section}.w1", f"{name}.w1")
        ternary(f"{section}.w2", f"{name}.w2")
        floats(f"{section}.scales", *(f"{name}.{w}.scale" for w in ("wq", "wk", "wv", "wo", "w2")))

    cfg = model.config
    token_rows()
    rows8("position", "position_table")
    ternary("vision_w1", "vision.w1")
    ternary("vision_w2", "vision.w2")
    floats("vision_scales", "vision.w1.scale", "vision.w2.scale")
    rows8("image_position", "vision.positions")
    for i in range(cfg.n_encoder_layers):
        layer(f"enc.{i}", f"enc.{i}")
    floats("image_norm", "fusion.image_norm")
    for i in range(cfg.n_fusion_layers):
        floats(f"fusion.{i}.norm", f"fusion.{i}.norm")
        for w in ("wq", "wk", "wv", "wo"):
            ternary(f"fusion.{i}.{w}", f"fusion.{i}.{w}")
        floats(f"fusion.{i}.scales", *(f"fusion.{i}.{w}.scale" for w in ("wq", "wk", "wv", "wo")))
    floats("memory_norm", "memory.norm")
    ternary("memory_ww", "memory.ww")
    floats("memory_ww_scale", "memory.ww.scale")
    if memory != "sd":
        blob.add(
            "memory",
            memory_planes(model),
            "memory: high and low bytes, scales, usage",
            "memory.m.codes",
            "memory.m.scales",
            "memory.m.usage",
        )
    for i in range(cfg.n_decoder_layers):
        ternary(f"dec.{i}.wm", f"dec.{i}.wm")
        floats(f"dec.{i}.wm_scale", f"dec.{i}.wm.scale")
        layer(f"dec.{i}", f"dec.{i}")
    floats("head_norm", "head.norm")
    if head_bits == "1.6":
        trits = a["head.w.trits"]
        what = f"ternary [{trits.shape[0]}, {trits.shape[1]}], five weights a byte"
        blob.add("head_w", pack5(trits), what, "head.w.trits")
    else:
        ternary("head_w", "head.w")
    floats("head_scale", "head.w.scale")
    blob.add("tokenizer", model.tokenizer, "GPT-2 BPE tables")
    blob.add("check", kernel_check(model), "CRC-32 of three products, for the check of the kernels at start")
    return blob


def kernel_check(model: FrozenModel) -> bytes:
    """CRC-32 of the int32 products of the first layer's q, k, v, of its second feed-forward matrix and of the head's first 32 rows
    with the codes x[k] = 37 k + 11 mod 255 - 127: a kernel that computes something else on the board is found when it starts."""
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
    high = nm.high_bytes(codes)
    low = (codes.astype(np.int32) - high.astype(np.int32) * 256).astype(np.int8)
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
    worst = {
        "ternary product of the feed-forward layer": 127 * max(cfg.d_ffn, 768) * 2,  # codes are w + 1 <= 2
        "attention score": 127 * 127 * cfg.head_dim,
        "memory score": 127 * 127 * cfg.d_model,
        "attention-weighted value": nm.PROB_ONE * 127 * max(cfg.context, cfg.image_tokens),
        "memory read of one block": nm.PROB_ONE * 127 * nm.READ_BLOCK,
        "sum of squares of a norm": 127 * 127 * max(cfg.d_ffn, cfg.d_model, 768),
        "write weights": 255 * cfg.memory_slots,
    }
    for what, bound in worst.items():
        if bound > INT32_MAX:
            raise FitError(
                f"Model {cfg.name}: the {what} could reach {bound}, beyond int32.", "Reduce the shape."
            )
