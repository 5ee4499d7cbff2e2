# SPDX-License-Identifier: Apache-2.0
"""RUN in a browser: a model as a page that one teaches."""

from __future__ import annotations

from pathlib import Path

from ..codegen.boards import load_board
from ..codegen.build import build
from ..codegen.emit import emit
from ..errors import ConfigError
from ..files import TemporaryFolder, atomic_file
from ..frozen import FrozenModel
from ..page.contents import contents, need_page
from ..page.render import render
from ..page.server import PageServer

__all__ = ["write_page"]

#: The page shows tensors and where the time goes.
SHOWING = ("-DBM_TAPS", "-DBM_PROFILE")
PAGE = "index.html"


def make_page(model: FrozenModel) -> bytes:
    """The page of a model as HTML: its C is generated and compiled to WebAssembly for it.

    ``ToolError`` with the fix where the compiler is missing, ``ConfigError`` for a model without a tokenizer
    or with a backbone.
    """
    need_page(model)
    board = load_board("web")
    with TemporaryFolder() as folder:
        project = emit(model, board, Path(folder) / "project", memory="sd")
        program = build(project.path, board, project.family, extra=SHOWING)
        return render(contents(model, project, program.path)).encode()


def write_page(model: FrozenModel, out: str | Path) -> Path:
    """Write a model as a page into the folder ``out``: one HTML file, which is returned. It works from disk
    and from any static server, and takes nothing from the network.

    ``ToolError`` with the fix where the compiler is missing, ``ConfigError`` for a model without a tokenizer
    or with a backbone, or where ``out`` is a file.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_page(load("recall"), folder).name
    'index.html'
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: a file, not a folder.", "Name a folder that the page is written into.")
    page = make_page(model)
    out.mkdir(parents=True, exist_ok=True)
    with atomic_file(out / PAGE) as f:
        f.write(page)
    return out / PAGE
