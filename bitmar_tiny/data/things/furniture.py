# SPDX-License-Identifier: Apache-2.0
"""Furniture of Debian's package ``sweethome3d-furniture``: models, drawn from eight sides.

A catalogue is a ZIP archive (``.sh3f``): OBJ models with their textures, and a table of properties that names
them and says how large they are. Of several models with one name the first is taken.
"""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError
from ..files import ZIP_FAULTS
from ..packages import sha256_file
from ..pixels import picture_side, picture_vectors
from .mesh import MOST, Cloud, draw_sides, read_materials, read_obj, strew
from .table import Progress, Things, pairs_of, split_things

PLACE = Path("/usr/share/sweethome3d/furniture")
SIDES = 8
_PROPERTIES = "PluginFurnitureCatalog.properties"
_ENTRY = re.compile(r"^(name|model|width|depth|height|modelRotation)#(\d+)\s*=\s*(.*?)\s*$")
_HINT = "Install it again: apt-get install --reinstall sweethome3d-furniture."


@dataclass(frozen=True)
class Model:
    """name: what it is; archive, path: where; size: width, height, depth in cm; turned: [3, 3], how the file
    is turned to stand upright.
    """

    name: str
    archive: Path
    path: str
    size: tuple[float, float, float]
    turned: np.ndarray


def find(path: Path) -> list[Path]:
    """The catalogues in a folder."""
    return sorted(path.glob("*.sh3f")) if path.is_dir() else []


class Furniture:
    """Catalogues. ``DataError`` for a damaged one."""

    vectors = None

    def __init__(self, archives: list[Path]) -> None:
        found: dict[str, Model] = {}
        for archive in archives:
            for model in _catalogue(archive):
                found.setdefault(model.name, model)
        self.models = [found[name] for name in sorted(found)]
        sums = {a.name: sha256_file(a) for a in archives}
        self.made_with: dict[str, Any] = {"source": "furniture", "sha256": sums}

    def draw(self, vectors: int, progress: Progress | None) -> Things:
        """Every model from ``SIDES`` sides; what cannot be drawn is left out."""
        angles, names, rows = [360.0 * i / SIDES for i in range(SIDES)], [], []
        for i, model in enumerate(self.models):
            try:
                sides = draw_sides(load_cloud(model), picture_side(vectors)[0], angles)
            except ValueError:  # it has no surfaces, or numbers that are none
                sides = []
            names += [model.name] * (len(sides) > 0)
            rows += [picture_vectors(s, vectors) for s in sides]
            if progress:
                progress(i + 1, len(self.models))
        if not rows:
            raise DataError("The catalogues of furniture hold no model that can be drawn.", _HINT)
        turned = {f"turned by {a} degrees": a * SIDES // 360 for a in (45, 90, 180)}
        pairs = {
            name: pairs_of(SIDES, lambda a, c, by=by: (c - a) % SIDES in (by, SIDES - by))
            for name, by in turned.items()
        }
        return Things(
            "furniture",
            np.stack(rows),
            np.repeat(np.arange(len(names)), SIDES),
            np.tile(np.arange(SIDES), len(names)),
            names,
            [f"{a:g} degrees" for a in angles],
            split_things(names),
            np.zeros(len(names), np.int64),
            {"turned": pairs_of(SIDES, lambda a, c: a != c)} | pairs,
            "turned",
            list(turned),
        )


def _catalogue(archive: Path) -> list[Model]:
    text = _opened(archive, lambda z: z.read(_PROPERTIES)).decode("latin-1")
    entries: dict[int, dict[str, str]] = {}
    for line in text.splitlines():
        if found := _ENTRY.match(line):
            entries.setdefault(int(found[2]), {})[found[1]] = found[3]
    models = []
    for number, e in sorted(entries.items()):
        try:
            size = (float(e["width"]), float(e["height"]), float(e["depth"]))
            turned = np.array(e.get("modelRotation", "1 0 0 0 1 0 0 0 1").split(), float).reshape(3, 3)
            if not (np.abs([*size, *turned.ravel()]) < MOST).all():
                raise ValueError
            models.append(Model(e["name"], archive, e["model"].lstrip("/"), size, turned))
        except (KeyError, ValueError):
            raise DataError(f"{archive}: entry {number} of its table is incomplete.", _HINT) from None
    return models


def load_cloud(model: Model) -> Cloud:
    """Points of a model's surfaces. ``ValueError`` where it has none, ``DataError`` for a damaged archive."""
    return _opened(model.archive, lambda archive: _cloud(archive, model))


def _cloud(archive: zipfile.ZipFile, model: Model) -> Cloud:
    folder, there = posixpath.dirname(model.path), set(archive.namelist())
    data = archive.read(model.path)
    mesh = read_obj(data)
    mesh.corners = mesh.corners @ model.turned.T
    library = re.search(rb"^mtllib\s+(.+?)\s*$", data, re.MULTILINE)
    path = posixpath.join(folder, library[1].decode("latin-1")) if library else ""
    materials = read_materials(archive.read(path).decode("latin-1")) if path in there else {}

    @lru_cache
    def texture(name: str) -> np.ndarray | None:
        from PIL import Image

        path = posixpath.join(folder, name)
        if path not in there:
            return None
        try:
            with Image.open(io.BytesIO(archive.read(path))) as opened:
                return np.asarray(opened.convert("RGBA"), np.uint8)
        except Exception:  # on a damaged file Pillow's readers raise whatever comes up in them
            return None

    return strew(mesh, materials, texture, model.size, 0)


def _opened(archive: Path, use: Callable[[zipfile.ZipFile], Any]) -> Any:
    try:
        with zipfile.ZipFile(archive) as opened:
            return use(opened)
    except ZIP_FAULTS as error:
        raise DataError(f"{archive}: a damaged catalogue ({error}).", _HINT) from None
