# SPDX-License-Identifier: Apache-2.0
"""The frozen model: one safetensors file that everything after training starts from.

Byte-level description: ``docs/reference/frozen-format.md``. In memory the arrays are those of
``arch.tables.tensor_table``; on disk each ``NAME.trits`` int8 [N, K] is ``NAME.trits2`` uint8
[N, ceil(K/4)], four codes w+1 per byte, lowest bits first. A content digest seals the whole.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as safetensors_save

from ..arch.config import PRESETS, ModelConfig
from ..arch.tables import tensor_table
from ..errors import ConfigError, FrozenError
from ..files import atomic_file, parse_json
from ..golden import numerics as nm
from ..golden.model import initial_usage
from .shipped import shipped_names

FORMAT = "bitmar-tiny/frozen"
VERSION = 2
TOKENIZER_KEY = "tokenizer"


@dataclass
class FrozenModel:
    """A model ready for golden, lowering and export.

    arrays: name -> ndarray exactly as ``tensor_table(config)`` lists them; tokenizer: the binary
    of ``data.tokenizer.Tokenizer.to_bytes`` or empty; provenance: how it was trained (JSON values).
    """

    config: ModelConfig
    arrays: dict[str, np.ndarray]
    tokenizer: bytes = b""
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over configuration, arrays and tokenizer: the identity of the model."""
        h = hashlib.sha256(self.config.model_dump_json().encode())
        for name in sorted(self.arrays):
            a = np.array(self.arrays[name], order="C")
            h.update(f"\0{name}\0{a.dtype.name}\0{a.shape}\0".encode())
            h.update(a.data)
        h.update(self.tokenizer)
        return h.hexdigest()

    def validate(self, where: str = "model") -> None:
        """Check names, dtypes, shapes, ranges and finiteness; raise ``FrozenError`` on the first fault."""
        expected = {n: (dt, shape) for spec in tensor_table(self.config) for n, dt, shape in spec.arrays()}
        for name in expected.keys() - self.arrays.keys():
            raise FrozenError(f"{where}: tensor '{name}' is missing.", "Freeze the model again.")
        for name in self.arrays.keys() - expected.keys():
            raise FrozenError(f"{where}: tensor '{name}' does not belong to this configuration.")
        for name, (dtype, shape) in expected.items():
            a = self.arrays[name]
            if a.dtype.name != dtype or a.shape != shape:
                raise FrozenError(
                    f"{where}: tensor '{name}' is {a.dtype.name}{list(a.shape)}, "
                    f"the configuration needs {dtype}{list(shape)}."
                )
            _check_values(name, a, where, self.config.keyed)

    def save(self, path: Path | str) -> str:
        """Validate and write atomically (temporary name, fsync, rename). Returns the digest."""
        self.validate()
        path = Path(path)
        on_disk = {
            _disk_name(n): (pack_trits(a) if n.endswith(".trits") else np.array(a, order="C"))
            for n, a in self.arrays.items()
        }
        if self.tokenizer:
            on_disk[TOKENIZER_KEY] = np.frombuffer(self.tokenizer, np.uint8)
        digest = self.digest
        meta = {
            "format": FORMAT,
            "version": str(VERSION),
            "digest": digest,
            "config": self.config.model_dump_json(),
            "provenance": json.dumps(self.provenance),
        }
        with atomic_file(path, FrozenError) as f:
            f.write(safetensors_save(on_disk, meta))
        return digest

    @classmethod
    def load(cls, path: Path | str) -> FrozenModel:
        """Read and validate a frozen model; every fault is one ``FrozenError`` sentence."""
        path = Path(path)
        if not path.is_file():
            raise FrozenError(f"{path}: there is no such file.", _fix(str(path)))
        try:
            with safe_open(path, framework="numpy") as f:
                meta = f.metadata() or {}
                disk = {name: f.get_tensor(name) for name in f.keys()}
        except (SafetensorError, OSError, ValueError, TypeError, KeyError, OverflowError) as error:
            raise FrozenError(
                f"{path}: damaged or not a frozen model ({str(error).splitlines()[0]}).",
                "Freeze the model again or copy the file again.",
            ) from None
        config, provenance = _read_metadata(meta, path)
        tokenizer = disk.pop(TOKENIZER_KEY, np.zeros(0, np.uint8))
        widths = {f"{s.name}.trits": s.shape[1] for s in tensor_table(config) if s.kind == "ternary"}
        arrays = {}
        for name, a in disk.items():
            if name.endswith(".trits2"):
                name = name.removesuffix("2")
                a = _unpack_checked(a, widths.get(name), name, path)
            arrays[name] = a
        model = cls(config, arrays, tokenizer.tobytes(), provenance)
        model.validate(str(path))
        if model.digest != meta.get("digest"):
            raise FrozenError(
                f"{path}: the content does not match its SHA-256; the file was changed or damaged.",
                "Freeze the model again or copy the file again.",
            )
        return model


def _fix(name: str) -> str:
    """What to do where there is no model of that name."""
    if name in PRESETS:
        return (
            f"{name} is a preset; the trained models that come along are {', '.join(shipped_names())}. Train "
            f"one with 'bitmar-tiny train --preset {name}', or pass the path of a .bitmar file."
        )
    return "Train one with 'bitmar-tiny train', or pass the path of a .bitmar file."


