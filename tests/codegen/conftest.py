# SPDX-License-Identifier: Apache-2.0
"""Projects for ESP-IDF that several files of tests look at."""

from pathlib import Path

import pytest

from bitmar_tiny.api.model import load
from bitmar_tiny.arch.config import preset
from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.frozen import random_model

#: Board, model, kernels, memory; and whether it takes updates.
CASES = [
    ("esp32-s3-n16r8", "demo", "pie", "auto"),
    ("esp32-s3-n16r8", "paper", "pie", "auto"),
    ("esp32-s3-n16r2", "demo", "pie", "auto"),
    ("esp32-s3-n16r2", "pocket", "pie", "auto"),
    ("esp32-s3-n16r8", "demo", "portable", "flash"),
    ("esp32-s3-n16r8", "paper", "pie", "sd"),
    ("esp32-s3-eye", "things", "pie", "sd"),
    ("esp32-c3-devkitm-1", "demo", "portable", "auto"),
    ("esp32-c6-devkitc-1", "demo", "portable", "sd"),
    ("esp32-p4-function-ev", "paper", "portable", "sd"),
    ("esp32-p4x-function-ev", "demo", "portable", "auto"),
    ("esp32-s3-n16r8", "demo", "pie", "sd", "updates"),
]
#: Nobody has its private half.
PUBLIC_KEY = Path(__file__).parents[1] / "firmware" / "update.pem"


@pytest.fixture(scope="session", params=CASES, ids="-".join)
def idf_project(request, tmp_path_factory):
    board, model, family, memory, *updates = request.param
    return emit(
        load(model) if model == "things" else random_model(preset(model)),
        load_board(board),
        tmp_path_factory.mktemp("idf") / "p",
        family,
        memory=memory,
        updates=bool(updates),
        public_key=PUBLIC_KEY if updates else None,
    )
