# SPDX-License-Identifier: Apache-2.0
"""`bitmar-tiny play` as a user types it: what it writes and serves, and what it says when it cannot."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
import webbrowser

import command_line
import pytest
from support import need
from taught_support import SOME_BACKBONE, knowing

from bitmar_tiny.api import page
from bitmar_tiny.codegen import build
from bitmar_tiny.page.server import PageServer


def said(*arguments) -> str:
    """What is said of a fault, on one line."""
    done = command_line.run("play", *arguments)
    assert done.returncode == 2 and not done.stdout
    return " ".join(done.stderr.split())


def test_a_port_that_is_taken_is_said_before_anything_is_built():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"Port {port} of this computer is taken. Fix: Name another with --port" in said("--port", port)


def test_a_missing_compiler_names_its_extra(monkeypatch, tmp_path):
    monkeypatch.setattr(build, "installed", lambda module: False)
    words = said("recall", "--out", tmp_path / "site")
    assert "No compiler for board web" in words and "pip install 'bitmar-tiny[cross]'" in words
    assert not (tmp_path / "site").exists()


def test_a_model_with_a_backbone_is_refused_before_anything_is_built(monkeypatch, tmp_path):
    monkeypatch.setattr(page, "build", None)
    knowing(backbone=SOME_BACKBONE).save(tmp_path / "model.bitmar")
    words = said(tmp_path / "model.bitmar", "--out", tmp_path / "site")
    assert "sees through a backbone, colours.onnx" in words and "which no page holds" in words
    assert not (tmp_path / "site").exists()


def test_a_file_in_the_folders_place_is_not_written_over(tmp_path):
    (tmp_path / "site").write_text("mine")
    assert "a file, not a folder" in said("recall", "--out", tmp_path / "site")
    assert (tmp_path / "site").read_text() == "mine"


def test_a_port_and_a_folder_are_not_both_taken(tmp_path):
    assert "Leave out --port" in said("--out", tmp_path / "site", "--port", 1234)


def test_the_server_has_one_page_for_this_computer_alone(serving):
    with urllib.request.urlopen(serving.url) as answer:
        assert answer.read() == b"<p>a page" and answer.headers["Content-Type"].startswith("text/html")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(serving.url + "etc/passwd")
    assert serving.server_address[0] == "127.0.0.1"


@pytest.fixture
def serving():
    import threading

    server = PageServer(b"<p>a page", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_page_is_built_served_and_opened(monkeypatch):
    need("web")
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)

    def stop(server) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(PageServer, "serve_forever", stop)
    done = command_line.run("play", "recall", "--port", 0, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert opened == [told["url"]] and told["model"] == "recall" and told["bytes"] > 100_000


def test_a_folder_gets_one_file(tmp_path):
    need("web")
    done = command_line.run("play", "recall", "--out", tmp_path / "site", "--json")
    assert done.returncode == 0, done.stderr
    assert [str(f) for f in (tmp_path / "site").iterdir()] == [json.loads(done.stdout)["page"]]
