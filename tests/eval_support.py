# SPDX-License-Identifier: Apache-2.0
"""A model with a tokenizer that needs no package: every byte is a token."""

from __future__ import annotations

import json
from pathlib import Path

from support import TINY

from bitmar_tiny.data.tokenizer import EOS_TEXT, Tokenizer
from bitmar_tiny.frozen import FrozenModel, random_model


def byte_tokenizer() -> Tokenizer:
    """257 tokens, in GPT-2's order of bytes."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    order = shown + [b for b in range(256) if b not in shown]
    return Tokenizer([*(bytes([b]) for b in order), EOS_TEXT], [])


def byte_model(seed: int = 1) -> FrozenModel:
    """TINY with random weights and the byte tokenizer."""
    model = random_model(TINY, seed)
    return FrozenModel(model.config, model.arrays, byte_tokenizer().to_bytes(), model.provenance)


def write_jsonl(path: Path, *rows: dict) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
