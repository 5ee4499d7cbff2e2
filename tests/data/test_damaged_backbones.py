# SPDX-License-Identifier: Apache-2.0
"""500 damaged backbone files: each is a sentence, or a backbone still; none is a traceback, and none takes us
along.

A worker process per file would take minutes, so one process loads the runtimes and forks the worker's code
for each file.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data.backbone_files import onnx_file, tflite_file

from bitmar_tiny.data import worker
from bitmar_tiny.data.backbones import _cut
from bitmar_tiny.errors import DataError

COUNT = 125
FORKS = """
import json, os, resource, signal, sys
from bitmar_tiny.data.frontend import backbone
from bitmar_tiny.data.worker import serve
try: import ai_edge_litert.interpreter
except ImportError: pass
try: import onnxruntime
except ImportError: pass
found = []
for path in sys.argv[1:]:
    into, out = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(0, 2)
        os.dup2(out, 1)
        os.close(into)
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.alarm(30)
        try: serve({"path": path, "size": None, "outputs": [], "threads": 1})
        except BaseException: os._exit(99)
        os._exit(0)
    os.close(out)
    with os.fdopen(into, "rb") as f: said = f.read()
    found.append([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said.decode()])
print(json.dumps(found))
"""


def damaged(raw: bytes, rng: np.random.Generator) -> bytes:
    """Cut short, overwritten here and there, a stretch zeroed, moved or foreign."""
    data = bytearray(raw)
    kind, at = rng.integers(0, 5), int(rng.integers(0, len(data)))
    if kind == 0:
        return bytes(data[:at])
    if kind == 1:
        for i in rng.integers(0, len(data), int(rng.integers(1, 9))):
            data[i] = int(rng.integers(0, 256))
    elif kind == 2:
        data[at : at + 64] = bytes(len(data[at : at + 64]))
    elif kind == 3:
        del data[at : at + int(rng.integers(1, 40))]
    else:
        data[at : at + 32] = rng.bytes(32)
    return bytes(data)


@pytest.mark.parametrize("kind", ["float.tflite", "quantised.tflite", "nchw.onnx", "nhwc.onnx"])
def test_damaged_files(kind, tmp_path):
    path = tmp_path / kind
    raw = (
        onnx_file(path, 2, kind == "nchw.onnx")
        if path.suffix == ".onnx"
        else tflite_file(path, 2, kind == "quantised.tflite")
    ).read_bytes()
    rng, files = np.random.default_rng(11), []
    for i in range(COUNT):
        files.append(tmp_path / f"{i}{path.suffix}")
        files[-1].write_bytes(damaged(raw, rng))
    done = subprocess.run(
        [sys.executable, "-c", FORKS, *map(str, files)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    refused = 0
    for file, (code, said) in zip(files, json.loads(done.stdout), strict=True):
        if code >= 0:  # else a signal, of which the next test makes a sentence
            assert code == 0, (file, code)
            answer = json.loads(said.splitlines()[0])
            assert (
                set(answer) == {"size", "outputs", "shapes"}
                or str(file) in answer["error"]
                and "\n" not in answer["error"]
            ), answer
            refused += "error" in answer
        if path.suffix == ".onnx":  # cutting happens in our own process
            try:
                _cut(file, ["y"], tmp_path)
            except DataError:
                pass
    assert refused > COUNT // 4


@pytest.mark.parametrize(
    "end, words",
    [
        ("os.kill(os.getpid(), 11)", "ended by SIGSEGV.*damaged"),
        ("os.kill(os.getpid(), 9)", "SIGKILL.*memory"),
        ("time.sleep(60)", "no answer for 2 s"),
        ("1 / 0", "fails on it .ZeroDivisionError"),
    ],
)
def test_what_becomes_of_a_runtime_becomes_a_sentence(end, words, tmp_path, monkeypatch):
    package = tmp_path / "ai_edge_litert"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "interpreter.py").write_text(
        f"import os, time\nclass Interpreter:\n    def __init__(self, **k): {end}\n"
    )
    (tmp_path / "a.tflite").write_bytes(b"any")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    if "sleep" in end:
        monkeypatch.setattr(worker, "START_S", 2)
    with pytest.raises(DataError, match=words):
        worker.Worker(tmp_path / "a.tflite")
