# SPDX-License-Identifier: Apache-2.0
"""A small renderer of OBJ models: points are strewn over the surfaces once, and each side is drawn from
them.

Nothing is sought for but pictures of 64 pixels or so: no shadows, no reflections, one light from the front.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

#: Points on a model, and pixels of the picture's side that they are put on, as a multiple of what is asked.
POINTS, FINER = 120_000, 2
#: How far the eye looks down, in degrees, and the part of the picture that the model may fill.
DOWN, FILL = 20.0, 0.94
#: Light of a surface that is seen edge on, and of one that faces the eye.
DARK, BRIGHT = 0.55, 1.0

#: No coordinate and no number of a point is as large.
MOST = 1e9
#: Steps of the depth.
_DEPTHS = 1 << 16

Texture = Callable[[str], np.ndarray | None]


@dataclass
class Material:
    """colour: float [3] in [0, 1]; texture: name of a file, "" for none; solid: how much it hides, 0 to 1."""

    colour: np.ndarray
    texture: str = ""
    solid: float = 1.0


def read_materials(text: str) -> dict[str, Material]:
    """The materials of an MTL file; what it says otherwise is not looked at. ``ValueError`` for no number."""
    found: dict[str, Material] = {}
    now = Material(np.full(3, 0.7))
    for line in text.splitlines():
        key, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        if key == "newmtl":
            now = found[rest] = Material(np.full(3, 0.7))
        elif key == "Kd":
            red, green, blue = (float(x) for x in rest.split()[:3])
            now.colour = np.clip([red, green, blue], 0, 1)
        elif key in ("d", "Tr") and rest:
            now.solid = float(rest.split()[-1]) if key == "d" else 1 - float(rest.split()[-1])
        elif key == "map_Kd" and rest:
            now.texture = rest.split("/")[-1]
    return found


@dataclass
class Mesh:
    """corners: float [n, 3, 3], of triangles; spots: float [n, 3, 2], where each corner is in the texture;
    material: int [n], into ``materials``.
    """

    corners: np.ndarray
    spots: np.ndarray
    material: np.ndarray
    materials: list[str]


def read_obj(data: bytes) -> Mesh:
    """The surfaces of an OBJ file as triangles. ``ValueError`` where it is none."""
    points, spots, materials = [], [], [""]
    faces: dict[tuple[int, int], list[tuple[int, bytes]]] = defaultdict(
        list
    )  # by corners, and numbers a corner
    now = 0
    for line in data.split(b"\n"):
        head = line[:2]
        if head == b"v ":
            points.append(line[2:])
        elif head == b"vt":
            spots.append(line[3:])
        elif head == b"f ":
            words = line.split()
            if len(words) < 4:  # a line or a point has no surface; published models hold some
                continue
            faces[len(words) - 1, words[1].count(b"/") + 1].append((now, b" ".join(words[1:])))
        elif head == b"us" and line.startswith(b"usemtl"):
            name = line[6:].strip().decode("latin-1")
            materials += [name] * (name not in materials)
            now = materials.index(name)
    at, texture = _numbers(points, 3), _numbers(spots, 2) if spots else np.zeros((1, 2))
    if not _sound(at).all():
        raise ValueError("a point that is none, or far too far away")
    texture = np.where(_sound(texture), texture, 0.0)  # published models hold some that are no numbers
    corner_parts, spot_parts, material_parts = [], [], []
    for (corners, width), lines in faces.items():
        text = b" ".join(words for _, words in lines).replace(b"//", b"/0/").replace(b"/", b" ")
        numbers = np.array(text.split(), np.float64)
        if not _sound(numbers).all():
            raise ValueError("a surface names a point that is not there")
        index = numbers.astype(np.int64).reshape(len(lines), corners, width)
        where, which = index[..., 0], index[..., 1] if width > 1 else np.zeros_like(index[..., 0])
        where = np.where(where < 0, where + len(at), where - 1)  # from 1 on, or from the end
        which = np.where(which <= 0, np.where(which < 0, which + len(texture), 0), which - 1)
        if where.min() < 0 or where.max() >= len(at) or which.max() >= len(texture):
            raise ValueError("a surface names a point that is not there")
        for i in range(1, corners - 1):  # a fan
            corner_parts.append(at[where[:, [0, i, i + 1]]])
            spot_parts.append(texture[which[:, [0, i, i + 1]]])
            material_parts.append(np.array([m for m, _ in lines]))
    if not corner_parts:
        raise ValueError("no surfaces")
    return Mesh(
        np.concatenate(corner_parts), np.concatenate(spot_parts), np.concatenate(material_parts), materials
    )


def _numbers(lines: list[bytes], width: int) -> np.ndarray:
    """float [n, width]: the first numbers of each line."""
    if not lines:
        raise ValueError("no points")
    per = len(lines[0].split())
    flat = np.array(b" ".join(lines).split(), np.float64)
    if per < width or len(flat) != per * len(lines):
        return np.array([line.split()[:width] for line in lines], np.float64)
    return flat.reshape(-1, per)[:, :width]


def _sound(numbers: np.ndarray) -> np.ndarray:
    """Which can be reckoned with: not NaN, and not far too large."""
    return np.abs(numbers) < MOST


@dataclass
class Cloud:
    """Points of a surface: at, normal float32 [n, 3]; colour float32 [n, 3], 0 to 255."""

    at: np.ndarray
    normal: np.ndarray
    colour: np.ndarray


def strew(
    mesh: Mesh, materials: dict[str, Material], texture: Texture, size: tuple[float, float, float], seed: int
) -> Cloud:
    """Points on a mesh that is as wide, high and deep as ``size``. texture: a file's picture, uint8 [H, W, 3
    or 4]. ``ValueError`` for a mesh without area.
    """
    corners = mesh.corners - mesh.corners.min((0, 1))
    extent = corners.max((0, 1))
    corners = (corners - extent / 2) / np.where(extent > 0, extent, 1) * np.array(size)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(cross, axis=1)
    if not np.isfinite(area).all() or area.sum() <= 0:
        raise ValueError("no area")
    rng = np.random.default_rng(seed)
    of = rng.choice(len(area), POINTS, p=area / area.sum())
    a, b = rng.random((2, POINTS, 1))
    a, b = np.where(a + b > 1, 1 - a, a), np.where(a + b > 1, 1 - b, b)

    def inside(x: np.ndarray) -> np.ndarray:
        return x[of, 0] * (1 - a - b) + x[of, 1] * a + x[of, 2] * b

    colour, kept = _colours(mesh, materials, texture, of, inside(mesh.spots), rng)
    normal = (cross / np.where(area > 0, area, 1)[:, None])[of]
    return Cloud(*(x[kept].astype(np.float32) for x in (inside(corners), normal, colour)))


def _colours(
    mesh: Mesh,
    materials: dict[str, Material],
    texture: Texture,
    of: np.ndarray,
    spots: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Colours [n, 3], 0 to 255, of points, and which of them hide what is behind."""
    colour, kept = np.full((len(of), 3), 180.0), np.ones(len(of), bool)
    for i, name in enumerate(mesh.materials):
        here = np.flatnonzero(mesh.material[of] == i)
        material = materials.get(name)
        if material is None or not len(here):
            continue
        colour[here] = material.colour * 255
        kept[here] = rng.random(len(here)) < max(material.solid, 0.25)  # glass is seen, a little
        picture = texture(material.texture) if material.texture else None
        if picture is not None:
            height, width = picture.shape[:2]
            u, v = (spots[here] % 1).T
            x = np.minimum((u * width).astype(int), width - 1)
            y = np.minimum(((1 - v) % 1 * height).astype(int), height - 1)
            colour[here] = picture[y, x, :3]
            if picture.shape[2] == 4:
                kept[here] &= picture[y, x, 3] > 127
    return colour, kept


