# SPDX-License-Identifier: Apache-2.0
"""The store in a Pico's own flash, as a project has it, on a simulated NOR flash that loses power in the
middle of an erasure or a page.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from firmware.build import HERE as FIRMWARE
from firmware.build import SANITIZE, compile
from store.store_support import call
from support import TINY

from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.emit import Project, emit
from bitmar_tiny.frozen import random_model
from bitmar_tiny.memory.format import UNIT, Layout

#: Bytes of the simulated flash, and where the Pico's profile has the store in it.
FLASH, FIRST = 2 << 20, load_board("pico").regions[1].address - 0x10000000
#: Of a project: the store in the flash, and what it is made of.
SOURCES = ("rp2_store", "bm_store", "bm_store_episode", "bm_store_format", "bm_crc32")
SOAK = bool(os.environ.get("BITMAR_SOAK"))
#: Source, a step in it, and what is there without it.
Mutant = tuple[str, str, str]
MUTANTS: dict[str, Mutant] = {
    "interrupts stay on": ("rp2_store", "bare_interrupts_off();", ""),
    "not connected": ("rp2_store", "rom.connect();", ""),
    "read while it is told": ("rp2_store", "rom.leave_xip();", ""),
    "not erased": ("rp2_store", "rom.erase(at, n, BM_STORE_UNIT, ERASE_SECTOR);", ""),
    "not programmed": ("rp2_store", "rom.program(at, from, n);", ""),
    "an old cache": ("rp2_store", "rom.flush_cache();", ""),
    "left in command mode": ("rp2_store", "rom.enter_xip();", ""),
    "left slow": ("rp2_store", "rp2_fast_flash();", ""),
    "another erasure": ("rp2_store", "#define ERASE_SECTOR 0x20u", "#define ERASE_SECTOR 0xD8u"),
    "not read back": ("rp2_store", "memcmp(to, from, n) == 0", "1"),
    "only the first sector": ("rp2_store", "done < n; done +=", "done < 1; done +="),
    "one home": ("bm_store_episode", "^ 1u << block % BM_STORE_GROUP", ""),
    "one state": ("bm_store_format", "sequence & 1u", "0u"),
    "one record": ("bm_store_episode", "1u + (sequence & 1u)", "1u"),
    "no state": ("bm_store_episode", "if (advance(s, s->at.groups) != BM_STORE_OK ||", "if ("),
    "a torn record is believed": ("bm_store", "!bm_store_sealed(unit, BM_STORE_RECORD, 0)", "0"),
}


@pytest.fixture(scope="module")
def projects(tmp_path_factory):
    """Width of a row -> a project for a Pico: planes of one sector, and of two."""
    models = {w: random_model(TINY.model_copy(update={"d_model": w})) for w in (64, 128)}
    pico, folder = load_board("pico"), tmp_path_factory.mktemp("projects")
    return {w: emit(m, pico, folder / str(w), memory="sd") for w, m in models.items()}


class Driver:
    """A project's C and the simulated flash, in one program of this computer."""

    def __init__(self, project: Project, folder: Path, flags: tuple[str, ...], mutant: Mutant | None = None):
        self.image = np.fromfile(project.memory_store, np.uint8)
        own = folder / "own"  # no header of a core or a chip but those of the test
        leave = shutil.ignore_patterns("bare_cortexm.*", "rp2_chip.h")
        shutil.copytree(project.sources, own, ignore=leave)
        if mutant:
            source = own / f"{mutant[0]}.c"
            text = source.read_text()
            assert mutant[1] in text
            source.write_text(text.replace(mutant[1], mutant[2]))
        first = next(r for r in project.board.regions if "store" in r.holds).address
        self.command = compile(
            [FIRMWARE / "rp2_store_driver.c", FIRMWARE / "nor_flash.c", *(own / f"{s}.c" for s in SOURCES)],
            [*flags, "-no-pie", f"-I{FIRMWARE / 'nor_chip'}", f"-I{own}"]
            + [f"-Wl,--defsym=rp2_memory={first},--defsym=rp2_memory_end={first + self.image.size}"],
            folder / "driver",
        )

    def cuts(self, episodes: int, seed: int = 0) -> tuple[int, int]:
        """Cuts that leave neither the memory before an episode nor that after it, of how many."""
        return call(self.command, "cuts", (episodes, seed), arrays=(self.image,))

    def erasures(self, episodes: int, of_a_start: int) -> np.ndarray:
        """int [sectors of the store]: how often each is erased; the board starts anew after some episodes."""
        counts = np.zeros(FLASH // UNIT, np.uint32)
        u = (episodes, 0, of_a_start)
        _, _, counts = call(self.command, "wear", u, arrays=(self.image, counts), want=(1,))
        found = counts.nonzero()[0]
        first = FIRST // UNIT
        assert first <= found.min() and found.max() < first + self.image.size // UNIT
        return counts[first : first + self.image.size // UNIT]

    def worn(self, sector: int) -> tuple[int, int]:
        """Whether an episode is refused that meets a worn sector; whether the memory is what that says."""
        return call(self.command, "worn", (0, 0, sector), arrays=(self.image,))


def test_power_cut_in_every_erasure_and_page(tmp_path, projects):
    """100 episodes, cut in each of their sectors and pages in four ways, and again in the next episode."""
    driver = Driver(projects[64], tmp_path, ("-O2",))
    wrong, of = driver.cuts(1000 if SOAK else 100)
    assert wrong == 0 and of > 40_000


@pytest.mark.parametrize("width", [64, 128])
def test_the_same_under_sanitizers(tmp_path, projects, width):
    wrong, of = Driver(projects[width], tmp_path, ("-O1", *SANITIZE)).cuts(3, seed=1)
    assert wrong == 0 and of > 1000


def test_wear_is_spread(tmp_path, projects):
    """No sector more than every second episode; records in each one, where the power goes after each."""
    driver, at = Driver(projects[64], tmp_path, ("-O2",)), Layout(70, 64)
    copies = [at.copy_at(1 + odd, copy) // UNIT for odd in (0, 1) for copy in (0, 1)]
    others = np.setdiff1d(np.arange(at.size // UNIT), copies)
    for of_a_start in (200, 1):
        counts = driver.erasures(200, of_a_start)
        assert counts[others].max() <= 100
        assert counts[copies].max() <= (101 if of_a_start > 1 else 200)
        assert counts[[at.copy_at(0, 0) // UNIT, at.copy_at(0, 1) // UNIT]].max() == 0  # headers


def test_a_worn_sector_is_told(tmp_path, projects):
    """And the memory stays; headers and homes that are not written do not matter."""
    driver = Driver(projects[64], tmp_path, ("-O2",))
    found = [driver.worn(sector) for sector in range(driver.image.size // UNIT)]
    assert all(right for _, right in found)
    assert 0 < sum(refused for refused, _ in found) < len(found)


def test_the_flash_makes_no_bit_1_but_by_an_erasure(tmp_path, projects):
    driver = Driver(projects[64], tmp_path, ("-O2",))
    with pytest.raises(AssertionError, match="programming makes no bit 1"):
        call(driver.command, "trap")


@pytest.mark.parametrize("name", MUTANTS)
def test_no_step_can_be_left_out(tmp_path, projects, name):
    driver = Driver(projects[128], tmp_path, ("-O2", "-Wno-error"), MUTANTS[name])

    def right() -> bool:
        return driver.cuts(4)[0] == 0 and all(driver.worn(s)[1] for s in range(driver.image.size // UNIT))

    with pytest.raises(AssertionError):
        assert right()
