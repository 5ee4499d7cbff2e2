# SPDX-License-Identifier: Apache-2.0
"""What a Python program may import: every public name is there, says what it does, and its example runs."""

from __future__ import annotations

import doctest
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from support import need

import bitmar_tiny as bt
from bitmar_tiny import api

ROOT = Path(__file__).resolve().parents[1]
#: Modules of names whose examples take minutes, or need a model that does not ship, or that are no functions.
NO_EXAMPLE = ("errors", "profile", "things", "training")


@pytest.mark.parametrize("name", sorted(set(bt.__all__) - {"__version__"}))
def test_every_public_name_is_there_and_documented(name):
    thing = getattr(bt, name)
    assert thing is getattr(api, name) and name in dir(bt)
    assert inspect.getdoc(thing) and not inspect.getdoc(thing).startswith(f"{name}(")


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        bt.nothing  # noqa: B018 (the access is the test)


def test_every_public_name_has_one_module():
    names = [name for module in api.modules() for name in module.__all__]
    assert sorted(["__version__", *names]) == sorted(bt.__all__) and names == [*dict.fromkeys(names)]


@pytest.mark.parametrize("module", api.modules(), ids=lambda m: m.__name__.rpartition(".")[2])
def test_the_examples_run(module):
    globs = {name: getattr(bt, name) for name in bt.__all__} | {"Path": Path}
    found = doctest.testmod(module, extraglobs=globs)
    assert found.failed == 0 and found.attempted >= (module.__name__.rpartition(".")[2] not in NO_EXAMPLE)


def test_importing_the_package_loads_nothing_else():
    code = (
        "import sys, bitmar_tiny; print(sorted({'numpy', 'torch', 'pydantic', 'bitmar_tiny.api'} & "
        "set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr


def test_from_a_model_to_a_proven_program(tmp_path, tiny):
    need("host")
    project = bt.write_project(tiny, "host", tmp_path / "p")
    program = bt.build_project(project)
    assert program.path.is_file() and project.family in bt.load_board("host").kernels
    verdict = bt.verify_model(tiny, on="host", tokens=20)
    assert verdict.exact and verdict.difference is None and verdict.steps > 20
    recording = bt.profile_model(tiny, on="host", tokens=4, rounds=2)
    assert recording.label == "measured"


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: bt.load("no-such-model"), bt.FrozenError, "no-such-model"),
        (lambda: bt.caption(bt.load("demo"), "none.png"), bt.DataError, "none.png"),
        (lambda: bt.generate(bt.load("recall"), "x", remember=True), bt.ConfigError, "needs a memory"),
        (lambda: bt.write_project(bt.load("demo"), "esp33", "p"), bt.ConfigError, "esp33"),
        (lambda: bt.profile_model(bt.load("demo"), on="golden"), bt.ConfigError, "no firmware"),
        (lambda: bt.line_test(bt.session(bt.load("recall"))), bt.ConfigError, "no firmware"),
        (lambda: bt.export_memory(bt.session(bt.load("recall")), "m"), bt.ConfigError, "no firmware"),
    ],
    ids=["model", "picture", "memory", "board", "target", "line", "export"],
)
def test_faults_are_errors_of_ours_with_a_way_out(call, error, words):
    with pytest.raises(error, match=words) as caught:
        call()
    assert isinstance(caught.value, bt.BitmarError) and caught.value.message
