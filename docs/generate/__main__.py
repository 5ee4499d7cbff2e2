# SPDX-License-Identifier: Apache-2.0
"""Write the pages of docs/reference that follow from the code: commands, settings, Python and C interface.

Example: python docs/generate        (in the folder of the repository; a test says when it is due)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from page_c import c
from page_cli import cli
from page_python import python
from page_settings import settings

REFERENCE = Path(__file__).resolve().parents[1] / "reference"
PAGES: dict[str, Callable[[], str]] = {"cli.md": cli, "settings.md": settings, "python.md": python, "c.md": c}


def pages() -> dict[Path, str]:
    """The text of every generated page."""
    return {REFERENCE / name: write().rstrip() + "\n" for name, write in PAGES.items()}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
