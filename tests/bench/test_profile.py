"""`bitmar-tiny profile`: what is predicted is what is built, and what is measured lies where it was predicted."""

import json

import pytest
from click.testing import CliRunner

from bitmar_tiny.bench.profile import profile_here
from bitmar_tiny.cli.profile import command
from bitmar_tiny.errors import ConfigError
from codegen.boards import load_board
from codegen.emit import emit
from support import need


@pytest.mark.parametrize("memory", ["auto", "flash", "sd"])
def test_predicted_is_built_is_measured(tiny, tmp_path, memory):
    need("host")
    project = emit(tiny, load_board("host"), tmp_path / "p", "portable", memory=memory)
    before = project.memory_store.read_bytes() if project.memory_store else b""
    found = profile_here(project)
    assert found.label == "measured" and found.result["arena_bytes"] == sum(project.plan.arenas.values())
    assert found.result["memory"]["slots"] == 70 and found.result["memory"]["read_ns"] > 0
    assert ("write_ns" in found.result["memory"]) == (memory != "flash")
    if memory == "sd":
        assert project.memory.write_least <= found.result["memory"]["written_bytes"] <= project.memory.write_most
        assert project.memory_store.read_bytes() == before            # a copy was written
    assert all({"gemv", "head", "attention"} <= set(step["parts_ns"]) for step in found.result["step"])
    assert len(found.rows()) > 12


def test_as_a_command():
    need("host")
    done = CliRunner().invoke(command, ["--preset", "demo", "--kernels", "portable", "--json"])
    assert json.loads(done.output)["schema"] == "bitmar-tiny/profile"
    refused = CliRunner().invoke(command, ["--preset", "demo", "--board", "esp32-s3-n16r8"])
    assert isinstance(refused.exception, ConfigError)
