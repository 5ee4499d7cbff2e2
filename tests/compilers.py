# SPDX-License-Identifier: Apache-2.0
"""Compilers during a run of the tests: what one has made once is copied, and what really ran is counted.

Tests build the same C again and again, in folders of their own. Here every ``subprocess.run`` of this process
that compiles one source or links a program is looked up by what it reads: the compiler, its flags, the
source with its headers, the objects. Folders do not count, nor comments, nor macros of ours that the source
never names: no preprocessor is started to know. The outputs lie in one folder for all workers of one run,
which is empty at its start. Commands of a process of their own use it, too, where that begins with ``CHILD``.
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
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

COMPILER = re.compile(r"(.*-)?(gcc|cc|clang)(-\d+)?")
EMULATOR = re.compile(r"qemu-.*")
#: A file that the assembler takes in as it is.
INCBIN = re.compile(rb'\.incbin\s+"([^"\n]+)"')
#: A header that a source takes in, and one whose name a macro makes.
INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*["<]([^">\n]+)[">]', re.M)
ANY_INCLUDE = re.compile(rb"^[ \t]*#[ \t]*include\b", re.M)
#: Comments, and strings, in which there are none.
COMMENT = re.compile(rb'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
#: The definition of a macro of ours with its value. A compiler's own headers may look at others.
DEFINE = re.compile(rb"^([ \t]*#[ \t]*define[ \t]+BM_(?:\\\n|[^\n])*\n)", re.M)
OURS = re.compile(rb"[ \t]*#[ \t]*define[ \t]+(BM_\w+)")
WORD, BLANK = re.compile(rb"[A-Za-z_]\w*"), re.compile(rb"\s*\n\s*")
#: Flags with an output beside the object, and what its name ends in.
BESIDE = {"-fstack-usage": ".su", "-fcallgraph-info=su": ".ci"}
#: Flags with other outputs, or with other inputs than those that are looked at here.
OTHER = re.compile(
    r"@|-M|-S$|-E$|-save-temps|-fcallgraph-info(?!=su$)|-fdump|--coverage|-gsplit|-include|-imacros|-Wl,-Map|-x$"
)
#: A flag that defines a macro of ours; and one that is the linker's alone.
MACRO_FLAG, LINK_FLAG = re.compile(r"-D((?:BM|DRIVER)_\w+)(=.*)?"), "-Wl,"
LIMIT = 64 << 20
#: The variable that names a run's folder to the Python processes that its tests start.
IN_CHILDREN = "BITMAR_TESTS_COMPILED"
#: What such a process runs first.
CHILD = f"""
import os
if {IN_CHILDREN!r} in os.environ:
    import sys
    from pathlib import Path
    sys.path.append({os.path.dirname(os.path.abspath(__file__))!r})
    import compilers
    sys.path.pop()
    compilers.Cache(Path(os.environ[{IN_CHILDREN!r}]), compilers.Counts()).install()
"""

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
            key, outs = self._look_at(*popenargs, **options)
        except (Unfit, OSError):
            return _run(*popenargs, **options)
        kept = [self.folder / f"{key}{out.suffix}" for out in outs]
        if kept[0].exists():  # which is written last
            for file, out in zip(kept, outs, strict=True):
                shutil.copy(file, out)
            with self.lock:
                self.counts.copied += 1
            empty = "" if options.get("text") else b""
            return subprocess.CompletedProcess(popenargs[0], 0, empty, empty)
        done = _run(*popenargs, **options)
        if done.returncode == 0 and not done.stdout and not done.stderr and outs[0].stat().st_size < LIMIT:
            for file, out in reversed(list(zip(kept, outs, strict=True))):
                partial = file.with_name(f"{file.name}.{os.getpid()}-{threading.get_ident()}")
                shutil.copy(out, partial)
                os.replace(partial, file)
        return done

    def _look_at(self, *popenargs, **options) -> tuple[str, list[Path]]:
        """Key and outputs of a compilation or a link; ``Unfit`` for any other command."""
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
        beside = [out.with_suffix(end) for flag, end in BESIDE.items() if flag in rest and "-c" in rest]
        return digest.hexdigest(), [out, *beside]

    def _compiled(self, rest: list[str]) -> Iterator[bytes]:
        """All that an object depends on: compiler's flags, source and headers, files taken in raw."""
        sources = [part for part in rest if part.endswith((".c", ".S")) and not part.startswith("-")]
        if len(sources) != 1 or "-I" in rest:
            raise Unfit
        folders = [Path(part[2:]) for part in rest if part.startswith("-I")]
        folders += [Path(rest[at + 1]) for at, part in enumerate(rest) if part == "-isystem"]
        flags = [part for part in rest if part != sources[0] and not part.startswith(("-I", "-O", LINK_FLAG))]
        level = [part for part in rest if part.startswith("-O")][-1:]  # the last one counts, wherever it is
        flags += ["-O2"] if "ziglang" in rest and level in (["-O1"], ["-O3"]) else level  # zig knows one
        if "-Werror" in flags:  # what compiles without a word is the same without it
            flags.remove("-Werror")
        yield os.path.basename(sources[0]).encode()
        texts = list(_written(Path(sources[0]), folders, {}).values())
        if sources[0].endswith(".c") and not any(b"##" in text for text in texts):
            yield from _read(texts, flags)
        else:  # or names are made there that are nowhere written
            yield from (*texts, *map(os.fsencode, flags))
        for name in (os.fsdecode(n) for text in texts for n in INCBIN.findall(text)):
            found = next((folder / name for folder in folders if (folder / name).is_file()), None)
            if found is None:
                raise Unfit
            yield found.read_bytes()

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


