# SPDX-License-Identifier: Apache-2.0
"""The page as one HTML file that needs nothing else: not from the network, not from beside it."""

from __future__ import annotations

import base64
import json
from typing import Any

import jinja2

from .. import __version__
from .bundle import APP, bundle
from .contents import packed

#: Drawings to begin with, in two rows: by one hand, and by another. A model that cannot be taught gets those
#: that it knows.
THINGS = ("mushroom", "house", "umbrella", "cup", "fish", "tree")
KNOWN = ("house", "tree", "umbrella", "cup-2")


def render(contents: dict[str, Any]) -> str:
    """The HTML of a page with ``contents``, as ``contents.contents`` gives them."""
    about = contents["about"]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(APP), undefined=jinja2.StrictUndefined, autoescape=False
    )
    return environment.get_template("page.html.j2").render(
        name=about["name"],
        can_teach=about["canTeach"],
        start="" if about["canTeach"] else "A ",
        parameters=_rounded(about["parameters"]),
        megabytes=f"{about['bytes'] / 1e6:.1f}",
        digest=about["digest"][:12],
        version=__version__,
        css=(APP / "page.css").read_text(encoding="utf-8"),
        examples=_examples(about["canTeach"]),
        worker=packed(bundle("worker").encode()),
        script=bundle("main"),
        model=json.dumps(contents, separators=(",", ":")).replace("</", "<\\/"),
    )


def _rounded(n: int) -> str:
    return f"{n / 1e6:.1f} million" if n >= 1e6 else f"{n / 1e3:.0f} thousand"


def _examples(can_teach: bool) -> list[tuple[str, str]]:
    """What each drawing shows, and its address."""
    names = [*THINGS, *(f"{name}-2" for name in THINGS)] if can_teach else KNOWN
    return [(_title(name), _address(name)) for name in names]


def _title(name: str) -> str:
    thing, _, other = name.partition("-")
    article = "an" if thing[0] in "aeiou" else "a"
    return f"Another drawing of {article} {thing}" if other else f"A drawing of {article} {thing}"


def _address(name: str) -> str:
    drawing = (APP / "examples" / f"{name}.svg").read_bytes().strip()
    return f"data:image/svg+xml;base64,{base64.b64encode(drawing).decode()}"
