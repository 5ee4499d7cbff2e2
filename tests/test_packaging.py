# SPDX-License-Identifier: Apache-2.0
"""The wheel holds templates and profiles, and works outside the checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile

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
