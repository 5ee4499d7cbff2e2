"""What the templates of a project are filled with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bitmar_tiny.frozen import FrozenModel
from bitmar_tiny.golden.model import forget_threshold
from bitmar_tiny.store_format import Layout
from bitmar_tiny.taps import tap_table

from . import lower as lowering
from .boards import Board
from .buffers import CANDIDATES, head_rows, kv_bytes, memory_bytes, scores
from .build import HOT_SOURCES
from .plan import Plan

#: Sections and taps of repeated layers, which get tables instead of a macro each.
PARTS = ("enc.", "fusion.", "dec.")


def context(model: FrozenModel, board: Board, family: str, blob: lowering.Blob, plan: Plan) -> dict[str, Any]:
    """Everything that templates may name; an unknown name is an error there."""
    return {
        "board": board,
        "cfg": model.config,
        "digest": model.digest,
        "family": family,
        "plan": plan,
        **_shapes(model, board),
        **_blob(blob, plan),
        **_places(model, blob, plan),
        **_taps(model),
        **_tools(board, family),
    }


def _shapes(model: FrozenModel, board: Board) -> dict[str, Any]:
    cfg = model.config
    return {
        "digest_bytes": bytes.fromhex(model.digest),
        "image_grid": math.isqrt(cfg.image_tokens),
        "c_float": c_float,
        "forget_threshold": forget_threshold(cfg),
        "eos": cfg.vocab_size - 1,
        "token_bits": lowering.token_bits(model),
        "head_rows": head_rows(cfg, board),
        "candidates_bytes": CANDIDATES,
        "scores": scores(cfg),
        "kv_bytes": kv_bytes(cfg),
        "memory_bytes": memory_bytes(cfg),
        "store_bytes": Layout(cfg.memory_slots, cfg.d_model).size,
    }


def _blob(blob: lowering.Blob, plan: Plan) -> dict[str, Any]:
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
            (_macro(s.name), s.offset if s.name == "memory" else plan.place(s.name))
            for s in blob.sections
            if not s.name.startswith(PARTS)
        ],
    }


def _places(model: FrozenModel, blob: lowering.Blob, plan: Plan) -> dict[str, Any]:
    taps = [t.name for t in tap_table(model.config)]
    single = [p for p in plan.of_kind("arena") if not p.name.startswith(("kv.", "image."))]
    return {
        "arenas": plan.arenas,
        "buffers": [(_macro(p.name), plan.place(p.name), p) for p in single],
        "copies": [(blob.offset(p.name), plan.place(p.name), p) for p in plan.of_kind("copy")],
        "layers": list(_layers(model, plan, taps)),
        "fusion": list(_fusion(model, plan, taps)),
    }


def _taps(model: FrozenModel) -> dict[str, Any]:
    taps = [t.name for t in tap_table(model.config)]
    return {
        "tap_macros": [(_macro(t), i) for i, t in enumerate(taps) if not t.startswith(PARTS)],
        "tap_count": len(taps),
    }


def _tools(board: Board, family: str) -> dict[str, Any]:
    return {
        "hot_sources": HOT_SOURCES,
        "family_flags": " ".join(board.family_flags(family, next(iter(board.compilers)))),
        "make_arguments": _make_arguments(board),
        "make_link": _make_link(board),
    }


def _fusion(model: FrozenModel, plan: Plan, taps: list[str]):
    for i in range(model.config.n_fusion_layers):
        name = f"fusion.{i}"
        yield (
            {key: plan.place(f"{name}.{key}") for key in ("norm", "wq", "wk", "wv", "wo", "scales")}
            | {
                "name": name,
                "image": plan.place(f"image.{i}"),
                "tap": taps.index(f"{name}.codes"),
                "image_tap": taps.index(f"{name}.image.k"),
            }
        )


def _layers(model: FrozenModel, plan: Plan, taps: list[str]):
    cfg, slot = model.config, 0
    for part, prefix, count in (
        ("encoder", "enc", cfg.n_encoder_layers),
        ("decoder", "dec", cfg.n_decoder_layers),
    ):
        for i in range(count):
            name = f"{prefix}.{i}"
            entry = {
                key: plan.place(f"{name}.{key}")
                for key in ("attn_norm", "wqkv", "wo", "ffn_norm", "w1", "w2", "scales")
            }
            entry |= {
                "name": name,
                "slot": slot,
                "part": part,
                "index": i,
                "kv": plan.place(f"kv.{slot}"),
                "tap": taps.index(f"{name}.attn.codes"),
            }
            if part == "decoder":
                entry |= {
                    "wm": plan.place(f"{name}.wm"),
                    "wm_scale": plan.place(f"{name}.wm_scale"),
                    "cond_tap": taps.index(f"{name}.cond"),
                }
            slot += 1
            yield entry


def _make_arguments(board: Board) -> str:
    """How `make` is told to use the board's first compiler that is a plain command."""
    for compiler in board.compilers.values():
        if not compiler.package.startswith("pip:"):
            flags = f' EXTRA="{" ".join(compiler.flags)}"' if compiler.flags else ""
            return f"CC={compiler.command[0]}{flags}"
    return "CC=..."


def _make_link(board: Board) -> str:
    """What the board's first compiler wants after the objects, as the project's folder sees it."""
    return " ".join(part.format(src="src") for part in next(iter(board.compilers.values())).link)


def _macro(name: str) -> str:
    return name.upper().replace(".", "_")


def c_float(value: float) -> str:
    """A float32 constant as C text that reads back to the same bits."""
    return f"{float(np.float32(value))!r}f"
