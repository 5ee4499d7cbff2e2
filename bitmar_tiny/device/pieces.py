# SPDX-License-Identifier: Apache-2.0
"""What goes into a board's flash: the pieces of a generated project, checked against each other before
anything is written.
"""

from __future__ import annotations

import hashlib
import itertools
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bitmar_tiny.codegen.boards import Board, Flash
from bitmar_tiny.codegen.emit import read_manifest
from bitmar_tiny.codegen.lower import HEADER_BYTES, VERSION

from ..errors import ConfigError, DataError
from ..files import parse_json

#: Flash is erased in sectors of this many bytes, so two pieces must not share one.
SECTOR = 4096
#: Written by ESP-IDF's build: what to flash, where, and how (esp-idf,
#: components/esptool_py/flasher_args.json.in).
FLASHER_ARGS = "build/flasher_args.json"
MODEL, APP = "model", "app"
BITS_PER_BYTE = 10  # on a serial line: start, eight data bits, stop


@dataclass(frozen=True)
class Piece:
    """One file and the offset in flash where it goes. part: ``model`` or ``app``."""

    name: str
    part: str
    path: Path
    offset: int
    data: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def end(self) -> int:
        """First offset that writing the piece leaves alone."""
        return self.offset + -(-len(self.data) // SECTOR) * SECTOR

    def seconds(self, baud: int) -> float:
        """Estimated time on the line, uncompressed."""
        return len(self.data) * BITS_PER_BYTE / baud

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "part": self.part,
            "file": str(self.path),
            "offset": self.offset,
            "bytes": len(self.data),
            "sha256": self.sha256,
        }


def collect(project: str | Path, board: Board, parts: Sequence[str] = (MODEL, APP)) -> list[Piece]:
    """The pieces of ``parts`` in the order of writing. ``ConfigError`` and ``DataError`` name what does not
    fit together.

    The model goes first. Until the program follows, the old program refuses the new model by its SHA-256 and
    says so; in the other order it is the new one that refuses the old. Neither computes with the wrong
    weights.
    """
    project, flash = Path(project), board.flash
    if flash is None:
        raise ConfigError(
            f"Board {board.name} has no flash that this command writes.",
            "Copy its program there, or choose an ESP32 board.",
        )
    manifest = read_manifest(project)
    if manifest["board"] != board.name:
        raise ConfigError(
            f"{project}: was generated for board {manifest['board']}, not for {board.name}.",
            f"Name another project, or make one: bitmar-tiny codegen --board {board.name} -o FOLDER",
        )
    pieces = []
    if MODEL in parts:
        pieces.append(_model(project, flash, manifest["model_sha256"]))
    if APP in parts:
        pieces += _app(project, flash, board.chip, manifest["model_sha256"])
    _check_room(pieces, flash)
    return pieces


def _model(project: Path, flash: Flash, digest: str) -> Piece:
    path, partition = project / "model.blob", flash.partition("model")
    data = _read(path, "Run 'bitmar-tiny codegen' again.")
    again = "Run 'bitmar-tiny codegen' again."
    if len(data) < HEADER_BYTES or data[:4] != b"BMBL":
        raise DataError(f"{path}: not a model blob.", again)
    version, size, crc = struct.unpack_from("<III", data, 4)
    if version != VERSION or size != len(data) or zlib.crc32(memoryview(data)[HEADER_BYTES:]) != crc:
        raise DataError(f"{path}: damaged, or of another version.", again)
    if data[16:48].hex() != digest:
        raise DataError(f"{path}: holds another model than the project's manifest says.", again)
    if len(data) > partition.size:
        raise DataError(
            f"{path}: {len(data)} bytes do not fit partition '{partition.name}' of {partition.size}."
        )
    return Piece("model", MODEL, path, partition.offset, data)


def _app(project: Path, flash: Flash, board_chip: str, digest: str) -> list[Piece]:
    path = project / FLASHER_ARGS
    if not path.is_file():
        raise DataError(
            f"{project}: the program is not built yet.",
            f"Run 'idf.py build' there first, or flash the model alone with --{MODEL}.",
        )
    try:
        listed = parse_json(path.read_bytes())
        files = {int(offset, 0): path.parent / name for offset, name in listed["flash_files"].items()}
        chip, app = listed["extra_esptool_args"]["chip"], int(listed["app"]["offset"], 0)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise DataError(f"{path}: not what ESP-IDF's build writes.", "Run 'idf.py build' again.") from None
    expected = {
        flash.bootloader: "bootloader",
        flash.partition_table: "partition table",
        flash.partition("app").offset: "program",
    }
    if chip != board_chip or app != flash.partition("app").offset:
        raise DataError(
            f"{path}: built for {chip} with the program at {app:#x}, the board profile says {board_chip} and "
            f"{flash.partition('app').offset:#x}.",
            "Run 'idf.py fullclean', then 'idf.py build'.",
        )
    pieces = [
        Piece(expected.get(offset, file.name), APP, file, offset, _read(file, "Run 'idf.py build' again."))
        for offset, file in sorted(files.items())
        if file.name != "model.blob"
    ]
    for offset, name in expected.items():
        if offset not in files:
            raise DataError(
                f"{path}: lists nothing for the {name} at {offset:#x}.",
                "Run 'idf.py fullclean', then 'idf.py build'.",
            )
    program = next(p for p in pieces if p.offset == app)
    if bytes.fromhex(digest) not in program.data:
        raise DataError(
            f"{program.path}: was built for another model than {project / 'model.blob'}.",
            "Run 'idf.py build' again.",
        )
    return pieces


def _check_room(pieces: list[Piece], flash: Flash) -> None:
    ordered = sorted(pieces, key=lambda p: p.offset)
    for piece, following in itertools.pairwise(ordered):
        if piece.end > following.offset:
            raise DataError(
                f"{piece.path}: reaches {piece.end:#x} and would overwrite the {following.name} at "
                f"{following.offset:#x}."
            )
    app = flash.partition("app")
    for piece in ordered:
        if piece.offset == app.offset and len(piece.data) > app.size:
            raise DataError(
                f"{piece.path}: {len(piece.data)} bytes do not fit partition '{app.name}' of {app.size}."
            )
        if piece.end > flash.size:
            raise DataError(
                f"{piece.path}: reaches {piece.end:#x}, beyond the {flash.size >> 20} MB of the flash."
            )


def _read(path: Path, hint: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {(error.strerror or 'cannot be read').lower()}.", hint) from None
    if not data:
        raise DataError(f"{path}: is empty.", hint)
    return data
