# SPDX-License-Identifier: Apache-2.0
"""Strict model configuration: the shapes that training, golden and code generation share.

An unknown key or an impossible value raises :class:`~bitmar_tiny.errors.ConfigError`.
"""

from __future__ import annotations

import difflib
import math
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import ConfigError
from ..files import parse_json

#: Largest reduction length K for which ``127 * K`` stays below 2**24, so that a float32 sum of
#: ternary x int8 products is exact in any order (docs/explanation/numerics.md, rule 1).
MAX_REDUCTION = 4096
#: Largest number of slots one attention may see: ``2**14 * 127 * n`` must stay below 2**31.
MAX_CONTEXT = 1032
#: Largest number of codes whose squares an int32 can add up: ``127**2 * n`` must stay below 2**31.
MAX_SQUARES = 133144
#: The vision front end of the paper produces vectors of this width (section 3.2).
VISION_DIM = 768
#: ``match`` where it is not given.
MATCH = 0.95
#: Side of the patch of RGB pixels that is a vector of as many numbers.
PATCH = 16


class StrictModel(BaseModel):
    """A pydantic model that refuses unknown keys and cannot be changed after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def parse(cls, values: dict[str, Any], where: str) -> Self:
        """Validate ``values``; every failure becomes one :class:`ConfigError` naming ``where``."""
        if not isinstance(values, dict):
            raise ConfigError(f"{where}: expected a table of settings.")
        try:
            return cls(**values)
        except ValidationError as error:
            first = min(
                error.errors(), key=lambda e: e["type"] != "extra_forbidden"
            )  # a typo explains the rest
            key = ".".join(str(part) for part in first["loc"])
            if first["type"] == "extra_forbidden":
                near = difflib.get_close_matches(key, cls.model_fields, n=1)
                hint = f"Did you mean '{near[0]}'?" if near else f"Known keys: {', '.join(cls.model_fields)}."
                raise ConfigError(f"{where}: unknown key '{key}'.", hint) from None
            message = first["msg"].removeprefix("Value error, ")
            raise ConfigError(f"{where}: {key + ': ' if key else ''}{message}.") from None

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a JSON file of settings. Raises ``ConfigError`` for a bad file, key or value."""
        try:
            values = parse_json(Path(path).read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: not a readable JSON configuration ({error}).") from None
        return cls.parse(values, str(path))


class ModelConfig(StrictModel):
    """Every dimension of one BitMar model (paper sections 3.1 to 3.4, design section 3)."""

    name: str = "custom"
    vocab_size: int = Field(50257, ge=2, le=1 << 20)
    d_model: int = Field(128, ge=4, le=MAX_REDUCTION)
    n_heads: int = Field(4, ge=1)
    n_kv_heads: int | None = Field(
        None,
        ge=1,
        description="heads of keys and values in every attention, each shared by n_heads / n_kv_heads "
        "queries; not given: n_heads",
    )
    n_encoder_layers: int = Field(4, ge=1, le=64)
    n_fusion_layers: int = Field(
        1,
        ge=1,
        le=16,
        description="cross-attention layers; from the second on, what the "
        "model looks for depends on what it has seen",
    )
    n_decoder_layers: int = Field(4, ge=1, le=64)
    d_ffn: int = Field(512, ge=4, le=MAX_REDUCTION)
    ffn_activation: Literal["relu", "relu2"] = "relu2"
    n_sinks: int = Field(4, ge=1)
    window: int = Field(1020, ge=1)
    n_positions: int = Field(256, ge=1, le=1 << 20)
    vision_hidden: int = Field(384, ge=4, le=MAX_REDUCTION)
    vision_channels: tuple[int, int, int, int] | None = Field(
        None,
        description="channels of four ternary convolutions that see the whole picture, pixels as a grid of "
        "patches; not given: every vector is compressed alone, by vision_hidden",
    )
    image_tokens: int = Field(16, ge=1, le=MAX_CONTEXT, description="vectors per image after pooling")
    image_pool: Literal[1, 2] = Field(1, description="2 = average 2x2 neighbours of a square grid first")
    memory_slots: int = Field(512, ge=1, le=1 << 20)
    read_every: int = Field(32, ge=1)
    write_rate: float = Field(0.2, gt=0, le=1)
    write_rule: Literal["bounded", "outer", "keyed"] = Field(
        "bounded",
        description="keyed: an episode is kept whole in one slot, what it said under what was seen; "
        "write_rate, forget_rate and forget_below then count for nothing",
    )
    forget_rate: float = Field(1 / 64, ge=0, lt=1)
    forget_below: float = Field(0.25, ge=0, description="stale below this multiple of 1/K usage")
    ternary_threshold: float = Field(0.5, gt=0, lt=2, description="in units of mean |W|")
    memory_fixed: int | None = Field(
        None, ge=0, description="keyed: so many slots are learned and never written; not given: 1"
    )
    match: float | None = Field(
        None,
        gt=0,
        le=1,
        description="keyed: cosine of two keys from which they stand for one thing, so that the later "
        "episode replaces the earlier; not given: 0.95",
    )

    @model_validator(mode="after")
    def _shapes_agree(self) -> ModelConfig:
        if self.d_model % self.n_heads:
            raise ValueError(f"d_model={self.d_model} is not a multiple of n_heads={self.n_heads}")
        if self.n_kv_heads and self.n_heads % self.n_kv_heads:
            raise ValueError(f"n_heads={self.n_heads} is not a multiple of n_kv_heads={self.n_kv_heads}")
        if self.context > MAX_CONTEXT:
            raise ValueError(
                f"n_sinks+window={self.context} exceeds {MAX_CONTEXT}, past which the int32 sum of "
                "attention-weighted values could overflow; reduce window"
            )
        if self.image_pool == 2 and math.isqrt(self.image_tokens) ** 2 != self.image_tokens:
            raise ValueError(
                f"image_pool=2 needs a square grid, and image_tokens={self.image_tokens} is none"
            )
        if not self.keyed and not (self.memory_fixed is None and self.match is None):
            raise ValueError("memory_fixed and match are for write_rule='keyed'")
        if self.fixed_slots >= self.memory_slots:
            raise ValueError(
                f"memory_fixed={self.fixed_slots} leaves none of memory_slots={self.memory_slots} to write"
            )
        if self.vision_channels:
            self._check_convolutions(self.vision_channels)
        return self

    def _check_convolutions(self, channels: tuple[int, ...]) -> None:
        if self.image_pool != 1:
            raise ValueError("vision_channels takes the pixels themselves; set image_pool=1")
        if math.isqrt(self.image_tokens) ** 2 != self.image_tokens:
            raise ValueError(
                f"vision_channels needs a square grid, and image_tokens={self.image_tokens} is none"
            )
        widest = max(9 * max(channels[:-1]), channels[-1])
        if min(channels) < 1 or widest > MAX_REDUCTION:
            raise ValueError(
                f"vision_channels={list(channels)} must be from 1 to {MAX_REDUCTION // 9}, the last to "
                f"{MAX_REDUCTION}, so that sums of products stay exact"
            )
        if self.image_tokens * channels[-1] > MAX_SQUARES:
            raise ValueError(
                f"image_tokens={self.image_tokens} times {channels[-1]} channels exceeds {MAX_SQUARES}, past "
                "which the int32 sum of their squares could overflow; reduce the last of vision_channels"
            )

    # A model's digest covers its settings, so a setting that came later is written only where it is given.
    # No serializer does it: pydantic makes an error of its own out of an interrupt in one.

    def model_dump(self, **options: Any) -> dict[str, Any]:
        return super().model_dump(exclude_none=True, **options)

    def model_dump_json(self, **options: Any) -> str:
        return super().model_dump_json(exclude_none=True, **options)

    @property
    def head_dim(self) -> int:
        return self.d_model // self.n_heads

    @property
    def kv_width(self) -> int:
        """Codes of a key, and of a value."""
        return (self.n_kv_heads or self.n_heads) * self.head_dim

    @property
    def vision_width(self) -> int:
        """Codes of an image token before the last projection of the vision front end."""
        return self.vision_channels[-1] if self.vision_channels else self.vision_hidden

    @property
    def image_side(self) -> int:
        """Pixels along a side of the picture that ``vision_channels`` see."""
        return PATCH * math.isqrt(self.image_tokens)

    @property
    def context(self) -> int:
        """Slots of every KV ring: sinks plus window, the current token included."""
        return self.n_sinks + self.window

    @property
    def keyed(self) -> bool:
        """Whether keys lie apart from values, and slots are chosen by use."""
        return self.write_rule == "keyed"

    @property
    def fixed_slots(self) -> int:
        """Slots, the first ones, that are learned and never written."""
        return (1 if self.memory_fixed is None else self.memory_fixed) if self.keyed else 0

    @property
    def match_from(self) -> float:
        """Cosine from which two keys stand for one thing."""
        return MATCH if self.match is None else self.match

    @property
    def image_inputs(self) -> int:
        """Vectors of 768 that one image hands over, before 2x2 pooling."""
        return self.image_tokens * self.image_pool**2


PRESETS: dict[str, ModelConfig] = {
    "paper": ModelConfig(name="paper", image_tokens=49, image_pool=2),
    "pocket": ModelConfig(name="pocket", window=252, memory_slots=256, image_tokens=16),
    "demo": ModelConfig(
        name="demo",
        vocab_size=4096,
        n_heads=8,
        n_encoder_layers=1,
        n_fusion_layers=4,
        n_decoder_layers=2,
        window=60,
        n_positions=64,
        image_tokens=21,
        memory_slots=128,
        read_every=16,
    ),
    "recall": ModelConfig(
        name="recall",
        vocab_size=384,
        d_model=64,
        n_heads=2,
        n_encoder_layers=1,
        n_decoder_layers=1,
        d_ffn=128,
        n_sinks=2,
        window=30,
        n_positions=32,
        vision_hidden=8,
        image_tokens=1,
        memory_slots=16,
        read_every=1,
        write_rate=1.0,
    ),
    "things": ModelConfig(
        name="things",
        vocab_size=1536,
        n_encoder_layers=1,
        n_decoder_layers=2,
        d_ffn=256,
        n_sinks=2,
        window=30,
        n_positions=32,
        image_tokens=4,
        vision_channels=(64, 64, 128, 128),
        memory_slots=256,
        memory_fixed=16,
        read_every=1,
        write_rule="keyed",
    ),
}


def preset(name: str) -> ModelConfig:
    """Return a named preset; ``ConfigError`` with the nearest name for an unknown one."""
    if name in PRESETS:
        return PRESETS[name]
    near = difflib.get_close_matches(name, PRESETS, n=1)
    raise ConfigError(
        f"There is no preset '{name}'.",
        f"Did you mean '{near[0]}'?" if near else f"Choose one of: {', '.join(PRESETS)}.",
    )
