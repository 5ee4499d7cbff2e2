# SPDX-License-Identifier: Apache-2.0
"""A memory of 65,536 slots in a file, through the whole model: the same bits, and no buffer that grows with
it.
"""

from support import need

from bitmar_tiny.arch.config import preset
from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.build import build
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.frozen import random_model
from bitmar_tiny.run.firmware import ProgramSession
from bitmar_tiny.run.golden import GoldenSession
from bitmar_tiny.verify.compare import verify
from bitmar_tiny.verify.script import Event


def test_sixty_five_thousand_slots(tmp_path):
    need("host", "gcc")
    model = random_model(preset("demo").model_copy(update={"memory_slots": 65536}))
    board, eos = load_board("host"), model.config.vocab_size - 1
    project = emit(model, board, tmp_path / "p", "portable", memory="sd")
    small = emit(random_model(preset("demo")), board, tmp_path / "q", "portable", memory="sd")
    assert project.plan.arenas == small.plan.arenas
    script = [
        Event("begin"),
        Event("token", eos),
        Event("token", 5),
        Event("write"),
        Event("power"),
        Event("begin"),
        Event("token", eos),
        Event("write"),
        Event("begin"),
        Event("token", eos),
    ]
    program = build(project.path, board, "portable", compiler="gcc", taps=True)
    with ProgramSession(program, board, "large", project.memory_store) as session:
        assert verify(model, session, script, golden=GoldenSession(model, "sd")).exact
        assert not verify(model, session, script, golden=GoldenSession(model, "ram")).exact
