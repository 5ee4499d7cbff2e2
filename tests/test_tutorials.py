# SPDX-License-Identifier: Apache-2.0
"""The tutorials work as written, in a fresh environment. What the README shows, too, test_readme.py runs."""

from __future__ import annotations

import re

import pytest
from documents import ROOT, Instead, NotRun, Shorter, commands, follow, unmarked
from fresh import environment
from support import need

README = ROOT / "README.md"
TUTORIALS = ROOT / "docs" / "tutorials"
INSTALLED = NotRun("the environment is made before")
ON_A_BOARD = NotRun("it needs a board")
ON_CAMERA = NotRun("it needs a board and a camera; codegen/test_show_once.py runs the script with another")
ON_AN_EYE = NotRun("it needs a board and a camera; codegen/test_espidf_camera.py runs it with stand-ins")
TRAINED = NotRun("it needs a model that was trained for hours")
ON_THE_PI = "qemu-aarch64 firmware-pi/build/gcc-O2/bitmar"
#: Page -> line -> what runs in its place.
INSTEAD: dict[str, dict[str, str | NotRun]] = {
    "first-caption": {"python3 -m venv .venv && . .venv/bin/activate": INSTALLED, "pip install .": INSTALLED},
    "remember": {},
    "raspberry-pi": {
        "sudo apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user": INSTALLED,
        "scp firmware-pi/build/gcc-O2/bitmar pi@raspberrypi:": ON_A_BOARD,
        "scp house.ppm pi@raspberrypi:": ON_A_BOARD,
        "ssh pi@raspberrypi ./bitmar info": f"{ON_THE_PI} info",
        'ssh pi@raspberrypi ./bitmar generate --prompt "Preheat the oven to" --tokens 12': (
            f'{ON_THE_PI} generate --prompt "Preheat the oven to" --tokens 12'
        ),
        "ssh pi@raspberrypi ./bitmar generate --image house.ppm": f"{ON_THE_PI} generate --image house.ppm",
        "bitmar-tiny codegen run --board rpi-zero2 --memory sd -o firmware-things": TRAINED,
        "bitmar-tiny build firmware-things": TRAINED,
        "scp firmware-things/build/gcc-O2/bitmar examples/pi-show-once.sh pi@raspberrypi:": ON_A_BOARD,
        'sh pi-show-once.sh teach "my cup"': ON_CAMERA,
        "sh pi-show-once.sh ask": ON_CAMERA,
        "sh pi-show-once.sh button": ON_CAMERA,
        "./bitmar list": ON_CAMERA,
        './bitmar forget "my cup"': ON_CAMERA,
        "ffmpeg -loglevel error -f v4l2 -i /dev/video0 -vf fps=1 -f image2pipe -c:v ppm - | ./bitmar ask -": (
            ON_CAMERA
        ),
    },
    "your-own-pictures": {
        "pip install '.[train]'": INSTALLED,
        "bitmar-tiny train --pictures pictures --init demo --steps 150 -o run": (
            "bitmar-tiny train --pictures pictures --init demo --steps 2 -o run"
        ),
        'bitmar-tiny generate run --image "pictures/red arrow/0.png"': Shorter(
            'bitmar-tiny generate run --image "pictures/red arrow/0.png"'
        ),
        "bitmar-tiny verify run --on host": (
            "bitmar-tiny verify run --on host --kernels portable --tokens 8"
        ),
    },
    "esp32-s3": {
        "pip install '.[device]'": INSTALLED,
        "idf.py -C firmware-esp32 build": NotRun("ESP-IDF is no package; see tests/codegen/test_espidf.py"),
        "bitmar-tiny flash firmware-esp32 --board esp32-s3-n16r8 --port /dev/ttyUSB0": ON_A_BOARD,
        "bitmar-tiny generate --on /dev/ttyUSB0 --image examples/pictures/house.png": ON_A_BOARD,
        "bitmar-tiny profile --on /dev/ttyUSB0 --project firmware-esp32": ON_A_BOARD,
        "idf.py -C firmware-eye build": ON_AN_EYE,
        "bitmar-tiny flash firmware-eye --board esp32-s3-eye --port /dev/ttyACM0": ON_AN_EYE,
        "idf.py -C firmware-eye -p /dev/ttyACM0 monitor": ON_AN_EYE,
    },
}
#: Words of the long ones among the lines that the README has, too.
LONG = {
    "first-caption": ("codegen", "build", "verify"),
    "remember": ("--on host",),
    "raspberry-pi": ("verify",),
}


def instead(page: str) -> Instead:
    """What is replaced, and what test_readme.py runs."""
    lines = [c.line for c in commands(TUTORIALS / f"{page}.md")]
    long = {line for line in lines if any(word in line for word in LONG.get(page, ()))}
    assert long <= {c.line for c in commands(README)}
    return INSTEAD[page] | dict.fromkeys(long, NotRun("test_readme.py runs it"))


@pytest.mark.parametrize("page", ["first-caption", "remember", "esp32-s3"])
def test_a_tutorial_works_as_written(page, base_install, tmp_path):
    need("host", "gcc")
    follow(TUTORIALS / f"{page}.md", None, instead(page), tmp_path, base_install)


def test_the_first_pi_works_as_written(base_install, tmp_path):
    need("rpi-zero2", "gcc")
    follow(TUTORIALS / "raspberry-pi.md", None, instead("raspberry-pi"), tmp_path, base_install)


def test_ones_own_pictures_work_as_written(built_wheel, tmp_path):
    need("host", "gcc")
    page = "your-own-pictures"
    programs = environment(tmp_path / "fresh", built_wheel, ("train",))
    follow(TUTORIALS / f"{page}.md", None, INSTEAD[page], tmp_path, programs)


def test_the_program_of_ones_own_works_as_written(base_install, tmp_path):
    need("host", "gcc")
    page = ROOT / "docs" / "how-to" / "embed.md"
    (tmp_path / "main.c").write_text(re.search(r"^```c\n(.*?)^```$", page.read_text(), re.M | re.S)[1])
    follow(page, None, {}, tmp_path, base_install)


@pytest.mark.parametrize("page", INSTEAD)
def test_only_marked_lines_are_replaced(page):
    assert unmarked(TUTORIALS / f"{page}.md", INSTEAD[page]) == []
