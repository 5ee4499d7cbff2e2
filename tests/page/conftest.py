# SPDX-License-Identifier: Apache-2.0
"""One browser, one page of each model, for all tests of this folder."""

from __future__ import annotations

import threading

import pytest
from browser import CHROMIUM, MISSING, Browser
from support import need

import bitmar_tiny as bt
from bitmar_tiny.api.page import make_page
from bitmar_tiny.page.server import PageServer


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None:
        pytest.skip(MISSING)
    started = Browser()
    yield started
    started.close()


class Served:
    """A page on a port of this computer, and as a file."""

    def __init__(self, name: str, folder) -> None:
        need("web")
        self.model = bt.load(name)
        self.html = make_page(self.model)
        self.file = folder / f"{name}.html"
        self.file.write_bytes(self.html)
        self.server = PageServer(self.html, 0)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="session")
def things(tmp_path_factory):
    served = Served("things", tmp_path_factory.mktemp("page"))
    yield served
    served.close()


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    served = Served("demo", tmp_path_factory.mktemp("page"))
    yield served
    served.close()


@pytest.fixture
def tab(browser):
    """A new tab, whose console must be empty in the end."""
    page = browser.page()
    yield page
    errors = page.errors
    page.close()
    assert errors == []
