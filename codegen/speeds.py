# SPDX-License-Identifier: Apache-2.0
"""One model on every board: whether it fits, how fast it would be there and what a token would cost. All
estimated, from the plan and the figures of the profiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bitmar_tiny.errors import ConfigError, FitError
from bitmar_tiny.frozen import FrozenModel

from . import lower as lowering
from .boards import Board
from .estimate import Estimate, plan_estimates
from .plan import make_plan


@dataclass(frozen=True)
class BoardSpeed:
    """refused: why the board cannot hold the model, with what to turn, "" where it can; short, full: a token
    at a short and at a full window, None without figures of the board (full also where that is no longer).
    """

    board: Board
    family: str
    refused: str
    short: Estimate | None
    full: Estimate | None

    @property
    def mj(self) -> float | None:
        """Millijoules of a token at a short window."""
        return self.short.ms * self.board.power.active_w if self.short and self.board.power else None

    @property
    def read_mb(self) -> float | None:
        """Megabytes that a token reads from memory behind a cache at a short window; None where there is no
        such memory.
        """
        behind = [r.name for r in self.board.regions if r.cache_line]
        return sum(self.short.bytes.get(r, 0) for r in behind) / 1e6 if self.short and behind else None

    def at_bytes(self, read_mb: float | None) -> float | None:
        """Tokens a second if a token read so many megabytes, at the rate at which this one's are read."""
        return self.short.tokens_per_s * self.read_mb / read_mb if self.read_mb and read_mb else None

    def as_dict(self) -> dict[str, Any]:
        return {
            "board": self.board.name,
            "kernels": self.family,
            "refused": self.refused,
            "estimates": [e.as_dict() for e in (self.short, self.full) if e],
            "mj": self.mj,
            "read_mb": self.read_mb,
        }


def board_speed(model: FrozenModel, board: Board) -> BoardSpeed:
    """A model on a board, with the kernels that the board's figures are of."""
    known = board.speed.family if board.speed else ""
    family = known if known in board.kernels else board.kernels[0]
    try:
        blob = lowering.lower(model, family, "2", "ram")
        plan = make_plan(model.config, blob, board)
        board.platform.check_blob(board, blob)
    except (FitError, ConfigError) as error:
        return BoardSpeed(board, family, str(error), None, None)
    short, full, *_ = [*plan_estimates(model.config, blob, board, plan), None, None]
    return BoardSpeed(board, family, "", short, full)
