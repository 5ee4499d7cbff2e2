# SPDX-License-Identifier: Apache-2.0
"""The page on a port of this computer, for its own browser alone."""

from __future__ import annotations

import errno
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ..errors import ConfigError

HOST = "127.0.0.1"


class PageServer(ThreadingHTTPServer):
    """Serves one page. ``ConfigError`` for a port that is taken."""

    daemon_threads = True

    def __init__(self, page: bytes, port: int) -> None:
        self.page = page
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            taken = error.errno == errno.EADDRINUSE
            raise ConfigError(
                f"Port {port} of this computer is {'taken' if taken else 'not yours to use'}.",
                "Name another with --port, or 0 for any that is free.",
            ) from None

    @property
    def url(self) -> str:
        return f"http://localhost:{self.server_address[1]}/"


class _Handler(BaseHTTPRequestHandler):
    server: PageServer

    def do_HEAD(self) -> None:
        self._head()

    def do_GET(self) -> None:
        if self._head():
            self.wfile.write(self.server.page)

    def _head(self) -> bool:
        if self.path.partition("?")[0] not in ("/", "/index.html"):
            self.send_error(404)
            return False
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(self.server.page)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        return True

    def log_message(self, format: str, *arguments: object) -> None:
        """Nobody reads it."""
