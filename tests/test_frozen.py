# SPDX-License-Identifier: Apache-2.0
"""The frozen file: exact round trip, and every damage is one FrozenError."""

import json
import random
import struct

import numpy as np
import pytest
from safetensors.numpy import save_file
from support import TINY

from bitmar_tiny.errors import FrozenError
from bitmar_tiny.frozen import FrozenModel, pack_trits, random_model, unpack_trits


@pytest.mark.parametrize("k", [1, 4, 96, 101, 128])
def test_trits_round_trip(k):
    trits = np.random.default_rng(k).integers(-1, 2, (7, k)).astype(np.int8)
    assert (unpack_trits(pack_trits(trits), k) == trits).all()


def test_round_trip_keeps_every_array_and_the_digest(tiny, tmp_path):
    tiny.tokenizer = b"tables"
    digest = tiny.save(tmp_path / "m.bitmar")
    back = FrozenModel.load(tmp_path / "m.bitmar")
    tiny.tokenizer = b""
    assert back.digest == digest and back.tokenizer == b"tables" and back.provenance == tiny.provenance
    for name, array in tiny.arrays.items():
        assert back.arrays[name].dtype == array.dtype and np.array_equal(back.arrays[name], array), name


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("enc.0.wq.scale", np.float32(np.nan), "NaN"),
        ("head.w.scale", np.float32(-1), "scale outside"),
        ("enc.0.attn_norm", np.zeros(3, np.float32), "needs float32"),
        ("token_table.codes", np.full((257, 64), -128, np.int8), "code outside"),
        ("surplus", np.zeros(1, np.float32), "does not belong"),
        ("memory.m.codes", np.full((70, 64), 32767, np.int16), "code outside"),
    ],
)
def test_bad_tensors_are_named(name, value, words):
    model = random_model(TINY)
    model.arrays[name] = value
    with pytest.raises(FrozenError, match=words) as caught:
        model.validate()
    assert name in str(caught.value)


def test_missing_tensor_is_named():
    model = random_model(TINY)
    del model.arrays["dec.1.w2.trits"]
    with pytest.raises(FrozenError, match="dec.1.w2.trits"):
        model.validate()


def test_mutations_never_escape_as_another_exception(tiny, tmp_path):
    """Any bytes in: a FrozenError or, where nothing that counts changed, the same model."""
    path = tmp_path / "m.bitmar"
    digest = tiny.save(path)
    good, rng = path.read_bytes(), random.Random(5)
    for _ in range(300):
        data = bytearray(good)
        kind = rng.randrange(4)
        if kind == 0:
            data = data[: rng.randrange(len(data))]
        elif kind == 1:
            data[rng.randrange(min(len(data), 6000))] = rng.randrange(256)
        elif kind == 2:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        else:
            data[:8] = struct.pack("<Q", rng.randrange(1 << 40))
        path.write_bytes(data)
        try:
            assert FrozenModel.load(path).digest == digest
        except FrozenError as error:
            assert str(path) in str(error)


def test_foreign_safetensors_file(tmp_path):
    save_file({"x": np.zeros(3, np.float32)}, tmp_path / "x.safetensors")
    with pytest.raises(FrozenError, match="not a frozen bitmar-tiny model"):
        FrozenModel.load(tmp_path / "x.safetensors")


def test_newer_version_is_refused(tiny, tmp_path):
    path = tmp_path / "m.bitmar"
    tiny.save(path)
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"]["version"] = "9"
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])
    with pytest.raises(FrozenError, match="version 9"):
        FrozenModel.load(path)


def test_a_failed_write_keeps_the_old_file(tiny, tmp_path):
    folder = tmp_path / "not-a-folder"
    folder.write_text("in the way")
    with pytest.raises(FrozenError, match="cannot be written"):
        tiny.save(folder / "m.bitmar")
