# SPDX-License-Identifier: Apache-2.0
"""The adaptive training controller: answers a fall of cross-modal alignment with a temporary intervention.

Paper 3.4.2: when an average over 200 steps of the cross-modal cosine falls more than 0.12 below its recent
maximum, freeze an encoder at random or raise the weight of the cross-modal loss for 1,500 steps; not within
800 steps of the last time. Its section 4.3 speaks of freezing the memory instead: here that is one more
intervention to draw. ``interventions`` with a single name gives either reading alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from .config import TrainConfig

#: Parts of the tensor table that stay as they are while an intervention lasts.
FROZEN_PARTS = {"freeze_text": "encoder", "freeze_vision": "vision", "freeze_memory": "memory"}
_STREAM = 0xC0


@dataclass
class Controller:
    """Feed it the alignment of each step (``observe``); it says what the next step does differently.

    average: exponential moving average, without bias from its start; best: its maximum since the last
    intervention ended (the recent maximum); until: step at which the running intervention ends; ended: step
    at which the last one did.
    """

    cfg: TrainConfig
    seen: int = 0
    total: float = 0.0
    best: float | None = None
    action: str | None = None
    until: int = 0
    ended: int | None = None
    count: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def average(self) -> float | None:
        """None before the first observation."""
        return self.total / (1 - (1 - 1 / self.cfg.controller_span) ** self.seen) if self.seen else None

    @property
    def frozen_part(self) -> str | None:
        """Part of the model whose gradients are thrown away now."""
        return FROZEN_PARTS.get(self.action or "")

    @property
    def boost(self) -> float:
        """Factor of the cross-modal loss now."""
        return self.cfg.controller_boost if self.action == "boost_alignment" else 1.0

    def observe(self, step: int, cosine: float | None) -> dict[str, Any] | None:
        """After step ``step`` (counted from 1) with this mean cosine, None where it had no picture.

        Returns an event, {step, event: begin | end, action, average, best}, where an intervention begins or
        ends.
        """
        if cosine is not None:
            rate = 1 / self.cfg.controller_span
            self.seen, self.total = self.seen + 1, (1 - rate) * self.total + rate * cosine
        if self.action is not None:
            return self._end(step) if step >= self.until else None
        if (
            self.seen < self.cfg.controller_span or cosine is None
        ):  # a short average is noise, and so is its maximum
            return None
        self.best = self.average if self.best is None else max(self.best, self.average)
        rested = self.ended is None or step - self.ended >= self.cfg.controller_cooldown
        return self._begin(step) if rested and self.best - self.average > self.cfg.controller_drop else None

    def _begin(self, step: int) -> dict[str, Any]:
        draw = np.random.default_rng([self.cfg.seed, _STREAM, self.count])
        self.action = self.cfg.interventions[int(draw.integers(len(self.cfg.interventions)))]
        self.until, self.count = step + self.cfg.controller_length, self.count + 1
        return self._event(step, "begin")

    def _end(self, step: int) -> dict[str, Any]:
        event = self._event(step, "end")
        self.action, self.ended, self.best = None, step, self.average
        return event

    def _event(self, step: int, what: str) -> dict[str, Any]:
        event = {
            "step": step,
            "event": what,
            "action": self.action,
            "average": self.average,
            "best": self.best,
        }
        self.events.append(event)
        return event

    def state(self) -> dict[str, Any]:
        """For the checkpoint: plain numbers and strings."""
        return {k: v for k, v in asdict(self).items() if k != "cfg"}

    @classmethod
    def restore(cls, cfg: TrainConfig, state: dict[str, Any]) -> Controller:
        return cls(cfg, **state)
