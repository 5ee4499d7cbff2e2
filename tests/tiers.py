# SPDX-License-Identifier: Apache-2.0
"""Which tier a test belongs to: exactly one, decided here and nowhere else. See README.md.

A file has a tier; single tests of it, and those whose parameters name another machine, may have another.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

TIERS = {
    "unit": "Python alone: no compiler, no PyTorch; all of them within a minute",
    "toolchain": "compilers of this machine and other heavy tools: esptool, CMake, ONNX Runtime, LiteRT",
    "emulator": "programs of another machine, in an emulator",
    "train": "PyTorch",
    "soak": "long: thousands of tokens, kills, lines of garbage",
}
#: Files and folders that are no unit tests, below this folder.
FILES = {
    "toolchain": (
        "bench/test_bench.py",
        "bench/test_skip.py",
        "bench/test_wasm.py",
        "codegen/test_ecosystems.py",
        "codegen/test_espidf.py",
        "codegen/test_espidf_camera.py",
        "codegen/test_make.py",
        "codegen/test_program.py",
        "codegen/test_rp2.py",
        "codegen/test_show_once.py",
        "codegen/test_show_vectors.py",
        "codegen/test_32_bits.py",
        "codegen/test_espidf_store.py",
        "codegen/test_espidf_update.py",
        "data/test_c_tokenizer.py",
        "data/test_damaged_backbones.py",
        "data/test_features.py",
        "data/test_frontend.py",
        "device/test_eembc.py",
        "device/test_firmware_link.py",
        "device/test_flash.py",
        "device/test_esp_emu.py",
        "device/test_link.py",
        "device/test_profiling.py",
        "device/test_update.py",
        "device/test_update_mutants.py",
        "device/test_update_signature.py",
        "device/test_web.py",
        "evaluate/test_eval_command.py",
        "evaluate/test_harness.py",
        "evaluate/test_scoring.py",
        "exchange",
        "page",
        "simulate",
        "store/test_remember.py",
        "store/test_rp2_store.py",
        "store/test_store_bench.py",
        "store/test_store_c.py",
        "store/test_store_check.py",
        "test_api.py",
        "test_cli.py",
        "test_compilers.py",
        "test_fuzz.py",
        "test_gemv_skip.py",
        "test_gemv_t5.py",
        "test_kernels.py",
        "test_numerics_c.py",
        "test_packaging.py",
        "test_readme.py",
        "test_screen.py",
        "test_shipped.py",
        "test_softfloat.py",
        "test_tutorials.py",
        "verify",
    ),
    "emulator": (
        "device/test_emulated.py",
        "device/test_rp2040.py",
        "simulate/test_portable.py",
        "test_m0_floats.py",
        "test_rv32.py",
        "test_rvv.py",
    ),
    "train": (
        "bench/test_baseline.py",
        "bench/test_peers.py",
        "evaluate/test_batched.py",
        "evaluate/test_finetune.py",
        "evaluate/test_memory.py",
        "evaluate/test_paper.py",
        "evaluate/test_paper_scores.py",
        "evaluate/test_sessions.py",
        "evaluate/test_show_once.py",
        "evaluate/test_styles.py",
        "model",
        "test_pipeline.py",
        "train",
    ),
}
#: Single tests of another tier than their file's.
TESTS = {
    "run/test_teach.py::test_c_and_golden_are_taught_the_same": "toolchain",
    "run/test_teach.py::test_vectors_are_shown_once_and_known_in_golden_and_c": "toolchain",
    "store/test_large.py::test_sixty_five_thousand_slots": "soak",
    "codegen/test_ecosystem_files.py::test_platformio_packs_the_library": "toolchain",
    "evaluate/test_batched.py::test_a_program_answers_what_its_store_kept": "toolchain",
    "store/test_memory_command.py::test_memory_of_a_board_goes_both_ways": "toolchain",
    "store/test_keyed_store.py::test_a_board_says_what_its_rows_are_and_writes_one_block": "toolchain",
    "device/test_eembc.py::test_200_000_lines_of_garbage_under_sanitizers": "soak",
    "device/test_firmware_link.py::*": "soak",
    "device/test_web.py::test_paper_past_its_window": "soak",
    "evaluate/test_memory.py::test_training_carries_a_fact_to_a_later_episode": "soak",
    "train/test_resume.py::test_killed_at_twenty_random_moments": "soak",
    "test_docs.py::test_the_site_builds_without_a_warning": "toolchain",
    "test_readme.py::test_boards_work_as_written": "emulator",
    "test_readme.py::test_training_works_as_written": "train",
    "test_tutorials.py::test_ones_own_pictures_work_as_written": "train",
    "test_tutorials.py::test_the_first_pi_works_as_written": "emulator",
    "verify/test_exact.py::test_demo_shape_over_hundreds_of_evictions": "soak",
    "verify/test_exact.py::test_paper_preset": "soak",
    "verify/test_exact.py::test_pocket_preset": "soak",
}
#: Parameters that name a machine which needs an emulator here.
OTHER_MACHINE = re.compile(r"(rpi|raspi|xtensa|aarch64|a76|mps\d|bpi|visionfive|riscv).*")
#: Files that cannot be imported without PyTorch, beside those of the tier "train".
TORCH = ("evaluate/test_scoring.py", "store/test_store_check.py", "test_shipped.py")

HERE = Path(__file__).parent


def tier(file: str, name: str, parameters: tuple = ()) -> str:
    """Tier of the test ``name`` in ``file`` (below this folder)."""
    for key in (f"{file}::{name}", f"{file}::*"):
        if key in TESTS:
            return TESTS[key]
    found = max(
        ((len(p), t) for t, places in FILES.items() for p in places if _in(file, (p,))), default=(0, "unit")
    )[1]
    if any(isinstance(p, str) and OTHER_MACHINE.fullmatch(p) for p in parameters) and found == "toolchain":
        return "emulator"
    return found


def left_out() -> list[str]:
    """Files that cannot even be collected here, for want of PyTorch."""
    if importlib.util.find_spec("torch") is not None:
        return []
    files = sorted(str(p.relative_to(HERE)) for p in HERE.rglob("test_*.py"))
    return [f for f in files if _in(f, (*FILES["train"], *TORCH))]


def _in(file: str, places: tuple[str, ...]) -> bool:
    return any(file == place or file.startswith(f"{place}/") for place in places)
