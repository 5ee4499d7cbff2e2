# SPDX-License-Identifier: Apache-2.0
"""Things: each set is found by what is in its folder and drawn once, splits and views are kept, files are
checked.
"""

from __future__ import annotations

import contextlib
import json
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fuzz_mutations import mutate
from PIL import Image
from things_support import COLOURS, save_shapes, shape, shapes

from bitmar_tiny.data.things.find import find_source, open_things
from bitmar_tiny.data.things.furniture import Furniture, load_cloud
from bitmar_tiny.data.things.mesh import draw_sides, read_materials, read_obj, strew
from bitmar_tiny.data.things.omniglot import ARCHIVES
from bitmar_tiny.data.things.table import DEV, RECORD, TABLE, TEST, TRAIN, load_things, split_things
from bitmar_tiny.errors import ConfigError, DataError

ROOT = Path(__file__).parents[2]
OMNIGLOT = next(
    (p for p in (ROOT / "shared/data/omniglot", ROOT.parent / "shared/data/omniglot") if p.is_dir()), None
)


def test_a_side_is_a_matter_of_the_name_and_every_side_has_its_part():
    names = [f"thing {i}" for i in range(100)]
    side = split_things(names)
    assert np.bincount(side).tolist() == [70, 10, 20]
    assert np.array_equal(split_things(names[::-1])[::-1], side)
    with pytest.raises(DataError, match="too few"):
        split_things(names[:3])


def test_a_trial_asks_for_what_was_shown_in_another_view():
    things = shapes()
    rng, seen = np.random.default_rng(0), set()
    for side in (TRAIN, TEST):
        for _ in range(50):
            t = things.trial(rng, side, "another view", 4)
            shown = t.shown[:, 0]
            assert len(set(things.thing[shown])) == 4 and len(set(things.view[shown])) == 1
            assert things.thing[t.asked] == things.thing[shown[t.target]]
            assert things.view[t.asked] != things.view[shown[0]]
            assert (things.side[things.thing[shown]] == side).all()
            assert things.thing[t.stranger] not in things.thing[shown]
            assert things.view[t.stranger] == things.view[t.asked]
            seen.add(int(things.view[t.asked]))
    assert seen == {0, 1, 2}
    several = things.trial(rng, TRAIN, "another view", 5, 2)
    assert several.shown.shape == (5, 2) and several.asked not in several.shown
    assert (things.thing[several.shown[:, 0]] == things.thing[several.shown[:, 1]]).all()


def test_trials_are_the_same_for_a_seed_and_too_few_things_are_said():
    things = shapes()
    a, b, c = (things.trials(TEST, "another view", 3, 20, seed) for seed in (1, 1, 2))
    assert [t.asked for t in a] == [t.asked for t in b] != [t.asked for t in c]
    with pytest.raises(DataError, match="too few things to show 30"):
        things.trials(DEV, "another view", 30, 1, 1)
    whole = things.trial(np.random.default_rng(0), TEST, "another view", 30, most=True)
    assert len(whole.shown) == (things.side == TEST).sum() and whole.stranger == -1


def test_a_folder_for_each_thing(tmp_path):
    folder = save_shapes(tmp_path / "mine")
    (folder / "alone").mkdir()
    shape(0, "red", 0).save(folder / "alone" / "0.png")
    done = []
    things = open_things(folder, tmp_path / "drawn", 1, lambda *n: done.append(n))
    assert things.names == [f"thing {i}" for i in range(8)] and things.views == ["0", "1"]
    assert things.pictures.shape == (16, 1, 768) and done[-1] == (16, 16)
    assert (things.row >= 0).all()
    again = open_things(folder, tmp_path / "drawn", 1, lambda *n: done.append("drawn again"))
    assert done[-1] == (16, 16) and np.array_equal(again.pictures, things.pictures)
    shape(3, "cyan", 0).save(folder / "thing_0" / "0.png")
    changed = open_things(folder, tmp_path / "drawn", 1)
    assert not np.array_equal(changed.pictures, again.pictures)
    assert open_things(tmp_path / "drawn", tmp_path / "unused", 1).names == things.names
    with pytest.raises(ConfigError, match="1 vectors a picture, the model takes 4"):
        open_things(tmp_path / "drawn", tmp_path / "unused", 4)


def test_views_without_common_names_are_numbered(tmp_path):
    for i in range(6):
        (tmp_path / f"t{i}").mkdir()
        for view in range(2 + i % 2):
            shape(i % 4, COLOURS[i % 3], view).save(tmp_path / f"t{i}" / f"photo{i}{view}.png")
    things = find_source(tmp_path).draw(1, None)
    assert things.views == ["picture 1", "picture 2", "picture 3"]


