# SPDX-License-Identifier: Apache-2.0
"""A verification that cannot fail proves nothing: break one thing at a time and see it found and named."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
from support import TINY, need

from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.build import build
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.codegen.lower import seal
from bitmar_tiny.frozen import random_model
from bitmar_tiny.run.firmware import ProgramSession
from bitmar_tiny.verify.compare import verify
from bitmar_tiny.verify.script import standard
from bitmar_tiny.verify.trace import trace


@pytest.fixture
def project(tiny, tmp_path):
    need("host", "gcc")
    return emit(tiny, load_board("host"), tmp_path / "p", "portable")


def difference(model, project):
    program = build(
        project.path, project.board, project.family, compiler="gcc", taps=True, extra=("-Wno-error",)
    )
    with ProgramSession(program, project.board, "broken") as session:
        verdict = verify(model, session, standard(model.config, 60), project.sources)
    assert not verdict.exact
    return verdict.difference


def patch_source(project, name, old, new):
    path = project.sources / name
    text = path.read_text()
    assert text.count(old) >= 1, f"{name} no longer holds {old!r}"
    path.write_text(text.replace(old, new, 1))


def patch_blob(project, section, change):
    """Apply ``change(bytearray view)`` to one section and seal the blob again."""
    s = next(s for s in project.blob.sections if s.name == section)
    body = bytearray((project.path / "model.blob").read_bytes())
    part = bytearray(body[s.offset : s.offset + len(s.data)])
    change(part)
    body[s.offset : s.offset + len(s.data)] = part
    (project.path / "model.blob").write_bytes(seal(body, project.blob.digest, project.blob.layout))


def test_broken_kernel(tiny, project):
    patch_source(
        project,
        "bm_block.c",
        "bm_linear(s, layer->w1, BM_FFN, BM_D, s->codes, h.sum);",
        "bm_linear(s, layer->w1, BM_FFN, BM_D, s->codes, h.sum);\n    if (s->t == 4u) s->acc[17] ^= 1;",
    )
    found = difference(tiny, project)
    assert (found.tap, found.element, found.step) == ("enc.0.ffn.acc", "[17]", 4)
    assert "row 17 of enc.0.w1" in found.suspect and found.line.startswith("bm_block.c:")
    assert found.layer == "encoder layer 0" and "0x" in found.expected


def test_broken_scale(tiny, project):
    def one_ulp(part):
        part[4] ^= 1  # scale of wk

    patch_blob(project, "dec.1.scales", one_ulp)
    found = difference(tiny, project)
    assert found.tap == "dec.1.qkv.scales" and found.suspect == "the scale of dec.1.wk"


def test_broken_table(tiny, project):
    eos = tiny.config.vocab_size - 1

    def other_code(part):
        row = np.frombuffer(part, np.int8).reshape(-1, tiny.config.d_model)
        row[eos, 5] ^= 1

    patch_blob(project, "token_codes", other_code)
    found = difference(tiny, project)
    assert (found.tap, found.element, found.step) == ("embed", "[5]", 0) and "token table" in found.suspect


def test_broken_weight_row(tiny, project):
    def swap(part):
        part[0], part[-1] = part[0] ^ 1, part[-1]

    patch_blob(project, "head_w", swap)
    found = difference(tiny, project)
    assert found.tap == "logits" and "head.w" in found.suspect


def test_broken_cache_slot(tiny, project):
    patch_source(
        project,
        "bm_block.c",
        "BM_SINKS + (t - BM_SINKS) % BM_WINDOW",
        "BM_SINKS + (t - BM_SINKS + (t == 11u)) % BM_WINDOW",
    )
    found = difference(tiny, project)
    assert found.tap == "enc.0.cache.k" and "cache slot 2 of enc.0" in found.suspect
    assert found.what.startswith("token")


def test_broken_convolution(seeing, tmp_path):
    need("host", "gcc")
    project = emit(seeing, load_board("host"), tmp_path / "p", "portable")
    patch_source(project, "bm_convolve.c", "row < side && column < side", "row < side && column < side - 1u")
    found = difference(seeing, project)
    assert found.tap == "vision.0.codes" and "vision.0.w" in found.suspect
    assert found.layer == "convolution 0" and found.line.startswith("bm_convolve.c:")


def test_damaged_blob_is_refused(tiny, project):
    from bitmar_tiny.errors import ToolError

    path = project.path / "model.blob"
    data = bytearray(path.read_bytes())
    data[-100] ^= 4
    path.write_bytes(data)
    with pytest.raises(ToolError, match="blob is damaged"):
        difference(tiny, project)


def test_contracted_arithmetic_is_refused_at_start(tiny, project):
    """A toolchain that fuses multiply-adds is named by the boot self-test, before it can cost a bit."""
    from bitmar_tiny.codegen import build as building
    from bitmar_tiny.errors import ToolError

    flags = [f for f in building.BASE_FLAGS if f != "-ffp-contract=off"]
    saved, building.BASE_FLAGS = building.BASE_FLAGS, flags
    try:
        with pytest.raises(ToolError, match="self-test"):
            build_and_run(tiny, project, ("-ffp-contract=fast", "-mfma", "-Wno-error"))
        with pytest.raises(ToolError, match="self-test"):
            build_and_run(tiny, project, ("-ffast-math", "-Wno-error"))
    finally:
        building.BASE_FLAGS = saved


def build_and_run(model, project, extra):
    program = build(project.path, project.board, project.family, compiler="gcc", taps=True, extra=extra)
    with ProgramSession(program, project.board, "broken") as session:
        list(trace(session, model, standard(model.config, 8), {}))


def test_a_blob_packed_for_other_kernels_is_refused(tmp_path):
    """Same model, same size, another order of the weights."""
    need("host")
    model = random_model(TINY.model_copy(update={"vocab_size": 288, "memory_slots": 64}))
    programs = {}
    for family in ("portable", "avx2"):
        programs[family] = emit(model, load_board("host"), tmp_path / family, family)
    assert programs["portable"].blob.size == programs["avx2"].blob.size
    (tmp_path / "portable" / "model.blob").write_bytes((tmp_path / "avx2" / "model.blob").read_bytes())
    program = build(tmp_path / "portable", load_board("host"), "portable")
    done = subprocess.run([*program.command, "generate", "--ids"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "made for another build" in done.stderr


@pytest.mark.parametrize("family, status", [("neondot", 3), ("neon", 0), ("portable", 0)])
def test_a_processor_without_the_dot_product(tiny, tmp_path, family, status):
    """The start-up code runs on every ARMv8.0: a refusal where the family needs more, never an illegal
    instruction.
    """
    need("rpi-5", "gcc")
    board = load_board("rpi-5")
    program = build(emit(tiny, board, tmp_path / "p", family).path, board, family, compiler="gcc")
    done = subprocess.run(
        ["qemu-aarch64", "-cpu", "cortex-a53", str(program.path), "generate", "--ids", "--threads", "2"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == status and ("lacks the instructions" in done.stderr) == bool(status)


def test_a_prompt_without_a_tokenizer_is_refused(tiny, tmp_path):
    need("host")
    board = load_board("host")
    program = build(emit(tiny, board, tmp_path / "p", "portable").path, board, "portable")
    done = subprocess.run(
        [*program.command, "generate", "--prompt", "hi"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2 and "no tokenizer" in done.stderr


@pytest.mark.parametrize(
    "kernel, new, words",
    [
        ("gemv_t2s8", "y[n / 2] += 1;", "differs from plain integer"),
        (
            "gemv_t2s8",
            "if (n > 1) { const int32_t t = y[0]; y[0] = y[1]; y[1] = t; }",
            "compute something else than plain C",
        ),
        ("dots_s8", "y[0] ^= 1;", "differs from plain integer"),
        ("wsum_s8", "y[len - 1] -= 1;", "differs from plain integer"),
    ],
)
def test_kernels_that_this_processor_gets_wrong_are_found_at_start(project, kernel, new, words):
    """A kernel that was proven elsewhere and misbehaves here: the program does not compute with it."""
    path = project.sources / "bm_kernels.c"
    text = path.read_text()
    end = text.index("\n}\n", text.index(f"void bm_{kernel}("))
    path.write_text(text[:end] + f"\n    {new}" + text[end:])
    program = build(project.path, project.board, project.family, compiler="gcc")
    done = subprocess.run([*program.command, "generate", "--ids"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and words in done.stderr
