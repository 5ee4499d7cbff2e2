# SPDX-License-Identifier: Apache-2.0
"""LiteRT: the same integers as golden with and without XNNPACK, small files, and the runtimes that a board
may have.
"""

from __future__ import annotations

import importlib.util
import types

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="pip install ai-edge-litert")

from ai_edge_litert.interpreter import Interpreter
from exchange.exchange_support import check_shipped, check_taps, exported, short_script
from shown_script import show_twice
from taught_support import knowing

from bitmar_tiny.arch.config import preset
from bitmar_tiny.arch.tables import size_table
from bitmar_tiny.errors import DataError, ToolError
from bitmar_tiny.exchange import litert
from bitmar_tiny.exchange.builder import sqrt
from bitmar_tiny.exchange.files import open_runtime
from bitmar_tiny.exchange.ports import Graph, Port, memory_ports
from bitmar_tiny.exchange.tflite_pack import TfliteFile, pack, schema
from bitmar_tiny.exchange.tflite_writer import add_graph
from bitmar_tiny.extras import need
from bitmar_tiny.frozen import random_model
from bitmar_tiny.frozen.shrink import with_small_token_table
from bitmar_tiny.golden import numerics as nm
from bitmar_tiny.verify.crosscheck import cross_check
from bitmar_tiny.verify.script import standard


@pytest.fixture(scope="module")
def files(tiny, odd, grouped, keyed, seeing, tmp_path_factory):
    return {
        m.config.name: (m, exported(m, tmp_path_factory.mktemp("tflite"), "tflite"))
        for m in (tiny, odd, grouped, keyed, seeing)
    }


@pytest.mark.parametrize("xnnpack", [True, False])
@pytest.mark.parametrize("name", ["tiny", "odd", "grouped", "keyed", "seeing"])
def test_every_tensor_is_golden_s(files, name, xnnpack):
    model, path = files[name]
    check_taps(model, path, "tflite", standard(model.config, 60), xnnpack=xnnpack)


def test_what_was_shown_once_is_known(tmp_path):
    """Every tensor of showing and asking; the caller keeps the memory, or loses it."""
    model = knowing()
    path, script = exported(model, tmp_path, "tflite"), show_twice(model)
    check_taps(model, path, "tflite", script)
    check_shipped(model, path, "tflite", script)


@pytest.mark.parametrize("name", ["tiny", "odd", "grouped", "keyed", "seeing"])
def test_as_shipped(files, name):
    model, path = files[name]
    check_shipped(model, path, "tflite", standard(model.config, 60))


@pytest.mark.parametrize("bits", [4, 8])
def test_wider_weights(tiny, tmp_path, bits):
    check_shipped(tiny, exported(tiny, tmp_path, "tflite", bits), "tflite", short_script(tiny.config, 16))


@pytest.mark.parametrize("name", ["demo", "paper"])
def test_presets_are_small_and_exact(tmp_path, name):
    model = random_model(preset(name), seed=5)
    path = exported(model, tmp_path, "tflite")
    packed = size_table(model.config)["total"]["bytes"]
    assert packed < path.stat().st_size < 1.10 * packed
    check_taps(model, path, "tflite", short_script(model.config, 8))


def test_a_token_table_of_4_bits_stays_one(tiny, tmp_path):
    small = with_small_token_table(tiny)
    data = exported(small, tmp_path, "tflite").read_bytes()
    table = next(
        t
        for t in schema.ModelT.InitFromPackedBuf(data).subgraphs[0].tensors
        if t.name == b"token_table.codes"
    )
    assert table.type == schema.TensorType.INT4
    check_taps(small, tmp_path / "tiny.tflite", "tflite", short_script(tiny.config, 16))
    assert (
        len(exported(tiny, tmp_path, "tflite").read_bytes()) - len(data)
        > 0.4 * tiny.arrays["token_table.codes"].size
    )


def test_what_a_viewer_shows(files):
    model, path = files["tiny"]
    described = schema.ModelT.InitFromPackedBuf(path.read_bytes()).description.decode()
    assert "tiny" in described and model.digest[:16] in described and "int2" in described


