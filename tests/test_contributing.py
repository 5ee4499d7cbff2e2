# SPDX-License-Identifier: Apache-2.0
"""Documents name files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    *(ROOT / name for name in ("CONTRIBUTING.md", "README.md", "CHANGELOG.md", "tests/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
#: Files of a generated project, of a run, of a user or of others' repositories.
NOT_OURS = (
    "src/bm_config.h",
    "firmware/",
    "build/site/",
    "components/bitmar/",
    "main/",
    "benchmark/runner/",
    "demo/",
)
#: Parts of a path that stand for a name of the reader's.
PLACEHOLDER = re.compile(r"\b(NAME|PLATFORM|CHIP|MACHINE|BOARD|RUN)\b")
PATH = re.compile(
    r"`([\w.*-]+(?:/[\w.*-]+)*/|[\w.*-]+(?:/[\w.*-]+)+\.(?:bitmar|[chS]|csv|j2|json|md|png|py|sh|toml|txt))`"
)
LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)")


def stale(document: Path, text: str, root: Path = ROOT) -> list[str]:
    """What ``text`` names that is not there: paths from the top of the repository, links from the page."""
    named = [p for p in PATH.findall(text) if not p.startswith(NOT_OURS) and not PLACEHOLDER.search(p)]
    links = [link for link in LINK.findall(text) if "://" not in link]
    return [p for p in named if not any(root.glob(p.rstrip("/")))] + [
        link for link in links if not (document.parent / link).exists()
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_a_document_names_files_that_exist(document):
    assert stale(document, document.read_text()) == []


def test_stale_names_are_found():
    text = (
        "`codegen/gone.py` `gone/` [page](gone.md#part) `codegen/pack.py` `codegen/` [all](docs/results.md)"
    )
    assert stale(ROOT / "README.md", text) == ["codegen/gone.py", "gone/", "gone.md"]
