# SPDX-License-Identifier: Apache-2.0
"""A mock boot loader of an ESP32-S3 or another with 16 MB of flash on a pty, and a fault of choice:

    python mock_board.py none|rot|die:BLOCKS [chip]

rot: a bit of everything that is written flips. die: the board vanishes after so many blocks.
"""

import os
import sys

from esp32_mock_bootloader import cli, protocol, server

FLASH = 16 << 20

fault, chip = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "esp32s3"
protocol.MOCK_FLASH_ID = 0x00184020
protocol.FLASH_MOCK_SIZE = FLASH
blocks = 0


def faulty(write):
    def wrapped(image, payload):
        global blocks
        blocks += 1
        if fault.startswith("die:") and blocks > int(fault[4:]):
            os._exit(0)
        write(image, payload)
        if fault == "rot":
            at = max(image._defl_offset, image._plain_offset) - 5
            image.data[at] ^= 0x10

    return wrapped


for name in ("write_defl_block", "write_plain_block"):
    setattr(server.FlashImage, name, faulty(getattr(server.FlashImage, name)))
server._FLASH_END_IDLE_SEC = (
    300  # else it forgets 3 s after a write that it runs the stub: too soon for esptool on a busy machine
)
sys.argv = ["mock", "run", "--pty", "--chip", chip, "--timeout", "300"]
sys.exit(cli.main())