def _read_metadata(meta: dict[str, str], path: Path) -> tuple[ModelConfig, dict[str, Any]]:
    if meta.get("format") != FORMAT:
        raise FrozenError(
            f"{path}: a safetensors file, but not a frozen bitmar-tiny model.",
            "Make one with 'bitmar-tiny freeze'.",
        )
    if meta.get("version") != str(VERSION):
        raise FrozenError(
            f"{path}: frozen format version {meta.get('version')}, this program reads {VERSION}.",
            "Use the matching bitmar-tiny, or freeze the model again.",
        )
    try:
        config = ModelConfig.parse(parse_json(meta["config"]), str(path))
        return config, parse_json(meta["provenance"])
    except (KeyError, ValueError):
        raise FrozenError(f"{path}: the configuration in the header is missing or unreadable.") from None
    except ConfigError as error:
        raise FrozenError(error.message, error.hint) from None


def _unpack_checked(a: np.ndarray, width: int | None, name: str, path: Path) -> np.ndarray:
    if width is None:
        raise FrozenError(f"{path}: tensor '{name}' does not belong to this configuration.")
    if a.dtype != np.uint8 or a.ndim != 2 or a.shape[1] != -(-width // 4):
        raise FrozenError(
            f"{path}: packed tensor '{name}' is {a.dtype.name}{list(a.shape)}, not {width} trits a row."
        )
    return unpack_trits(a, width)


def _check_values(name: str, a: np.ndarray, where: str, keyed: bool) -> None:
    if a.dtype == np.float32:
        if not np.isfinite(a).all():
            raise FrozenError(
                f"{where}: tensor '{name}' holds NaN or infinity.",
                "Training diverged: lower the learning rate and train again.",
            )
        if name.endswith((".scale", ".scales")) and ((a < 0).any() or (a > 2.0**20).any()):
            raise FrozenError(f"{where}: tensor '{name}' holds a scale outside [0, 2^20].")
        if np.abs(a).max(initial=0) > 2.0**20:
            raise FrozenError(f"{where}: tensor '{name}' holds a value beyond 2^20.")
    elif a.dtype.kind == "i":
        limit = 1 if name.endswith(".trits") else nm.CODE16_MAX
        if a.dtype == np.int8 or keyed:
            limit, a = min(limit, 127), a if a.dtype == np.int8 else np.array(nm.planes(a))
        low, high = int(a.min()), int(a.max())
        if low < -limit or high > limit:
            raise FrozenError(f"{where}: tensor '{name}' holds a code outside [-{limit}, {limit}].")


def _disk_name(name: str) -> str:
    return name + "2" if name.endswith(".trits") else name


def pack_trits(trits: np.ndarray) -> np.ndarray:
    """int8 [N, K] in {-1,0,1} -> uint8 [N, ceil(K/4)] of 2-bit codes w+1 (padding is code 1)."""
    n, k = trits.shape
    codes = np.full((n, -(-k // 4) * 4), 1, np.uint8)
    codes[:, :k] = trits + 1
    c = codes.reshape(n, -1, 4)
    return c[:, :, 0] | c[:, :, 1] << 2 | c[:, :, 2] << 4 | c[:, :, 3] << 6


def unpack_trits(packed: np.ndarray, k: int) -> np.ndarray:
    """Inverse of :func:`pack_trits`; code 3 comes out as trit 2, which validation refuses."""
    codes = packed[:, :, None] >> np.array([0, 2, 4, 6], np.uint8) & 3
    return codes.reshape(len(packed), -1)[:, :k].astype(np.int8) - 1


def random_model(config: ModelConfig, seed: int = 0) -> FrozenModel:
    """A valid model with random weights: for verification and size studies where none is trained."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, np.ndarray] = {}
    for spec in tensor_table(config):
        for name, dtype, shape in spec.arrays():
            a: np.ndarray
            if name.endswith(".trits"):
                a = rng.integers(-1, 2, shape)
            elif spec.kind == "rows8" and dtype == "int8":
                a = rng.integers(-127, 128, shape)
            elif spec.kind == "memory" and dtype == "int16" and not config.keyed:
                a = rng.integers(-nm.CODE16_MAX, nm.CODE16_MAX + 1, shape)
            elif spec.kind == "memory" and config.keyed:
                a = _random_slots(config, rng, dtype)
            elif dtype == "uint32":
                a = np.full(shape, initial_usage(config))
            elif spec.kind == "gain":
                a = rng.uniform(0.5, 1.5, shape)
            elif spec.kind == "ternary":
                a = rng.uniform(0.1, 0.4, shape)
            else:
                a = rng.uniform(0.5, 1.5, shape) * (4 / nm.CODE16_MAX if spec.kind == "memory" else 1 / 127)
            arrays[name] = np.asarray(a, dtype)
    return FrozenModel(config, arrays, provenance={"weights": f"random, seed {seed}"})


def _random_slots(config: ModelConfig, rng: np.random.Generator, dtype: str) -> np.ndarray:
    """Keys and values, scales or usage of a keyed memory, some of whose slots are empty."""
    k, d = config.memory_slots, config.d_model
    if dtype == "int16":
        return nm.codes_of(*rng.integers(-127, 128, (2, k, d)))
    if dtype == "float32":
        return rng.uniform(0.5, 1.5, k) / 73
    usage = rng.permutation(k) * (rng.integers(0, 8, k) > 0)
    usage[: config.fixed_slots] = nm.USAGE_ONE
    return usage
