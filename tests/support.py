# SPDX-License-Identifier: Apache-2.0
"""Models small enough to verify in a blink, and what this machine can build."""

from __future__ import annotations

import platform

import pytest

from bitmar_tiny.arch.config import ModelConfig
from bitmar_tiny.codegen.boards import board_files, load_board
from bitmar_tiny.codegen.build import find_compiler, runner
from bitmar_tiny.codegen.host import can_run
from bitmar_tiny.codegen.kernels import families
from bitmar_tiny.errors import ToolError

TINY = ModelConfig(
    name="tiny",
    vocab_size=257,
    d_model=64,
    n_heads=2,
    n_encoder_layers=1,
    n_decoder_layers=2,
    d_ffn=128,
    n_sinks=2,
    window=9,
    n_positions=7,
    vision_hidden=96,
    image_tokens=4,
    memory_slots=70,
    read_every=5,
)
#: Shapes that no tile divides.
ODD = ModelConfig(
    name="odd",
    vocab_size=1009,
    d_model=96,
    n_heads=3,
    n_encoder_layers=2,
    n_decoder_layers=1,
    d_ffn=200,
    n_sinks=1,
    window=13,
    n_positions=300,
    vision_hidden=50,
    image_tokens=9,
    image_pool=2,
    memory_slots=100,
    read_every=1,
    ffn_activation="relu",
    write_rule="outer",
    ternary_threshold=2 / 3,
    n_fusion_layers=3,
)

#: Grouped-query attention: three queries share the keys and values of a head.
GROUPED = ODD.model_copy(update={"name": "grouped", "n_heads": 6, "n_kv_heads": 2})

#: Keys apart from values: two slots are learned, some of the others empty, and a script gives some up.
KEYED = ODD.model_copy(
    update={
        "name": "keyed",
        "memory_slots": 70,
        "write_rule": "keyed",
        "memory_fixed": 2,
        "match": 0.95,
        "read_every": 3,
        "vocab_size": 97,
        "n_encoder_layers": 1,
        "d_ffn": 72,
        "image_pool": 1,
        "image_tokens": 5,
    }
)

#: Convolutions over 32 x 32 and over 16 x 16 pixels, channels that no tile divides.
SEEING = TINY.model_copy(update={"name": "seeing", "vision_channels": (5, 70, 33, 37)})
SEEING_ODD = ODD.model_copy(
    update={"name": "seeing-odd", "image_tokens": 1, "image_pool": 1, "vision_channels": (1, 3, 7, 65)}
)
#: Both: a memory whose keys are what convolutions see.
SHOWN = KEYED.model_copy(update={"name": "shown", "image_tokens": 4, "vision_channels": (6, 9, 17, 40)})


def traps(compiler: str, optimisation: str) -> tuple[str, ...]:
    """Flags by which a build without optimisation ends at undefined behaviour; gcc has them in a build of its
    own.
    """
    zig = compiler.endswith("zig") and optimisation == "-O0"
    return ("-fsanitize=undefined", "-fsanitize-trap=undefined") if zig else ()


def has_family(family: str) -> bool:
    """Whether this processor can run a kernel family (families of other machines run in an emulator)."""
    return families()[family].machine != platform.machine() or can_run(family)


def need_family(family: str) -> None:
    """Skip where this processor lacks a kernel family."""
    if not has_family(family):
        feature = families()[family].cpu_feature
        pytest.skip(f"this processor lacks {feature}, which kernel family {family} needs")


def board_families(*systems: str) -> list[tuple[str, str]]:
    """(board, kernel family) of every profile of these systems, the boards that prefer a family first."""
    boards = [board for board in map(load_board, sorted(board_files())) if board.platform.name in systems]
    return [
        (board.name, board.kernels[place])
        for place in range(max(len(b.kernels) for b in boards))
        for board in boards
        if place < len(board.kernels)
    ]


def each_family_once(*systems: str) -> list[tuple[str, str]]:
    """The first of :func:`board_families` for each family and machine."""
    found = {}
    for name, family in board_families(*systems):
        found.setdefault((load_board(name).machine, family), (name, family))
    return list(found.values())


def need(board_name: str, compiler: str | None = None) -> None:
    """Skip, with the fix in the reason, where this machine cannot build for or run a board."""
    board = load_board(board_name)
    try:
        find_compiler(board, compiler)
        runner(board)
    except ToolError as error:
        pytest.skip(str(error))
