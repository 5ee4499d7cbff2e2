# SPDX-License-Identifier: Apache-2.0
"""Kernel families: one folder each in ``firmware_templates/kernels``, with the code and its description,
``family.toml``.

``python -m bitmar_tiny.codegen.kernels`` writes the table of families into ``docs/explanation/kernels.md``.
"""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from pathlib import Path

from pydantic import Field, model_validator

from bitmar_tiny.arch.config import StrictModel
from bitmar_tiny.errors import ConfigError

from .resources import resource_dir

DESCRIPTION, SOURCE = "family.toml", "bm_kernels.c"
#: Inputs of a product are padded to this many.
K_BLOCK = 64
#: Outputs of a product are padded to this many (BM_PAD_ROWS in bm_kernels.h).
TALLEST = 32
#: Rows are packed in groups of at most this many.
LARGEST_GROUP = 64
BEGIN, END = "<!-- families: begin -->", "<!-- families: end -->"


class KernelLayout(StrictModel):
    """The order in which a family reads its weights.

    Groups of ``rows`` rows, each cut into steps of ``k_step`` k. A step is rows x k_step/4 bytes: byte j of a
    row holds, in bits 2p and 2p+1, the code of k = p k_step/4 + j. A row's bytes lie together, or (``lanes``)
    byte j of all rows does. Or (``plane_rows``) the codes of a byte are those of four rows, rows/4 apart, and
    byte j of the k_step bytes of a row is k = j. A code of plane p counts ``places[p]`` times in its byte:
    with 4^p each has two bits. Each family's C file draws its own.

    ``k_step`` 0: one step is the whole padded row, as vectors of any length want it.
    """

    rows: int = Field(ge=1, le=LARGEST_GROUP)
    k_step: int = Field(ge=0, le=K_BLOCK, multiple_of=4, description="0: the whole padded row")
    lanes: bool = False
    plane_rows: bool = False
    places: list[int] = Field(
        [1, 4, 16, 64], min_length=4, max_length=4, description="what a code counts for in its byte"
    )
    row_pad: int = Field(
        ge=1,
        le=LARGEST_GROUP,
        description="rows are padded to this many, so that a kernel may finish its tallest pass",
    )

    @model_validator(mode="after")
    def _divides(self) -> KernelLayout:
        if self.row_pad % self.rows or LARGEST_GROUP % self.row_pad or self.k_step and K_BLOCK % self.k_step:
            raise ValueError(f"rows must divide row_pad, row_pad {LARGEST_GROUP}, and k_step {K_BLOCK}")
        if self.plane_rows and (self.lanes or self.rows % 4):
            raise ValueError("with plane_rows, rows are a multiple of 4, and lanes is not set")
        if (
            any(p <= 2 * sum(self.places[:i]) for i, p in enumerate(self.places))
            or 2 * sum(self.places) > 255
        ):
            raise ValueError(
                "a place must exceed what codes of up to 2 make of those before, and a byte hold all"
            )
        return self

    @property
    def group(self) -> int:
        """Rows at whose multiples a packed matrix may be cut."""
        return max(TALLEST, self.row_pad)

    def step(self, k_pad: int) -> int:
        """k of one step of a row of ``k_pad``."""
        return self.k_step or k_pad


class HeadLayout(StrictModel):
    """The order of five weights in a byte, as a family reads them in the head of 1.6 bits a weight.

    Groups of ``rows`` rows, each cut into steps of 5 k: a byte of every row, one after the other. The codes
    of a byte are the digits of a number in base 3, the last k first, or (``fraction``) of a fraction of 256,
    rounded up, the first k first.
    """

    rows: int = Field(4, ge=1, le=TALLEST)
    fraction: bool = False


class StaticReport(StrictModel):
    """How ``bench --static`` counts the cycles of the product's inner loop: by llvm-mca, from a compiler's
    listing.
    """

    board: str = Field(description="profile whose first compiler writes the listing")
    triple: str = Field(description="for llvm-mca")
    cpu: str = Field(description="for llvm-mca")
    instruction: str = Field(description="the loop is the one with most instructions that begin so")
    weights: int = Field(gt=0, description="that one pass of the loop uses")


class KernelFamily(StrictModel):
    """What is known of a kernel family beside its code. ``name`` is that of the folder."""

    name: str
    title: str = Field(description="the processors that it is for")
    multiply: str = Field(description="how it multiplies, in a few words")
    machine: str = Field("", description="what `uname -m` or the compiler calls the processor; empty: any")
    cpu_feature: str = Field("", description="needed of that machine, as /proc/cpuinfo calls it")
    layout: KernelLayout
    head_layout: HeadLayout = Field(HeadLayout(), description="of the head in 1.6 bits a weight")
    flags: list[str] = Field([], description="compiler flags for the sources that run once per token")
    compiler_flags: dict[str, list[str]] = Field({}, description="the same by compiler, where one differs")
    twin: str = Field(
        "", description="family whose flags compile this code, too, to other encodings of the same operations"
    )
    static: StaticReport | None = None

    @property
    def folder(self) -> Path:
        return _root() / self.name

    @property
    def source(self) -> Path:
        """The C file that implements bm_kernels.h."""
        return self.folder / SOURCE

    def files(self) -> list[Path]:
        """What a program with this family is compiled from: its folder's C and assembly, shared headers."""
        found = [f for f in sorted(self.folder.iterdir()) if f.suffix in (".c", ".h", ".S")]
        shared = sorted(_root().glob("*.h"))
        for file in found:  # which grows by what its files take in
            text = file.read_text()
            found += [h for h in shared if f'#include "{h.name}"' in text and h not in found]
        return found

    def flags_for(self, compiler: str) -> list[str]:
        """Flags for the compiler that board profiles call ``compiler``."""
        return self.compiler_flags.get(compiler, self.flags)


@lru_cache
def families() -> dict[str, KernelFamily]:
    """Every kernel family by name. ``ConfigError`` where a description is broken."""
    return {path.parent.name: load_family(path) for path in sorted(_root().glob(f"*/{DESCRIPTION}"))}


def load_family(path: Path) -> KernelFamily:
    """The family that ``path``, a family.toml beside its kernel, describes. Or ``ConfigError``."""
    try:
        values = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not a readable description of a kernel family ({error}).") from None
    if not (path.parent / SOURCE).is_file():
        raise ConfigError(f"{path.parent}: the kernel is missing.", f"Put it there as {SOURCE}.")
    return KernelFamily.parse(values | {"name": path.parent.name}, str(path))


def documented(text: str) -> str:
    """``text`` of docs/explanation/kernels.md with the table of families as it is today."""
    rows = [
        f"| `{f.name}` | {f.title} | {f.layout.rows} x {f.layout.k_step or 'all'} | {f.multiply} |"
        for f in families().values()
    ]
    table = ["| family | for | rows x k in one tile | multiply |", "|---|---|---|---|", *rows]
    block = "\n".join([BEGIN, *table, END])
    return re.sub(f"{BEGIN}.*?{END}", lambda _: block, text, flags=re.S)


def _root() -> Path:
    return resource_dir("firmware_templates") / "kernels"


if __name__ == "__main__":
    page = Path(__file__).resolve().parents[1] / "docs" / "explanation" / "kernels.md"
    page.write_text(documented(page.read_text()))
