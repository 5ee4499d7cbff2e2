# SPDX-License-Identifier: Apache-2.0
"""The documentation: generated pages are today's, every page is in the site, it builds without a warning."""

from __future__ import annotations

import importlib.util
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import command_line
import pytest

from bitmar_tiny.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
HEADING = re.compile(r"^#+ (.+?)$", re.M)
LINK = re.compile(r"\]\(([^)\s:#]*)#([^)\s]+)\)")


def test_generated_pages_are_what_the_code_says():
    for page, text in runpy.run_path(str(DOCS / "generate"))["pages"]().items():
        assert page.read_text() == text, f"{page.name} is not today's: run python docs/generate"


def test_generating_the_pages_leaves_the_help_as_it_is(monkeypatch):
    """click keeps the help option that the first context makes."""
    monkeypatch.setattr(app, "_help_option", None)
    runpy.run_path(str(DOCS / "generate"))["pages"]()
    assert "-h, --help" in command_line.run("--help").stdout


def test_every_page_is_in_the_site():
    listed = re.findall(r"([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M)
    assert sorted(listed) == sorted(p.relative_to(DOCS).as_posix() for p in PAGES)


def test_every_board_says_how_it_is_proven():
    page = (DOCS / "reference" / "boards.md").read_text()
    assert not [p.stem for p in (ROOT / "board_profiles").glob("*.toml") if f"`{p.stem}`" not in page]


def anchors(page: Path) -> set[str]:
    """What headings are called in a link, as sites and code hosts make it of their text."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    plain = (re.sub(r"[^\w\s-]", "", h).strip().lower() for h in HEADING.findall(text))
    return {re.sub(r"\s+", "-", name) for name in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(DOCS).as_posix())
def test_links_name_headings_that_exist(page):
    for place, anchor in LINK.findall(page.read_text()):
        assert anchor in anchors((page.parent / place).resolve() if place else page), f"{place}#{anchor}"


def test_the_site_builds_without_a_warning(tmp_path):
    if importlib.util.find_spec("zensical") is None:
        pytest.skip("zensical is not installed: pip install 'bitmar-tiny[docs]'")
    shutil.copytree(DOCS, tmp_path / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    words = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in (done.stdout + done.stderr).lower()
    built = {
        p.relative_to(tmp_path / "build" / "site") for p in (tmp_path / "build" / "site").rglob("*.html")
    }
    assert {p.relative_to(DOCS).with_suffix(".html") for p in PAGES} <= built
