# SPDX-License-Identifier: Apache-2.0
"""The parts that make image tokens out of a picture: the paper's compressor of vectors, or convolutions over
pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from .blocks import KERNEL, Part, layer_section
from .config import VISION_DIM, ModelConfig
from .records import Section, Tap, Tensor


class Vision(Part):
    """What both have: the projection of a hidden vector to an image token, and the tokens' positions."""

    def tensors(self) -> Iterator[Tensor]:
        cfg = self.cfg
        yield Tensor("vision.w2", "ternary", (cfg.d_model, cfg.vision_width), "vision")
        yield Tensor("vision.positions", "rows8", (cfg.image_tokens, cfg.d_model), "vision")

    def sections(self) -> Iterator[Section]:
        section = partial(Section, read="image")
        yield section("vision_w2", "ternary", ("vision.w2.trits",))
        yield section("vision_scales", "float32", self.scales())
        yield section("image_position_codes", "rows", ("vision.positions.codes",))
        yield section("image_position_scales", "float32", ("vision.positions.scales",))

    def scales(self) -> tuple[str, ...]:
        """The scales that the hidden vector and the token are multiplied by, in this order."""
        return ("vision.w2.scale",)

    def taps(self) -> Iterator[Tap]:
        token = KERNEL + "vision.w2, its scale, or vision.positions"
        yield Tap("image.token", "float32", (self.cfg.d_model,), "image", each=True, suspect=token)


class Compressor(Vision):
    """The compressor of image vectors (paper 3.2), each alone."""

    def tensors(self) -> Iterator[Tensor]:
        yield Tensor("vision.w1", "ternary", (self.cfg.vision_hidden, VISION_DIM), "vision")
        yield from super().tensors()

    def sections(self) -> Iterator[Section]:
        yield Section("vision_w1", "ternary", ("vision.w1.trits",), read="image")
        yield from super().sections()

    def scales(self) -> tuple[str, ...]:
        return ("vision.w1.scale", *super().scales())

    def taps(self) -> Iterator[Tap]:
        tap = partial(Tap, event="image", each=True)
        yield tap("image.input", "float32", (VISION_DIM,), suspect="2x2 pooling or the picture itself")
        yield tap("image.codes", "int8", (VISION_DIM,))
        yield tap(
            "image.hidden", "int8", (self.cfg.vision_hidden,), suspect=KERNEL + "vision.w1, or its scale"
        )
        yield from super().taps()


class Convolution(Part):
    """A 3x3 ternary convolution of a map of codes, 2x2 max pooling, ReLU and a gain for each channel. Its
    scale cancels in the quantiser.
    """

    def __init__(self, cfg: ModelConfig, index: int) -> None:
        super().__init__(cfg)
        self.name, self.words = f"vision.{index}", f"convolution {index}"
        channels = (3, *(cfg.vision_channels or ()))
        self.inputs, self.outputs = channels[index : index + 2]
        self.side = cfg.image_side >> index
        self.cells = (self.side // 2) ** 2

    def tensors(self) -> Iterator[Tensor]:
        yield Tensor(f"{self.name}.w", "ternary", (self.outputs, 9 * self.inputs), "vision")
        yield Tensor(f"{self.name}.gain", "gain", (self.outputs,), "vision")

    def sections(self) -> Iterator[Section]:
        yield layer_section(self.name, "w", "ternary", "w.trits", read="picture", times=self.side**2)
        yield layer_section(self.name, "gain", "float32", "gain", read="picture")

    def taps(self) -> Iterator[Tap]:
        n, shape = self.name, (self.cells * self.outputs,)
        suspect = f"a convolution with {n}.w, the pooling, gain {n}.gain or the quantiser"
        yield Tap(f"{n}.codes", "int8", shape, "image", layer=n, suspect=suspect)


class Convolutions(Vision):
    """Four convolutions over the whole picture, so that a patch of 16 x 16 pixels becomes one vector."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__(cfg)
        self.layers = [Convolution(cfg, i) for i in range(len(cfg.vision_channels or ()))]

    def tensors(self) -> Iterator[Tensor]:
        for layer in self.layers:
            yield from layer.tensors()
        yield from super().tensors()

    def sections(self) -> Iterator[Section]:
        for layer in self.layers:
            yield from layer.sections()
        yield from super().sections()

    def taps(self) -> Iterator[Tap]:
        pixels = (3 * self.cfg.image_side**2,)
        yield Tap("image.codes", "int8", pixels, "image", suspect="the quantiser or the picture itself")
        for layer in self.layers:
            yield from layer.taps()
        yield Tap("image.scale", "float32", (1,), "image", suspect="the norm of the last convolution")
        yield from super().taps()


def vision(cfg: ModelConfig) -> Vision:
    """The front end that a configuration asks for."""
    return Convolutions(cfg) if cfg.vision_channels else Compressor(cfg)