def write_list(folder: Path, lines: list) -> Path:
    save_shapes(folder / "mine")
    path = folder / "things.jsonl"
    path.write_text("".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines))
    return path


def test_a_list_of_pictures(tmp_path):
    lines = [
        {"image": f"mine/thing_{i}/{view}.png", "thing": f"no {i}", "view": f"side {view}"}
        for i in range(8)
        for view in range(2)
    ]
    things = open_things(write_list(tmp_path, lines), tmp_path / "drawn", 1)
    assert things.names[3] == "no 3" and things.views == ["side 0", "side 1"]


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "[1]",
        {"image": "mine/thing_0/0.png"},
        {"image": "mine/thing_0/0.png", "thing": 3},
        {"image": "mine/thing_0/0.png", "thing": " "},
        {"image": "mine/thing_0/0.png", "thing": "a", "name": "b"},
        {"image": "mine/thing_0/9.png", "thing": "a"},
        {"image": "mine", "thing": "a"},
        {"image": "bad.png", "thing": "a", "view": "b"},
    ],
)
def test_a_fault_in_a_list_is_named_by_its_line(tmp_path, line):
    good = [
        {"image": f"mine/thing_{i}/{view}.png", "thing": f"a{i}" * (i > 0) or "a"}
        for i in range(8)
        for view in range(2)
    ]
    path = write_list(tmp_path, [*good, line])
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"things\.jsonl:17") as error:
        find_source(path).draw(1, None)
    assert error.value.hint


def test_what_holds_no_things_is_said(tmp_path):
    with pytest.raises(DataError, match="does not exist") as error:
        find_source(tmp_path / "nowhere")
    assert "@iconify-json" in error.value.hint
    shape(0, "red", 0).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="no folders of pictures"):
        find_source(tmp_path)
    with pytest.raises(DataError, match="not a list"):
        find_source(tmp_path / "a.png")


def test_a_damaged_table_is_said_and_drawn_again(tmp_path):
    folder = save_shapes(tmp_path / "mine")
    drawn = tmp_path / "drawn"
    things = open_things(folder, drawn, 1)
    record = json.loads((drawn / RECORD).read_text())
    for key, value in (
        ("thing", [99] * 16),
        ("pairs", {}),
        ("side", [7] * 8),
        ("fixed", [[[[0]], 99, 0, -1]]),
    ):
        (drawn / RECORD).write_text(json.dumps(record | {key: value}))
        with pytest.raises(DataError, match="not a table of things"):
            load_things(drawn)
    (drawn / RECORD).write_text("{")
    assert np.array_equal(open_things(folder, drawn, 1).pictures, things.pictures)
    (drawn / TABLE).unlink()
    assert np.array_equal(open_things(folder, drawn, 1).pictures, things.pictures)


# -- emoji ---------------------------------------------------------------------------------------

THINGS = ("red apple", "dog face", "cat face", "key", "balloon", "candle", "bell", "hammer")


def write_set(folder: Path, prefix: str, colour: str, names=THINGS) -> None:
    body = '<rect x="2" y="{}" width="9" height="9" fill="{}"/>'
    icons = {n.replace(" ", "-"): {"body": body.format(i, colour)} for i, n in enumerate(names)}
    (folder / prefix).mkdir(parents=True)
    (folder / prefix / "icons.json").write_text(json.dumps({"prefix": prefix, "icons": icons}))


def test_emoji_are_asked_in_another_drawer_and_never_trained_on_in_two(tmp_path, monkeypatch):
    pytest.importorskip("resvg_py")
    table = {str(i): name for i, name in enumerate(THINGS + ("waving hand: dark skin tone", "flag: Peru"))}
    monkeypatch.setattr("bitmar_tiny.data.things.emoji.emoji_names", lambda: table)
    for prefix in ("noto", "noto-v1", "twemoji", "fxemoji", "openmoji"):
        write_set(tmp_path, prefix, "red", tuple(table.values()))
    write_set(tmp_path, "emojione", "blue", THINGS[:2] + ("lonely",))
    things = open_things(tmp_path, tmp_path / "drawn", 1)
    assert things.names == sorted(THINGS)  # no flags, no colours of skin, nothing that few drew
    of = {name: i for i, name in enumerate(things.views)}

    def asked(question: str) -> set[tuple[str, str]]:
        return {(things.views[a], things.views[c]) for a, c in things.pairs[question]}

    trained = {"noto", "twemoji", "openmoji", "emojione"}
    assert asked("another drawer") == {(a, c) for a in trained for c in trained if a != c}
    unseen = asked("drawer never trained on")
    assert ("twemoji", "noto-v1") in unseen and ("noto", "fxemoji") in unseen
    assert ("noto", "noto-v1") not in unseen and {c for _, c in unseen} == {"noto-v1", "fxemoji"}
    t = things.trial(np.random.default_rng(0), TEST, "drawer never trained on", 2)
    assert things.view[t.asked] in (of["noto-v1"], of["fxemoji"])


