# SPDX-License-Identifier: Apache-2.0
"""New weights for firmware that is in the field, over its link."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from bitmar_tiny.codegen.update import NEW_FIRMWARE, UNIT, Package

from ..errors import ConfigError, DeviceError
from .device import DeviceSession

STATES = ("empty", "receiving", "complete", "on trial", "good", "failed")
SLOTS = ("factory", "a", "b")
#: Blocks that may come to nothing, one after the other.
PATIENCE = 4


@dataclass(frozen=True)
class Slot:
    """``state``: one of ``STATES``; ``received``: bytes of its package; ``model_sha256``: hex digits."""

    name: str
    state: str
    tries: int
    received: int
    model_sha256: str


@dataclass(frozen=True)
class UpdateStatus:
    """What firmware says of its slots. ``build``: what packages must be made for, hex digits; ``slot_bytes``:
    room of a slot, 0 where nothing can be written; ``running``: one of ``SLOTS``; ``model_sha256``: of the
    model that runs.
    """

    build: str
    layout: str
    blob_bytes: int
    slot_bytes: int
    running: str
    model_sha256: str
    slots: tuple[Slot, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def update_status(board: DeviceSession) -> UpdateStatus:
    """``DeviceError`` for firmware that takes no updates."""
    if "update" not in board.identity.flags:
        raise DeviceError(
            f"{board.name}: this firmware takes no updates.",
            "Generate it with 'bitmar-tiny codegen --updates', build and flash it.",
        )
    said = board.updates()
    slots = []
    for name in SLOTS[1:]:
        state = said[f"state_{name}"]
        slots.append(
            Slot(
                name,
                STATES[state] if state < len(STATES) else "unknown",
                said[f"tries_{name}"],
                said[f"received_{name}"],
                said[f"model_{name}"].hex(),
            )
        )
    return UpdateStatus(
        said["build"].hex(),
        said["layout"].rstrip(b"\0").decode(errors="replace"),
        said["blob_bytes"],
        said["slot_bytes"],
        SLOTS[said["running"] % len(SLOTS)],
        board.identity.model_sha256,
        tuple(slots),
    )


def check_package(board: DeviceSession, now: UpdateStatus, package: Package) -> None:
    """``ConfigError`` says what differs where the firmware cannot run the package's model."""
    if not now.slot_bytes:
        raise DeviceError(
            f"{board.name}: the storage of the updates cannot be written.",
            "Check its folder's permissions, and whether another program takes updates there.",
        )
    if package.build == now.build:
        return
    if package.layout != now.layout:
        what = f"its weights lie as {package.layout} has them, not as {now.layout}"
    elif package.blob_bytes != now.blob_bytes:
        what = f"its model has {package.blob_bytes:,} bytes, not {now.blob_bytes:,}"
    else:
        what = "its configuration is another, though its size is the same"
    raise ConfigError(f"{board.name}: the update is for other firmware: {what}.", NEW_FIRMWARE)


def send_package(
    board: DeviceSession, package: Package, progress: Callable[[int, int], None] = lambda done, total: None
) -> None:
    """Bring a package into the free slot, from where a lost connection stopped, and have it checked and tried
    at the next start. ``progress``: bytes of all.
    """
    check_package(board, update_status(board), package)
    body, still = package.body, 0
    at = board.request("update_begin", rest=package.head)
    while at < len(body):
        progress(at, len(body))
        block = body[at : at + UNIT]
        before, at = at, board.request("update_block", at, zlib.crc32(block), rest=block)
        still = still + 1 if at <= before else 0
        if still > PATIENCE:
            raise DeviceError(f"{board.name}: the update does not go on.", "Run the command again.")
    progress(len(body), len(body))
    board.request("update_finish")
    board.request("update_activate")


def restarted(board: DeviceSession, package: Package) -> UpdateStatus:
    """Restart the board and see that the package's model proved itself; ``DeviceError`` if it did not."""
    board.restart()
    board.greet()
    now = update_status(board)
    if now.running == SLOTS[0] or now.model_sha256 != package.model_sha256:
        states = ", ".join(f"slot {s.name}: {s.state}" for s in now.slots)
        raise DeviceError(
            f"{board.name}: the new model did not prove itself; model {now.model_sha256[:12]} runs "
            f"as before ({states}).",
            "Verify the new model on such a board: bitmar-tiny verify.",
        )
    return now
