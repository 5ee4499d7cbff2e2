# SPDX-License-Identifier: Apache-2.0
"""What the templates of a project are filled with."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from bitmar_tiny.arch.blocks import Block, FusionLayer, Part
from bitmar_tiny.arch.c_tables import CACHE_FIELDS, macro, section_fields, tap_macro
from bitmar_tiny.arch.config import ModelConfig
from bitmar_tiny.arch.tables import (
    blocks,
    convolutions,
    fusion_layers,
    matrix_table,
    section_table,
    tap_table,
)
from bitmar_tiny.frozen import FrozenModel
from bitmar_tiny.golden.model import forget_threshold
from bitmar_tiny.memory.format import Layout

from . import lower as lowering
from .boards import Board
from .buffers import (
    CANDIDATES,
    cache_bytes,
    head_rows,
    memory_bytes,
    rings,
    scores,
    stream_bytes,
    stream_rows,
)
from .build import link_flags
from .kernels import families
from .plan import Plan
from .platform import hot_sources


def context(model: FrozenModel, board: Board, family: str, blob: lowering.Blob, plan: Plan) -> dict[str, Any]:
    """Everything that templates may name; an unknown name is an error there."""
    return {
        "board": board,
        "cfg": model.config,
        "digest": model.digest,
        "family": family,
        "plan": plan,
        **_shapes(model, board, families()[family].layout.group),
        **_blob(model, blob, plan),
        **_places(model, blob, plan),
        **_stream(model, board, blob, plan),
        **_taps(model),
        **_tools(board, family),
    }


def _shapes(model: FrozenModel, board: Board, group: int) -> dict[str, Any]:
    cfg, ring = model.config, rings(model.config)[0]
    return {
        "digest_bytes": bytes.fromhex(model.digest),
        "image_grid": math.isqrt(cfg.image_tokens),
        "c_float": c_float,
        "forget_threshold": forget_threshold(cfg),
        "eos": cfg.vocab_size - 1,
        "token_bits": lowering.token_bits(model),
        "head_rows": head_rows(cfg, board),
        "row_group": group,
        "candidates_bytes": CANDIDATES,
        "scores": scores(cfg),
        "kv_width": ring.width,
        "kv_bytes": cache_bytes(ring),
        "products": [
            (m.section.field, m.rows, m.width) for m in matrix_table(cfg) if m.section.layer == "enc.0"
        ],
        "memory_bytes": memory_bytes(cfg),
        "store_bytes": Layout(cfg.memory_slots, cfg.d_model).size,
    }


def _blob(model: FrozenModel, blob: lowering.Blob, plan: Plan) -> dict[str, Any]:
    repeated = {s.name for s in section_table(model.config) if s.layer}  # in tables instead of a macro each
    tokenizer = next(s for s in blob.sections if s.name == "tokenizer")
    return {
        "blob_version": lowering.VERSION,
        "blob_layout": blob.layout,
        "blob_header": lowering.HEADER_BYTES,
        "blob_bytes": blob.size,
        "head_bits": blob.head_bits,
        "memory_tier": blob.memory,
        "tokenizer_bytes": len(tokenizer.data),
        "section_macros": [
            (macro(s.name), s.offset if s.name == "memory" else plan.place(s.name))
            for s in blob.sections
            if s.name not in repeated
        ],
    }


def _places(model: FrozenModel, blob: lowering.Blob, plan: Plan) -> dict[str, Any]:
    cfg = model.config
    single = [p for p in plan.of_kind("arena") if not p.name.startswith(("kv.", "image."))]
    ids = {t.name: i for i, t in enumerate(tap_table(cfg))}
    encoder, decoder = (list(_layers(cfg, plan, ids, part)) for part in ("encoder", "decoder"))
    return {
        "arenas": plan.arenas,
        "buffers": [(macro(p.name), plan.place(p.name), p) for p in single],
        "copies": [(blob.offset(p.name), plan.place(p.name), p) for p in plan.of_kind("copy")],
        "layer_fields": [*section_fields(blocks(cfg)[0]), CACHE_FIELDS[Block]],
        "encoder": encoder,
        "decoder": decoder,
        "fusion_fields": [
            *section_fields(fusion_layers(cfg)[0]),
            CACHE_FIELDS[FusionLayer],
            "tap",
            "image_tap",
        ],
        "fusion": list(_fusion(cfg, plan, ids)),
        "convolutions": list(_convolutions(cfg, plan, ids)),
    }


def _stream(model: FrozenModel, board: Board, blob: lowering.Blob, plan: Plan) -> dict[str, Any]:
    return {
        "stream_rows": stream_rows(model.config, board, blob) if plan.streams else 0,
        "stream_bytes": stream_bytes(model.config, board, blob),
        "head_bytes": next(len(s.data) for s in blob.sections if s.name == "head_w"),
    }


def _taps(model: FrozenModel) -> dict[str, Any]:
    taps = tap_table(model.config)
    return {
        "tap_macros": [(tap_macro(t), i) for i, t in enumerate(taps) if not t.layer],
        "tap_count": len(taps),
    }


def _sections(layer: Part, plan: Plan) -> dict[str, Any]:
    """Name of a layer and the places of its sections."""
    return {"name": layer.name} | {s.field: plan.place(s.name) for s in layer.sections()}


def _fusion(cfg: ModelConfig, plan: Plan, ids: dict[str, int]) -> Iterator[dict[str, Any]]:
    for i, layer in enumerate(fusion_layers(cfg)):
        first = {t.event: ids[t.name] for t in reversed(list(layer.taps()))}
        yield _sections(layer, plan) | {
            CACHE_FIELDS[FusionLayer]: plan.place(f"image.{i}"),
            "tap": first["step"],
            "image_tap": first["image"],
        }


def _convolutions(cfg: ModelConfig, plan: Plan, ids: dict[str, int]) -> Iterator[dict[str, Any]]:
    for layer in convolutions(cfg):
        yield _sections(layer, plan) | {
            "inputs": layer.inputs,
            "outputs": layer.outputs,
            "tap": next(ids[t.name] for t in layer.taps()),
        }


def _layers(cfg: ModelConfig, plan: Plan, ids: dict[str, int], part: str) -> Iterator[dict[str, Any]]:
    """``tap``: of the block proper, so that a decoder layer's ``in_tap`` and ``cond_tap`` stand beside it."""
    for slot, layer in enumerate(blocks(cfg)):
        if layer.part == part:
            yield _sections(layer, plan) | {
                CACHE_FIELDS[Block]: plan.place(f"kv.{slot}"),
                "slot": slot,
                "tap": ids[f"{layer.name}.attn.codes"],
                "in_tap": ids.get(f"{layer.name}.in"),
                "cond_tap": ids.get(f"{layer.name}.cond"),
            }


