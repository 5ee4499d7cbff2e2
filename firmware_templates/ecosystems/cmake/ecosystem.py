# SPDX-License-Identifier: Apache-2.0
"""A CMake package: targets that are installed, and found with find_package."""

from __future__ import annotations

from bitmar_tiny.codegen.ecosystem import Ecosystem


class CMake(Ecosystem):
    """The target is bitmar_MODEL::bitmar."""

    title = "CMake"
    own_folder = "examples/caption"
    builds = "Run 'cmake -B build && cmake --build build && cmake --install build --prefix FOLDER' there."
    passes_flags = True
    files = {
        "CMakeLists.txt.j2": "CMakeLists.txt",
        "config.cmake.in.j2": "config.cmake.in",
        "example_CMakeLists.txt.j2": f"{own_folder}/CMakeLists.txt",
    }


ecosystem = CMake()
