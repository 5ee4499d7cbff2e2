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

HARNESS = Path(__file__).parents[1] / "firmware"
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


def fuzzer(folder, patches=()):
    """``patches``: (source, text, text in its place)."""
    need("host", "gcc")
    board = load_board("host")
    model = random_model(ModelConfig(**SMALL.model_dump()))
    project = emit(model, board, folder / "p", "portable", updates=True)
    for source in project.sources.glob("linux_*.c"):
        source.unlink()
    for name in ("link_fuzz.c", "link_fuzz_update.h"):
        shutil.copy(HARNESS / name, project.sources)
    for name, old, new in patches:
        text = (project.sources / name).read_text()
        assert text.count(old) == 1, f"{name} no longer holds {old!r} once"
        (project.sources / name).write_text(text.replace(old, new))
    return build(
        project.path, board, "portable", opt="-O1", extra=(*SANITIZE, "-DBM_TAPS", "-DBM_PROFILE")
    ).command


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory):
    return fuzzer(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("seed", range(2))
def test_any_frames_leave_the_firmware_answering(fuzz, seed):
    """No fault under address and undefined-behaviour sanitizers, and a clean session afterwards gets the
    right identity. Updates come to their end among them, and what runs after a restart is what was sent.
    """
    done = subprocess.run([*fuzz, str(FRAMES // 2), str(seed)], capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stderr[-3000:]
    whole, damaged, answers, blocks, tried = map(int, done.stdout.split())
    assert whole > FRAMES // 4 and damaged > FRAMES // 100 and answers > FRAMES // 4
    assert blocks > FRAMES // 1000 and tried > FRAMES // 20_000


@pytest.mark.parametrize(
    "patch",
    [
        ("bm_update_serve.c", "if (v->left > sizeof data) {", "if (0) {"),
        ("bm_update.c", "if (!bm_update_whole(u, target_area(u))) {", "if (0) {"),
        ("bm_update.c", " || offset >= all_of(s->head)", ""),
    ],
)
def test_a_check_of_updates_that_is_left_out_is_found(patch, tmp_path):
    """An update that is too long, or not what was sent. The device's own start leaves the hash out, too."""
    patches = [patch, ("link_fuzz_update.h", "if (proof && !bm_update_whole(&update, a)) return 1;", "")]
    done = subprocess.run([*fuzzer(tmp_path, patches), "250000", "0"], capture_output=True, timeout=600)
    assert done.returncode
