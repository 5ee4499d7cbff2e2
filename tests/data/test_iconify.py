# SPDX-License-Identifier: Apache-2.0
"""Further emoji styles: read strictly, named as the emoji package names them, held out by name in every
style.
"""

import json

import numpy as np
import pytest

from bitmar_tiny.data.iconify import read_style
from bitmar_tiny.data.openmoji import emoji_names, load_openmoji, prepare_openmoji
from bitmar_tiny.data.pixels import patches_to_pixels
from bitmar_tiny.errors import DataError

NAMES = {
    "\U0001f415": "dog",
    "\U0001f355": "pizza",
    "\u2764": "red heart",
    "\U0001f44d\U0001f3ff": "thumbs up dark skin tone",
}
RED = '<path fill="#f00" d="M0 0h32v16H0z"/>'


def icon_set(folder, chars=None, **changes):
    folder.mkdir(exist_ok=True)
    table = {
        "prefix": "toy",
        "width": 32,
        "height": 16,
        "icons": {"hound": {"body": RED}, "pizza": {"body": RED}, "logo": {"body": RED}},
        "aliases": {"red-heart": {"parent": "pizza"}, "turned": {"parent": "pizza", "hFlip": True}},
    }
    (folder / "icons.json").write_text(json.dumps(table | changes))
    if chars is not None:
        (folder / "chars.json").write_text(json.dumps(chars))
    (folder / "info.json").write_text(json.dumps({"license": {"spdx": "MIT"}, "author": {"name": "A"}}))
    return folder


def test_names_come_from_code_points_or_else_from_keys(tmp_path):
    style = read_style(
        icon_set(
            tmp_path / "a",
            {"1f415": "hound", "2764-fe0f": "red-heart", "1f44d-1f3ff": "turned", "1f600": "logo"},
        ),
        NAMES,
    )
    assert [n for n, _ in style.drawings] == [
        "dog",
        "red heart",
    ]  # turned aliases and nameless emoji are left out
    assert (
        style.record["licence"] == "MIT"
        and style.record["version"] == "unknown"
        and set(style.record["sha256"]) == {"icons.json", "chars.json"}
    )
    assert 'viewBox="0 -8 32 32"' in style.drawings[0][1]  # square, the picture in the middle
    by_key = read_style(icon_set(tmp_path / "b", {}), NAMES)
    assert [n for n, _ in by_key.drawings] == ["pizza", "red heart"]


@pytest.mark.parametrize(
    "changes, chars, message",
    [
        ({"prefix": 3}, None, "not the folder of an Iconify set"),
        ({"icons": []}, None, "not the folder"),
        ({"icons": {"pizza": {"body": 3}}}, None, "'pizza' has no body"),
        ({"width": -1}, None, "no possible size"),
        ({"width": 1e9}, None, "no possible size"),
        ({"icons": {"x": {"body": RED}}, "aliases": {}}, None, "no picture"),
        ({}, {"zz": "hound"}, "hexadecimal"),
        ({}, ["1f415"], "hexadecimal"),
        ({}, {"ffffffffff": "hound"}, "hexadecimal"),
    ],
)
def test_other_files_are_one_sentence(tmp_path, changes, chars, message):
    with pytest.raises(DataError, match=message):
        read_style(icon_set(tmp_path / "s", chars, **changes), NAMES)


def test_a_folder_that_is_none(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(DataError):
            read_style(path, NAMES)


def test_a_name_that_is_held_out_is_held_out_in_every_style(tmp_path):
    try:
        table = emoji_names()
    except DataError as error:
        pytest.skip(str(error))
    alone, alone_split = load_openmoji(prepare_openmoji(tmp_path / "alone", limit=60))
    codes = {name: "-".join(f"{ord(c):x}" for c in emoji) for emoji, name in table.items()}
    chars = {codes[n]: "hound" for n in alone.captions}
    toy = icon_set(tmp_path / "toy", chars, height=32)
    both, split = load_openmoji(prepare_openmoji(tmp_path / "both", limit=60, styles=[toy]))
    n = len(alone)
    assert split["styles"] == {"openmoji": [0, n], "toy": [n, len(both)]} and len(both) == n + len(
        set(alone.captions)
    )
    assert np.array_equal(both.features[:n], alone.features) and both.captions[:n] == alone.captions
    for key in ("holdout", "holdout_concept"):  # the same in OpenMoji, and nowhere trained on
        assert [i for i in split[key] if i < n] == alone_split[key]
    held = {both.captions[i] for i in split["holdout"]}
    trained = {c for i, c in enumerate(both.captions) if i not in set(split["holdout"])}
    assert len(split["holdout"]) > len(alone_split["holdout"]) and not held & trained
    top = patches_to_pixels(np.array(both.features[n, :16]), 64)
    assert (top[5, 32] == [255, 0, 0]).all() and (top[60, 32] == 255).all()
    assert (tmp_path / "both" / "sources.json").stat().st_mtime_ns == (
        prepare_openmoji(tmp_path / "both", limit=60, styles=[toy]) / "sources.json"
    ).stat().st_mtime_ns
    with pytest.raises(DataError, match="given twice"):
        prepare_openmoji(tmp_path / "twice", limit=60, styles=[toy, toy])
