# SPDX-License-Identifier: Apache-2.0
"""Estimated cycles: the interlock model of the ESP32-S3 Technical Reference Manual, section 1.7, for one
core.

What it assumes, and where from:

* One instruction issues per cycle, in order (TRM 1.7; Xtensa ISA manual 8.4.2), vector multiplications too,
  although the TRM counts but eight 16-bit multipliers (1.7.2). Measured on a chip by others: fused loads are
  free, and additions, VMUL and VRELU take a cycle each (dj-oyu/cardputer-adv-pocketjs, docs/pie-simd.md); a
  whole convolution takes 1.19 cycles per VSMULAS.S8.QACC.LD.INCP (tlack/babytalk, mmrt/README.md). VMULAS
  into ACCX and VSMULAS.S16:
  **assumed**.
* A value made at the end of stage SA and read at the start of stage SB holds its reader back until ``SA - SB
  + 1`` cycles after its maker (TRM 1.7.1); stages are E = 1, M = 2. The stages of each vector instruction are
  those of table 1.7-2, which dj-oyu/esp32s3-hw-mcp found true on a chip but for SRCMB (no wait after a
  product, where the table has one; so has this model); of the base instructions, those of the ISA manual: the
  ALU's results at 1, loads at 2.
* Multiplications of the base set end at 2, RUR and WUR read and write at 1, shifts read SAR at 1:
  **assumed**.
* A taken branch, jump, call or return costs 2 cycles more (TRM 1.7.3). A zero-overhead loop costs nothing per
  round.
* A 128-bit store was measured, by others, to take 0.6 cycles more; the kernels have none, and it is not
  modelled.
* Code and data are in internal SRAM or in the cache. No misses, no interrupts, no window overflow, no call
  into the function, no fetch penalty at odd loop starts.
"""

from __future__ import annotations

TAKEN_BRANCH = 2


class Pipeline:
    """When instructions issue, from what they read and write.

    ``defined[r]``: whether resource r was ever written. ``cycles``: cycles since the start.
    """

    def __init__(self, resources: int) -> None:
        self.defined = [False] * resources
        self._ready = [0] * resources  # first cycle in which a stage may read the resource
        self._next = 0
        self.stalls = 0

    def issue(self, uses, defines, taken: bool) -> None:
        """Issue one instruction; ``uses`` and ``defines`` are (resource, stage)."""
        now, ready = self._next, self._ready
        for resource, stage in uses:
            if ready[resource] - stage > now:
                now = ready[resource] - stage
        for resource, stage in defines:
            ready[resource] = now + stage + 1
            self.defined[resource] = True
        self.stalls += now - self._next
        self._next = now + (1 + TAKEN_BRANCH if taken else 1)

    @property
    def cycles(self) -> int:
        return self._next
