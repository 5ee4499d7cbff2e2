# SPDX-License-Identifier: Apache-2.0
"""What firmware runs on: a platform is one folder in firmware_templates/platforms, with one class that says
how a project of it is made.

    platforms/NAME/platform.py     the class, and ``platform``, the one object of it
                   src/            C that every project gets
                   COMPONENT/      C that a project with that component of the runtime gets, too, or in the
                                   place of the component's file of the same name
                   chips/CHIP/     C and templates of one chip, where the platform has several
                   templates/      what is filled in; usage.md.j2 is the first part of a project's README

Nothing else asks which platform a board has: it asks the platform.
"""

from __future__ import annotations

import importlib
import inspect
import re
import shlex
import tomllib
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bitmar_tiny import __version__
from bitmar_tiny.errors import ConfigError

from .components import Component, c_files, with_needs
from .resources import resource_dir

if TYPE_CHECKING:
    from .boards import Board
    from .lower import Blob

#: Facts of a chip that templates name.
CHIP_FACTS = "chip.toml"


class Platform:
    """The base of every platform, with the defaults of a program that one compiler call a source makes.

    ``components``: of the runtime, which every project gets; ``optional``: what a project gets whose model
    and memory have a use for it (``components.useful``).
    ``model_folder``, ``own_folder``: of a project, for the runtime and for the platform's own files.
    ``hot``: own sources, without suffix, that run once per token. ``compile_flags``: of every call of the
    compiler. ``program``: name of what is linked. ``runs_here``: its programs run on a computer of the same
    kind as any other program. ``real_time``: what runs them elsewhere is no emulator, so they are timed.
    ``on_uart``: its firmware speaks over the UART of an emulated machine, not over its standard input and
    output. ``takes_backbone``: a project can hold a picture backbone, which Python runs. ``port_kind``: the
    kind of port that starts its firmware on this computer; empty if none does. ``split_weights``,
    ``split_keys``: the smallest product, and bytes of keys, for which waking another thread pays.
    ``elsewhere``: how a project is run where this computer cannot.
    """

    components: ClassVar[tuple[str, ...]] = ("model",)
    optional: ClassVar[tuple[str, ...]] = ("memory_store",)
    model_folder: ClassVar[str] = "src"
    own_folder: ClassVar[str] = "src"
    hot: ClassVar[tuple[str, ...]] = ()
    compile_flags: ClassVar[tuple[str, ...]] = ()
    program: ClassVar[str] = "bitmar"
    runs_here: ClassVar[bool] = False
    real_time: ClassVar[bool] = False
    on_uart: ClassVar[bool] = False
    takes_backbone: ClassVar[bool] = False
    port_kind: ClassVar[str] = ""
    split_weights: ClassVar[int] = 32768
    split_keys: ClassVar[int] = 8192
    elsewhere: ClassVar[str] = "Copy the project to the board and build it there with make."

    @property
    def manifest(self) -> dict[str, str]:
        """What manifest.json says beside what it says of every project."""
        return {}

    @property
    def folder(self) -> Path:
        return Path(inspect.getfile(type(self))).parent

    @property
    def name(self) -> str:
        return self.folder.name

    def chips(self) -> list[str]:
        """What ``chip`` of a profile may be; none where the platform has no chips."""
        return sorted(p.name for p in self.folder.glob("chips/*") if p.is_dir())

    def check_board(self, board: Board) -> None:
        """``ConfigError`` if the profile cannot be one of this platform."""
        chips = self.chips()
        if chips and board.chip not in chips:
            raise ConfigError(
                f"Board {board.name}: platform {self.name} knows no chip '{board.chip}'.",
                f"Set chip to one of: {', '.join(chips)}.",
            )
        if board.chip and not chips:
            raise ConfigError(f"Board {board.name}: platform {self.name} has no chips.", "Leave out chip.")

    def check_blob(self, board: Board, blob: Blob) -> None:
        """``ConfigError`` if a model does not go on the board, beyond what the plan finds."""

    def for_updates(self, board: Board, blob: Blob) -> Board:
        """The board with room for new models of the blob's size; ``FitError`` if it has none."""
        return board

    def check_build(self, board: Board) -> None:
        """``ToolError`` if projects are not compiled by ``bitmar-tiny build``, with what does it."""

    def runtime(self, useful: Collection[str] | None = None, more: Collection[str] = ()) -> list[Component]:
        """Components of a project; of the optional ones, and of those of the board (``more``), what is
        ``useful`` (default: all).
        """
        some = [name for name in (*self.optional, *more) if useful is None or name in useful]
        return with_needs((*self.components, *some))

    def sources(self, board: Board, runtime: list[Component]) -> list[Path]:
        """The platform's own C for a board, with what goes with these components."""
        folders = [
            self.folder / "src",
            *(self.folder / c.name for c in runtime),
            *([self.folder / "chips" / board.chip] if board.chip else []),
        ]
        return [file for folder in folders for file in c_files(folder)]

    def templates(self, board: Board) -> dict[str, str]:
        """Template in firmware_templates -> file of the project, beside those of the model."""
        return {"project/Makefile.j2": "Makefile", "project/README.md.j2": "README.md"}

    def own(self, template: str) -> str:
        """A template of this platform's folder, as ``templates`` names it."""
        return f"platforms/{self.name}/{template}"

    def context(self, board: Board, copied: dict[str, list[str]]) -> dict[str, Any]:
        """Values for the platform's templates. ``copied``: folder of the project -> names of the sources
        there.
        """
        names = [name for folder in copied.values() for name in folder]
        return {"chip": self.chip_facts(board), "libraries": self.libraries(names)}

    def chip_facts(self, board: Board) -> dict[str, Any]:
        """What chip.toml says of the board's chip."""
        path = self.folder / "chips" / board.chip / CHIP_FACTS
        return tomllib.loads(path.read_text()) if board.chip and path.is_file() else {}

    def image(self, board: Board, program: Path) -> Path | None:
        """Write what the board is handed beside its program, and say where; None if that is the program."""
        return None

    def extra_files(self, blob: Blob, project: Path, store: bytes) -> dict[str, str]:
        """Files of the project that are made of the packed model, and of the store that its memory begins
        with, b"" where it has none: name -> text.
        """
        return {}

    def libraries(self, sources: Collection[str]) -> list[str]:
        """For the linker: libraries that some sources of a project, by name, call."""
        return []

    def link_flags(self, board: Board) -> list[str]:
        """For the linker, before those of the board's compiler; {src} is the folder of the sources."""
        return []

    def next_step(self, project: Path) -> str:
        """The command after 'bitmar-tiny codegen', as a shell takes it."""
        return shlex.join(["bitmar-tiny", "build", str(project)])


