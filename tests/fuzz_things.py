# SPDX-License-Identifier: Apache-2.0
"""Mutated files for the readers of things to show: whole sets in small, of which one file is replaced."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from bitmar_tiny.extras import installed

#: What the emoji sets need: names, and a drawer.
NEEDED = ("emoji", "resvg_py")
SPELLED = ("key", "balloon", "candle", "bell", "hammer", "ghost", "dog-face", "cat-face", "red-apple")
#: A kind: name -> content of whole files, and the reader of a path.
Seeds = tuple[dict[str, bytes], Callable[[Path], Any]]


def kinds_of_things(folder: Path) -> dict[str, Seeds]:
    """Kinds, with what they need written to ``folder``."""
    found = {
        "thing lists": _lists(folder / "lists"),
        "thing tables": _tables(folder / "tables"),
        "furniture": _furniture(folder / "furniture"),
        "omniglot": _omniglot(folder / "omniglot"),
    }
    return found | ({"emoji sets": _emoji(folder / "emoji")} if all(map(installed, NEEDED)) else {})


def _replaced(whole: Path, read: Callable[[], Any]) -> Callable[[Path], Any]:
    """Reads what ``read`` does while the file of this name in ``whole`` is another."""

    def reader(path: Path) -> Any:
        target = next(p for p in whole.rglob(path.name) if p.is_file())
        before = target.read_bytes()
        target.write_bytes(path.read_bytes())
        try:
            return read()
        finally:
            target.write_bytes(before)

    return reader


def _drawn(folder: Path) -> Any:
    from bitmar_tiny.data.things.find import find_source

    return find_source(folder).draw(1, None)


def _lists(folder: Path) -> Seeds:
    from things_support import save_shapes

    save_shapes(folder, 8, 2)
    lines = [
        {"image": f"thing_{i}/{v}.png", "thing": f"a {i}", "view": str(v)} for i in range(8) for v in (0, 1)
    ]
    (folder / "things.jsonl").write_text("\n".join(map(json.dumps, lines)))
    seeds = {"things.jsonl": (folder / "things.jsonl").read_bytes()}
    return seeds, _replaced(folder, lambda: _drawn(folder / "things.jsonl"))


def _tables(folder: Path) -> Seeds:
    from things_support import shapes

    from bitmar_tiny.data.things.table import RECORD, TABLE, TEST, load_things, save_things

    folder.mkdir()
    save_things(folder, shapes(2, 3), {"source": "shapes"})

    def read() -> Any:
        things = load_things(folder)
        return things.trials(TEST, things.asked[0], 2, 3, 1) if things.asked else None

    return {n: (folder / n).read_bytes() for n in (RECORD, TABLE)}, _replaced(folder, read)


def _emoji(folder: Path) -> Seeds:
    from data.test_things import THINGS, write_set

    for prefix in ("noto", "twemoji"):
        write_set(folder, prefix, "red", (*THINGS, "ghost"))
    codes = {f"{ord(c):x}": n for c, n in zip("🔑🎈🕯🔔🔨👻🐶🐱🍎", SPELLED, strict=True)}
    (folder / "noto" / "chars.json").write_text(json.dumps(codes))
    (folder / "noto" / "info.json").write_text(
        json.dumps({"license": {"spdx": "MIT"}, "author": {"name": "a"}})
    )
    seeds = {p.name: p.read_bytes() for p in (folder / "noto").iterdir()}
    return seeds, _replaced(folder / "noto", lambda: _drawn(folder))


def _furniture(folder: Path) -> Seeds:
    from data.test_things import BOX, BOX_MATERIALS

    from bitmar_tiny.data.things import mesh

    folder.mkdir()
    table = "".join(
        f"name#{i}=Box {i}\nmodel#{i}=/models/box.obj\nwidth#{i}=40\ndepth#{i}=20\nheight#{i}=30\n"
        for i in range(1, 5)
    )
    parts = {
        "PluginFurnitureCatalog.properties": table.encode(),
        "models/box.obj": BOX,
        "models/box.mtl": BOX_MATERIALS.encode(),
    }
    seeds, whole = _archived(folder, "some.sh3f", parts)

    def read(path: Path) -> Any:
        with mock.patch.object(mesh, "POINTS", 200):
            return whole(path)

    return seeds, read


def _omniglot(folder: Path) -> Seeds:
    from data.test_things import write_omniglot

    folder.mkdir()
    write_omniglot(folder)
    archive = folder / "all_runs.zip"
    with zipfile.ZipFile(archive) as z:
        parts = {name: z.read(name) for name in z.namelist()}
    return _archived(folder, archive.name, parts)


def _archived(folder: Path, name: str, parts: dict[str, bytes]) -> Seeds:
    """An archive, mutated whole or in one of the files that are in it."""

    def write(changed: dict[str, bytes]) -> None:
        with zipfile.ZipFile(folder / name, "w") as z:
            for part, content in (parts | changed).items():
                z.writestr(part, content)

    write({})
    of = {Path(part).name: part for part in parts}

    def read(path: Path) -> Any:
        if path.name == name:
            (folder / name).write_bytes(path.read_bytes())
        else:
            write({of[path.name]: path.read_bytes()})
        try:
            return _drawn(folder)
        finally:
            write({})

    return {name: (folder / name).read_bytes()} | {n: parts[p] for n, p in of.items()}, read
