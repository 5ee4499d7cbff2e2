# SPDX-License-Identifier: Apache-2.0
"""What a run says of itself: model, settings, tokenizer, data, and whether they are still the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import ConfigError, DataError
from ..files import parse_json
from .config import TrainConfig

RUN_FILE, TOKENIZER_FILE = "run.json", "tokenizer.bin"
OTHER_FOLDER = "Choose another folder with -o, or pass --restart to start over."


def read_record(path: Path) -> dict[str, Any]:
    """A run's ``run.json``. ``DataError`` where there is none, or a damaged one."""
    try:
        record = parse_json(path.read_bytes())
    except OSError:
        raise DataError(
            f"{path.parent}: there is no training run here.", "Start one with 'bitmar-tiny train -o FOLDER'."
        ) from None
    except ValueError:
        record = None
    tables = {"model": None, "training": None, "data": {}, "start": {}}
    if not isinstance(record, dict) or not all(isinstance(record.get(k, v), dict) for k, v in tables.items()):
        raise DataError(
            f"{path}: damaged, not a run's record.",
            "Start the run again with --restart and its data or its --preset.",
        )
    return record


def before(there: dict[str, Any]) -> dict[str, Any]:
    """The settings that a run's record names, with what runs did before a setting existed."""
    return {"write_gradient": False} | there.get("training", {})


def begun(out: Path) -> dict[str, Any]:
    """The record of the run in ``out``, {} where there is none."""
    return read_record(out / RUN_FILE) if (out / RUN_FILE).is_file() else {}


#: Settings that change nothing that a run learns: how long it goes on, how often it saves and looks.
FREE = ("steps", "epochs", "checkpoint_every", "holdout_every")


def same_run(there: dict[str, Any], record: dict[str, Any], out: Path) -> None:
    """``ConfigError`` where a run's record differs; settings that it does not name did not exist then, and
    had their defaults or, where those would change the run, what it did. Those of ``FREE`` may change.
    """
    then = {"log_every": record["training"]["log_every"]}
    parts = {
        "model": there.get("model", {}),
        "training": TrainConfig().model_dump(mode="json") | then | before(there),
    }
    different = [
        f"{part}.{key}"
        for part, values in parts.items()
        for key in record[part]
        if key not in FREE and values.get(key) != record[part][key]
    ]
    named = {k: record.get(k) for k in ("sessions", "corpus")}  # runs did not always record these
    if different or any(
        (named | there).get(k) != record.get(k) for k in ("tokenizer", "pictures", "text_samples", *named)
    ):
        raise ConfigError(
            f"{out}: holds a run of other settings ({', '.join(different) or 'other data'}).", OTHER_FOLDER
        )
