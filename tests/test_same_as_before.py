# SPDX-License-Identifier: Apache-2.0
"""What was frozen, packed and generated before still comes out byte for byte: the digests lie in
same_as_before.json.

``python tests/test_same_as_before.py`` records them anew, which only a deliberate change of a format may ask
for.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from bitmar_tiny.codegen.kernels import families
from bitmar_tiny.codegen.lower import lower
from bitmar_tiny.frozen import FrozenModel, random_model
from bitmar_tiny.frozen.shipped import MODELS
from bitmar_tiny.golden.model import GoldenModel
from bitmar_tiny.golden.sampler import Sampler
from bitmar_tiny.verify.script import random_image

RECORD = Path(__file__).with_name("same_as_before.json")
NAMES = ("demo", "recall", "paper", "pocket", "odd")
VARIANTS = (("2", "ram"), ("1.6", "flash"), ("2", "sd"))


def model(name: str) -> FrozenModel:
    if name in ("demo", "recall"):
        return FrozenModel.load(MODELS / f"{name}.bitmar")
    from support import ODD

    from bitmar_tiny.arch.config import preset

    return random_model(ODD if name == "odd" else preset(name), seed=5)


def blobs(name: str) -> dict[str, str]:
    """SHA-256 of the packed blob of every kernel family; for one, of the other heads and memory places."""
    frozen = model(name)
    found = {"model": frozen.digest}
    for family in families():
        found[family] = hashlib.sha256(lower(frozen, family).to_bytes()).hexdigest()
    for head, memory in VARIANTS[1:]:
        found[f"{head}/{memory}"] = hashlib.sha256(lower(frozen, "avx2", head, memory).to_bytes()).hexdigest()
    return found


def generation(name: str, seed: int, length: int = 40) -> dict[str, str]:
    """SHA-256 of the tokens of a stream in two episodes, with a picture in every other, and of all that
    golden reports on the way.
    """
    frozen, rng, taps = model(name), np.random.default_rng(seed), hashlib.sha256()

    def tap(tap_name: str, array: np.ndarray) -> None:
        a = np.ascontiguousarray(array)
        taps.update(f"{tap_name} {a.dtype} {a.shape}".encode())
        taps.update(a.tobytes())

    golden, tokens = GoldenModel(frozen.config, frozen.arrays, tap), []
    sampler = Sampler(temperature=0.8 * (seed % 3), top_k=20, seed=seed)
    for episode in range(2):
        golden.begin_episode()
        if (seed + episode) % 2:
            golden.set_image(random_image(frozen.config, rng))
        prompt = [frozen.config.vocab_size - 1, *rng.integers(0, frozen.config.vocab_size, 4).tolist()]
        for token in prompt:
            acc = golden.step(token)
        for _ in range(length // 2):
            tokens.append(sampler.pick(acc, golden.head_scale * np.float32(frozen.arrays["head.w.scale"])))
            acc = golden.step(tokens[-1])
        golden.end_episode()
    return {"tokens": hashlib.sha256(json.dumps(tokens).encode()).hexdigest(), "taps": taps.hexdigest()}


STREAMS = [(name, seed) for name in ("demo", "recall", "odd") for seed in range(4)][:10]


@pytest.mark.parametrize("name", NAMES)
def test_packed_blobs_are_the_bytes_of_before(name):
    recorded = json.loads(RECORD.read_text())["blobs"][name]
    found = blobs(name)
    assert {what: found[what] for what in recorded} == recorded  # families that came later have no before


@pytest.mark.parametrize("name,seed", STREAMS)
def test_generations_are_the_tokens_of_before(name, seed):
    assert generation(name, seed) == json.loads(RECORD.read_text())["generations"][f"{name} {seed}"]


if __name__ == "__main__":
    record = {
        "blobs": {name: blobs(name) for name in NAMES},
        "generations": {f"{name} {seed}": generation(name, seed) for name, seed in STREAMS},
    }
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
