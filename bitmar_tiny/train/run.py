"""A training run on disk: which model, which settings, which tokenizer, and what was frozen from it.

    RUN/run.json         model configuration, training settings, data and tokenizer identity
    RUN/tokenizer.bin    the tokenizer, as it goes into the frozen model
    RUN/checkpoint...    see checkpoint.py;   RUN/logs   TensorBoard
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..config import ModelConfig
from ..data.tokenizer import Tokenizer
from ..errors import ConfigError, DataError
from ..files import atomic_file
from ..frozen import FrozenModel
from ..model.bitmar import BitMar
from ..model.export import freeze
from ..pipeline import Corpus
from .checkpoint import load_model
from .config import TrainConfig
from .loop import train

RUN_FILE, TOKENIZER_FILE = "run.json", "tokenizer.bin"


def settings_for(cfg: ModelConfig, path: Path | None, changes: dict[str, Any]) -> TrainConfig:
    """Training settings: the file's or the preset's, with the command line's on top."""
    base = TrainConfig.load(path) if path else TrainConfig.for_preset(cfg.name)
    return TrainConfig.parse(base.model_dump() | changes, str(path or "settings"))


def train_run(cfg: ModelConfig, tcfg: TrainConfig, corpus: Corpus, out: Path, resume: bool = True, progress: bool = True) -> BitMar:
    """Train in ``out``, resuming what is there. ``ConfigError`` if the run there is of other settings.

    Returns the trained model (eval mode).
    """
    if corpus.tokenizer.vocab_size != cfg.vocab_size:
        raise ConfigError(f"The tokenizer has {corpus.tokenizer.vocab_size} tokens, the model {cfg.vocab_size}.",
                          f"Set vocab_size={corpus.tokenizer.vocab_size}.")
    record = {"model": cfg.model_dump(), "training": tcfg.model_dump(), "tokenizer": corpus.tokenizer.identity,
              "pictures": len(corpus.train), "text_samples": len(corpus.texts)}
    path = out / RUN_FILE
    if resume and path.is_file():
        there = _read(path)
        different = [f"{part}.{key}" for part in ("model", "training") for key in record[part]
                     if there.get(part, {}).get(key) != record[part][key]]
        if different or any(there.get(k) != record[k] for k in ("tokenizer", "pictures", "text_samples")):
            raise ConfigError(f"{out}: holds a run of other settings ({', '.join(different) or 'other data'}).",
                              "Choose another folder with -o, or pass --restart to start over.")
    with atomic_file(path) as f:
        f.write((json.dumps(record, indent=1) + "\n").encode())
    with atomic_file(out / TOKENIZER_FILE) as f:
        f.write(corpus.tokenizer.to_bytes())
    mixture = corpus.mixture(batch_size=tcfg.batch_size, max_len=tcfg.max_len, text_every=tcfg.text_every, seed=tcfg.seed)
    return train(cfg, tcfg, mixture, out, resume=resume, progress=progress)


def load_run(out: Path) -> tuple[BitMar, Tokenizer, dict[str, Any]]:
    """The trained model of a run (eval mode), its tokenizer and its record. ``DataError`` if there is no run."""
    record = _read(out / RUN_FILE)
    model, step = load_model(ModelConfig.parse(record["model"], str(out / RUN_FILE)), out, record["training"]["float_twin"])
    return model, Tokenizer.from_bytes((out / TOKENIZER_FILE).read_bytes()), record | {"steps": step}


def freeze_run(out: Path) -> FrozenModel:
    """Freeze the last checkpoint of a run. ``ConfigError`` for a float twin."""
    model, tokenizer, record = load_run(out)
    return freeze(model, tokenizer.to_bytes(), {k: record[k] for k in ("steps", "training", "pictures", "text_samples")})


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except OSError:
        raise DataError(f"{path.parent}: there is no training run here.", "Start one with 'bitmar-tiny train -o FOLDER'.") from None
    except ValueError:
        raise DataError(f"{path}: damaged, not JSON.", "Start the run again with --restart.") from None
