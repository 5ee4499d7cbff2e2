# SPDX-License-Identifier: Apache-2.0
"""The wheel holds templates and profiles, and works outside the checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

from fresh import PROJECT, asked_for

from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.frozen import FrozenModel
from bitmar_tiny.frozen.shipped import SHIPPED


def test_wheel_generates_a_project_outside_the_checkout(built_wheel, tmp_path):
    site = tmp_path / "site"
    with zipfile.ZipFile(built_wheel) as z:
        assert {n.split("/")[0] for n in z.namelist() if ".dist-info" not in n} == {"bitmar_tiny"}
        z.extractall(site)
    code = f"import sys; sys.path.insert(0, {str(site)!r}); from bitmar_tiny.cli.app import main; main()"
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            "-c",
            code,
            "codegen",
            "--board",
            "rpi-zero2",
            "-o",
            "fw",
        ],  # the shipped model
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    here = emit(FrozenModel.load(SHIPPED), load_board("rpi-zero2"), tmp_path / "here")
    files = {p.relative_to(here.path) for p in here.path.rglob("*") if p.is_file()}
    assert len(files) > 20 and files == {
        p.relative_to(tmp_path / "fw") for p in (tmp_path / "fw").rglob("*") if p.is_file()
    }


def test_the_wheel_is_small(built_wheel):
    """With every model that comes along."""
    assert built_wheel.stat().st_size < 20e6


def test_the_base_install_takes_less_than_150_mb(built_wheel):
    """Every file of the wheel and of the packages that it asks for, in blocks of 4 kB. Modules count twice,
    for the bytecode that pip makes of them, which is about as large.
    """
    with zipfile.ZipFile(built_wheel) as z:
        sizes = [(i.filename, i.file_size) for i in z.infolist()]
    for name in asked_for(PROJECT["dependencies"]):
        files = [Path(f.locate()) for f in metadata.distribution(name).files or ()]
        sizes += [(f.name, f.stat().st_size) for f in files if f.is_file() and f.suffix != ".pyc"]
    disk = sum(-(-size // 4096) * 4096 * (1 + name.endswith(".py")) for name, size in sizes)
    assert 50e6 < disk < 150e6, f"{disk / 1e6:.0f} MB"