class Linked(Platform):
    """A platform whose linker script is rendered from the board's regions: templates/NAME.ld.j2.

    ``linked``: what the script must know the place of.
    """

    linked: ClassVar[tuple[str, ...]] = ("code", "arena")

    def check_board(self, board: Board) -> None:
        super().check_board(board)
        self.regions(board)

    def regions(self, board: Board) -> dict[str, Any]:
        """The region that holds each part of ``linked``."""
        return {what: region_that_holds(board, what) for what in self.linked}

    def templates(self, board: Board) -> dict[str, str]:
        script = f"{self.name}.ld"
        return super().templates(board) | {self.own(f"templates/{script}.j2"): f"{self.own_folder}/{script}"}

    def context(self, board: Board, copied: dict[str, list[str]]) -> dict[str, Any]:
        return super().context(board, copied) | {"linked": self.regions(board)}

    def link_flags(self, board: Board) -> list[str]:
        return ["-nostartfiles", f"-T{{src}}/{self.name}.ld"]


def three_numbers() -> str:
    """The version of bitmar-tiny as package managers want one: 1.2.3."""
    return ".".join((re.findall(r"\d+", __version__) + ["0", "0", "0"])[:3])


def hot_sources(platform: Platform) -> list[str]:
    """Sources, without suffix, that run once per token: compiled with the family's flags."""
    return ["bm_kernels", *(name for c in platform.runtime() for name in c.hot), *platform.hot]


def platform_names() -> list[str]:
    """Every platform there is."""
    return sorted(p.parent.name for p in resource_dir("firmware_templates").glob("platforms/*/platform.py"))


@cache
def load_platform(name: str) -> Platform:
    """A platform by the name of its folder. ``ValueError`` if there is none, as validators want it."""
    if name not in platform_names():
        raise ValueError(f"there is no platform '{name}'; choose one of: {', '.join(platform_names())}")
    return importlib.import_module(f"bitmar_tiny.firmware_templates.platforms.{name}.platform").platform


def region_that_holds(board: Board, what: str) -> Any:
    """The one region of a linker script that holds ``what``. ``ConfigError`` if it is not one, or has no
    address.
    """
    found = [r for r in board.regions if what in r.holds]
    if len(found) != 1 or found[0].address is None:
        raise ConfigError(
            f"Board {board.name}: its linker script needs one region with an address that holds {what}.",
            f'Write [[regions]] with holds = ["{what}"], address and size.',
        )
    return found[0]
