"""What ships with the package: its templates, its board profiles and its version, in a checkout and in an installed wheel alike."""

from __future__ import annotations

from importlib import metadata
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


def version() -> str:
    """Version of this package, or 'unknown' in an uninstalled checkout."""
    try:
        return metadata.version("bitmar-tiny")
    except metadata.PackageNotFoundError:
        return "unknown"
