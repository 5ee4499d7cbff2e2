# SPDX-License-Identifier: Apache-2.0
"""generate --store --remember: golden and the C program leave the same memory behind, and what cannot be
written is refused.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from eval_support import byte_model
from support import need

from bitmar_tiny.cli.generate import command
from bitmar_tiny.errors import ConfigError, StoreError
from bitmar_tiny.frozen.shipped import SHIPPED, by_name
from bitmar_tiny.memory.inspect import memory_of
from bitmar_tiny.memory.store import MemoryStore
from bitmar_tiny.run.generate import Request, generate
from bitmar_tiny.run.session import SessionOptions, open_session


@pytest.fixture
def model():
    return byte_model()


def store_of(model, path):
    MemoryStore.create(path, memory_of(model), model.digest)
    return path


def write(model, target, store, request):
    """Ids of the tokens that a target writes with a store."""
    with open_session(target, model, SessionOptions(store=store)) as session:
        return [token for token, _ in generate(session, request)]


def test_golden_and_c_remember_the_same(model, tmp_path):
    need("host", "gcc")
    one, other = (store_of(model, tmp_path / name) for name in ("golden", "c"))
    for prompt in ("told", "told again"):
        request = Request(prompt, limit=7, remember=True)
        said = write(model, "golden", one, request)
        assert said == write(model, "host", other, request) and said
    a, b = (MemoryStore.open(path, model.digest) for path in (one, other))
    assert a.sequence == b.sequence == 3
    for part in ("codes", "scales", "usage"):
        assert np.array_equal(getattr(a.read(), part), getattr(b.read(), part))
    assert not np.array_equal(a.read().codes, memory_of(model).codes)


def test_reading_changes_nothing_and_an_unfinished_answer_is_not_written(model, tmp_path):
    path = store_of(model, tmp_path / "m.store")
    before = path.read_bytes()
    write(model, "golden", path, Request("asked", limit=3))
    with open_session("golden", model, SessionOptions(store=path)) as session:
        next(generate(session, Request("asked", limit=3, remember=True)))
    assert path.read_bytes() == before


def test_what_cannot_be_remembered_is_refused(model, tmp_path):
    file = tmp_path / "m.bitmar"
    model.save(file)
    path = store_of(byte_model(2), tmp_path / "other.store")
    with pytest.raises(StoreError, match="another model"):
        write(model, "golden", path, Request())
    with pytest.raises(ConfigError, match="no store"):
        write(model, "torch", path, Request())
    for options, words in (
        (["--remember"], "needs a store"),
        (["--remember", "--no-memory", "--store", str(path)], "leaves alone"),
        (["--remember", "--port", "host:"], "ends with this command"),
        (["--remember", "--on", "host"], "ends with this command"),
    ):
        error = CliRunner().invoke(command, [str(file), *options]).exception
        assert isinstance(error, ConfigError) and words in str(error) + (error.hint or "")


def test_a_store_that_cannot_be_used_is_all_that_is_said(model, tmp_path):
    model.save(tmp_path / "m.bitmar")
    done = CliRunner().invoke(
        command, [str(tmp_path / "m.bitmar"), "--store", str(tmp_path / "none"), "--prompt", "asked"]
    )
    assert isinstance(done.exception, StoreError) and "asked" not in done.output


def test_shipped_models_have_names(tmp_path, monkeypatch):
    """A bare name that is nothing here is a model of the package; what is here comes first."""
    monkeypatch.chdir(tmp_path)
    assert (
        by_name(Path("demo")) == SHIPPED
        and by_name(Path("nothing")) == Path("nothing")
        and by_name(Path("x/demo")) == Path("x/demo")
    )
    (tmp_path / "demo").mkdir()  # what `make demo` leaves behind is no model
    assert by_name(Path("demo")) == SHIPPED
    (tmp_path / "demo" / "run.json").touch()
    (tmp_path / "recall").touch()
    assert by_name(Path("demo")) == Path("demo") and by_name(Path("recall")) == Path("recall")
