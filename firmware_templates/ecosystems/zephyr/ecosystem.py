# SPDX-License-Identifier: Apache-2.0
"""A Zephyr module: zephyr/module.yml, Kconfig, CMakeLists.txt and a sample."""

from __future__ import annotations

from bitmar_tiny.codegen.ecosystem import Ecosystem


class Zephyr(Ecosystem):
    """Switched on with CONFIG_BITMAR."""

    title = "Zephyr"
    own_folder = "samples/caption/src"
    builds = "Run 'west build -b BOARD samples/caption' there, in a workspace of Zephyr."
    passes_flags = True
    files = {
        "module.yml.j2": "zephyr/module.yml",
        "CMakeLists.txt.j2": "CMakeLists.txt",
        "Kconfig.j2": "Kconfig",
        "sample_CMakeLists.txt.j2": "samples/caption/CMakeLists.txt",
        "prj.conf.j2": "samples/caption/prj.conf",
        "sample.yaml.j2": "samples/caption/sample.yaml",
    }


ecosystem = Zephyr()
