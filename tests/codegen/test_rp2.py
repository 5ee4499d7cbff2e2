# SPDX-License-Identifier: Apache-2.0
"""Programs for the Pico and the Pico 2 as their boot ROMs want them, and whether the demo model fits."""

import re
import struct
import subprocess

import pytest

from bitmar_tiny.arch.config import preset
from bitmar_tiny.codegen import uf2
from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.build import build, find_compiler
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.errors import FitError, ToolError
from bitmar_tiny.frozen import random_model

#: Sources that say which board it is, or which clock and port it has.
OF_THE_BOARD = {
    "bare_cmsdk",
    "bare_cmsdk_split",
    "bare_cortexm",
    "bare_cortexm_start",
    "bm_ascii",
    "bm_serve",
}


def need_compiler(board) -> None:
    try:
        find_compiler(board)
    except ToolError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """name of a board -> (project, program) of the demo model."""
    model, found = random_model(preset("demo")), {}
    for name in ("pico", "pico2", "mps2-an385", "mps2-an505"):
        need_compiler(load_board(name))
        project = emit(model, load_board(name), tmp_path_factory.mktemp(name) / "p")
        found[name] = project, build(project.path, project.board, project.family)
    return found


def symbols(program) -> dict[str, int]:
    listed = subprocess.run(["arm-none-eabi-nm", program.path], capture_output=True, text=True, check=True)
    return {line.split()[2]: int(line.split()[0], 16) for line in listed.stdout.splitlines()}


def crc32(data: bytes) -> int:
    """As the boot ROM of the RP2040 computes it: most significant bit first, no final inversion."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    return crc


@pytest.mark.parametrize("name, vectors", [("pico", 256), ("pico2", 0)])
def test_the_boot_rom_finds_what_it_looks_for(made, name, vectors):
    project, program = made[name]
    address, image, family = uf2.decode(program.image.read_bytes())
    ram, known = next(r for r in project.board.regions if r.name == "ram"), symbols(program)
    stack, start, *handlers = struct.unpack_from("<14I", image, vectors)
    assert (address, family) == (0x10000000, project.board.uf2.family)
    assert stack == known["bare_stack_top"] <= ram.address + ram.size and stack % 8 == 0
    assert start == known["bare_reset"] | 1 and all(h & 1 or h == 0 for h in handlers)
    serial = 33 if name == "pico2" else 20
    assert struct.unpack_from("<I", image, vectors + 4 * (16 + serial))[0] == known["bare_receive"] | 1
    if name == "pico":
        assert crc32(image[:252]) == struct.unpack_from("<I", image, 252)[0]
    else:
        block = image[: uf2.SECTOR].index(struct.pack("<I", 0xFFFFDED3))
        assert block % 4 == 0
        assert struct.unpack_from("<4I", image, block + 4) == (0x10210142, 0x1FF, 0, 0xAB123579)


@pytest.mark.parametrize("name", ["pico", "pico2"])
def test_demo_fits(made, name):
    """The plan's word, confirmed by the sections: every one lies in a region of the profile."""
    project, program = made[name]
    flash, ram = (next(r for r in project.board.regions if what in r.holds) for what in ("code", "arena"))
    address, image, _ = uf2.decode(program.image.read_bytes())
    assert address == flash.address and len(image) <= flash.size
    assert project.plan.bytes_in("flash") <= len(image)
    known = symbols(program)
    assert ram.address <= known["bare_data"] < known["bare_stack_top"] <= ram.address + ram.size
    assert (
        ram.address <= known["rp2_fast_flash"] < known["bare_data_end"]
    )  # runs while the flash cannot be read
    # core 1 waits in RAM, too
    assert ram.address <= known["help"] < known["bare_data_end"]
    for code in ("bm_gemv_t2s8", *(["bm_m0_rows", "bm_m0_dots4"] if name == "pico" else [])):
        assert ram.address <= known[code] < known["bare_data_end"]  # no code of a token in flash


@pytest.mark.parametrize("name, twin", [("pico", "mps2-an385"), ("pico2", "mps2-an505")])
def test_a_pico_runs_the_objects_that_the_emulated_processor_proves(made, name, twin):
    """All but what names the board, its clock and its serial port is the same file."""
    (_, chip), (_, emulated) = made[name], made[twin]
    theirs = {p.stem: p.read_bytes() for p in emulated.path.parent.glob("*.o")}
    ours = {p.stem: p.read_bytes() for p in chip.path.parent.glob("*.o")}
    assert {"bm_kernels", "bm_step", "bm_numerics", "bm_link", "bm_blob", "bare_main"} <= set(theirs)
    assert {name for name in theirs if ours.get(name) != theirs[name]} == OF_THE_BOARD


def test_what_is_too_large_is_refused(tmp_path):
    with pytest.raises(FitError, match="region '(ram|flash)'") as refused:
        emit(random_model(preset("demo").model_copy(update={"window": 1000})), load_board("pico"), tmp_path)
    assert refused.value.hint
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name, kib", [("pico", 192), ("pico2", 320)])
def test_a_store_that_does_not_fit_beside_program_and_weights_is_refused(tmp_path, name, kib):
    """Before anything is written; and the slots that the sentence names do fit, one more does not."""
    board = load_board(name)
    config = preset("demo").model_copy(update={"memory_slots": 1024})

    def refusal(slots: int) -> FitError | None:
        model = random_model(config.model_copy(update={"memory_slots": slots}))
        try:
            emit(model, board, tmp_path / str(slots), memory="sd")
        except FitError as error:
            return error
        return None

    refused = refusal(1024)
    assert re.search(
        rf"region 'memory' \(the last {kib} KB of the flash\) has {kib}\.0 KiB, .* too much", str(refused)
    )
    most = int(re.search(r"memory_slots=(\d+)", refused.hint)[1])
    assert most % 64 == 0 and not (tmp_path / "1024").exists()
    assert refusal(most) is None and refusal(most + 1) is not None


def test_regions_share_the_flash_and_nothing_lies_in_two(made):
    """Program and weights, then the store, up to the end of the chip."""
    for name, size in (("pico", 2 << 20), ("pico2", 4 << 20)):
        flash, store = load_board(name).regions[:2]
        assert flash.address + flash.size == store.address and store.address % uf2.SECTOR == 0
        assert store.address + store.size == flash.address + size
        _, image, _ = uf2.decode(made[name][1].image.read_bytes())
        blob = (made[name][0].path / "model.blob").stat().st_size
        assert len(image) - blob < flash.size - flash.largest_block  # what the plan leaves to the program


def test_a_program_that_overflows_its_region_says_which(tmp_path, tiny):
    need_compiler(load_board("pico"))
    project = emit(tiny, load_board("pico"), tmp_path / "p")
    script = project.sources / "rp2.ld"
    script.write_text(script.read_text().replace("LENGTH = 270336", "LENGTH = 60000"))
    with pytest.raises(ToolError, match="region .ram. overflowed by"):
        build(project.path, project.board, project.family)
