# SPDX-License-Identifier: Apache-2.0
"""Text tokenised once, in parallel, into memory-mapped files; a build that was killed goes on where it was.

    FOLDER/DIGEST/00012.tokens.npy   uint16, one piece of a source (removed when all are joined)
    FOLDER/DIGEST/00012.sizes.npy    int32, tokens of each of its samples, EOS included
    FOLDER/DIGEST/tokens.npy, sizes.npy   all pieces, in order; ``sizes.npy`` is written last

    FOLDER/DIGEST/00003.text         a compressed source, unpacked (removed when all are joined)

DIGEST depends on the tokenizer and on the content of every source file, so that what lies there is right as
soon as it is whole, and every file appears whole (``files.atomic_file``).
"""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..files import atomic_file, sweep
from .captions import read_captions
from .files import write_npy
from .lines import decoded, is_compressed, open_text, text_files
from .packages import sha256_file
from .processes import in_processes
from .tokenizer import Tokenizer
from .tokens import Tokens

#: Bytes of text, or captions, in one piece: about a second of work.
PIECE_BYTES, PIECE_CAPTIONS = 4 << 20, 50_000
FORMAT = 2
_COPY = 1 << 24


@dataclass(frozen=True)
class Piece:
    """Part of a source: bytes [start, end) of a plain text file, every line that begins there, or elements of
    a captions file.
    """

    number: int
    path: Path
    captions: bool
    start: int
    end: int

    def samples(self) -> list[str]:
        """The samples of this piece: lines as ``corpus.read_lines`` gives them, or captions."""
        if self.captions:
            return _captions(self.path)[self.start : self.end]
        with open(self.path, "rb") as stream:
            stream.seek(max(self.start - 1, 0))
            if self.start:
                stream.readline()  # the line that began before, if there is one
            data = stream.read(max(self.end - stream.tell(), 0))
            if data and not data.endswith(b"\n"):
                data += stream.readline()
        if not self.start:
            data = data.removeprefix(codecs.BOM_UTF8)
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            self._refuse()
            raise
        return [line for line in map(str.strip, text.split("\n")) if line]

    def _refuse(self) -> None:
        """``DataError`` with the number of the first line of the file that is not UTF-8."""
        with open_text(self.path) as stream:
            for number, line in enumerate(stream, 1):
                decoded(line, self.path, number)


@lru_cache(maxsize=1)  # pieces of one file come one after the other
def _captions(path: Path) -> list[str]:
    return read_captions(path).texts


def build_tokens(
    tokenizer: Tokenizer,
    paths: Sequence[Path | str],
    folder: Path,
    captions: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Tokens:
    """Tokens of all samples of ``paths``: text files or folders of them, or captions files.

    workers: processes (default: one for each processor); progress: called with (pieces done, pieces).
    ``DataError`` for a source that cannot be read and for a full disk; what was finished by then is kept and
    not done again.
    """
    files = [Path(p) for p in paths] if captions else [f for p in paths for f in text_files(p)]
    where = folder / _digest(tokenizer, files)
    try:
        return Tokens.of(np.load(where / "tokens.npy", mmap_mode="r"), np.load(where / "sizes.npy"))
    except (OSError, ValueError):
        pass
    sweep(where)
    _captions.cache_clear()
    pieces = _pieces(files if captions else _unpacked(files, where), captions)
    todo = [piece for piece in pieces if not _file(where, piece, "sizes").exists()]
    done = len(pieces) - len(todo)
    for _ in _work(tokenizer, todo, where, workers):
        done += 1
        if progress:
            progress(done, len(pieces))
    return _join(where, pieces)


def _digest(tokenizer: Tokenizer, files: Sequence[Path]) -> str:
    try:
        seen = [sha256_file(f) for f in files]
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror}).") from None
    return hashlib.sha256(
        json.dumps([FORMAT, tokenizer.identity, PIECE_BYTES, PIECE_CAPTIONS, seen]).encode()
    ).hexdigest()[:16]


def _unpacked(files: Sequence[Path], where: Path) -> list[Path]:
    """Plain files of the same texts: what is compressed cannot be read in pieces."""
    plain = list(files)
    for i, path in enumerate(files):
        if is_compressed(path):
            plain[i] = where / f"{i:05}.text"
            if not plain[i].exists():
                with open_text(path) as source, atomic_file(plain[i]) as target:
                    for number, line in enumerate(source, 1):
                        decoded(line, path, number)
                        target.write(line)
        else:
            with open_text(path):  # is text
                pass
    return plain


def _pieces(files: Sequence[Path], captions: bool) -> list[Piece]:
    spans = []
    for path in files:
        size, step = (
            (len(_captions(path)), PIECE_CAPTIONS) if captions else (path.stat().st_size, PIECE_BYTES)
        )
        spans += [(path, start, min(start + step, size)) for start in range(0, size, step)]
    return [Piece(i, path, captions, start, end) for i, (path, start, end) in enumerate(spans)]


def _file(where: Path, piece: Piece, part: str) -> Path:
    return where / f"{piece.number:05}.{part}.npy"


def _work(tokenizer: Tokenizer, todo: list[Piece], where: Path, workers: int | None):
    """Do the pieces, in as many processes as they are worth; yields once for each."""
    workers = min(workers or os.cpu_count() or 1, len(todo))
    if workers < 2:
        for piece in todo:
            yield _tokenise(tokenizer, piece, where)
        return
    yield from in_processes(_one, todo, workers, 1, _begin, tokenizer.to_bytes(), where)


def _begin(tokenizer: bytes, where: Path) -> None:
    global _here  # one tokenizer for each process: unpacking it takes a moment
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism
    _here = (Tokenizer.from_bytes(tokenizer), where)


def _one(piece: Piece) -> None:
    _tokenise(_here[0], piece, _here[1])


def _tokenise(tokenizer: Tokenizer, piece: Piece, where: Path) -> None:
    try:
        samples = piece.samples()
    except OSError as error:
        raise DataError(f"{piece.path}: cannot be read ({error.strerror}).") from None
    tokens = Tokens.encode(tokenizer, samples)
    write_npy(_file(where, piece, "tokens"), tokens.flat)
    write_npy(_file(where, piece, "sizes"), tokens.sizes)


def _join(where: Path, pieces: list[Piece]) -> Tokens:
    """One memory-mapped file of all pieces, copied a part at a time."""
    sizes = (
        np.concatenate([np.load(_file(where, p, "sizes")) for p in pieces])
        if pieces
        else np.zeros(0, np.int32)
    )
    with atomic_file(where / "tokens.npy") as stream:
        header = {"descr": "<u2", "fortran_order": False, "shape": (int(sizes.sum(dtype=np.int64)),)}
        np.lib.format.write_array_header_1_0(stream, header)
        for piece in pieces:
            flat = np.load(_file(where, piece, "tokens"), mmap_mode="r")
            for start in range(0, len(flat), _COPY):
                stream.write(flat[start : start + _COPY].tobytes())
    write_npy(where / "sizes.npy", sizes)
    for path in where.iterdir():
        if path.name not in ("tokens.npy", "sizes.npy"):
            with contextlib.suppress(OSError):
                path.unlink()
    return Tokens.of(np.load(where / "tokens.npy", mmap_mode="r"), sizes)
