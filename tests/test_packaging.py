"""The wheel holds templates and profiles, and works outside the checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_wheel_generates_a_project_outside_the_checkout(tmp_path):
    done = subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)],
                          capture_output=True, text=True)
    if done.returncode and "setuptools" in done.stderr:
        pytest.skip("no network to fetch setuptools from")
    assert done.returncode == 0, done.stderr
    wheel = next(tmp_path.glob("*.whl"))
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as z:
        assert not [n for n in z.namelist() if n.startswith("tests")]
        z.extractall(site)
    code = f"import sys; sys.path.insert(0, {str(site)!r}); from bitmar_tiny.cli.app import main; main()"
    done = subprocess.run([sys.executable, "-P", "-c", code, "codegen", "--board", "rpi-zero2", "--preset", "demo", "-o", "fw"],
                          capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {p.relative_to(ROOT / "firmware_templates" / "runtime").name for p in (ROOT / "firmware_templates" / "runtime").glob("*.[ch]")} \
        <= {p.name for p in (tmp_path / "fw" / "src").iterdir()}