def test_the_memory_to_start_from(files):
    model, path = files["tiny"]
    memory = open_runtime("tflite", path).run("initial_memory", {})
    assert set(memory) == {p.name for p in memory_ports(model.config)}
    codes = memory["memory.high"].astype(np.int32) * 256 + memory["memory.low"]
    assert (codes == model.arrays["memory.m.codes"]).all() and (
        memory["memory.high"] == nm.high_bytes(codes)
    ).all()
    assert (memory["memory.scales"] == model.arrays["memory.m.scales"]).all()


@pytest.mark.parametrize("n", [64, 96, 128])
def test_square_roots_are_correctly_rounded(n):
    """Every sum of squares of n codes, over n, through the runtime's default delegate."""
    x = np.arange(1, n * 127 * 127 + 1, dtype=np.int32).astype(np.float32) / np.float32(n)
    file = TfliteFile({}, 8)
    port = Port("x", "float32", (1, x.size))
    add_graph(
        file, Graph("root", (port,), (Port("y", "float32", port.shape),), lambda b, v: {"y": sqrt(v["x"])})
    )
    got = Interpreter(model_content=pack(file.model), num_threads=1).get_signature_runner("root")(x=x[None])[
        "y"
    ][0]
    assert (got == np.sqrt(x)).all()


def test_another_model_s_file_is_refused(files, odd):
    with pytest.raises(DataError, match="exported from another model"):
        cross_check(odd, "tflite", files["tiny"][1], [])


def pretend(monkeypatch, installed, interpreter, version=""):
    """Only ``installed`` of the two runtimes, with this ``Interpreter``; without a version: a distribution's
    own package.
    """

    def installed_version(package):
        if not version:
            raise litert.metadata.PackageNotFoundError(package)
        return version

    monkeypatch.setattr(litert.metadata, "version", installed_version)
    module = types.ModuleType(installed)
    module.Interpreter = interpreter
    module.OpResolverType = types.SimpleNamespace(AUTO=0, BUILTIN_WITHOUT_DEFAULT_DELEGATES=2)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        litert.util,
        "find_spec",
        lambda name: (
            object()
            if name == installed
            else None
            if name in ("ai_edge_litert", "tflite_runtime")
            else find(name)
        ),
    )
    monkeypatch.setattr(litert.importlib, "import_module", lambda name: module)


def fails(**_):
    """What tflite-runtime 2.14.0 raises under NumPy 2, after NumPy has printed a page."""
    raise SystemError("<built-in method CreateWrapperFromBuffer> returned a result with an exception set")


@pytest.mark.parametrize("version", ["2.14.0", ""])
def test_the_old_runtime_under_numpy_2_is_recognised(files, monkeypatch, version):
    """By its version before it is called, where it has one; else by how it fails."""
    pretend(monkeypatch, "tflite_runtime", fails, version)
    monkeypatch.setattr(litert.np, "__version__", "2.4.6")
    with pytest.raises(
        ToolError,
        match=f"tflite-runtime {version}.*built for NumPy 1 and creates no interpreter under NumPy 2.4.6",
    ) as refused:
        litert.LiteRt(files["tiny"][1])
    assert "ai-edge-litert" in refused.value.hint


def test_the_old_runtime_is_used_where_it_is_what_there_is(files, monkeypatch):
    """The file as shipped is checked; taps need the schema module of its successor."""
    model, path = files["tiny"]
    pretend(
        monkeypatch, "tflite_runtime", lambda experimental_op_resolver_type, **options: Interpreter(**options)
    )
    verdict, shipped = cross_check(model, "tflite", path, short_script(model.config, 6))
    assert verdict is None and shipped.exact and shipped.runtime.startswith("tflite-runtime")


def test_no_runtime_is_one_sentence(files, monkeypatch):
    pretend(monkeypatch, "neither", fails)
    with pytest.raises(ToolError, match="Neither ai-edge-litert nor tflite-runtime"):
        litert.LiteRt(files["tiny"][1])
    with pytest.raises(ToolError, match="needs no-such-package, which is not installed"):
        need("no-such-package")
