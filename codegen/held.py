# SPDX-License-Identifier: Apache-2.0
"""The estimate held to what others measured on chips: the bytes that their firmware reads, at our rates.
Nothing of it was measured here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .boards import load_board

#: Of octal PSRAM at 80 MHz: what the profile's rate with lines of 64 bytes follows from.
LATENCY_NS, BURST_MB_S = 327, 147


@dataclass(frozen=True)
class Reading:
    """What a published firmware reads from PSRAM, and how long that took on the chip.

    read_mb: 10^6 bytes, counted from the published shape; besides_ms: what its authors measured apart of it;
    line: bytes of a cache line, None: the profile's; ahead: it fetches ahead, as a stream of ours does.
    """

    board: str
    what: str
    read_mb: float
    measured_ms: float
    source: str
    besides_ms: float = 0.0
    line: int | None = None
    ahead: bool = False

    @property
    def estimated_ms(self) -> float:
        """As ``estimate.part_ms`` has it where the bus is what both cores wait for."""
        board = load_board(self.board)
        rate = next(r.read_mb_s for r in board.regions if r.name == "psram")
        if self.ahead:
            rate = board.stream.mb_s["psram"]
        if self.line:
            rate = 1e3 * self.line / (LATENCY_NS + 1e3 * self.line / BURST_MB_S)
        return self.besides_ms + 1e3 * self.read_mb / rate

    def as_dict(self) -> dict[str, Any]:
        """With "label" and "off", the estimate's error as a part of what was measured."""
        return asdict(self) | {
            "label": "estimated",
            "estimated_ms": self.estimated_ms,
            "off": self.estimated_ms / self.measured_ms - 1,
        }


_ROWS, _WIDTH = 25_353, 96  # the head of slvDev/esp32-ai, each row with a scale of 4 bytes
_HEAD4, _HEAD8 = (_ROWS * (_WIDTH * bits // 8 + 4) / 1e6 for bits in (4, 8))
_TILES = 66 * 128 * (_WIDTH // 2 + 4) / 1e6
_SWEEP = "slvDev/esp32-ai, firmware/idf_tinystories/sweep/line64.conf at 9965f5e"
_SKETCH = "slvDev/esp32-ai, firmware/esp32_tinystories/esp32_tinystories.ino at 9965f5e"
_CARD = "bytes-per-token 0.1.0, model card, 6 November 2026: 1,000 / its tokens/s"
READINGS = [
    Reading("esp32-s3-n16r8", "head of 25,353 x 96, int4", _HEAD4, 14.6, _SWEEP),
    Reading("esp32-s3-n16r8", "the same, lines of 32 bytes", _HEAD4, 20.8, _SWEEP, line=32),
    Reading("esp32-s3-n16r8", "the same as int8, lines of 32 bytes", _HEAD8, 43.6, _SKETCH, line=32),
    Reading("esp32-s3-n16r8", "the int4 head, a third of its tiles", _TILES, 6.6, _SKETCH, besides_ms=1.4),
    Reading("esp32-s3-n16r8", "a token of 8.6M parameters, int4", 1.16, 1e3 / 90, _CARD, ahead=True),
    Reading("esp32-s3-n16r8", "a token of 3.4M parameters, int4", 0.90, 1e3 / 113, _CARD, ahead=True),
    Reading("esp32-p4-function-ev", "head of 25,353 x 96, int8", _HEAD8, 12.6, "slvDev/esp32-ai, issue 23"),
]
