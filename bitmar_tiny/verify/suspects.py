"""What stands between a tap and the one before it: the suspects of a first difference.

In the texts ``{i}`` is the first differing index, ``{layer}`` the block's name.
"""

from __future__ import annotations

from pathlib import Path

from ..arch.config import ModelConfig

_PARTS = {"enc": "encoder", "fusion": "fusion", "dec": "decoder"}
_KERNEL = "the ternary kernel or row {i} of "

_BLOCK = {
    "attn.codes": "the quantiser or gain {layer}.attn_norm",
    "q.codes": "the quantiser",
    "k.codes": "the quantiser",
    "v.codes": "the quantiser",
    "cache.k": "cache slot {i} of {layer} (ring position or a stray write)",
    "cache.k_scale": "cache slot {i} of {layer} (ring position or a stray write)",
    "cache.v": "cache slot {i} of {layer} (ring position or a stray write)",
    "cache.v_scale": "cache slot {i} of {layer} (ring position or a stray write)",
    "attn.out": "attention over the cache of {layer}",
    "attn.x": _KERNEL + "{layer}.wo, or its scale",
    "ffn.codes": "the quantiser or gain {layer}.ffn_norm",
    "ffn.acc": _KERNEL + "{layer}.w1",
    "ffn.hidden": "the activation or the quantiser",
    "ffn.x": _KERNEL + "{layer}.w2, or its scale",
    "in": "the memory conditioning or the decoder's input",
    "cond": _KERNEL + "{layer}.wm, or its scale",
}

_FUSION = {
    "image.k": "{layer}.wk or its scale",
    "image.k_scale": "{layer}.wk or its scale",
    "image.v": "{layer}.wv or its scale",
    "image.v_scale": "{layer}.wv or its scale",
    "codes": "the quantiser or gain {layer}.norm",
    "q.codes": "{layer}.wq or its scale",
    "out": "attention over the image in {layer}",
    "x": _KERNEL + "{layer}.wo, or its scale",
}

_SINGLE = {
    "image.input": "2x2 pooling or the picture itself",
    "image.hidden": _KERNEL + "vision.w1, or its scale",
    "image.token": _KERNEL + "vision.w2, its scale, or vision.positions",
    "image.norm.codes": "the quantiser or gain fusion.image_norm",
    "embed": "the token table or the position table",
    "pool.codes": "the quantiser or gain memory.norm",
    "read.vector": "the memory read or the memory itself",
    "head.codes": "the quantiser or gain head.norm",
    "logits": _KERNEL + "head.w",
    "write.acc": _KERNEL + "memory.ww",
    "write.weights": "memory addressing or the scale of memory.ww",
    "memory.high": "the memory update of slot {i}",
    "memory.low": "the memory update of slot {i}",
    "memory.scales": "the memory update or forgetting of slot {i}",
    "memory.usage": "the usage of slot {i}",
}


def split(tap: str) -> tuple[str, str]:
    """'enc.3.ffn.acc' -> ('enc.3', 'ffn.acc'); 'logits' -> ('', 'logits')."""
    parts = tap.split(".")
    return (".".join(parts[:2]), ".".join(parts[2:])) if parts[0] in _PARTS else ("", tap)


def layer_in_words(tap: str) -> str:
    """'encoder layer 3', or the part of the model that the tap belongs to."""
    layer, rest = split(tap)
    kind, _, number = layer.partition(".")
    return f"{_PARTS[kind]} layer {number}" if layer else rest.split(".")[0]


def suspect(cfg: ModelConfig, tap: str, index: tuple[int, ...]) -> str:
    """The suspect of a difference at ``tap[index]``, in words."""
    layer, rest = split(tap)
    i = index[0] if index else 0
    if rest == "qkv.acc":
        which, i = "qkv"[i // cfg.d_model], i % cfg.d_model
        return (_KERNEL + "{layer}.w" + which).format(i=i, layer=layer)
    if rest == "qkv.scales":
        return f"the scale of {layer}.w{'qkv'[i]}"
    table = _FUSION if layer.startswith("fusion") else _BLOCK if layer else _SINGLE
    text = table.get(rest, f"the step that makes {tap}")
    return text.format(i=i, layer=layer)


def source_line(tap: str, sources: Path | None) -> str:
    """File and line of the C statement that reports this tap, or '' where the sources are not at hand."""
    layer, rest = split(tap)
    macro = f"BM_TAP_{'FUSION_' if layer.startswith('fusion') else ''}{rest.replace('.', '_').upper()},"
    for source in sorted(sources.glob("bm_*.c")) if sources else ():
        for number, line in enumerate(source.read_text().splitlines(), 1):
            if macro in line and line.lstrip().startswith("BM_TAP"):
                return f"{source.name}:{number}"
    return ""
