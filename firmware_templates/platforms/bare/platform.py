# SPDX-License-Identifier: Apache-2.0
"""No operating system: firmware that answers on the chip's serial port."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bitmar_tiny.codegen.components import Component, c_files
from bitmar_tiny.codegen.platform import Linked

if TYPE_CHECKING:
    from bitmar_tiny.codegen.boards import Board

HERE = Path(__file__).parent


class Bare(Linked):
    """Start-up code, interrupts and serial port are the chip's; the linker script comes from the regions.

    ``core`` of a chip.toml names a folder of cores/: what chips with the same kind of core share.
    """

    components = ("model", "blob", "serve")
    linked = ("code", "arena", "weights")
    port_kind = "qemu"
    on_uart = True
    split_weights, split_keys = 4096, 1024  # a core that waits is woken within 100 cycles (rp2_cores.c)

    def sources(self, board: Board, runtime: list[Component]) -> list[Path]:
        core = self.chip_facts(board).get("core")
        return super().sources(board, runtime) + (c_files(HERE / "cores" / core) if core else [])


platform = Bare()
