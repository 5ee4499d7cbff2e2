# SPDX-License-Identifier: Apache-2.0
"""Inputs and data sets for the firmware's MLPerf Tiny / EEMBC mode (docs/how-to/benchmark-runners.md;
bm_ascii.h reads what this writes).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..arch.config import ModelConfig
from ..errors import DataError

MAGIC, VERSION = b"BMIN", 1
HEADER = struct.Struct("<4s6H")
#: Tokens or classes of an input at most, and ids that always fit beside a picture (BM_ASCII_RESULTS).
MOST = 256
LABELS = "y_labels.csv"


def input_bytes(
    cfg: ModelConfig,
    picture: np.ndarray | None = None,
    prompt: Sequence[int] = (),
    *,
    classes: Sequence[int] = (),
    tokens: int = 0,
) -> bytes:
    """One input: what one inference of a model of shape ``cfg`` does. ``DataError`` names what does not fit.

    ``picture``: uint8 patches [cfg.image_inputs, 768]. After it and the ``prompt`` the model writes
    ``tokens`` tokens, or chooses among ``classes``, the token ids that may come next; one of the two.
    """
    for what, ids in (("prompt", prompt), ("classes", classes)):
        wrong = [i for i in ids if not 0 <= i < cfg.vocab_size]
        if wrong:
            raise DataError(f"The {what} hold token {wrong[0]}, the model has {cfg.vocab_size} tokens.")
        if len(ids) > MOST:
            raise DataError(f"The {what} hold {len(ids)} tokens, an input at most {MOST}.")
    if bool(classes) == bool(tokens) or len(classes) == 1 or not 0 <= tokens <= MOST:
        raise DataError(f"An input asks for 1 to {MOST} tokens, or for a choice among 2 to {MOST} classes.")
    if picture is not None and (picture.dtype != np.uint8 or picture.shape != (cfg.image_inputs, 768)):
        raise DataError(
            f"The picture is {picture.dtype.name}{list(picture.shape)}, the model takes "
            f"uint8[{cfg.image_inputs}, 768]."
        )
    header = HEADER.pack(MAGIC, VERSION, picture is not None, len(prompt), len(classes), tokens, 0)
    return (
        header
        + (b"" if picture is None else picture.tobytes())
        + np.array([*prompt, *classes], "<u4").tobytes()
    )


def write_dataset(folder: Path, items: Iterable[tuple[str, bytes, int, int]]) -> Path:
    """Write inputs and their labels as the runner reads them; returns the labels' file.

    ``items``: (file name, input, number of classes, right class); for inputs that write tokens the last two
    are 0.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, data, classes, right in items:
        (folder / name).write_bytes(data)
        rows.append(f"{name},{classes},{right}\n")
    (folder / LABELS).write_text("".join(rows))
    return folder / LABELS
