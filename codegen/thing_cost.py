# SPDX-License-Identifier: Apache-2.0
"""What it costs a board to be shown a thing, and to be asked for one: time, bytes written, energy. All
estimated.

A thing is a picture and the name said beside it. Teaching looks at the picture, reads the sentence and
writes one slot; asking looks at the picture, reads the prompt and writes the answer.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bitmar_tiny.arch.config import ModelConfig

from .boards import Board
from .estimate import Estimate
from .memory_cost import MemoryCost
from .picture_cost import PictureCost

#: Steps of "This is a dexmo." with the token that begins a stream: the parts of a made-up name are tokens.
TOLD = 7
#: Steps of the question: the beginning, "This is", and all but the last token of the answer " a dexmo.".
ASKED = 7


@dataclass(frozen=True)
class ThingCost:
    """One thing. written: bytes that go to where the memory is kept, on a card or in RAM, its records
    included; mj: millijoules of the whole board while it computes; None without figures of the board.
    """

    tier: str
    teach_ms: float | None
    ask_ms: float | None
    written: int
    teach_mj: float | None
    ask_mj: float | None
    label: str = "estimated"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def sentence(self) -> str:
        """For people."""
        where = "to the card" if self.tier == "sd" else f"into {self.tier}"
        parts = [f"teaching writes {self.written / 1000:,.1f} kB {where}"]
        for what, ms, mj in (
            ("teaching", self.teach_ms, self.teach_mj),
            ("asking", self.ask_ms, self.ask_mj),
        ):
            if ms is not None:
                parts.append(f"{what} takes {ms:,.0f} ms" + (f" and {mj:,.0f} mJ" if mj is not None else ""))
        return f"A thing to remember: {', '.join(parts)} (estimated)."


def thing_cost(
    cfg: ModelConfig, board: Board, token: Estimate | None, picture: PictureCost, memory: MemoryCost
) -> ThingCost | None:
    """Cost of a thing for a plan with these costs of a token, a picture and the memory. None where no memory
    keeps things: it is not keyed, or read-only.
    """
    if not cfg.keyed or memory.write_most == 0:
        return None
    teach = ask = None
    wrote = 0.0 if memory.tier == "ram" else None  # of RAM without rates: two rows, next to nothing
    if memory.write_ms_most is not None:
        wrote = memory.write_ms_most
    if token and picture.ms is not None:
        ask = picture.ms + ASKED * token.ms
        teach = None if wrote is None else picture.ms + TOLD * token.ms + wrote
    power = board.power.active_w if board.power else None
    energy = [None if ms is None or power is None else ms * power for ms in (teach, ask)]
    return ThingCost(memory.tier, teach, ask, memory.write_most, *energy)
