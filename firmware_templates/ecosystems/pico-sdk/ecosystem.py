# SPDX-License-Identifier: Apache-2.0
"""A library for programs of Raspberry Pi's Pico SDK, and one that uses it."""

from __future__ import annotations

from bitmar_tiny.codegen.ecosystem import Ecosystem


class PicoSdk(Ecosystem):
    """The target is ``bitmar``. The example runs the model on core 1, with a stack of its own."""

    title = "the Pico SDK"
    own_folder = "examples/caption"
    builds = "Run 'cmake -S examples/caption -B build && cmake --build build' there, with PICO_SDK_PATH set."
    passes_flags = True
    entry = ""
    files = {
        "CMakeLists.txt.j2": "CMakeLists.txt",
        "example_CMakeLists.txt.j2": f"{own_folder}/CMakeLists.txt",
        "main.c.j2": f"{own_folder}/main.c",
    }


ecosystem = PicoSdk()
