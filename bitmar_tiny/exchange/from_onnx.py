# SPDX-License-Identifier: Apache-2.0
"""``freeze --from-onnx``: ternary weights that were trained elsewhere, mapped by name, nothing guessed
(docs/how-to/export.md).

A ternary matrix NAME is one of: ``NAME.trits`` with ``NAME.scale``; a DequantizeLinear whose output is
``NAME.weight``; a float ``NAME.weight`` that holds one magnitude and zero. It is [in, out], as MatMul takes
it, unless the graph turns a ``NAME.weight`` before it multiplies, as PyTorch's exporter does (Gemm with
transB).
"""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..arch.config import ModelConfig
from ..arch.records import Stack, Tensor
from ..arch.tables import stacks, tensor_table
from ..errors import ConfigError, DataError
from ..files import parse_json
from ..frozen import FrozenModel
from ..golden import numerics as nm
from .metadata import CANCELLED, CONFIG, PROVENANCE, TOKENIZER_SHA256
from .onnx_read import Initializers
from .ports import PAST

_SCALAR = ((), (1,), (1, 1))


@dataclass(frozen=True)
class Mapped:
    """Where one tensor came from, and what was done to it on the way."""

    tensor: str
    source: str
    how: str


def import_onnx(path: Path, config: ModelConfig | None = None) -> tuple[FrozenModel, list[Mapped], list[str]]:
    """(model, what was mapped, initializers that were not used). ``config``: for files that do not name one.

    ``DataError`` or ``FrozenError`` for anything missing, misshaped or not ternary.
    """
    found = Initializers.load(path)
    config = _config(found, config)
    arrays: dict[str, np.ndarray] = {}
    stacked = stacks(config)
    report: list[Mapped] = []
    for spec in tensor_table(config):
        stack = next((s for s in stacked if spec.name in (p.tensor for p in s.pieces)), None)
        new, source, how = _KINDS[spec.kind](found, spec, *([stack] if stack else []))
        arrays |= new
        report.append(Mapped(spec.name, f"{found.file(source)}: {source}", how))
    model = FrozenModel(config, arrays, _tokenizer(found), _provenance(found))
    model.validate(str(path))
    return model, report, found.unused


def _config(found: Initializers, config: ModelConfig | None) -> ModelConfig:
    text = found.metadata.get(CONFIG)
    if text is None:
        if config is None:
            raise ConfigError(
                f"{found.where}: does not say which configuration it has.",
                "Name it with --config or --preset.",
            )
        return config
    try:
        own = ModelConfig.parse(parse_json(text), str(found.where))
    except ValueError:
        raise DataError(f"{found.where}: the configuration in its metadata is unreadable.") from None
    if config is not None and config != own:
        raise ConfigError(
            f"{found.where}: was exported with another configuration than the one that was named.",
            "Leave out --config and --preset.",
        )
    return own


def _tokenizer(found: Initializers) -> bytes:
    tokenizer, digest = found.tokenizer(), found.metadata.get(TOKENIZER_SHA256)
    if digest is not None and digest != (hashlib.sha256(tokenizer).hexdigest() if tokenizer else ""):
        raise DataError(
            f"{found.where}: its tokenizer.bin is missing or another one.", "Copy the whole folder again."
        )
    return tokenizer


def _missing(found: Initializers, spec: Tensor, *names: str) -> DataError:
    near = difflib.get_close_matches(names[0], found.tensors, n=1)
    return DataError(
        f"{found.where}: tensor '{spec.name}' is missing: none of {', '.join(names)}.",
        f"The nearest name in it is '{near[0]}'." if near else "docs/how-to/export.md lists the names.",
    )


def _provenance(found: Initializers) -> dict:
    try:
        return dict(parse_json(found.metadata.get(PROVENANCE, "{}"))) | {"imported_from": found.where.name}
    except (ValueError, TypeError):
        raise DataError(f"{found.where}: the provenance in its metadata is unreadable.") from None


def _cancelled(found: Initializers) -> dict[str, float]:
    """Scales that an exported file names although its graphs need them not."""
    try:
        return {str(k): float(v) for k, v in parse_json(found.metadata.get(CANCELLED, "{}")).items()}
    except (ValueError, TypeError, AttributeError):
        raise DataError(f"{found.where}: the scales in its metadata are unreadable.") from None


# -- ternary matrices ----------------------------------------------------------------------------


def _ternary(found: Initializers, spec: Tensor, stack: Stack | None = None):
    name, (n, k) = spec.name, spec.shape
    weight, trits = f"{name}.weight", f"{name}.trits"
    if trits in found.tensors:
        values, scale, source = found.integers(trits, (k, n)), found.floats(f"{name}.scale", *_SCALAR), trits
        scale = _cancelled(found).get(f"{name}.scale") if scale is None else scale
    elif stack and f"{stack.name}.trits" in found.tensors:
        part = [piece.tensor for piece in stack.pieces].index(name)
        count, first, end = len(stack.pieces), stack.pieces[part].first, stack.pieces[part].end
        source, scales = f"{stack.name}.trits", found.floats(f"{stack.name}.scale", (count, 1), (count,))
        values = found.integers(source, (k, stack.pieces[-1].end))[:, first:end]
        scale = None if scales is None else scales.ravel()[part]
    else:
        values, scale, source = _weight(found, spec, weight)
    if scale is None:
        raise DataError(
            f"{found.where}: '{source}' has no scale.",
            f"Add the float32 initializer '{source.removesuffix('trits')}scale'.",
        )
    codes, scale = _one_magnitude(found, source, values, scale)
    how = f"ternary, {np.mean(codes != 0):.0%} not zero" + ", [out, in] in the graph" * (
        source != trits and weight in found.turned
    )
    return {trits: np.ascontiguousarray(codes.T), f"{name}.scale": scale}, source, how


