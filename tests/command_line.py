# SPDX-License-Identifier: Apache-2.0
"""`bitmar-tiny` as a user types it, in this process: starting Python and importing PyTorch costs seconds a
time.

That the command is a program of its own, with its exit codes and nothing but sentences on stderr,
``test_cli.py`` checks with real ones.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
from unittest import mock

from bitmar_tiny.cli import app


def run(*arguments, cwd=None) -> subprocess.CompletedProcess:
    """Exit code, stdout and stderr of ``bitmar-tiny arguments`` in folder ``cwd``. What no one looks after is
    raised here.
    """
    words = ["bitmar-tiny", *map(str, arguments)]
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    code: object = 0
    try:
        with (
            mock.patch.object(sys, "argv", words),
            mock.patch("click.core._detect_program_name", lambda: words[0]),
            contextlib.chdir(cwd or os.getcwd()),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            app.main()
    except SystemExit as stop:
        code = stop.code or 0
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    said = (stream.buffer.getvalue().decode(errors="replace") for stream in (out, err))
    return subprocess.CompletedProcess(words, code, *said)
