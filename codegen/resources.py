# SPDX-License-Identifier: Apache-2.0
"""What ships with the package: its templates and its board profiles, in a checkout and in an installed wheel
alike.
"""

from __future__ import annotations

from pathlib import Path

import bitmar_tiny
from bitmar_tiny.errors import ToolError


def resource_dir(name: str) -> Path:
    """Folder ``name`` (``firmware_templates`` or ``board_profiles``)."""
    path = Path(bitmar_tiny.__file__).parent / name
    if not path.is_dir():
        raise ToolError(
            f"The folder '{name}' that ships with bitmar-tiny is missing.", "Install bitmar-tiny again."
        )
    return path