# -- omniglot ------------------------------------------------------------------------------------


def write_omniglot(folder: Path) -> None:
    """Two characters of two alphabets by three drawers; one alphabet is in both sets; a run of two."""

    def png(seed: int) -> bytes:
        path = folder / "x.png"
        picture = np.full((20, 20), 255, np.uint8)
        picture[3 : 6 + seed % 9, 2 + seed % 5] = 0
        Image.fromarray(picture).save(path)
        return path.read_bytes()

    for archive, alphabets in zip(ARCHIVES[:2], (("Greek", "Korean"), ("Greek", "Tifinagh")), strict=True):
        with zipfile.ZipFile(folder / archive, "w") as z:
            for n, alphabet in enumerate(alphabets):
                for character in (1, 2):
                    for drawer in (1, 2, 3):
                        name = f"{archive[:-4]}/{alphabet}/character0{character}/000{n}_0{drawer}.png"
                        z.writestr(name, png(n * 7 + character * 3 + drawer))
    with zipfile.ZipFile(folder / ARCHIVES[2], "w") as z:
        for i in (1, 2):
            z.writestr(f"run01/training/class0{i}.png", png(i))
            z.writestr(f"run01/test/item0{i}.png", png(i + 20))
        line = "run01/test/item0{}.png run01/training/class0{}.png\n"
        z.writestr("run01/class_labels.txt", line.format(1, 2) + line.format(2, 1))


def test_omniglot_s_sides_turned_characters_and_official_runs(tmp_path):
    write_omniglot(tmp_path)
    things = open_things(tmp_path, tmp_path / "drawn", 1)
    trained = [n for n, s in zip(things.names, things.side, strict=True) if s == TRAIN]
    assert len(trained) == 16 and "Greek/character01 turned by 270" in trained
    dev = [n for n, s in zip(things.names, things.side, strict=True) if s == DEV]
    assert dev == ["Tifinagh/character01", "Tifinagh/character02"]
    trials = things.trials(TEST, "another drawer", 20, 1000, 0)
    assert [things.names[things.thing[t.asked]] for t in trials] == ["run01/test/item01", "run01/test/item02"]
    assert [things.names[things.thing[t.shown[t.target, 0]]] for t in trials] == [
        "run01/training/class02",
        "run01/training/class01",
    ]
    t = things.trial(np.random.default_rng(0), TRAIN, "another drawer", 2)
    assert len({things.group[things.thing[r]] for r in t.shown.ravel()}) == 1
    (tmp_path / ARCHIVES[0]).write_bytes(b"PK")
    with pytest.raises(DataError, match=f"{ARCHIVES[0]}: a damaged archive"):
        find_source(tmp_path).draw(1, None)


@pytest.mark.skipif(
    OMNIGLOT is None, reason="needs the archives of brendenlake/omniglot in shared/data/omniglot"
)
def test_the_official_runs_are_400_questions_of_20():
    source = find_source(OMNIGLOT)
    names = [name for name, _ in source._pictures(ARCHIVES[2])]
    rows = {tuple(name[:-4].split("/")): i for i, name in enumerate(names)}
    trials = list(source._official(rows))
    assert len(trials) == 400 and {t.shown.shape for t in trials} == {(20, 1)}
    assert all(names[t.asked].split("/")[0] == names[t.shown[0, 0]].split("/")[0] for t in trials)


# -- furniture -----------------------------------------------------------------------------------

BOX = b"""mtllib box.mtl
v 0 0 0
v 1 0 0
v 1 1 0
v 0 1 0
v 0 0 1
v 1 0 1
v 1 1 1
v 0 1 1
vt 0.1 0.1
vt 0.9 0.1
vt 0.9 0.9
usemtl front
f 5/1 6/2 7/3 8/1
usemtl back
f 1//1 2//1 3//1 4//1
f -8 -5 -1 -4
"""
BOX_MATERIALS = "newmtl front\nKd 1 0 0\nnewmtl back\nKd 0 0 1\nd 1.0\nmap_Kd textures/blue.png\n"


