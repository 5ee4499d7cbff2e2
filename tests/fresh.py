# SPDX-License-Identifier: Apache-2.0
"""A fresh environment without a download: the wheel of this folder, and of the packages that are installed
here exactly those that it asks for. A package that nobody asked for is not there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import pytest
from compilers import CHILD
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
#: What `pip install .` reads.
FOLDERS = ("bitmar_tiny", "codegen", "firmware_templates", "board_profiles")
FILES = ("pyproject.toml", "README.md", "LICENSE")
COMMAND = """#!{python}
import sys
from bitmar_tiny.cli.app import main
if __name__ == "__main__":
    sys.exit(main())
"""


def wheel(folder: Path) -> Path:
    """The wheel of this folder, built into ``folder`` unless it is there."""
    found = list(folder.glob("*.whl"))
    if found:
        return found[0]
    new = folder / f"new.{os.getpid()}"
    source = new / "source"
    source.mkdir(parents=True)
    for name in FOLDERS:
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=skip)
    for name in FILES:
        shutil.copy(ROOT / name, source)
    words = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", new, source]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode and "No matching distribution found for hatchling" in done.stderr:
        pytest.skip("no network to fetch hatchling from")
    assert done.returncode == 0, done.stderr
    built = next(new.glob("*.whl"))
    return built.replace(folder / built.name)


def environment(folder: Path, wheel: Path, extras: Iterable[str] = (), others: Iterable[str] = ()) -> Path:
    """A virtual environment in ``folder`` as `pip install '.[EXTRAS]'` and `pip install --no-deps OTHERS`
    make it. Returns its folder of programs.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    groups = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in extras)]
    names = {canonicalize_name(Requirement(line).name) for line in others}
    for name in asked_for([line for group in groups for line in group]) | names:
        _link(_installed(name), site)
    (site / "sitecustomize.py").write_text(CHILD)
    command = folder / "bin" / "bitmar-tiny"
    command.write_text(COMMAND.format(python=folder / "bin" / "python"))
    command.chmod(0o755)
    return folder / "bin"


def asked_for(requirements: list[str]) -> set[str]:
    """Names of the packages that ``requirements`` ask for, directly and through others."""
    found: set[tuple[str, str]] = set()
    todo = [(Requirement(line), "") for line in requirements]
    while todo:
        requirement, extra = todo.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) not in found:
                found.add((name, extra))
                todo += [(Requirement(line), extra) for line in _installed(name).requires or ()]
    return {name for name, _ in found}


def _installed(name: str) -> metadata.Distribution:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{name} is not installed: make install")


def _link(distribution: metadata.Distribution, site: Path) -> None:
    """What a distribution has at the top of the site, as links."""
    for top in sorted({file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}):
        target, link = Path(str(distribution.locate_file(top))), site / top
        if not link.exists():
            link.symlink_to(target)
