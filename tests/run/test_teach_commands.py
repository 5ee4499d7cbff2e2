# SPDX-License-Identifier: Apache-2.0
"""`bitmar-tiny teach`, `ask`, `forget` and `memory list`: what they print, and what they refuse."""

from __future__ import annotations

import io
import json
import sys

import pytest
from command_line import run
from PIL import Image
from support import TINY
from taught_support import knowing, picture

from bitmar_tiny.cli import things
from bitmar_tiny.frozen import random_model, shipped


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a model and pictures, in which commands are typed."""
    knowing().save(tmp_path / "model.bitmar")
    for colour in ("red", "lime", "blue", "cyan"):
        (tmp_path / f"{colour}.png").write_bytes(picture(colour))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def typed(*words, code=0):
    done = run(*words)
    assert done.returncode == code, done.stderr
    return done


def test_from_the_first_thing_to_the_last(here):
    made = typed("teach", "my cup", "--image", "red.png")
    assert made.stdout == "Taught: my cup (slot 1, 1 thing is known now).\n"
    assert "Made memory.store" in made.stderr and (here / "memory.store").exists()
    assert "slot 2, 2 things are known now" in typed("teach", "dax", "--image", "lime.png").stdout
    asked = typed("ask", "--image", "red.png")
    assert asked.stdout == "This is my cup.\n" and "100.0%" in asked.stderr
    assert "Learned slots have 0.0% of the read" in asked.stderr
    strange = typed("ask", "--image", "blue.png")
    assert strange.stdout == "I don't know.\n" and "(learned)" in strange.stderr
    listed = typed("memory", "list").stdout
    assert 0 < listed.index("dax") < listed.index("my cup")
    renamed = typed("teach", "wug", "--image", "lime.png").stdout
    assert "takes the place of dax, taught 1 episode ago: the pictures are alike" in renamed
    assert "known by this name" in typed("teach", "wug", "--image", "lime.png").stdout
    typed("teach", "apple", "--image", "blue.png")
    assert "full: it forgot my cup" in typed("teach", "my dax", "--image", "cyan.png").stdout
    assert typed("forget", "wug").stdout == "Forgot: wug (slot 2).\n"
    assert "nothing is known by the name 'wug'" in typed("forget", "wug", code=2).stderr
    for name in ("apple", "my dax"):
        typed("forget", name)
    assert "Nothing was taught yet" in typed("memory", "list").stderr


def test_json_of_each(here):
    def shown(*words):
        return json.loads(typed(*words, "--json").stdout)

    at = {"on": "golden", "store": "memory.store"}
    cup = {"slot": 1, "name": "my cup", "episodes_ago": 0}
    assert shown("teach", "my cup", "--image", "red.png") == at | {
        "taught": cup,
        "replaced": None,
        "alike": False,
        "known": 1,
    }
    assert shown("teach", "dax", "--image", "red.png")["replaced"] == cup
    seen = shown("ask", "--image", "red.png")
    assert seen.keys() == {*at, "text", "name", "slots", "learned_share"} and seen["name"] == "dax"
    assert seen["slots"][0].keys() == {"slot", "share", "name", "learned"}
    assert shown("memory", "list") == at | {"things": [cup | {"name": "dax"}]}
    assert shown("forget", "dax") == at | {"forgot": [cup | {"name": "dax"}]}
    assert shown("memory", "list")["things"] == []


def test_a_picture_from_standard_input(here, monkeypatch):
    ppm = io.BytesIO()
    Image.new("RGB", (40, 30), "lime").save(ppm, "PPM")
    for data, name in ((ppm.getvalue(), "dax"), (picture("red"), "wug")):
        for words in (("teach", name, "--image", "-"), ("ask", "--image", "-")):
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
            said = typed(*words).stdout
        assert said.startswith(f"This is a {name}.")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data[:30])))
    assert "Standard input" in typed("ask", "--image", "-", code=2).stderr


@pytest.mark.parametrize(
    "words, said",
    [
        (("teach", "dax", "--image", "none.png"), "none.png: cannot be read"),
        (("teach", "", "--image", "red.png"), "name is empty"),
        (("teach", "zog", "--image", "red.png"), "cannot keep the name 'zog'"),
        (("teach", "dax"), "Missing option '--image'"),
        (("ask", "--image", "red.png"), "no such memory store"),
        (("forget", "dax"), "no such memory store"),
        (("memory", "list", "--store", "none.store"), "no such memory store"),
        (("memory", "list", "--store", "red.png"), "not a memory store"),
        (("memory", "list", "--baud", "9600"), "No board was named"),
        (("ask", "--image", "red.png", "--on", "torch"), "ends with the command"),
        (("forget", "dax", "--on", "/dev/ttyUSB7", "--store", "s"), "where its firmware has it"),
        (("teach", "dax", "--image", "red.png", "--model", "recall"), "no keys"),
        (("teach", "dax", "--image", "red.png", "--model", "tiny.bitmar"), "no keys"),
    ],
)
def test_refused_in_a_sentence_and_nothing_written(here, words, said):
    random_model(TINY, 1).save(here / "tiny.bitmar")
    done = typed(*words, code=2)
    assert said in done.stderr and done.stdout == "" and not list(here.glob("*.store"))


def test_the_model_that_is_used(here, monkeypatch, tmp_path_factory):
    """That of the folder, else the one that ships."""
    models = tmp_path_factory.mktemp("models")
    (here / "model.bitmar").rename(models / "things.bitmar")
    monkeypatch.setattr(shipped, "THINGS", models / "none")
    assert "Which model is it?" in typed("teach", "dax", "--image", "red.png", code=2).stderr
    monkeypatch.setattr(shipped, "THINGS", models / "things.bitmar")
    typed("teach", "dax", "--image", "red.png", "--store", "my.store")
    assert things.STORE.name == "memory.store" and not things.STORE.exists()
    assert typed("ask", "--image", "red.png", "--store", "my.store").stdout.startswith("This is a dax.")
    (here / "model.bitmar").write_bytes((models / "things.bitmar").read_bytes()[:-9])
    assert "model.bitmar" in typed("memory", "list", "--store", "my.store", code=2).stderr