def draw_sides(cloud: Cloud, side: int, angles: list[float]) -> np.ndarray:
    """uint8 [len(angles), side, side, 3]: the model turned by each angle (degrees), seen from the front and a
    little above, on white.
    """
    down = np.deg2rad(DOWN)
    views, normals = [], []
    for angle in np.deg2rad(angles):
        turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
        tilt = np.array([[1, 0, 0], [0, np.cos(down), -np.sin(down)], [0, np.sin(down), np.cos(down)]])
        matrix = (tilt @ turn).T.astype(np.float32)
        views.append(cloud.at @ matrix)
        normals.append((cloud.normal @ matrix)[:, 2])
    reach = max(float(np.abs(v[:, :2]).max()) for v in views) or 1.0
    return np.stack([_splat(v, n, cloud.colour, reach, side) for v, n in zip(views, normals, strict=True)])


def _splat(at: np.ndarray, facing: np.ndarray, colour: np.ndarray, reach: float, side: int) -> np.ndarray:
    """The nearest point of each fine pixel, shaded; gaps between neighbours are closed."""
    fine = side * FINER
    x, y = ((at[:, :2] * (FILL / reach) + 1) * (fine / 2)).astype(np.int64).T
    pixel = (fine - 1 - np.clip(y, 0, fine - 1)) * fine + np.clip(x, 0, fine - 1)
    depth = at[:, 2] - at[:, 2].min()
    depth = (depth * (_DEPTHS - 1) / max(float(depth.max()), 1e-9)).astype(np.int64)
    key = np.sort((pixel * _DEPTHS + depth) * POINTS + np.arange(len(at)))  # plain numbers sort fast
    pixel, point = key // (_DEPTHS * POINTS), key % POINTS
    last = np.append(pixel[1:] != pixel[:-1], True)  # the nearest of each pixel
    pixel, point = pixel[last], point[last]
    canvas, there = np.full((fine * fine, 3), 255.0, np.float32), np.zeros(fine * fine, np.float32)
    light = DARK + (BRIGHT - DARK) * np.abs(facing[point])
    canvas[pixel] = colour[point] * light[:, None]
    there[pixel] = 1
    canvas = _closed(canvas.reshape(fine, fine, 3), there.reshape(fine, fine))
    small = canvas.reshape(side, FINER, side, FINER, 3).mean((1, 3))
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)


def _closed(canvas: np.ndarray, there: np.ndarray) -> np.ndarray:
    """A picture whose empty pixels among full ones have the mean of those."""
    fine = len(there)
    known = np.pad(
        np.concatenate([canvas * there[..., None], there[..., None]], -1), ((1, 1), (1, 1), (0, 0))
    )
    around = sum(known[i : i + fine, j : j + fine] for i in range(3) for j in range(3))
    gap = (there == 0) & (around[..., 3] >= 5)
    canvas[gap] = around[gap, :3] / around[gap, 3:]
    return canvas
