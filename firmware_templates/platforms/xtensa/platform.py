# SPDX-License-Identifier: Apache-2.0
"""QEMU's Xtensa simulator: no devices, only the simulator's own input and output."""

from __future__ import annotations

from bitmar_tiny.codegen.platform import Linked


class Xtensa(Linked):
    """Firmware that answers on the simulator's standard input and output."""

    components = ("model", "blob", "serve")
    port_kind = "qemu"


platform = Xtensa()
