"""bitmar-tiny: train, lower, prove and profile a small image-and-text model that remembers."""

from pathlib import Path

__version__ = "0.2.0"

_here = Path(__file__).resolve().parent
if not (
    _here / "codegen"
).is_dir():  # a checkout: codegen, firmware_templates and board_profiles lie beside us
    __path__.append(str(_here.parent))
