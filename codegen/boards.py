# SPDX-License-Identifier: Apache-2.0
"""Board profiles: one TOML file per board, validated strictly. Adding a board is adding one file.

``host`` is this computer: the profile of its machine (codegen/host.py).
"""

from __future__ import annotations

import difflib
import os
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from bitmar_tiny.arch.config import StrictModel
from bitmar_tiny.errors import ConfigError, FitError

from . import host
from .kernels import families
from .platform import Platform, load_platform
from .resources import resource_dir

#: Where users keep profiles of their own, next to the ones that ship.
USER_BOARDS = "BITMAR_TINY_BOARDS"


class Region(StrictModel):
    """One memory region. ``largest_block`` is the largest contiguous piece a buffer can have.

    ``holds``: ``weights``, the blob as it is stored; ``copies``, weights that are worth copying here at boot;
    ``arena``, buffers; ``stack``; ``store``, the memory's store with --memory sd; ``code``, the program,
    where a linker script must know. A board whose rates are known lists its regions from the fastest to the
    slowest.
    """

    name: str
    address: int | None = Field(None, ge=0, description="of the first byte, where a linker script must know")
    size: int = Field(gt=0, description="bytes the model may use")
    largest_block: int = Field(gt=0, description="bytes")
    holds: list[Literal["weights", "copies", "arena", "stack", "store", "code"]]
    read_mb_s: float | None = Field(
        None, gt=0, description="10^6 bytes per second, read in order through the cache"
    )
    prefetch_mb_s: float | None = Field(
        None, gt=0, description="the same where the next piece is fetched during the work on this one"
    )
    write_mb_s: float | None = Field(None, gt=0, description="10^6 bytes per second, in blocks of 8 KB")
    cache_line: int | None = Field(None, gt=0, description="bytes")
    data_lines: Literal[4, 8, 16] | None = Field(
        None, description="of PSRAM on a serial bus: quad, octal or hex"
    )
    dma: bool = False
    what: str = ""


class Partition(StrictModel):
    """One line of an ESP32's partition table. ``holds`` tells what of ours is in it."""

    name: str = Field(max_length=16)
    type: str
    subtype: str
    offset: int = Field(ge=0)
    size: int = Field(gt=0, description="bytes")
    holds: Literal["", "app", "model", "memory"] = ""


class Flash(StrictModel):
    """The flash chip of a board that esptool writes: where everything goes."""

    size: int = Field(gt=0, description="bytes")
    baud: int = Field(gt=0, description="of the serial line while flashing")
    bootloader: int = Field(ge=0, description="offset")
    partition_table: int = Field(ge=0, description="offset")
    partitions: list[Partition]

    def with_slots(self, model_bytes: int, slot_bytes: int, records_bytes: int) -> Flash:
        """With the partition of the model cut into that, records of updates, and two slots; whole units
        each. ``FitError`` says how much room there is, and how much that takes.
        """
        whole = self.partition("model")
        wanted = (
            ("", whole.subtype, model_bytes),
            ("_records", "0x02", records_bytes),
            ("_a", "0x03", slot_bytes),
            ("_b", "0x04", slot_bytes),
        )
        need, at = sum(size for *_, size in wanted), whole.offset
        if need > whole.size:
            raise FitError(
                f"Partition '{whole.name}' has {whole.size:,} bytes; a model of {model_bytes:,}, two slots "
                f"and their records take {need:,}.",
                "Choose a smaller model, a board with more flash, or leave out --updates.",
            )
        pieces = []
        for name, subtype, size in wanted:
            holds = "" if name else "model"
            pieces.append(
                Partition(
                    name=whole.name + name,
                    type=whole.type,
                    subtype=subtype,
                    offset=at,
                    size=size,
                    holds=holds,
                )
            )
            at += size
        i = self.partitions.index(whole)
        return self.model_copy(
            update={"partitions": [*self.partitions[:i], *pieces, *self.partitions[i + 1 :]]}
        )

    def partition(self, holds: str) -> Partition | None:
        """The partition of the app, the model or the memory store."""
        return next((p for p in self.partitions if p.holds == holds), None)


class Uf2(StrictModel):
    """The drive that the boot loader of a board pretends to be, for a file in UF2 format."""

    family: int = Field(ge=0, lt=1 << 32, description="of the chip, as its boot loader knows it")
    drive: str = Field(description="Board-ID in INFO_UF2.TXT of the drive")


class Serial(StrictModel):
    """The console of the board."""

    baud: int = Field(gt=0)
    usb: bool = Field(False, description="it is the chip's own USB port; the board has no other")
    what: str = ""


class Speed(StrictModel):
    """What the processor does per clock cycle and core, for the plan's estimate. All are estimated."""

    clock_mhz: float = Field(gt=0)
    cores: int = Field(1, ge=1)
    family: str = Field(description="the kernel family that the figures are for")
    gemv: dict[int, float] = Field(description="input width -> ternary weights per cycle")
    head_1_6: float = Field(gt=0, description="weights per cycle of the 1.6-bit head")
    head_skip: float | None = Field(
        None, gt=0, description="weights per cycle of the 2-skip head, of those that a pick reads"
    )
    attention: float = Field(gt=0, description="int8 multiply-adds per cycle of attention's products")
    exp_cycles: float = Field(gt=0, description="one softmax term, with its integer weight")
    element_cycles: float = Field(gt=0, description="one element of a float vector operation")
    pick_cycles: float = Field(gt=0, description="one logit that the sampler looks at")


