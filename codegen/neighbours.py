# SPDX-License-Identifier: Apache-2.0
"""What others published of language models on boards like ours. Nothing of it was measured here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Neighbour:
    """A model on a board, by its profile or by name: tokens a second as published, megabytes that a token
    reads from flash and PSRAM (None: not known), and where both are said.
    """

    board: str
    project: str
    model: str
    read_mb: float | None
    tokens_per_s: float
    source: str


_HEAD = "bytes counted from the shape of its head, 25,353 x 96 numbers of 4 bits"
NEIGHBOURS = [
    Neighbour(
        "esp32-s3-n16r8",
        "bytes-per-token 0.1.0",
        "8.6M, int4, V 8,192",
        1.16,
        90,
        "model card and release page, 6 November 2026",
    ),
    Neighbour(
        "esp32-s3-n16r8",
        "bytes-per-token 0.1.0",
        "3.4M, int4, V 4,096",
        0.90,
        113,
        "model card, 6 November 2026",
    ),
    Neighbour("esp32-s3-n16r8", "bytes-per-token 0.1.0", "28.9M, int4", 1.22, 87, f"release page; {_HEAD}"),
    Neighbour("esp32-s3-n16r8", "slvDev/esp32-ai", "28.9M, int4", 1.22, 9.88, f"RESULTS.md; {_HEAD}"),
    Neighbour("ESP32-P4", "slvDev/esp32-ai#24", "28.9M, int4", 1.22, 63, f"pull request; {_HEAD}"),
    Neighbour("ESP32-S3", "doryiii/esp32-llm", "3.3M, int8", None, 12, "README"),
    Neighbour("RP2040", "Starmind Pico", "8K parameters", None, 3, "comfyspace.tech"),
]
