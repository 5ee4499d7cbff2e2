# SPDX-License-Identifier: Apache-2.0
"""The firmware's end of the link, under sanitizers."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from firmware.build import SANITIZE
from support import TINY, need

from bitmar_tiny.arch.config import ModelConfig
from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.build import build
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.frozen import random_model

HARNESS = Path(__file__).parents[1] / "firmware" / "link_fuzz.c"
#: Of both seeds together.
FRAMES = int(os.environ.get("BITMAR_FUZZ_FRAMES", 1_000_000))
#: As small as can be, since the frames are what is tested; with pooled image vectors.
SMALL = TINY.model_copy(
    update={
        "name": "small",
        "d_model": 32,
        "n_heads": 1,
        "d_ffn": 64,
        "n_decoder_layers": 1,
        "image_tokens": 4,
        "image_pool": 2,
        "vision_hidden": 32,
    }
)


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory):
    need("host", "gcc")
    board = load_board("host")
    project = emit(
        random_model(ModelConfig(**SMALL.model_dump())),
        board,
        tmp_path_factory.mktemp("fuzz") / "p",
        "portable",
    )
    for source in project.sources.glob("linux_*.c"):
        source.unlink()
    shutil.copy(HARNESS, project.sources)
    return build(
        project.path, board, "portable", opt="-O1", extra=(*SANITIZE, "-DBM_TAPS", "-DBM_PROFILE")
    ).command


@pytest.mark.parametrize("seed", range(2))
def test_any_frames_leave_the_firmware_answering(fuzz, seed):
    """No fault under address and undefined-behaviour sanitizers, and a clean session afterwards gets the
    right identity.
    """
    done = subprocess.run([*fuzz, str(FRAMES // 2), str(seed)], capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stderr[-3000:]
    whole, damaged, answers = map(int, done.stdout.split())
    assert whole > FRAMES // 4 and damaged > FRAMES // 100 and answers > FRAMES // 4
