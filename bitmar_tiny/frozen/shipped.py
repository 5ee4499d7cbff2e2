# SPDX-License-Identifier: Apache-2.0
"""The models that come with the package, so that every command has one right after installation.

models/demo.bitmar    the ``demo`` preset, trained for about an hour on two cores; CC BY-SA 4.0, see
                      DATA_LICENSES.md
models/demo.json      its training record: data, settings, curve, scores, SHA-256
models/recall.bitmar  the ``recall`` preset: a small model that remembers what it was told; ours, no foreign
                      data in it
models/recall.json    its training record
models/things.bitmar  the ``things`` preset: it says the name of what it was shown once; CC BY-SA 4.0, see
                      DATA_LICENSES.md
models/things.json    its training record
models/paper.bitmar   the ``paper`` preset, trained on 3.2 million tokens of what ``bitmar-tiny corpus`` makes
                      and written by ``bitmar-tiny paper ship``; CC BY-SA 4.0
models/paper.json     its training record

A MODEL on the command line is always a trained one: a file, a run, or one of these by its name. The shapes of
a preset with random weights are asked for with ``--preset``, so that ``paper`` and ``demo`` can be both.
"""

from __future__ import annotations

from pathlib import Path

MODELS = Path(__file__).parent / "models"
SHIPPED = MODELS / "demo.bitmar"
SHIPPED_RECORD = SHIPPED.with_suffix(".json")
#: What commands read where no MODEL is named, if it is there.
HERE = Path("model.bitmar")
#: The shipped model that things can be shown to.
THINGS = MODELS / "things.bitmar"


def default_model() -> Path:
    """``model.bitmar`` of this folder, else the shipped one."""
    return HERE if HERE.is_file() else SHIPPED


def things_model() -> Path | None:
    """``model.bitmar`` of this folder, else the shipped model that things can be shown to, if any."""
    return next((path for path in (HERE, THINGS) if path.is_file()), None)


def find_model(name: str | Path | None = None) -> Path:
    """The file that a command reads for ``name``: see ``by_name``, and ``default_model`` for None."""
    return default_model() if name is None else by_name(Path(name))


def shipped_names() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.stem for path in MODELS.glob("*.bitmar"))


def is_run(path: Path) -> bool:
    """Whether a training run is in this folder."""
    return (path / "run.json").is_file()


def by_name(path: Path) -> Path:
    """A path as it is, or, where neither a file nor a training run is there, the shipped model of that name
    (``shipped_names``).
    """
    named = MODELS / f"{path}.bitmar"
    here = path.is_file() or is_run(path)
    return named if path.name == str(path) and not here and named.is_file() else path
