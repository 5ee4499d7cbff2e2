# SPDX-License-Identifier: Apache-2.0
"""What the runtime needs beside the packed weights, and how often each piece of memory is read."""

from __future__ import annotations

from dataclasses import dataclass

from bitmar_tiny.arch.config import VISION_DIM, ModelConfig
from bitmar_tiny.arch.records import Cache
from bitmar_tiny.arch.tables import cache_table, convolutions, matrix_table, section_table
from bitmar_tiny.golden.numerics import READ_BLOCK
from bitmar_tiny.memory.format import UNIT

from .boards import Board
from .kernels import TALLEST as ROWS
from .kernels import families
from .lower import Blob
from .pack import K_BLOCK, K_STEP5, SKIP_STEP, table5_bytes

ALIGN = 64
CACHE_ROW = 16  # rows of keys and values are padded to it (bm_numerics.h)
CANDIDATES = 2056  # sizeof(bm_candidates)
STREAM = "stream"  # the buffer that the head comes through


def pad(n: int, to: int = ALIGN) -> int:
    """Round n up to a multiple of ``to``."""
    return -(-n // to) * to


@dataclass(frozen=True)
class Buffer:
    """One buffer of an arena. ``scratch``: read and written many times per token, so it wants the fastest
    memory.
    """

    name: str
    size: int
    what: str
    scratch: bool = True


def arena_buffers(
    cfg: ModelConfig,
    board: Board,
    head_bits: str = "2",
    memory: str = "ram",
    family: str = "",
    streamed: int = 0,
) -> list[Buffer]:
    """Every buffer; the first ones are the long-lived state. ``memory``: one of ``lower.MEMORY_TIERS``;
    ``family``: of kernels, the board's first by default; ``streamed``: ``stream_bytes``.
    """
    d, slots = pad(cfg.d_model), cfg.memory_slots
    wide = max(cfg.d_model, cfg.vision_width)
    whole = [m for m in matrix_table(cfg) if m.section.form != "head" and m.section.read != "episode"]
    tallest = max(READ_BLOCK, *(m.rows for m in whole))  # the others: a piece of their rows at a time
    spread = 4 * scores(cfg) * min(board.threads, cfg.n_heads)
    return [
        *(
            Buffer(f"kv.{i}", cache_bytes(c), f"int8 KV ring of layer {i}, {c.slots} slots", False)
            for i, c in enumerate(rings(cfg))
        ),
        *(
            [Buffer("memory", memory_bytes(cfg), f"episodic memory, {slots} slots", False)]
            if memory == "ram"
            else []
        ),
        *(
            [Buffer("store", store_work(cfg), "blocks of the memory's store on their way")]
            if memory == "sd"
            else []
        ),
        *(
            Buffer(f"image.{i}", cache_bytes(c), f"keys and values of the image, fusion layer {i}", False)
            for i, c in enumerate(c for c in cache_table(cfg) if not c.ring)
        ),
        Buffer("cond", 4 * cfg.n_decoder_layers * cfg.d_model, "memory conditioning of every decoder layer"),
        Buffer("pooled", 4 * cfg.d_model, "pooled query"),
        *([Buffer("seen", 4 * cfg.d_model, "sum of the image's codes")] if cfg.keyed else []),
        Buffer("x", 4 * cfg.d_model, "residual stream"),
        Buffer("fused", 4 * cfg.d_model, "fused state"),
        Buffer("vec", 4 * wide, "scratch vector"),
        Buffer("out", 4 * max(cfg.d_model, VISION_DIM), "attention output, pooled image vector"),
        Buffer("scores", spread, "attention scores of every thread"),
        Buffer("weights", spread, "integer attention weights of every thread"),
        Buffer("codes", pad(max(wide, VISION_DIM)), "int8 input of the next BitLinear"),
        Buffer("q", d, "query codes"),
        Buffer("hidden", pad(max(cfg.d_ffn, cfg.vision_width)), "int8 hidden layer"),
        Buffer("acc", 4 * pad(tallest, ROWS), "int32 accumulators"),
        Buffer("head", d, "int8 input of the head"),
        Buffer("logits", 4 * head_rows(cfg, board), "integer logits, a piece at a time"),
        Buffer("candidates", board.threads * CANDIDATES, "the best tokens that each thread found"),
        *(
            [
                Buffer(
                    "head_table",
                    table5_bytes(cfg.d_model, family or board.kernels[0]),
                    "what the 1.6-bit head makes of its input",
                )
            ]
            if head_bits == "1.6"
            else []
        ),
        *(
            [
                Buffer(
                    "head_skip",
                    skip_bytes(cfg.d_model),
                    "input of the head in the order of its columns, and bounds",
                )
            ]
            if head_bits == "2-skip"
            else []
        ),
        *(
            [Buffer(STREAM, 2 * board.threads * streamed, "blocks of the head on their way, two a thread")]
            if streamed
            else []
        ),
        *convolution_buffers(cfg, board),
    ]


def convolution_buffers(cfg: ModelConfig, board: Board) -> list[Buffer]:
    """What convolutions over a picture need: one map in and one out, at a time."""
    layers = convolutions(cfg)
    if not layers:
        return []
    sums = max(layer.cells * layer.outputs for layer in layers)
    codes = max(layer.side**2 * layer.inputs for layer in layers)
    window = pad(9 * max(layer.inputs for layer in layers))
    rows = pad(max(layer.outputs for layer in layers), ROWS)
    return [
        Buffer("picture", 4 * max(3 * cfg.image_side**2, sums), "a picture, sums of a convolution", False),
        Buffer("map", pad(codes), "int8 input of a convolution, all of it", False),
        Buffer("window", board.threads * window, "int8 cells under a convolution, of every thread"),
        Buffer("cell", 4 * board.threads * rows, "int32 accumulators of a cell, of every thread"),
    ]


def skip_bytes(width: int) -> int:
    """Bytes of what a 2-skip head keeps of its input: the codes, two int32 a step (bm_skip_input)."""
    steps = pad(width, SKIP_STEP) // SKIP_STEP
    return SKIP_STEP * steps + 2 * 4 * steps


def scores(cfg: ModelConfig) -> int:
    """Slots that one attention sees, at most; rounded up, so that threads do not share a cache line."""
    return pad(max(c.slots for c in cache_table(cfg)), 16)


def head_rows(cfg: ModelConfig, board: Board) -> int:
    """Logits that are computed at a time: enough to keep a kernel busy, few enough to stay in the nearest
    cache.
    """
    return min(board.head_rows, pad(cfg.vocab_size, ROWS))


def stream_rows(cfg: ModelConfig, board: Board, blob: Blob) -> int:
    """Rows of the head in a block that comes while the one before is computed; 0: it cannot be streamed. One
    of 2-skip cannot: which bytes are read next depends on those before.
    """
    if board.stream is None or blob.head_bits == "2-skip":
        return 0
    most = min(
        board.stream.block // head_row_bytes(cfg, blob.head_bits), head_rows(cfg, board) // board.threads
    )
    group = families()[blob.family].layout.group
    return most // group * group


def stream_bytes(cfg: ModelConfig, board: Board, blob: Blob) -> int:
    """Bytes of such a block, aligned."""
    return pad(stream_rows(cfg, board, blob) * head_row_bytes(cfg, blob.head_bits))


def head_row_bytes(cfg: ModelConfig, head_bits: str) -> int:
    """Bytes of one row of a head of 2 or 1.6 bits a weight."""
    return -(-cfg.d_model // K_STEP5) if head_bits == "1.6" else pad(cfg.d_model, K_BLOCK) // 4


def rings(cfg: ModelConfig) -> list[Cache]:
    """The KV rings of the layers."""
    return [c for c in cache_table(cfg) if c.ring]


def slot_bytes(cache: Cache) -> int:
    """Bytes of one slot of a cache: key, value, two scales."""
    return 2 * pad(cache.width, CACHE_ROW) + 8


def cache_bytes(cache: Cache) -> int:
    """Bytes of a cache."""
    return pad(cache.slots * slot_bytes(cache))


def memory_bytes(cfg: ModelConfig) -> int:
    """Bytes of the episodic memory: two code planes, scales, usage."""
    return cfg.memory_slots * (2 * pad(cfg.d_model) + 8)


def buffer_traffic(cfg: ModelConfig, name: str, size: int, context: int) -> float:
    """Bytes of a long-lived buffer that one token reads, with an image set and ``context`` tokens in the
    window.
    """
    kind, _, number = name.partition(".")
    if kind == "kv":
        ring = rings(cfg)[int(number)]
        return min(context, ring.slots) * slot_bytes(ring)
    if name in ("picture", "map"):
        return 0
    return memory_read_bytes(cfg) / cfg.read_every if name == "memory" else size


def store_work(cfg: ModelConfig) -> int:
    """BM_STORE_BUFFERS: two units of state, two planes of a block."""
    return 2 * UNIT + 2 * READ_BLOCK * pad(cfg.d_model)


def memory_read_bytes(cfg: ModelConfig) -> int:
    """Bytes that one read of the memory touches: the high bytes and the scales, or all of a keyed one."""
    return memory_bytes(cfg) if cfg.keyed else cfg.memory_slots * (pad(cfg.d_model) + 4)


def section_traffic(cfg: ModelConfig, blob: Blob) -> dict[str, float]:
    """Bytes of every section of the blob that one token reads, with an image set."""
    table = {s.name: s for s in section_table(cfg)}

    def one(name: str, size: int) -> float:
        if name == "head_order":
            return size
        if name in ("head_w", "head_places"):
            return size * blob.head_read
        section = table.get(name)
        if section is None or section.read in ("image", "picture", "episode"):
            return 0
        if section.form == "memory":  # copied at start, or read where it lies
            return memory_read_bytes(cfg) / cfg.read_every if blob.memory == "flash" else 0
        if section.read == "row":
            return 4 if section.form == "float32" else cfg.d_model
        return size / cfg.read_every if section.read == "read" else size

    return {s.name: one(s.name, len(s.data)) for s in blob.sections}
