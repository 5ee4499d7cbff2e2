# SPDX-License-Identifier: Apache-2.0
"""What every exported file says about itself."""

from __future__ import annotations

import hashlib
import json

from ..arch.tables import cancelled_scales
from ..frozen import FrozenModel
from .arrays import stored_bits
from .seal import BLANK

CONFIG, MODEL_SHA256, WEIGHTS_SHA256 = (
    "bitmar_tiny.config",
    "bitmar_tiny.model_sha256",
    "bitmar_tiny.weights_sha256",
)
PROVENANCE, TOKENIZER_SHA256 = "bitmar_tiny.provenance", "bitmar_tiny.tokenizer_sha256"
#: Scales that no graph needs.
CANCELLED = "bitmar_tiny.cancelled_scales"


def about(frozen: FrozenModel, bits: int) -> str:
    """What a viewer shows first of a file."""
    return (
        f"BitMar model {frozen.config.name}, SHA-256 {frozen.digest[:16]}...; "
        f"{weights_in_words(frozen, bits)}"
    )


def weights_in_words(frozen: FrozenModel, bits: int) -> str:
    """The types that arrays are stored in."""
    token_bits = stored_bits("token_table.codes", frozen.arrays["token_table.codes"], bits)
    tables = (
        "token and position tables int8"
        if token_bits == 8
        else f"token table int{token_bits}, position tables int8"
    )
    return f"ternary weights as int{bits}, {tables}, gains and scales float32"


def metadata(frozen: FrozenModel, graph: str, bits: int) -> dict[str, str]:
    """Names and texts; ``graph``: what the file holds."""
    return {
        "bitmar_tiny.graph": graph,
        MODEL_SHA256: frozen.digest,
        CONFIG: frozen.config.model_dump_json(),
        TOKENIZER_SHA256: hashlib.sha256(frozen.tokenizer).hexdigest() if frozen.tokenizer else "",
        PROVENANCE: json.dumps(frozen.provenance),
        CANCELLED: json.dumps({name: float(frozen.arrays[name]) for name in cancelled_scales(frozen.config)}),
        "bitmar_tiny.weights": weights_in_words(frozen, bits),
        "bitmar_tiny.seal": BLANK,
    }