def _one_magnitude(
    found: Initializers, source: str, values: np.ndarray, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Values of {-m, 0, m} times ``scale`` -> trits int8, m * scale. Others are refused, never rounded."""
    magnitudes = np.unique(np.abs(values[values != 0]))
    if magnitudes.size > 1:
        raise DataError(
            f"{found.file(source)}: '{source}' is not ternary: beside 0 it holds {magnitudes.size} "
            "magnitudes, "
            f"{magnitudes[0]:g} and {magnitudes[1]:g} among them.",
            "Train it ternary, with one scale for the matrix.",
        )
    m = magnitudes[0] if magnitudes.size else 1
    scale = np.float32(m) * np.float32(np.asarray(scale).ravel()[0])
    return np.sign(values).astype(np.int8), np.asarray(scale, np.float32).reshape(())


def _dequantized(found: Initializers, output: str, shape: tuple[int, int]):
    """The integers (zero point taken off) and scale of a DequantizeLinear of an initializer."""
    node = found.dequantized[output]
    source, scale_name, zero_name = (*node.input, "", "", "")[:3]
    if source not in found.tensors:
        raise DataError(
            f"{found.where}: '{output}' is dequantised from '{source}', which is not an initializer.",
            "Store the integers themselves, without a QuantizeLinear.",
        )
    values, scale = (
        found.integers(source, shape),
        found.floats(scale_name, *_SCALAR, (shape[0],), (shape[1],)),
    )
    if scale is None or np.unique(scale).size != 1:
        raise DataError(
            f"{found.file(source)}: '{source}' needs one scale for the whole matrix.",
            "Quantise it per tensor.",
        )
    zero = found.integers(zero_name, *_SCALAR) if zero_name else None
    return values if zero is None else values - zero.ravel()[0], scale, source


def _weight(found: Initializers, spec: Tensor, weight: str):
    """``NAME.weight`` as [in, out] float32 or integers, its scale and where it came from."""
    turned = found.is_turned(weight)
    shape = spec.shape if turned else spec.shape[::-1]
    if weight in found.dequantized:
        values, scale, source = _dequantized(found, weight, shape)
    else:
        values, scale, source = found.floats(weight, shape), np.float32(1), weight
    if values is None:
        raise _missing(found, spec, f"{spec.name}.trits", weight)
    return values.T if turned else values, scale, source


# -- tables, gains, memory -----------------------------------------------------------------------


def _rows8(found: Initializers, spec: Tensor):
    name, shape = spec.name, spec.shape
    codes, weight = f"{name}.codes", f"{name}.weight"
    if codes in found.tensors:
        scales = found.floats(f"{name}.scales", (shape[0],))
        if scales is None:
            raise _missing(found, spec, f"{name}.scales")
        values = found.integers(codes, shape)
        if np.abs(values).max(initial=0) > 127:
            raise DataError(f"{found.file(codes)}: '{codes}' holds a code outside [-127, 127].")
        return {codes: values.astype(np.int8), f"{name}.scales": scales}, codes, "int8 rows"
    a = found.floats(weight, shape)
    if a is None:
        raise _missing(found, spec, codes, weight)
    rows = [nm.quantize(row) for row in a]
    new = {
        codes: np.array([c for c, _ in rows]),
        f"{name}.scales": np.array([s for _, s in rows], np.float32),
    }
    error = np.abs(new[codes] * new[f"{name}.scales"][:, None] - a).max()
    return new, weight, f"float rows rounded to int8, largest error {error:.2g}"


def _gain(found: Initializers, spec: Tensor):
    a = found.floats(spec.name, spec.shape)
    if a is None:
        raise _missing(found, spec, spec.name)
    return {spec.name: a}, spec.name, "float32"


def _memory(found: Initializers, spec: Tensor):
    """The planes of an export, or a float matrix as it is before anything was written."""
    name, (k, _), keyed = spec.name, spec.shape, spec.learned is not None
    a = None if keyed else found.floats(name, spec.shape)
    if a is not None:
        rows = [nm.quantize16(row) for row in a]
        new = {
            f"{name}.codes": np.array([c for c, _ in rows]),
            f"{name}.scales": np.array([s for _, s in rows], np.float32),
            f"{name}.usage": np.full(k, nm.USAGE_ONE // k, np.uint32),
        }
        return new, name, "float rows rounded to 16 bits, usage of a fresh memory"
    prefix = f"{PAST}memory." if f"{PAST}memory.low" in found.tensors else "memory."
    high, low = (found.integers(prefix + part, spec.shape) for part in ("high", "low"))
    scales, usage = found.floats(f"{prefix}scales", (k,)), found.integers(f"{prefix}usage", (k,))
    if any(part is None for part in (high, low, scales, usage)):
        raise _missing(found, spec, name, *(prefix + part for part in ("high", "low", "scales", "usage")))
    found.used |= {f"memory.{part}" for part in ("high", "low", "scales", "usage")}  # as the step reads them
    codes = high * 256 + low
    outside = np.abs([high, low]).max(initial=0) > 127 if keyed else np.abs(codes).max() > nm.CODE16_MAX
    if outside or usage.min(initial=0) < 0:
        raise DataError(f"{found.file(prefix + 'high')}: the memory holds codes or usages out of range.")
    new = {
        f"{name}.codes": codes.astype(np.int16),
        f"{name}.scales": scales,
        f"{name}.usage": usage.astype(np.uint32),
    }
    return new, f"{prefix}high", "keys and values" if keyed else "16 bits"


_KINDS = {"ternary": _ternary, "rows8": _rows8, "gain": _gain, "memory": _memory}
