# SPDX-License-Identifier: Apache-2.0
"""Every source says its licence; what a generated project holds is its user's own (MIT-0)."""

from pathlib import Path

import pytest

from bitmar_tiny.codegen.boards import board_files, load_board
from bitmar_tiny.codegen.ecosystem import ecosystem_names, load_ecosystem
from bitmar_tiny.codegen.emit import emit

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {".py", ".sh", ".c", ".h", ".S", ".ld", ".cmake", ".cpp", ".ino", ".js", ".mjs", ".css", ".html"}
PLACES = ("bitmar_tiny", "codegen", "firmware_templates", "board_profiles", "tests", "docs", "examples")


def sources(folder: Path) -> list[Path]:
    """Source files below ``folder``, and templates of such."""
    files = [
        f for f in folder.rglob("*") if f.is_file() and Path(f.name.removesuffix(".j2")).suffix in SOURCES
    ]
    return [f for f in files if not f.is_symlink()]


def licence(file: Path) -> str | None:
    """What one of the first two lines says."""
    for line in file.read_text().splitlines()[:2]:
        _, found, name = line.partition("SPDX-License-Identifier: ")
        if found:
            return name.removesuffix(" */").removesuffix(" -->")
    return None


@pytest.mark.parametrize("place", PLACES)
def test_every_source_says_its_licence(place):
    wrong = {}
    for file in sources(ROOT / place):
        ours = file.suffix == ".py" or place != "firmware_templates"
        if licence(file) != ("Apache-2.0" if ours else "MIT-0"):
            wrong[str(file.relative_to(ROOT))] = licence(file)
    assert not wrong


@pytest.mark.parametrize("name", [*sorted(board_files()), *ecosystem_names()])
def test_a_generated_project_is_its_users_own(tiny, tmp_path, name):
    board = load_ecosystem(name).board() if name in ecosystem_names() else load_board(name)
    emit(tiny, board, tmp_path / "p")
    wrong = {f.name: licence(f) for f in sources(tmp_path / "p") if licence(f) != "MIT-0"}
    assert not wrong
