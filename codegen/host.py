# SPDX-License-Identifier: Apache-2.0
"""This computer as a board: the profile of its machine, kernel families in the order of what its processor
can do.
"""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

from bitmar_tiny.errors import ConfigError

from .kernels import families
from .resources import resource_dir

NAME = "host"


def profile() -> Path | None:
    """The profile of this machine (board_profiles/host/MACHINE.toml); None where there is none."""
    path = resource_dir("board_profiles") / NAME / f"{platform.machine()}.toml"
    return path if platform.system() == "Linux" and path.is_file() else None


def refusal() -> ConfigError:
    """Why this computer is no board."""
    known = ", ".join(sorted(p.stem for p in (resource_dir("board_profiles") / NAME).glob("*.toml")))
    return ConfigError(
        f"Board {NAME}: programs are built for Linux on {known}, this computer is {platform.system()} on "
        f"{platform.machine()}.",
        "Choose another board with --board, or the Python reference: it runs anywhere.",
    )


def in_order(families: list[str]) -> list[str]:
    """What this processor can run first; the order stays otherwise."""
    return sorted(families, key=lambda family: not can_run(family))


def can_run(family: str) -> bool:
    """Whether this processor has the instructions of a kernel family of its machine."""
    feature = families()[family].cpu_feature
    return not feature or feature in processor_features()


@cache
def processor_features() -> frozenset[str]:
    """What /proc/cpuinfo calls the features of the first processor, on x86-64 and aarch64."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    words = (line.partition(":") for line in lines)
    return frozenset(next((v.split() for k, _, v in words if k.strip() in ("flags", "Features")), []))
