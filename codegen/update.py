# SPDX-License-Identifier: Apache-2.0
"""Packages that bring new weights to firmware that is in the field (runtime/update/bm_update.h).

Package: a head of 256 bytes, the blob, the proof, each of the two filled up with zeros to units of 4,096.
Head (little-endian): "BMUP", u32 version, u32 bytes of the blob, u32 bytes of the proof, 32 bytes that say
what the firmware must be compiled for, SHA-256 of the frozen model, SHA-256 of all that follows the head, 16
bytes that name the layout; u32 bytes of the signature, 0 for none, and the signature of all before it
(``signature``); CRC-32 of all that in the last four. Proof: "BMPV", u32 steps, then u32 token and
the CRC-32 of its int32 logits for each.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bitmar_tiny.data.backbone_record import record_of
from bitmar_tiny.errors import ConfigError, DataError
from bitmar_tiny.frozen import FrozenModel
from bitmar_tiny.golden.model import GoldenModel

from . import lower as lowering
from .signature import public_of, sign

VERSION, UNIT, HEAD = 1, 4096, 256
FIELDS = struct.Struct("<4sIII32s32s32s16s")
PROOF_STEPS = 12
RECORDS = 2 * UNIT
NEW_FIRMWARE = "It needs new firmware: bitmar-tiny codegen --updates, build, flash."


def shape(model: FrozenModel, blob: lowering.Blob) -> dict[str, Any]:
    """All of a model that is compiled into its firmware, so that weights of another cannot run there."""
    return {
        "format": lowering.VERSION,
        "layout": blob.layout,
        "bytes": blob.size,
        "sections": [[s.name, s.offset, len(s.data)] for s in blob.sections],
        "sees_vectors": record_of(model.provenance, model.config.name) is not None,
        "configuration": {k: v for k, v in model.config.model_dump(mode="json").items() if k != "name"},
    }


def build_of(shape: dict[str, Any]) -> bytes:
    """32 bytes that two models share whose weights the same firmware can run."""
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).digest()


def difference(wanted: dict[str, Any], got: dict[str, Any]) -> str:
    """What makes two shapes another build, in words: "d_model is 64, not 128"."""
    both = [{**s["configuration"], "layout": s["layout"]} for s in (wanted, got)]
    for key in sorted({*both[0], *both[1]}):
        if both[0].get(key) != both[1].get(key):
            return f"{key} is {both[1].get(key)}, not {both[0].get(key)}"
    sections = {name: n for name, _, n in wanted["sections"]}
    for name, _, n in got["sections"]:
        if sections.get(name) != n:
            return f"its {name} has {n} bytes, not {sections.get(name)}"
    return "the format of the blob" if wanted["format"] != got["format"] else "what its pictures are"


def proof(model: FrozenModel, steps: int = PROOF_STEPS) -> bytes:
    """Tokens and the CRC-32 of golden's logits behind each, from a new episode, with the memory off."""
    golden = GoldenModel(model.config, model.arrays, memory_on=False)
    golden.begin_episode()
    vocab = model.config.vocab_size
    rng = np.random.default_rng(int(model.digest[:8], 16))
    words = []
    for token in [vocab - 1, *rng.integers(0, vocab, steps - 1).tolist()]:
        logits = np.asarray(golden.step(token)).astype("<i4")
        words += [token, zlib.crc32(logits.tobytes())]
    return struct.pack(f"<4sI{2 * steps}I", b"BMPV", steps, *words)


def pack_update(model: FrozenModel, blob: lowering.Blob, key: Path | None = None) -> bytes:
    """The package of a model that was lowered to ``blob``, signed with the private key of a PEM file."""
    weights, vectors = blob.to_bytes(), proof(model)
    body = _filled(weights) + _filled(vectors)
    head = FIELDS.pack(
        b"BMUP",
        VERSION,
        len(weights),
        len(vectors),
        build_of(shape(model, blob)),
        bytes.fromhex(model.digest),
        hashlib.sha256(body).digest(),
        blob.layout.encode(),
    )
    signature = sign(key, head) if key else b""
    head = (head + struct.pack("<I", len(signature)) + signature).ljust(HEAD - 4, b"\0")
    return head + struct.pack("<I", zlib.crc32(head)) + body


def _filled(data: bytes) -> bytes:
    return data.ljust(filled(len(data)), b"\0")


def filled(n: int) -> int:
    """Bytes of ``n`` in whole units."""
    return -(-n // UNIT) * UNIT


@dataclass(frozen=True)
class Package:
    """A package that was read. ``build``, ``model_sha256``: hex digits."""

    data: bytes
    build: str
    model_sha256: str
    layout: str
    blob_bytes: int

    @property
    def signed(self) -> bool:
        """Whether it has a signature; only firmware checks it."""
        return any(self.data[FIELDS.size : FIELDS.size + 4])

    @property
    def head(self) -> bytes:
        return self.data[:HEAD]

    @property
    def body(self) -> bytes:
        return self.data[HEAD:]

    @classmethod
    def parse(cls, data: bytes, name: str) -> Package:
        """``DataError`` for bytes that are no whole package; ``name``: of their file."""
        if len(data) < HEAD or data[:4] != b"BMUP":
            raise DataError(f"{name}: not an update.", "Make one with 'bitmar-tiny update pack'.")
        _, version, blob, vectors, build, model, digest, layout = FIELDS.unpack_from(data)
        if version != VERSION:
            raise DataError(
                f"{name}: an update of version {version}; this program reads {VERSION}.", "Pack it again."
            )
        sealed = struct.unpack_from("<I", data, HEAD - 4)[0] == zlib.crc32(data[: HEAD - 4])
        size = HEAD + sum(map(filled, (blob, vectors)))
        if not sealed or len(data) != size or hashlib.sha256(data[HEAD:]).digest() != digest:
            raise DataError(f"{name}: the update is damaged.", "Copy it again, or pack it again.")
        return cls(data, build.hex(), model.hex(), layout.rstrip(b"\0").decode(errors="replace"), blob)


def pack_for(model: FrozenModel, manifest: dict[str, Any], project: str, key: Path | None = None) -> bytes:
    """The package for firmware of a project, signed with a private key if that asks for it. ``ConfigError``
    says what differs where it cannot run there.
    """
    wanted = manifest.get("update")
    if not wanted:
        raise ConfigError(
            f"{project}: its firmware takes no updates.", "Generate it with 'bitmar-tiny codegen --updates'."
        )
    _check_key(manifest, project, key)
    blob = lowering.lower(model, manifest["kernels"], manifest["head_bits"], manifest["memory"])
    got = shape(model, blob)
    if build_of(got) != build_of(wanted):
        raise ConfigError(
            f"Model {model.config.name} is no update for {project}: {difference(wanted, got)}.", NEW_FIRMWARE
        )
    return pack_update(model, blob, key)


def _check_key(manifest: dict[str, Any], project: str, key: Path | None) -> None:
    wanted = manifest.get("update_key")
    if wanted and not key:
        raise ConfigError(
            f"{project}: its firmware takes only updates with a signature.",
            "Name the private key with --key.",
        )
    if key and not wanted:
        raise ConfigError(
            f"{project}: its firmware checks no signature.",
            "Leave out --key, or generate the firmware with --public-key.",
        )
    if key and public_of(key).hex() != wanted:
        raise ConfigError(
            f"{key}: the firmware of {project} asks for another key.",
            "Name the private half of the key that it was generated with.",
        )
