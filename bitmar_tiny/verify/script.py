# SPDX-License-Identifier: Apache-2.0
"""Scripts: what a verification asks of every session, golden and C alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from ..arch.config import VISION_DIM, ModelConfig
from ..golden import numerics as nm

#: Steps of a verification: enough to go past the window of small models, and a second or two.
TOKENS = 300
#: Usage shrinks by 1/32 a write: so many writes take a stale slot from the uniform 1/K below a quarter of it.
FORGETTING_EPISODES = 48


@dataclass(frozen=True)
class Event:
    """One command of a script. kind: begin, image, token, write, memory or power (off and on again)."""

    kind: str
    token: int = 0
    image: np.ndarray | None = field(default=None, compare=False)
    on: bool = True

    def describe(self) -> str:
        return f"token {self.token}" if self.kind == "token" else self.kind


def random_image(cfg: ModelConfig, rng: np.random.Generator) -> np.ndarray:
    """Random pixel patches as features, float32 [image_inputs, 768]."""
    return nm.pixels(rng.integers(0, 256, (cfg.image_inputs, VISION_DIM), np.uint8))


def standard(cfg: ModelConfig, tokens: int, seed: int = 0, images: Iterable[np.ndarray] = ()) -> list[Event]:
    """A script that reaches every corner of the model in ``tokens`` steps and a few dozen more.

    Three short episodes with image, write and read back (one text-only); power off and on, and another that
    reads what is left; one with the memory off; then one-token episodes until slots that nothing reaches are
    being forgotten (two tokens where keys lie apart, so that they differ and fill the memory); then one
    stream as long as the rest of the budget: past the window, past the positions.
    """
    rng = np.random.default_rng(seed)
    pictures = list(images)
    short = max(2, min(24, tokens // 8))
    events: list[Event] = []

    def stream(n: int) -> None:
        eos = cfg.vocab_size - 1
        events.append(Event("token", eos))
        events.extend(Event("token", int(t)) for t in rng.integers(0, cfg.vocab_size, max(0, n - 1)))

    def picture() -> np.ndarray:
        return pictures.pop(0) if pictures else random_image(cfg, rng)

    for episode in range(3):
        events.append(Event("begin"))
        if episode != 1:
            events.append(Event("image", image=picture()))
        stream(short)
        events.append(Event("write"))
    events += [Event("power"), Event("begin")]
    stream(short)
    events += [Event("begin"), Event("memory", on=False), Event("image", image=picture())]
    stream(short)
    events.append(Event("memory", on=True))
    for _ in range(FORGETTING_EPISODES):
        events.append(Event("begin"))
        stream(2 if cfg.keyed else 1)
        events.append(Event("write"))
    events += [Event("begin"), Event("image", image=picture())]
    stream(max(short, tokens - 4 * short))
    events.append(Event("write"))
    return events
