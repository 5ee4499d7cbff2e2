# SPDX-License-Identifier: Apache-2.0
"""The script that verifies ESP32-S3 firmware in an emulator from outside, with stand-ins for what is no
package: ESP-IDF, and an emulator whose UART is a port of TCP.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from device.boards import NetworkPort
from support import need

from bitmar_tiny.device.connect import connect, firmware_line

SCRIPT = Path(__file__).parents[2] / "examples" / "verify-in-esp-emu.sh"
IDF = """#!/bin/sh
grep -q CONFIG_BITMAR_TAPS=y "$2/sdkconfig.defaults" || exit 1
mkdir -p "$2/build" && echo flash > "$2/build/merged-binary.bin"
"""
EMULATOR = """#!/bin/sh
echo "$@" > arguments
[ "$2 $6" = "esp32s3 $ADDRESS" ] && cat "$4" && exec sleep 600
"""


def run(folder: Path, model: str, port: int, idf: str = IDF, emulator: str = EMULATOR):
    tools = folder / "tools"
    tools.mkdir()
    for name, text in (("idf.py", idf), ("esp-emu", emulator)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    (tools / "bitmar-tiny").write_text(f'#!/bin/sh\nexec {sys.executable} -m bitmar_tiny "$@"\n')
    (tools / "bitmar-tiny").chmod(0o755)
    address = {"ADDRESS": f"127.0.0.1:{port}", "PATH": f"{tools}:{os.environ['PATH']}"}
    return subprocess.run(
        ["sh", SCRIPT, model],
        cwd=folder,
        env=os.environ | address,
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_the_firmware_is_verified_over_tcp(tiny, tmp_path):
    need("host")
    tiny.save(tmp_path / "m.bitmar")
    line = firmware_line("host:", tiny, ("-DBM_TAPS",))
    connect(line)  # until it has started
    server = NetworkPort(line)
    try:
        done = run(tmp_path, "m.bitmar", server.port)
    finally:
        server.close()
        line.close()
    assert done.returncode == 0, done.stderr
    assert "exact" in done.stdout and "flash" in done.stdout
    assert "--uart-tcp" in (tmp_path / "arguments").read_text()


@pytest.mark.parametrize(
    "idf, emulator, said", [("#!/bin/sh\nexit 3\n", EMULATOR, ""), (IDF, "#!/bin/sh\n", "ended before")]
)
def test_what_fails_is_the_scripts_failure(tiny, tmp_path, idf, emulator, said):
    tiny.save(tmp_path / "m.bitmar")
    done = run(tmp_path, "m.bitmar", 1, idf, emulator)
    assert done.returncode and said in done.stderr