class Stream(StrictModel):
    """Weights of the head that come through buffers in the nearest memory while those before are computed."""

    block: int = Field(gt=0, description="bytes of a buffer; every thread has two")
    mb_s: dict[str, float] = Field(
        min_length=1, description="region that the head is read from -> 10^6 bytes per second, assumed"
    )
    source: str = Field(min_length=1, description="where the rates are from")


class Power(StrictModel):
    """What the board draws, for the estimate of a token's energy where no meter is at hand. All figures
    estimated.
    """

    active_w: float = Field(gt=0, description="while the model runs")
    idle_w: float | None = Field(None, ge=0, description="while the board waits")
    source: str = Field(min_length=1, description="where the figures are from, and what they leave out")

    @model_validator(mode="after")
    def _idle_is_less(self) -> Power:
        if self.idle_w is not None and self.idle_w > self.active_w:
            raise ValueError(f"idle_w={self.idle_w:g} is more than active_w={self.active_w:g}")
        return self


class Compiler(StrictModel):
    """How to compile for the board with one compiler."""

    command: list[str]
    flags: list[str] = []
    kernel_flags: dict[str, list[str]] = Field({}, description="the same for this compiler only")
    link: list[str] = Field(
        [], description="added when linking, after the objects; {src} is the folder of the sources"
    )
    package: str = Field(
        "", description="Debian package, pip:MODULE, or an https: address that says how to get it"
    )

    @property
    def argv(self) -> list[str]:
        """The command as it is started; {python} is the Python that runs."""
        return [part.format(python=sys.executable) for part in self.command]


def _platform(value: Any) -> Platform:
    return value if isinstance(value, Platform) else load_platform(str(value))


class Board(StrictModel):
    """A board profile."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: str
    title: str
    platform: Annotated[
        Platform, BeforeValidator(_platform), PlainSerializer(lambda p: p.name, return_type=str)
    ] = Field(description="what its firmware runs on (codegen/platform.py)")
    chip: str = Field("", description="folder of the platform's chips; for ESP-IDF as esptool calls it")
    machine: str = Field(description="what `uname -m` says on it")
    kernels: list[str] = Field(min_length=1, description="kernel families, the preferred one first")
    kernel_flags: dict[str, list[str]] = Field(
        {}, description="by kernel family, instead of the family's own"
    )
    compilers: dict[str, Compiler] = Field(min_length=1)
    emulator: list[str] = Field(
        [],
        description="command that runs the board's programs elsewhere; {program} is the "
        "program's path, which otherwise comes last, {python} the Python that runs",
    )
    emulator_package: str = ""
    emulated: bool = Field(
        False, description="the board exists in its emulator only, so nothing is said about time"
    )
    regions: list[Region]
    head_rows: int = Field(4096, ge=64, multiple_of=64, description="logits computed at a time")
    threads: int = Field(4, ge=1, le=16, description="threads that share the head and attention, at most")
    stack_bytes: int = Field(16384, gt=0, description="reserved for the deepest call, all threads together")
    speed: Speed | None = None
    stream: Stream | None = None
    power: Power | None = None
    serial: Serial | None = None
    components: list[Literal["picture", "show_once"]] = Field(
        [], description="of the runtime, for what is on the board: a camera, which a button starts"
    )
    pins: dict[str, int] = Field({}, description="of what is on the board, for its firmware")
    flash: Flash | None = None
    uf2: Uf2 | None = None
    notes: str = ""

    @model_validator(mode="after")
    def _is_of_its_platform(self) -> Board:
        if self.stream and (missing := set(self.stream.mb_s) - {r.name for r in self.regions}):
            raise ValueError(f"stream.mb_s: there is no region '{min(missing)}'")
        self.platform.check_board(self)
        return self

    def family_flags(self, family: str, compiler: str) -> list[str]:
        """What the compiler of this name needs for the sources that use the instructions of a kernel family:
        as the profile says, or else the family.
        """
        own = self.compilers[compiler].kernel_flags.get(family, self.kernel_flags.get(family))
        return families()[family].flags_for(compiler) if own is None else own


def board_files() -> dict[str, Path]:
    """Every known profile by name: this computer, the shipped ones, then those in $BITMAR_TINY_BOARDS."""
    folders = [resource_dir("board_profiles")]
    if os.environ.get(USER_BOARDS):
        folders.append(Path(os.environ[USER_BOARDS]))
    here = host.profile()
    return ({host.NAME: here} if here else {}) | {
        path.stem: path for folder in folders for path in sorted(folder.glob("*.toml"))
    }


def load_board(name: str) -> Board:
    """Load a profile by name or by the path of a TOML file; ``ConfigError`` in one sentence."""
    files = board_files()
    path = Path(name) if name.endswith(".toml") else files.get(name)
    if path is None and name == host.NAME:
        raise host.refusal()
    if path is None:
        near = difflib.get_close_matches(name, files, n=1)
        raise ConfigError(
            f"There is no board profile '{name}'.",
            f"Did you mean '{near[0]}'?" if near else f"Known boards: {', '.join(files)}.",
        )
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not a readable board profile ({error}).") from None
    if "os" in values:
        raise ConfigError(
            f"{path}: 'os' is called 'platform' now.", f'Write platform = "{values["os"]}" instead.'
        )
    board = Board.parse(values, str(path))
    for family in (
        *board.kernels,
        *board.kernel_flags,
        *(f for c in board.compilers.values() for f in c.kernel_flags),
    ):
        if family not in families():
            raise ConfigError(
                f"{path}: there is no kernel family '{family}'.", f"Choose from: {', '.join(families())}."
            )
    if path == host.profile():
        return board.model_copy(update={"kernels": host.in_order(board.kernels)})
    return board