def _written(file: Path, folders: list[Path], found: dict[Path, bytes]) -> dict[Path, bytes]:
    """Text of ``file`` and of all that it includes, and so on, in order. What lies in no folder of ours is
    the compiler's own, the same for the whole run.
    """
    found[file] = file.read_bytes()
    for name in _included(found[file]):
        header = next((f / name for f in (file.parent, *folders) if (f / name).is_file()), None)
        if header is not None and header not in found:
            _written(header, folders, found)
    return found


@lru_cache(maxsize=4096)
def _included(text: bytes) -> list[str]:
    names = INCLUDE.findall(text)
    if len(names) != len(ANY_INCLUDE.findall(text)):
        raise Unfit  # a name that a macro makes
    return list(map(os.fsdecode, names))


def _read(texts: list[bytes], flags: list[str]) -> list[bytes]:
    """What of the texts of one object and of its flags can matter to it: all but comments, and macros of ours
    that nothing names.

    Most of the hundred and more macros of a project's configuration are of no concern to a source, so models,
    boards and builds share its object.
    """
    debugged = any(flag.startswith("-g") for flag in flags)
    placed = [b"__LINE__" in text or b"assert" in text for text in texts]
    placed[0] = debugged or any(
        placed
    )  # debug information says the lines of headers, too: no test asks there
    parts = [part for text, lines in zip(texts, placed, strict=True) for part in _parts(text, lines)]
    values: dict[bytes, list[set[bytes]]] = {}
    for part in parts:
        values.setdefault(part.defines, []).append(part.names)
    given = {flag: macro for flag in flags if (macro := MACRO_FLAG.fullmatch(flag))}
    for macro in given.values():
        values.setdefault(macro[1].encode(), []).append(set(WORD.findall((macro[2] or "").encode())))
    named = set().union(*values.pop(b""))
    todo = list(named)
    while todo:
        for names in values.get(todo.pop(), ()):
            todo += names - named
            named |= names
    kept = (part.text if not part.defines or part.defines in named else part.gap for part in parts)
    used = [flag for flag in flags if flag not in given or given[flag][1].encode() in named]
    return [b"".join(kept), *map(os.fsencode, used)]


class _Part(NamedTuple):
    """A piece of a text without comments, the names in it, the macro of ours that it defines, if
    any, and what is left without it."""

    text: bytes
    gap: bytes
    names: set[bytes]
    defines: bytes


@lru_cache(maxsize=4096)
def _parts(text: bytes, lines: bool) -> list[_Part]:
    """A text cut around each definition of a macro of ours. ``lines``: the numbers of its lines count."""
    found = []
    for piece in DEFINE.split(COMMENT.sub(_uncommented, text)):
        macro = OURS.match(piece)
        gap = b"\n" * piece.count(b"\n") if lines else b""
        kept = piece if lines else BLANK.sub(b"\n", piece).strip() + b"\n"
        if lines or kept != b"\n":
            found.append(_Part(kept, gap, set(WORD.findall(piece)), macro[1] if macro else b""))
    return [*found, _Part(b"\0", b"", set(), b"")]


def _uncommented(found: re.Match[bytes]) -> bytes:
    whole = found[0]
    return b" " + b"\n" * whole.count(b"\n") if whole.startswith(b"/") else whole
