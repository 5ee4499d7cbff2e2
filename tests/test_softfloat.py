# SPDX-License-Identifier: Apache-2.0
"""Floats and integer routines for processors whose compiler library lacks them, against this machine's
hardware.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from firmware.build import PLATFORMS, SANITIZE, compile

CHECK = Path(__file__).parent / "firmware" / "softfloat_check.c"
PLATFORM = PLATFORMS / "xtensa" / "src"


@pytest.mark.parametrize("flags, rounds", [(["-O2"], 2_000_000), (["-O1", *SANITIZE], 300_000)])
def test_every_operation_rounds_as_the_hardware_does(tmp_path, flags, rounds):
    command = compile([CHECK], [*flags, f"-I{PLATFORM}"], tmp_path / "check")
    done = subprocess.run([*command, str(rounds)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_rounding_is_found(tmp_path):
    broken = tmp_path / "softfloat.c"
    text = (PLATFORM / "softfloat.c").read_text()
    assert text.count("(rounded & 1u)") == 1
    broken.write_text(text.replace("(rounded & 1u)", "0"))  # ties no longer to even
    (tmp_path / "check.c").write_text(CHECK.read_text())
    (tmp_path / "xtensa_rt.c").write_text((PLATFORM / "xtensa_rt.c").read_text())
    command = compile([tmp_path / "check.c"], ["-O2", f"-I{tmp_path}"], tmp_path / "check")
    assert subprocess.run([*command, "200000"], capture_output=True, timeout=60).returncode == 1
