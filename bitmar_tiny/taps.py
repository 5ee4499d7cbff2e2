"""The one table of taps: every intermediate tensor that a target can be asked about.

A tap is emitted as (id, CRC32 of its little-endian bytes); its id is its index in this table.
``quiet`` taps are large state, compared only when a difference has to be pinned down.
"""

from __future__ import annotations

from dataclasses import dataclass

from .config import VISION_DIM, ModelConfig


@dataclass(frozen=True)
class Tap:
    """One tap: ``name`` as in the golden model, NumPy ``dtype`` name, ``shape``, and its event."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    event: str
    quiet: bool = False


def tap_table(cfg: ModelConfig) -> list[Tap]:
    """All taps of a model, in the order in which one pass emits them."""
    d, n, taps = cfg.d_model, cfg.context, []

    def tap(event: str, name: str, dtype: str, *shape: int, quiet: bool = False) -> None:
        taps.append(Tap(name, dtype, shape, event, quiet))

    def block(name: str) -> None:
        tap("step", f"{name}.attn.codes", "int8", d)
        tap("step", f"{name}.qkv.acc", "int32", 3 * d)
        for t in "qkv":
            tap("step", f"{name}.{t}.codes", "int8", d)
        tap("step", f"{name}.qkv.scales", "float32", 3)
        for t in "kv":
            tap("step", f"{name}.cache.{t}", "int8", n, d, quiet=True)
            tap("step", f"{name}.cache.{t}_scale", "float32", n, quiet=True)
        tap("step", f"{name}.attn.out", "float32", d)
        tap("step", f"{name}.attn.x", "float32", d)
        tap("step", f"{name}.ffn.codes", "int8", d)
        tap("step", f"{name}.ffn.acc", "int32", cfg.d_ffn)
        tap("step", f"{name}.ffn.hidden", "int8", cfg.d_ffn)
        tap("step", f"{name}.ffn.x", "float32", d)

    tap("image", "image.input", "float32", VISION_DIM)  # these five once per image vector
    tap("image", "image.codes", "int8", VISION_DIM)
    tap("image", "image.hidden", "int8", cfg.vision_hidden)
    tap("image", "image.token", "float32", d)
    tap("image", "image.norm.codes", "int8", d)
    for i in range(cfg.n_fusion_layers):
        for t in "kv":
            tap("image", f"fusion.{i}.image.{t}", "int8", cfg.image_tokens, d)
            tap("image", f"fusion.{i}.image.{t}_scale", "float32", cfg.image_tokens)
    tap("step", "embed", "float32", d)
    for i in range(cfg.n_encoder_layers):
        block(f"enc.{i}")
    for i in range(cfg.n_fusion_layers):  # only with an image
        tap("step", f"fusion.{i}.codes", "int8", d)
        tap("step", f"fusion.{i}.q.codes", "int8", d)
        tap("step", f"fusion.{i}.out", "float32", d)
        tap("step", f"fusion.{i}.x", "float32", d)
    tap("step", "fused", "float32", d)
    tap("step", "pool.codes", "int8", d)
    tap("step", "pool.sum", "int32", d)
    tap("step", "read.query", "int8", d)  # these only when the memory is read
    tap("step", "read.vector", "float32", d)
    for i in range(cfg.n_decoder_layers):
        tap("step", f"dec.{i}.cond", "float32", d)
    for i in range(cfg.n_decoder_layers):
        tap("step", f"dec.{i}.in", "float32", d)
        block(f"dec.{i}")
    tap("step", "head.codes", "int8", d)
    tap("step", "logits", "int32", cfg.vocab_size)
    tap("write", "write.query", "int8", d)
    tap("write", "write.acc", "int32", cfg.memory_slots)
    tap("write", "write.weights", "int32", cfg.memory_slots)
    tap("write", "memory.high", "int8", cfg.memory_slots, d)
    tap("write", "memory.low", "int8", cfg.memory_slots, d)
    tap("write", "memory.scales", "float32", cfg.memory_slots)
    tap("write", "memory.usage", "uint32", cfg.memory_slots)
    return taps