def _tools(board: Board, family: str) -> dict[str, Any]:
    return {
        "hot_sources": hot_sources(board.platform),
        "family_flags": " ".join(_make_flags(board, family)),
        "make_arguments": _make_arguments(board),
        "make_link": _make_link(board),
        "usage_template": board.platform.own("templates/usage.md.j2"),
    }


def _make_compiler(board: Board) -> str | None:
    """Name of the board's first compiler that is a plain command."""
    return next((name for name, c in board.compilers.items() if not c.package.startswith("pip:")), None)


def _make_flags(board: Board, family: str) -> list[str]:
    """What `make` gives that compiler for the family; without one, what the family says to any."""
    name = _make_compiler(board)
    return board.family_flags(family, name) if name else families()[family].flags


def _make_arguments(board: Board) -> str:
    """How `make` is told to use that compiler."""
    name = _make_compiler(board)
    if name is None:
        return "CC=..."
    compiler = board.compilers[name]
    flags = f' EXTRA="{" ".join(compiler.flags)}"' if compiler.flags else ""
    return f"CC={compiler.command[0]}{flags}"


def _make_link(board: Board) -> str:
    """What the board's first compiler wants after the objects, as the project's folder sees it."""
    return " ".join(
        part.format(src="src") for part in link_flags(board, next(iter(board.compilers.values())))
    )


def c_float(value: float) -> str:
    """A float32 constant as C text that reads back to the same bits."""
    return f"{float(np.float32(value))!r}f"
