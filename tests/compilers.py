# SPDX-License-Identifier: Apache-2.0
"""Compilers during a run of the tests: what one has made once is copied, and what really ran is counted.

Tests build the same C again and again, in folders of their own. Here every ``subprocess.run`` of this process
that compiles one source or links a program is looked up by what it reads: the compiler, its flags, the
preprocessed source, the objects. Folders do not count. The preprocessor is not started where source and
headers are to the byte those of another time. The outputs lie in one folder for all workers of one run, which
is empty at its start.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

COMPILER = re.compile(r"(.*-)?(gcc|cc|clang)(-\d+)?")
EMULATOR = re.compile(r"qemu-.*")
#: The folder in a line that says where preprocessed text comes from, and a file that the assembler takes in
#: as it is.
FOLDER, INCBIN = re.compile(rb'^(# \d+ ")[^"\n]*/', re.M), re.compile(rb'\.incbin\s+"([^"\n]+)"')
#: A header of ours that a source takes in.
INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*"([^"\n]+)"', re.M)
#: Flags with more than one output, or with other inputs than those that are looked at here.
OTHER = re.compile(
    r"@|-M|-S$|-E$|-save-temps|-fstack-usage|-fcallgraph|-fdump|--coverage|-gsplit|-include|-Wl,-Map|-x$"
)
LIMIT, LOOK_S = 64 << 20, 120

_run = subprocess.run


def kind(command: list[str]) -> str | None:
    """'gcc', 'zig' ... where a command starts a compiler, 'qemu-arm' ... for an emulator, else None."""
    if command[1:3] == ["-m", "ziglang"]:
        return "zig"
    name = os.path.basename(command[0])
    return name if COMPILER.fullmatch(name) or EMULATOR.fullmatch(name) else None


class Counts:
    """How often each compiler and emulator was started, by this process or a child that told
    (``subprocess.Popen``).
    """

    def __init__(self) -> None:
        self.started: Counter[str] = Counter()
        self.copied = 0
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple) -> None:
        if event == "subprocess.Popen" and isinstance(args[1], (list, tuple)) and args[1]:
            name = kind([os.fsdecode(a) for a in args[1]])
            if name:
                self.started[name + (" -E" if "-E" in args[1] else "")] += 1


class Unfit(Exception):
    """This command is run, not looked up."""


class Cache:
    """Outputs by what they are made of, in ``folder``. ``install`` puts it in the place of
    ``subprocess.run``.
    """

    def __init__(self, folder: Path, counts: Counts) -> None:
        self.folder, self.counts, self.lock = folder, counts, threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def install(self) -> None:
        subprocess.run = self.run

    def remove(self) -> None:
        subprocess.run = _run

    def run(self, *popenargs, **options) -> subprocess.CompletedProcess:
        """``subprocess.run``; a compilation that succeeded before without a word is not done again."""
        try:
            key, out = self._look_at(*popenargs, **options)
        except (Unfit, OSError):
            return _run(*popenargs, **options)
        kept = self.folder / key
        if kept.exists():
            shutil.copy(kept, out)
            with self.lock:
                self.counts.copied += 1
            empty = "" if options.get("text") else b""
            return subprocess.CompletedProcess(popenargs[0], 0, empty, empty)
        done = _run(*popenargs, **options)
        if done.returncode == 0 and not done.stdout and not done.stderr and out.stat().st_size < LIMIT:
            partial = kept.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
            shutil.copy(out, partial)
            os.replace(partial, kept)
        return done

    def _look_at(self, *popenargs, **options) -> tuple[str, Path]:
        """Key and output of a compilation or a link; ``Unfit`` for any other command."""
        if len(popenargs) != 1 or set(options) - {"capture_output", "text", "timeout", "check"}:
            raise Unfit
        if not options.get("capture_output") or not isinstance(popenargs[0], (list, tuple)):
            raise Unfit
        command = [os.fsdecode(part) for part in popenargs[0]]
        name = kind(command)
        if name is None or EMULATOR.fullmatch(name) or any(OTHER.match(part) for part in command[1:]):
            raise Unfit
        if command.count("-o") != 1 or command[-1] == "-o":
            raise Unfit
        at = command.index("-o")
        out, rest = Path(command[at + 1]), command[:at] + command[at + 2 :]
        digest = hashlib.sha256(str(shutil.which(command[0])).encode())
        for piece in self._compiled(rest) if "-c" in rest else self._linked(rest):
            digest.update(len(piece).to_bytes(8, "little") + piece)
        return digest.hexdigest(), out

    def _compiled(self, rest: list[str]) -> Iterator[bytes]:
        """All that an object depends on: compiler's flags, source and headers, files taken in raw."""
        sources = [part for part in rest if part.endswith((".c", ".S")) and not part.startswith("-")]
        if len(sources) != 1 or "-I" in rest:
            raise Unfit
        folders = [Path(part[2:]) for part in rest if part.startswith("-I")]
        flags = [part for part in rest if part != sources[0] and not part.startswith("-I")]
        yield from (flag.encode() for flag in flags)
        yield os.path.basename(sources[0]).encode()
        written = _written(Path(sources[0]), folders, {})
        as_written = hashlib.sha256(repr((flags, sorted(written.items()))).encode())
        known = self.folder / f"{as_written.hexdigest()}.read"
        if any(b".incbin" in text for text in written.values()):
            yield self._preprocessed(rest, folders)
        elif known.exists():
            yield known.read_bytes()
        else:
            read = self._preprocessed(rest, folders)
            partial = known.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
            partial.write_bytes(read)
            os.replace(partial, known)
            yield read

    @staticmethod
    def _preprocessed(rest: list[str], folders: list[Path]) -> bytes:
        """Digest of what the compiler proper reads, and of files that the assembler takes in raw."""
        lines = any(part.startswith("-g") for part in rest)
        whole = ["-E" if part == "-c" else part for part in rest] + ([] if lines else ["-P"])
        done = _run(whole, capture_output=True, timeout=LOOK_S)
        if done.returncode or done.stderr:
            raise Unfit
        digest = hashlib.sha256(FOLDER.sub(rb"\1", done.stdout))
        for name in map(os.fsdecode, INCBIN.findall(done.stdout)):
            found = next((folder / name for folder in folders if (folder / name).is_file()), None)
            if found is None:
                raise Unfit
            digest.update(hashlib.sha256(found.read_bytes()).digest())
        return digest.digest()

    def _linked(self, rest: list[str]) -> Iterator[bytes]:
        """All that a program depends on: objects by their content, linker scripts with those beside them."""
        objects = 0
        for part in rest:
            path = re.sub(r"^(-Wl,)?(-T,?|--script[=,])", "", part)
            if path != part:
                scripts = sorted(Path(path).parent.glob("*.ld"))
                if not scripts:
                    raise Unfit
                yield os.path.basename(path).encode()
                yield from (script.read_bytes() for script in scripts)
            elif part.startswith("-L"):
                yield from (script.read_bytes() for script in sorted(Path(part[2:]).glob("*.ld")))
            elif not part.startswith("-") and os.path.isfile(part):
                yield Path(part).read_bytes()
                objects += part.endswith(".o")
            else:
                yield part.encode()
        if not objects:
            raise Unfit


def _written(file: Path, folders: list[Path], found: dict[str, bytes]) -> dict[str, bytes]:
    """Text of ``file`` and of all headers that it names between quotes, and so on; by name."""
    found[file.name] = file.read_bytes()
    for name in map(os.fsdecode, INCLUDE.findall(found[file.name])):
        header = next((f / name for f in (file.parent, *folders) if (f / name).is_file()), None)
        if header is not None and header.name not in found:
            _written(header, folders, found)
    return found
