# SPDX-License-Identifier: Apache-2.0
"""The parts with attention: transformer blocks and the fusion with the image. What a part yields: see
:class:`Part`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from .config import ModelConfig
from .records import Cache, Form, Read, Section, State, Suspect, Tap, Tensor

KERNEL = "the ternary kernel or row {i} of "


class Part:
    """One part. ``elements``: float operations of a token that are no products. ``words``: what a person
    calls it.
    """

    name = words = ""
    elements = 0

    def __init__(self, cfg: ModelConfig) -> None:
        self.cfg = cfg

    def tensors(self) -> Iterator[Tensor]:
        yield from ()

    def sections(self) -> Iterator[Section]:
        yield from ()

    def caches(self) -> Iterator[Cache]:
        yield from ()

    def states(self) -> Iterator[State]:
        yield from ()

    def taps(self) -> Iterator[Tap]:
        yield from ()


class Block(Part):
    """A pre-norm transformer block with ternary projections and an int8 KV cache; of the encoder, or with
    ``conditioned`` of the decoder, where a projection of what the memory said is added to its input.
    """

    def __init__(self, cfg: ModelConfig, name: str, part: str, conditioned: bool = False) -> None:
        super().__init__(cfg)
        self.name, self.part, self.conditioned = name, part, conditioned
        self.words = f"{part} layer {name.partition('.')[2]}"
        self.elements = 20 * cfg.d_model + 2 * cfg.d_ffn + cfg.d_model * conditioned
        self.cache = Cache(f"{name}.cache", cfg.context, cfg.kv_width, ring=True)

    def shapes(self) -> dict[str, tuple[int, int]]:
        """[out, in] of the matrices."""
        d, f, kv = self.cfg.d_model, self.cfg.d_ffn, self.cfg.kv_width
        return {"wq": (d, d), "wk": (kv, d), "wv": (kv, d), "wo": (d, d), "w1": (f, d), "w2": (d, f)}

    def tensors(self) -> Iterator[Tensor]:
        n, d, shapes = self.name, self.cfg.d_model, self.shapes()
        if self.conditioned:
            yield Tensor(f"{n}.wm", "ternary", (d, d), self.part)
        yield Tensor(f"{n}.attn_norm", "gain", (d,), self.part)
        for w in ("wq", "wk", "wv", "wo"):
            yield Tensor(f"{n}.{w}", "ternary", shapes[w], self.part)
        yield Tensor(f"{n}.ffn_norm", "gain", (d,), self.part)
        for w in ("w1", "w2"):
            yield Tensor(f"{n}.{w}", "ternary", shapes[w], self.part)

    def sections(self) -> Iterator[Section]:
        section = partial(layer_section, self.name)
        if self.conditioned:
            yield section("wm", "ternary", "wm.trits", read="read")
            yield section("wm_scale", "float32", "wm.scale", read="read")
        yield section("attn_norm", "float32", "attn_norm")
        yield section("wqkv", "ternary", "wq.trits", "wk.trits", "wv.trits")
        yield section("wo", "ternary", "wo.trits")
        yield section("ffn_norm", "float32", "ffn_norm")
        yield section("w1", "ternary", "w1.trits")  # its scale cancels in the norm of the hidden layer
        yield section("w2", "ternary", "w2.trits")
        yield section("scales", "float32", "wq.scale", "wk.scale", "wv.scale", "wo.scale", "w2.scale")

    def caches(self) -> Iterator[Cache]:
        yield self.cache

    def taps(self) -> Iterator[Tap]:
        n, d, f, kv = self.name, self.cfg.d_model, self.cfg.d_ffn, self.cache.width

        def tap(field: str, dtype: str, extent: int, suspect: Suspect) -> Tap:
            return Tap(f"{n}.{field}", dtype, (extent,), "step", layer=n, suspect=suspect)

        rows = {"q": d, "k": kv, "v": kv}
        if self.conditioned:
            yield tap("in", "float32", d, "the memory conditioning or the decoder's input")
        yield tap("attn.codes", "int8", d, f"the quantiser or gain {n}.attn_norm")
        pieces = tuple((size, f"{KERNEL}{n}.w{t}") for t, size in rows.items())
        yield tap("qkv.acc", "int32", sum(rows.values()), pieces)
        for t, size in rows.items():
            yield tap(f"{t}.codes", "int8", size, "the quantiser")
        yield tap("qkv.scales", "float32", 3, tuple((1, f"the scale of {n}.w{t}") for t in rows))
        stray = f"cache slot {{i}} of {n} (ring position or a stray write)"
        for a in self.cache.arrays():
            yield Tap(a.name, a.dtype, a.shape, "step", quiet=True, layer=n, suspect=stray)
        yield tap("attn.out", "float32", d, f"attention over the cache of {n}")
        yield tap("attn.x", "float32", d, f"{KERNEL}{n}.wo, or its scale")
        yield tap("ffn.codes", "int8", d, f"the quantiser or gain {n}.ffn_norm")
        yield tap("ffn.acc", "int32", f, f"{KERNEL}{n}.w1")
        yield tap("ffn.hidden", "int8", f, "the activation or the quantiser")
        yield tap("ffn.x", "float32", d, f"{KERNEL}{n}.w2, or its scale")


class FusionLayer(Part):
    """Cross-attention of the text over the image (paper 3.3); ``image`` caches its keys and values for an
    episode.
    """

    def __init__(self, cfg: ModelConfig, index: int) -> None:
        super().__init__(cfg)
        self.name, self.words = f"fusion.{index}", f"fusion layer {index}"
        self.elements = 10 * cfg.d_model
        self.cache = Cache(f"{self.name}.image", cfg.image_tokens, cfg.kv_width, ring=False)

    def tensors(self) -> Iterator[Tensor]:
        n, d, kv = self.name, self.cfg.d_model, self.cfg.kv_width
        yield Tensor(f"{n}.norm", "gain", (d,), "fusion")
        for w, rows in (("wq", d), ("wk", kv), ("wv", kv), ("wo", d)):
            yield Tensor(f"{n}.{w}", "ternary", (rows, d), "fusion")

    def sections(self) -> Iterator[Section]:
        section = partial(layer_section, self.name)
        yield section("norm", "float32", "norm")
        yield section("wq", "ternary", "wq.trits")
        yield section("wk", "ternary", "wk.trits", read="image")
        yield section("wv", "ternary", "wv.trits", read="image")
        yield section("wo", "ternary", "wo.trits")
        yield section("scales", "float32", "wq.scale", "wk.scale", "wv.scale", "wo.scale")

    def caches(self) -> Iterator[Cache]:
        yield self.cache

    def taps(self) -> Iterator[Tap]:
        n, d = self.name, self.cfg.d_model
        for a in self.cache.arrays():
            made_by = f"{n}.w{a.name.removeprefix(self.cache.name + '.')[0]} or its scale"
            yield Tap(a.name, a.dtype, a.shape, "image", layer=n, suspect=made_by)
        tap = partial(Tap, event="step", only="image", layer=n)
        yield tap(f"{n}.codes", "int8", (d,), suspect=f"the quantiser or gain {n}.norm")
        yield tap(f"{n}.q.codes", "int8", (d,), suspect=f"{n}.wq or its scale")
        yield tap(f"{n}.out", "float32", (d,), suspect=f"attention over the image in {n}")
        yield tap(f"{n}.x", "float32", (d,), suspect=f"{KERNEL}{n}.wo, or its scale")


class Fusion(Part):
    """All fusion layers and the norm of the image that they share."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__(cfg)
        self.layers = [FusionLayer(cfg, i) for i in range(cfg.n_fusion_layers)]
        self.elements = sum(layer.elements for layer in self.layers)

    def tensors(self) -> Iterator[Tensor]:
        yield Tensor("fusion.image_norm", "gain", (self.cfg.d_model,), "fusion")
        for layer in self.layers:
            yield from layer.tensors()

    def sections(self) -> Iterator[Section]:
        yield Section("image_norm", "float32", ("fusion.image_norm",), read="image")
        for layer in self.layers:
            yield from layer.sections()

    def caches(self) -> Iterator[Cache]:
        for layer in self.layers:
            yield from layer.caches()

    def taps(self) -> Iterator[Tap]:
        d, norm = self.cfg.d_model, "the quantiser or gain fusion.image_norm"
        yield Tap("image.norm.codes", "int8", (d,), "image", each=True, suspect=norm)
        for layer in self.layers:
            yield from layer.taps()
        yield Tap("fused", "float32", (d,), "step")


def layer_section(
    layer: str, field: str, form: Form, *arrays: str, read: Read = "token", times: int = 1
) -> Section:
    """A section of a repeated layer, named within it."""
    names = tuple(f"{layer}.{a}" for a in arrays)
    return Section(f"{layer}.{field}", form, names, read, layer, times=times)
