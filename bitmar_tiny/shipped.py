"""The model that comes with the package, so that every command has one right after installation.

    models/demo.bitmar    the ``demo`` preset, trained for about an hour on two cores; CC BY-SA 4.0, credits in DATA_LICENSES.md
    models/demo.json      its training record: data, settings, curve, scores, SHA-256
"""

from __future__ import annotations

from pathlib import Path

SHIPPED = Path(__file__).parent / "models" / "demo.bitmar"
SHIPPED_RECORD = SHIPPED.with_suffix(".json")
#: What commands read where no MODEL is named, if it is there.
HERE = Path("model.bitmar")


def default_model() -> Path:
    """``model.bitmar`` of this folder, else the shipped one."""
    return HERE if HERE.is_file() else SHIPPED
