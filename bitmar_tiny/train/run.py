# SPDX-License-Identifier: Apache-2.0
"""A training run on disk: which model, which settings, which tokenizer, and what was frozen from it.

RUN/run.json         model configuration, training settings, data and tokenizer identity
RUN/tokenizer.bin    the tokenizer, as it goes into the frozen model
RUN/checkpoint.pt, previous.pt    see checkpoint.py
RUN/log.jsonl, logs/    see logs.py;   RUN/training.svg, zero_fraction.svg    drawn from it at the end
RUN/data/            what was prepared from the data: drawings, tokens
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ..arch.config import ModelConfig
from ..data.corpora import Corpus, demo_corpus, file_corpus, recall_corpus
from ..data.tokenizer import Tokenizer
from ..errors import ConfigError, DataError
from ..files import atomic_file
from ..frozen import FrozenModel
from ..model.bitmar import BitMar
from ..model.export import freeze
from .checkpoint import load_model
from .config import TrainConfig
from .curves import plot_training
from .distributed import World
from .holdout import look_at_holdout
from .logs import read_log
from .loop import train
from .threads import threads

RUN_FILE, TOKENIZER_FILE = "run.json", "tokenizer.bin"


def settings_for(cfg: ModelConfig, path: Path | None, changes: dict[str, Any]) -> TrainConfig:
    """Training settings: the file's or the preset's, with the command line's on top. ``steps`` given there
    silence epochs.
    """
    base = TrainConfig.load(path) if path else TrainConfig.for_preset(cfg.name)
    if "steps" in changes:
        changes = {"epochs": 0} | changes
    return TrainConfig.parse(base.model_dump() | changes, str(path or "settings"))


def train_run(
    cfg: ModelConfig,
    tcfg: TrainConfig,
    corpus: Corpus,
    out: Path,
    resume: bool = True,
    progress: bool = True,
    world: World = World(),
    wandb: str | None = None,
    data: dict[str, Any] | None = None,
) -> BitMar:
    """Train in ``out``, resuming what is there. ``ConfigError`` if the run there is of other settings.

    data: where the corpus was read from, for the record. Returns the trained model (eval mode).
    """
    if corpus.tokenizer.vocab_size != cfg.vocab_size:
        raise ConfigError(
            f"The tokenizer has {corpus.tokenizer.vocab_size} tokens, the model {cfg.vocab_size}.",
            f"Set vocab_size={corpus.tokenizer.vocab_size}.",
        )
    world.rows(tcfg.batch_size)
    record = {
        "model": cfg.model_dump(),
        "training": tcfg.model_dump(mode="json"),
        "tokenizer": corpus.tokenizer.identity,
        "pictures": len(corpus.train),
        "text_samples": len(corpus.texts),
        "sessions": len(corpus.sessions or ()),
        "data": data or {},
    }
    if resume and (out / RUN_FILE).is_file():
        _same_run(_read(out / RUN_FILE), record, out)
    mixture = corpus.mixture(
        batch_size=tcfg.batch_size,
        max_len=tcfg.max_len,
        text_every=tcfg.text_every,
        session_every=tcfg.session_every,
        seed=tcfg.seed,
    )
    held = (
        corpus.held_out_batches(batch_size=tcfg.batch_size, max_len=tcfg.max_len)
        if tcfg.holdout_every
        else []
    )
    if world.main:
        with atomic_file(out / RUN_FILE) as f:
            f.write((json.dumps(record, indent=1) + "\n").encode())
        with atomic_file(out / TOKENIZER_FILE) as f:
            f.write(corpus.tokenizer.to_bytes())
    epoch_steps = mixture.batches_per_epoch / tcfg.accumulation
    if tcfg.epochs:
        tcfg = tcfg.model_copy(update={"steps": math.ceil(tcfg.epochs * epoch_steps)})
    look = partial(look_at_holdout, mixtures=held, world=world) if held else None
    with threads(tcfg.threads):
        model = train(cfg, tcfg, mixture, out, resume, progress, world, look, epoch_steps, wandb)
    if world.main:
        plot_training(read_log(out), out)
    return model


def _same_run(there: dict[str, Any], record: dict[str, Any], out: Path) -> None:
    """``ConfigError`` where a run's record differs; settings that it does not name did not exist then, and
    had their defaults or, where those would change the run, what it did.
    """
    then = {"log_every": record["training"]["log_every"], "write_gradient": False}
    defaults = {"model": {}, "training": TrainConfig().model_dump(mode="json") | then}
    different = [
        f"{part}.{key}"
        for part in defaults
        for key in record[part]
        if (defaults[part] | there.get(part, {})).get(key) != record[part][key]
    ]
    there = {"sessions": record["sessions"]} | there  # runs did not always record how many
    if different or any(
        there.get(k) != record[k] for k in ("tokenizer", "pictures", "text_samples", "sessions")
    ):
        raise ConfigError(
            f"{out}: holds a run of other settings ({', '.join(different) or 'other data'}).",
            "Choose another folder with -o, or pass --restart to start over.",
        )


def run_corpus(
    cfg: ModelConfig,
    tcfg: TrainConfig,
    data: dict[str, Any],
    progress: Callable[[int, int], None] | None = None,
) -> Corpus:
    """The corpus that ``data`` names: {folder, captions, features, text, sessions, styles}, all but the first
    lists of paths.

    Without captions, text and sessions it is the demo's, with further styles of pictures, or that of the
    preset ``recall``.
    """
    folder = Path(data["folder"])
    captions, features, texts, sessions, styles = (
        list(map(Path, data.get(k, ()))) for k in ("captions", "features", "text", "sessions", "styles")
    )
    if not captions and not texts and not sessions:
        return (
            recall_corpus(folder, cfg) if cfg.name == "recall" else demo_corpus(folder, cfg, progress, styles)
        )
    return file_corpus(
        cfg,
        captions,
        features,
        texts,
        folder,
        sessions=sessions,
        caption_budget=tcfg.caption_tokens,
        text_budget=tcfg.text_tokens,
        hold_out=tcfg.holdout_tokens,
        progress=progress,
    )


def load_run(out: Path) -> tuple[BitMar, Tokenizer, dict[str, Any]]:
    """The trained model of a run (eval mode), its tokenizer and its record. ``DataError`` without a run."""
    record = _read(out / RUN_FILE)
    model, step = load_model(
        ModelConfig.parse(record["model"], str(out / RUN_FILE)), out, record["training"]["float_twin"]
    )
    return model, Tokenizer.from_bytes((out / TOKENIZER_FILE).read_bytes()), record | {"steps": step}


def freeze_run(out: Path) -> FrozenModel:
    """Freeze the last checkpoint of a run. ``ConfigError`` for a float twin."""
    model, tokenizer, record = load_run(out)
    return freeze(
        model, tokenizer.to_bytes(), {k: record[k] for k in ("steps", "training", "pictures", "text_samples")}
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except OSError:
        raise DataError(
            f"{path.parent}: there is no training run here.", "Start one with 'bitmar-tiny train -o FOLDER'."
        ) from None
    except ValueError:
        raise DataError(f"{path}: damaged, not JSON.", "Start the run again with --restart.") from None
