# SPDX-License-Identifier: Apache-2.0
"""A platform is one folder: nothing outside asks which one a board has, and a project has what it needs and
no more.
"""

import re
import tomllib
from pathlib import Path

import pytest
from taught_support import knowing

from bitmar_tiny.codegen.boards import Board, board_files, load_board
from bitmar_tiny.codegen.components import c_files, component, with_needs
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.codegen.platform import hot_sources, load_platform, platform_names
from bitmar_tiny.codegen.resources import resource_dir
from bitmar_tiny.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = resource_dir("firmware_templates")
COMPONENTS = sorted(p.name for p in (FIRMWARE / "runtime").iterdir() if p.is_dir())
#: Where a platform may be named: in its own folder, and nowhere else.
PYTHON = [p for room in ("bitmar_tiny", "codegen") for p in sorted((ROOT / room).rglob("*.py"))]
SHARED_TEMPLATES = sorted((FIRMWARE / "project").rglob("*.j2"))


def comparisons(text: str) -> list[str]:
    """Where a text compares something with the name of a platform, or asks for the old key."""
    names = "|".join(platform_names())
    one = (
        rf"""(?:==|!=|\bin\b|\bcase\b)\s*[(\[{{]?\s*["'](?:{names})["']|["'](?:{names})["']\s*(?:==|!=|\])"""
    )
    asked = r"""\bboard\.os\b|\bprofile\.os\b|\.platform\.name\s*(?:==|!=|\bin\b)"""
    return [m[0] for m in re.finditer(f"{one}|{asked}", text)]


def test_nobody_compares_a_platform_with_a_word():
    assert len(PYTHON) > 100 and len(SHARED_TEMPLATES) >= 4
    found = {str(p): hits for p in (*PYTHON, *SHARED_TEMPLATES) if (hits := comparisons(p.read_text()))}
    assert not found


@pytest.mark.parametrize(
    "planted",
    [
        'if board.os == "linux":',
        'if profile.platform.name != "espidf":',
        'x = 1 if "bare" == kind else 2',
        "if kind in ('xtensa', 'bare'):",
        'LAYOUTS["linux"]',
        'case "linux":',
        '{{ "-pthread" if board.platform.name == "linux" }}',
    ],
)
def test_a_comparison_would_be_found(planted):
    assert comparisons(planted)


@pytest.mark.parametrize("name", platform_names())
def test_a_platform_is_a_folder_with_a_class(name):
    platform = load_platform(name)
    assert platform.name == name and platform.folder == FIRMWARE / "platforms" / name
    assert {p.name for p in platform.folder.iterdir()} - {"__pycache__", *COMPONENTS} <= {
        "platform.py",
        "src",
        "templates",
        "chips",
        "cores",
    }
    assert c_files(platform.folder / "src")
    boards = [load_board(b) for b in board_files()]
    assert any(b.platform is platform for b in boards)
    for chip in platform.chips():
        assert any(b.platform is platform and b.chip == chip for b in boards)


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_includes_only_what_it_needs(name):
    known = {f.name for c in with_needs([name]) for f in c.files}
    others = {f.name for c in COMPONENTS for f in component(c).files} - known
    for file in component(name).files:
        included = set(re.findall(r'^#include "([^"]+)"', file.read_text(), re.M))
        assert not included & others, f"{file.name} includes {included & others}"
    assert with_needs([name])[-1].name == name
    assert set(component(name).hot) <= {f.stem for f in component(name).files} | {"bm_step"}


@pytest.mark.parametrize(
    "board, memory, wanted",
    [
        ("host", "auto", {"model", "blob", "link", "serve", "textmode", "picture"}),
        ("host", "sd", {"model", "blob", "link", "serve", "textmode", "picture", "memory_store"}),
        ("mps2-an500", "auto", {"model", "blob", "link", "serve", "textmode"}),
        ("pico2", "auto", {"model", "blob", "link", "serve", "textmode"}),
        ("xtensa-sim", "auto", {"model", "blob", "link", "serve", "textmode"}),
        ("esp32-s3-n16r8", "auto", {"model", "link", "serve", "textmode"}),
        ("esp32-s3-n16r8", "sd", {"model", "link", "serve", "textmode", "memory_store"}),
    ],
)
def test_a_project_has_the_components_it_needs_and_no_others(tiny, tmp_path, board, memory, wanted):
    profile = load_board(board)
    project = emit(tiny, profile, tmp_path / "p", "portable", memory=memory)
    files = {p.name for p in project.path.rglob("*") if p.is_file()}
    for name in COMPONENTS:
        own = {f.name for f in component(name).files}
        assert own and (own <= files if name in wanted else not own & files), name
    stores = {f.name for f in c_files(profile.platform.folder / "memory_store")}
    assert stores <= files if memory == "sd" else not stores & files


@pytest.mark.parametrize(
    "board, memory, has",
    [("rpi-zero2", "sd", True), ("rpi-zero2", "auto", False), ("esp32-s3-n16r8", "sd", False)],
)
def test_a_model_that_is_shown_things_gets_what_shows_them(tmp_path, board, memory, has):
    """Where a program can be told to, and what it is taught is kept."""
    project = emit(knowing(), load_board(board), tmp_path / "p", "portable", memory=memory)
    files = {p.name for p in project.path.rglob("*") if p.is_file()}
    own = {f.name for f in component("show_once").files} | {"linux_show.c", "linux_show.h"}
    assert own <= files if has else not own & files
    assert f"#define BM_SHOW_ONCE {int(has)} " in (project.sources / "bm_config.h").read_text()


def test_hot_sources_are_the_models_and_the_platforms():
    assert {"bm_step", "bm_block", "linux_peak"} <= set(hot_sources(load_platform("linux")))
    assert "linux_peak" not in hot_sources(load_platform("bare"))


def test_profiles_that_a_platform_cannot_be_are_refused(tmp_path):
    def refused(name, words, **changes):
        with pytest.raises(ConfigError, match=words):
            Board.parse(load_board(name).model_dump() | changes, "test")

    def regions(name, **changes):
        return [r | changes for r in load_board(name).model_dump()["regions"]]

    refused("host", "there is no platform 'plan9'; choose one of: bare, ", platform="plan9")
    refused("host", "platform linux has no chips", chip="cmsdk")
    refused("mps2-an500", "platform bare knows no chip 'rp2350'", chip="rp2350")
    refused(
        "mps2-an500",
        "one region with an address that holds code",
        regions=regions("mps2-an500", address=None),
    )
    refused("pico2", "needs .uf2., its boot drive", uf2=None)
    refused("xtensa-sim", "one region with an address that holds code", regions=[])
    old = tmp_path / "old.toml"
    text = board_files()["rpi-5"].read_text()
    old.write_text(text.replace('platform = "linux"', 'os = "linux"'))
    with pytest.raises(ConfigError, match="'os' is called 'platform' now") as error:
        load_board(str(old))
    assert error.value.hint == 'Write platform = "linux" instead.' and "os" not in tomllib.loads(text)
