# SPDX-License-Identifier: Apache-2.0
"""No operating system: firmware that answers on the chip's serial port."""

from __future__ import annotations

from bitmar_tiny.codegen.platform import Linked


class Bare(Linked):
    """Start-up code, interrupts and serial port are the chip's; the linker script comes from the regions."""

    components = ("model", "blob", "serve")
    linked = ("code", "arena", "weights")
    port_kind = "qemu"
    on_uart = True


platform = Bare()
