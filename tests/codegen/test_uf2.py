# SPDX-License-Identifier: Apache-2.0
"""UF2 files: what is in flash of a program, and the blocks that carry it."""

import struct

import pytest

from bitmar_tiny.codegen import uf2
from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.errors import DataError


def elf(*segments: tuple[int, int, int, bytes]) -> bytes:
    """A program of (type, address it runs at, address it is stored at, bytes) segments."""
    at = 52 + 32 * len(segments)
    headers, data = b"", b""
    for kind, runs, stored, content in segments:
        size = len(content)
        headers += struct.pack("<8I", kind, at + len(data), runs, stored, size, size + 100, 5, 4)
        data += content
    head = b"\x7fELF\x01\x01\x01" + bytes(9) + struct.pack("<HHIIII", 2, 40, 1, 0, 52, 0)
    return head + struct.pack("<IHHHHHH", 0, 52, 32, len(segments), 0, 0, 0) + headers + data


def test_the_image_is_what_lies_in_flash():
    """Variables at the address that they are copied from, gaps as erased flash, no segment without bytes."""
    program = elf(
        (1, 0x10000000, 0x10000000, b"vectors"),
        (1, 0x20000000, 0x10001010, b"variables"),
        (1, 0x20008000, 0x20008000, b""),
        (6, 0x30000000, 0x30000000, b"other"),
    )
    address, image = uf2.flash_image(program)
    assert address == 0x10000000 and len(image) == 2 * uf2.SECTOR
    assert image[:7] == b"vectors" and image[0x1010:0x1019] == b"variables"
    assert set(image[7:0x1010] + image[0x1019:]) == {0xFF}


@pytest.mark.parametrize("file", [b"", b"\x7fELF\x02\x01" + bytes(60), elf((1, 0, 0, b"x"))[:60], elf()])
def test_what_is_no_program_is_refused(file):
    with pytest.raises(DataError):
        uf2.flash_image(file)


@pytest.mark.parametrize("board", ["pico", "pico2"])
def test_blocks_are_as_the_format_says(board):
    data, family = bytes(range(256)) * 32, load_board(board).uf2.family
    file = uf2.encode(0x10000000, data, family)
    assert len(file) == 32 * 512
    for i in range(32):
        block = file[512 * i : 512 * (i + 1)]
        assert block[:8] == b"UF2\n\x57\x51\x5d\x9e" and block[-4:] == b"\x30\x6f\xb1\x0a"
        flags, address, size, number, count, own = struct.unpack_from("<6I", block, 8)
        assert (flags, address, size, number, count) == (0x2000, 0x10000000 + 256 * i, 256, i, 32)
        assert own == {"pico": 0xE48BFF56, "pico2": 0xE48BFF59}[board]
        assert block[32:288] == data[256 * i :][:256] and not any(block[288:-4])
    assert uf2.decode(file) == (0x10000000, data, family)


@pytest.mark.parametrize("at", [0, 4, 8, 12, 16, 20, 24, 28, 508, 512 + 12, 1024 + 28])
def test_a_damaged_file_is_found(at):
    file = bytearray(uf2.encode(0x10000000, bytes(1024), 0xE48BFF56))
    file[at] ^= 1
    with pytest.raises(DataError):
        uf2.decode(bytes(file))


@pytest.mark.parametrize("size", [0, 511, 513])
def test_a_file_that_was_cut_is_found(size):
    with pytest.raises(DataError, match="Not a whole UF2 file"):
        uf2.decode(uf2.encode(0x10000000, bytes(1024), 1)[:size])
