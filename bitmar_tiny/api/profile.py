# SPDX-License-Identifier: Apache-2.0
"""RUN: where the time of a token goes on firmware, and what changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..frozen import FrozenModel
from ..profile.difference import TOLERANCE, Comparison, compare
from ..profile.recording import Recording
from ..run.device import firmware_of
from ..run.profile import ROUNDS, TOKENS, plan_of, record
from ..run.session import Session, is_local
from .run import session

__all__ = ["Comparison", "Recording", "compare_profiles", "profile_model"]


def profile_model(
    model: FrozenModel | None, on: str = "host", *, tokens: int = TOKENS, rounds: int = ROUNDS, **options: Any
) -> Recording:
    """Where the time of a token goes on firmware. The memory is afterwards what it was before.

    tokens: prefilled and decoded in each of ``rounds`` streams; options: of :func:`session`. The label of the
    recording says measured or simulated. ``ConfigError`` for a target that is no firmware, ``DeviceError``
    for firmware without marks.
    """
    need_firmware(on)
    with session(model, on, marks=True, **options) as board:
        return profile_session(board, tokens, rounds)[0]


def need_firmware(target: str) -> None:
    """``ConfigError`` for a target that cannot be profiled."""
    if is_local(target):
        raise ConfigError(
            f"{target} is no firmware: it has no clock to read.", "Choose host, a board or a port with --on."
        )


def profile_session(
    board: Session,
    tokens: int = TOKENS,
    rounds: int = ROUNDS,
    project: Path | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[Recording, float | None]:
    """What ``run.profile.record`` says of a session with firmware; project: that the firmware is of, for what
    its plan predicted.
    """
    device = firmware_of(board)
    plan = plan_of(project, device) if project else None
    return record(device, tokens, rounds, plan=plan, progress=progress)


def compare_profiles(before: str | Path, after: str | Path, tolerance: float = TOLERANCE) -> Comparison:
    """What changed between two profiles of one model, without what is noise.

    tolerance: medians that differ by a smaller share are not called changed. ``DataError`` for files that are
    no profiles, or of another model.
    """
    return compare(Recording.load(Path(before)), Recording.load(Path(after)), tolerance)
