# SPDX-License-Identifier: Apache-2.0
"""New weights for firmware in the field: packed, sent, tried."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..codegen.emit import read_manifest
from ..codegen.update import Package, pack_for
from ..errors import DataError
from ..files import atomic_file
from ..frozen import FrozenModel
from ..run.device import firmware_of
from ..run.session import Session
from ..run.update import UpdateStatus, restarted, send_package
from ..run.update import update_status as status_of

__all__ = ["Package", "UpdateStatus", "load_update", "pack_update", "send_update", "update_status"]


def pack_update(
    model: FrozenModel, project: str | Path, out: str | Path, key: str | Path | None = None
) -> Package:
    """Write a model into a package for the firmware of a project that was generated with ``updates``. key:
    PEM file of the private key, for firmware that was generated with ``public_key``; the command ``openssl``
    signs. ``ConfigError`` says what differs where the model needs new firmware, or the firmware another key.
    """
    data = pack_for(model, read_manifest(Path(project)), str(project), Path(key) if key else None)
    with atomic_file(Path(out)) as f:
        f.write(data)
    return Package.parse(data, str(out))


def load_update(path: str | Path) -> Package:
    """``DataError`` for a file that is no whole package."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {(error.strerror or 'cannot be read').lower()}.") from None
    return Package.parse(data, str(path))


def send_update(
    board: Session,
    package: Package,
    *,
    restart: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> UpdateStatus:
    """Send a package to firmware, from where an earlier try stopped. restart: start the board anew and see
    that the new model proves itself; else that happens at its next start. progress: bytes sent, of all.
    ``DeviceError`` if the board refuses the package or goes back to the model before, ``ConfigError`` if the
    model needs new firmware.
    """
    firmware = firmware_of(board)
    now = status_of(firmware)
    if now.running != "factory" and now.model_sha256 == package.model_sha256:
        return now
    send_package(firmware, package, progress)
    return restarted(firmware, package) if restart else status_of(firmware)


def update_status(board: Session) -> UpdateStatus:
    """What lies in the slots of firmware, and which of them runs."""
    return status_of(firmware_of(board))