def test_a_box_is_red_from_the_front_and_blue_from_behind():
    mesh, texture = read_obj(BOX), np.full((2, 2, 3), (0, 0, 255), np.uint8)
    assert len(mesh.corners) == 6 and mesh.materials == ["", "front", "back"]
    wanted = []
    cloud = strew(mesh, read_materials(BOX_MATERIALS), lambda n: wanted.append(n) or texture, (10, 10, 4), 0)
    front, left, back = draw_sides(cloud, 16, [0, 90, 180])
    assert wanted == ["blue.png"] and front.shape == (16, 16, 3)
    assert front[8, 8, 0] > 200 and front[8, 8, 2] < 60 and back[8, 8, 2] > 200 and back[8, 8, 0] < 60
    assert (front[0, 0] == 255).all() and (left != 255).any(-1).sum() < (front != 255).any(-1).sum()


def test_lines_and_textures_at_no_place_do_not_spoil_a_model():
    mesh = read_obj(BOX + b"vt nan 0.5\nf 1 2\nf 1/-1 2/-1 3/-1\n")
    assert len(mesh.corners) == 7 and np.isfinite(mesh.spots).all()


@pytest.mark.parametrize(
    "data", [b"", b"v 1 2 3\n", b"v 1 2 3\nf 1 2 9\n", b"v a b c\nf 1 1 1\n", b"f 1 2 3\n"]
)
def test_what_is_no_model_is_refused(data):
    with pytest.raises(ValueError):
        read_obj(data)


def test_furniture_is_drawn_from_eight_sides_and_asked_turned(tmp_path, monkeypatch):
    monkeypatch.setattr("bitmar_tiny.data.things.mesh.POINTS", 2000)
    flat = b"v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n"  # without area
    table = "".join(
        f"name#{i}={name}\nmodel#{i}=/models/{i}.obj\nwidth#{i}=40\ndepth#{i}=20\nheight#{i}=30\n"
        for i, name in enumerate([*(f"Box {j}" for j in range(6)), "Flat", "Box 1"], 1)
    )
    with zipfile.ZipFile(tmp_path / "some.sh3f", "w") as z:
        z.writestr("PluginFurnitureCatalog.properties", "# comment\n" + table)
        z.writestr("models/box.mtl", BOX_MATERIALS)
        for i in range(1, 9):
            z.writestr(f"models/{i}.obj", flat if i == 7 else BOX)
    things = open_things(tmp_path, tmp_path / "drawn", 1)
    assert things.names == [f"Box {j}" for j in range(6)] and len(things.views) == 8
    assert {(c - a) % 8 for a, c in things.pairs["turned by 90 degrees"]} == {2, 6}
    assert {(c - a) % 8 for a, c in things.pairs["turned by 180 degrees"]} == {4}
    assert len(things.pairs["turned"]) == 56 and things.asked == [q for q in things.pairs if q != "turned"]
    (tmp_path / "some.sh3f").write_bytes(b"nothing")
    with pytest.raises(DataError, match="damaged catalogue"):
        find_source(tmp_path)


@pytest.mark.parametrize(
    "part", ["archive", "box.obj", "box.mtl", "x.png", "PluginFurnitureCatalog.properties"]
)
@pytest.mark.filterwarnings("error")
def test_damaged_catalogues_are_refused_or_left_out(tmp_path, monkeypatch, part):
    monkeypatch.setattr("bitmar_tiny.data.things.mesh.POINTS", 50)
    table = "name#1=Box\nmodel#1=/a/box.obj\nwidth#1=4\ndepth#1=2\nheight#1=3\n"
    table += "modelRotation#1=1 0 0 0 1 0 0 0 1\n"
    shape(0, "red", 0).save(tmp_path / "x.png")
    files = {
        "PluginFurnitureCatalog.properties": table.encode(),
        "a/box.obj": BOX,
        "a/box.mtl": BOX_MATERIALS.replace("textures/blue", "x").encode(),
        "a/x.png": (tmp_path / "x.png").read_bytes(),
    }
    path = tmp_path / "some.sh3f"
    for number in range(60):
        rng = random.Random(number)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
            for name, content in files.items():
                z.writestr(name, mutate(content, rng) if name.endswith(part) else content)
        if part == "archive":
            path.write_bytes(mutate(path.read_bytes(), rng))
        with contextlib.suppress(DataError, ValueError):
            for model in Furniture([path]).models:
                load_cloud(model)
