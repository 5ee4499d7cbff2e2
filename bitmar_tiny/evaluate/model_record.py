# SPDX-License-Identifier: Apache-2.0
"""What lies beside a model that is given away: how it was trained, on what, how it scores."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..data.collect.build import complete
from ..data.files import read_json, write_json
from ..errors import DataError
from ..files import TemporaryFolder, atomic_file
from ..frozen import FrozenModel
from ..train.logs import read_log
from ..train.record import RUN_FILE, read_record

#: Most lines of the curve.
LINES = 40
#: The strictest of what a corpus of ``bitmar-tiny corpus`` is made of.
LICENCE = "CC BY-SA 4.0, with the credits of DATA_LICENSES.md"
#: Keys of a report that have a value of every item.
PER_ITEM = ("picks", "gold", "credits", "sample_bits", "sample_bytes", "predictions")


def ship(run: Path, reports: Sequence[Path], out: Path) -> tuple[Path, dict[str, Any]]:
    """Freeze a run into folder ``out`` and write its record beside it: the model's file, the record. Nothing
    is written where a report is of another model.
    """
    from ..train.run import freeze_run

    model = freeze_run(run)
    file = out / f"{model.config.name}.bitmar"
    with TemporaryFolder() as folder:
        made = Path(folder) / file.name
        model.save(made)
        record = model_record(run, made, {p.stem: read_json(p) for p in reports})
        raw = made.read_bytes()  # saved once: of the same model each file is another one
    with atomic_file(file) as f:
        f.write(raw)
    write_json(file.with_suffix(".json"), record)
    return file, record


def model_record(run: Path, file: Path, reports: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """run: the folder of the training run that ``file`` was frozen from; reports: by name, what
    'paper scores --json' or 'eval --json' printed of it, or of what was fine-tuned from it.

    Data are those of a corpus that ``bitmar-tiny corpus`` wrote, if the run had one. ``DataError`` for a
    report of another model.
    """
    record, model = read_record(run / RUN_FILE), FrozenModel.load(file)
    for name, report in reports.items():
        if not isinstance(report, dict) or not (
            report.get("model_sha256") == model.digest or report.get("finetuned")
        ):
            raise DataError(
                f"{name}: not of {file.name}, but of another model, or of a run that was not frozen.",
                f"Write it anew: bitmar-tiny paper scores {file} --ablate memory --json > {name}.json",
            )
    log = read_log(run)
    steps = [r for r in log if r["kind"] == "step"]
    raw = file.read_bytes()
    return {
        "model": file.name,
        "bytes": len(raw),
        "file_sha256": hashlib.sha256(raw).hexdigest(),
        "sha256": model.digest,
        "licence": LICENCE,
        "settings": record["training"],
        "config": record["model"],
        "tokenizer": record["tokenizer"],
        "seed": record["training"]["seed"],
        "steps": model.provenance["steps"],
        "tokens": steps[-1]["tokens"] if steps else None,
        "epochs": steps[-1]["epoch"] if steps else None,
        "data": _data(record),
        "scores": {"label": "measured"}
        | {name: short(r) | {"model": file.name} for name, r in reports.items()},
        "begun_and_gone_on": [{k: r[k] for k in ("step", "text")} for r in log if r["kind"] == "note"],
        "curve": [_point(r) for r in steps[:: -(-len(steps) // LINES) or 1]],
        "held_out_curve": [r for r in log if r["kind"] == "holdout"][-LINES:],
    }


def short(value: Any) -> Any:
    """A report without what it has of every item."""
    if not isinstance(value, dict):
        return value
    return {k: short(v) for k, v in value.items() if k not in PER_ITEM}


def _data(record: dict[str, Any]) -> dict[str, Any]:
    folder = next(iter(record["data"].get("corpus", ())), None)
    report = complete(Path(folder)) if folder else None
    kept = ("source", "what", "packages", "licence", "documents", "tokens", "held_out_documents", "sha256")
    sources = report["sources"] if report else []
    return {
        "pictures_trained_on": record["pictures"],
        "text_samples": record["text_samples"],
        "identity": record["corpus"],
        "sources": [{k: s[k] for k in kept if k in s} for s in sources],
        "styles": report.get("styles", []) if report else [],
    }


def _point(r: dict[str, Any]) -> dict[str, Any]:
    """A line of the log, as short as a curve needs it."""
    values = {"lm": r["loss"].get("lm"), "contrastive": r["loss"].get("contrastive")}
    values |= {"alignment": r["alignment"], "zero_fraction": r["codes"].get("zero_fraction")}
    values |= {f"{what}_slots": r["memory"].get(f"{what}_slots") for what in ("written", "read")}
    known = {k: float(f"{v:.4g}") for k, v in values.items() if v is not None}
    return {"step": r["step"], "tokens": r["tokens"]} | known
