# SPDX-License-Identifier: Apache-2.0
"""Files: written so that a kill at any moment leaves the old content or the new, never half of either; JSON
of any origin; folders that one process at a time works in.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from .errors import BitmarError, ConfigError, DataError

#: Folders that this process holds.
_HELD: set[Path] = set()
#: Key of the manifest of a folder that is being filled.
UNFINISHED = "unfinished"


class TemporaryFolder:
    """A folder with a name of its own, removed at the end of a ``with`` block, by ``cleanup``, or with the
    last reference. Its removal is arranged before it is made, so that a signal at any moment leaves nothing.

    name: its path; parent: where it is made, None for the system's folder of temporary files.
    """

    def __init__(self, parent: Path | str | None = None) -> None:
        self.name = os.path.join(parent or tempfile.gettempdir(), f"bitmar-{secrets.token_hex(8)}")
        self.cleanup = weakref.finalize(self, shutil.rmtree, self.name, ignore_errors=True)
        os.mkdir(self.name, 0o700)

    def __enter__(self) -> str:
        return self.name

    def __exit__(self, *error: object) -> None:
        self.cleanup()


def parse_json(text: str | bytes) -> Any:
    """JSON that somebody hands in, as bytes in UTF-8, with a byte order mark or without. ``ValueError`` in
    one line for whatever is none; nesting too deep for Python is among that.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    try:
        return json.loads(text.removeprefix("\ufeff"))
    except RecursionError:
        raise ValueError("nested too deep") from None


@contextlib.contextmanager
def only_one(folder: Path, what: str) -> Iterator[None]:
    """Hold ``folder`` for this process while the block runs; within it the block may be entered again.

    ``ConfigError`` where another process holds it: it says which. A process that is killed lets go of it.
    what: what is done there, "a training run".
    """
    key = folder.absolute()
    if key in _HELD:
        yield
        return
    new, path = not key.exists(), key / ".lock"
    with _locked(path, folder, what) as stream:
        with contextlib.suppress(OSError):  # a full disk: the lock holds without the name
            stream.truncate(0)
            stream.write(f"process {os.getpid()}")
            stream.flush()
        _HELD.add(key)
        try:
            yield
        finally:
            _HELD.remove(key)
            with contextlib.suppress(OSError):
                path.unlink()
                if new:
                    key.rmdir()  # where nothing was put in it


def _locked(path: Path, folder: Path, what: str) -> TextIO:
    """The file ``path``, open and locked. ``ConfigError`` where another has it, or nobody may write."""
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = open(path, "a+")
        except OSError as error:
            raise ConfigError(
                f"{folder}: cannot be written ({error.strerror}).", "Choose another folder with -o."
            ) from None
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            who = stream.read(100).strip() or "another process"
            stream.close()
            raise ConfigError(
                f"{folder}: {who} is at work there on {what}.",
                "Wait for it, stop it, or choose another folder with -o.",
            ) from None
        except OSError:  # a file system without locks
            return stream
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(stream.fileno()), os.stat(path)):
                return stream
        stream.close()  # who held it removed it meanwhile


@contextlib.contextmanager
def atomic_file(
    path: Path | str, error: type[BitmarError] = DataError, make_folder: bool = True
) -> Iterator[BinaryIO]:
    """Open a temporary neighbour for writing bytes; it becomes ``path`` only if the block succeeds.

    The file and its folder are synced. ``error`` is raised, in one sentence, when the disk refuses or
    ``path`` is anything but a file: a device must not be replaced by one. Where ``path`` is a symbolic link,
    the file that it leads to is written. ``make_folder=False``: where a card may not be mounted, its folder
    is not made.
    """
    named = path = Path(path)
    if path.is_symlink():
        path = Path(os.path.realpath(path))
    if path.is_symlink():
        raise error(f"{named}: is a symbolic link that leads in a circle.", "Remove it.")
    if path.exists() and not path.is_file():
        raise error(
            f"{named}: is a {'folder' if path.is_dir() else 'device or a pipe'}, not a file.",
            "Choose another name.",
        )
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        elif not path.parent.is_dir():
            raise error(f"{named}: there is no folder {path.parent}.", "Mount the card, or make the folder.")
        with open(temporary, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    except OSError as problem:
        raise error(
            f"{named}: cannot be written ({problem.strerror or problem}).",
            "Check that the folder exists, is writable and has room.",
        ) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def sweep(folder: Path | str) -> None:
    """Remove what :func:`atomic_file` left unfinished in ``folder`` when its process was killed. Nobody else
    may be writing there.
    """
    for path in Path(folder).glob(".*.[0-9]*.tmp"):
        with contextlib.suppress(OSError):
            path.unlink()


def check_folder(folder: Path, manifest: str, schema: str, what: str) -> None:
    """``ConfigError`` unless a command may fill ``folder``: it is new, empty, or one that the command filled
    before, or began to. ``manifest``: the file that says so, by its ``schema``; ``what``: the folder, for
    people.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ConfigError(
            f"{folder}: cannot be written: it is a file, not a folder.", "Choose another name with -o."
        )
    left = [p for p in folder.iterdir() if not (p.name.startswith(f".{manifest}.") and p.suffix == ".tmp")]
    try:
        ours = parse_json((folder / manifest).read_bytes())["schema"] == schema
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if left and not ours:
        raise ConfigError(f"{folder}: not empty and not {what}.", "Choose another folder with -o.")


def begin_folder(folder: Path, manifest: str, schema: str) -> None:
    """Make a folder that :func:`check_folder` allowed, and note in it that it is ours and not finished: a
    command that is killed finds its own folder when it runs again. The last that it writes is the manifest.
    """
    with atomic_file(folder / manifest, ConfigError) as f:
        f.write(json.dumps({"schema": schema, UNFINISHED: True}).encode())
    sweep(folder)


def write_device(
    path: Path, stages: Iterable[Sequence[tuple[int, bytes]]], error: type[BitmarError] = DataError
) -> None:
    """Write bytes at offsets of a block device, in stages: all of one lasts before the next begins.
    ``error``, in one sentence, if the device is too small, mounted or refuses; too small, nothing is written.
    """
    stages = [list(stage) for stage in stages]
    needed = max(offset + len(data) for stage in stages for offset, data in stage)
    try:
        device = os.open(path, os.O_RDWR | os.O_EXCL)  # of a block device: not while it is mounted
        with open(device, "r+b") as stream:
            size = stream.seek(0, os.SEEK_END)
            if size < needed:
                raise error(
                    f"{path}: has {size:,} bytes, {needed:,} are needed.",
                    "Choose a larger card or partition.",
                )
            for stage in stages:
                for offset, data in stage:
                    stream.seek(offset)
                    stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
    except OSError as problem:
        raise error(
            f"{path}: cannot be written ({problem.strerror or problem}).",
            "Check that it is not mounted, not write-protected, and that you may write to it.",
        ) from None
