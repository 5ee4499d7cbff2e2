# SPDX-License-Identifier: Apache-2.0
"""A training run on disk: which model, which settings, which tokenizer, and what was frozen from it.

RUN/run.json         model configuration, training settings, data and tokenizer identity
RUN/tokenizer.bin    the tokenizer, as it goes into the frozen model
RUN/checkpoint.pt, previous.pt    see checkpoint.py
RUN/log.jsonl, logs/    see logs.py;   RUN/training.svg, zero_fraction.svg    drawn from it at the end
RUN/data/            what was prepared from the data: drawings, tokens
"""

from __future__ import annotations

import contextlib
import json
import math
from functools import partial
from pathlib import Path
from typing import Any

from ..arch.config import ModelConfig
from ..data.backbone_record import KEY
from ..data.corpora import Corpus
from ..data.tokenizer import Tokenizer
from ..errors import ConfigError
from ..files import atomic_file, only_one
from ..frozen import FrozenModel
from ..model.bitmar import BitMar
from ..model.export import freeze
from . import checkpoint
from .checkpoint import load_model
from .config import TrainConfig
from .curves import plot_training
from .distributed import World
from .holdout import look_at_holdout
from .logs import read_log
from .loop import train
from .record import OTHER_FOLDER, RUN_FILE, TOKENIZER_FILE, begun, read_record, same_run
from .start import Start, start_from_model
from .threads import threads


def settings_for(cfg: ModelConfig, path: Path | None, changes: dict[str, Any]) -> TrainConfig:
    """Training settings: the file's or the preset's, with the command line's on top. ``steps`` given there
    silence epochs.
    """
    base = TrainConfig.load(path) if path else TrainConfig.for_preset(cfg.name)
    if "steps" in changes:
        changes = {"epochs": 0} | changes
    return TrainConfig.parse(base.model_dump() | changes, str(path or "settings"))


def fitted(cfg: ModelConfig, tcfg: TrainConfig, corpus: Corpus) -> tuple[ModelConfig, TrainConfig]:
    """Model and settings for a corpus: as many tokens as its tokenizer has, where those are fewer, and no
    batches of captions or of text where there are none. ``ConfigError`` where sessions are missing.
    """
    if tcfg.session_every and not corpus.sessions:
        raise ConfigError(
            f"The model {cfg.name} learns from sessions (session_every={tcfg.session_every}), "
            "and the data hold none.",
            "Give sessions with --sessions FILE or pictures of things with --things PATH, or train another "
            "model: --init demo.",
        )
    if corpus.tokenizer.vocab_size < cfg.vocab_size:
        cfg = cfg.model_copy(update={"vocab_size": corpus.tokenizer.vocab_size})
    if tcfg.session_every != 1 and not len(corpus.texts):
        tcfg = tcfg.model_copy(update={"text_every": 0})
    if tcfg.session_every != 1 and not len(corpus.train):
        tcfg = tcfg.model_copy(update={"text_every": 1})
    return cfg, tcfg


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
    start: Start | None = None,
) -> BitMar:
    """Train in ``out``, resuming what is there up to more steps, too. ``ConfigError`` if the run there is of
    other settings, or another process is at work on it.

    data: where the corpus was read from, for the record; start: what a new run begins with. Returns the
    trained model (eval mode).
    """
    with only_one(out, "a training run") if world.main else contextlib.nullcontext():
        return _train_run(cfg, tcfg, corpus, out, resume, progress, world, wandb, data, start)


def _train_run(
    cfg: ModelConfig,
    tcfg: TrainConfig,
    corpus: Corpus,
    out: Path,
    resume: bool,
    progress: bool,
    world: World,
    wandb: str | None,
    data: dict[str, Any] | None,
    start: Start | None,
) -> BitMar:
    cfg, tcfg = fitted(cfg, tcfg, corpus)
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
        "corpus": corpus.identity,
        "data": data or {},
    } | ({KEY: corpus.backbone.model_dump(mode="json")} if corpus.backbone else {})
    there = begun(out) if resume else {}
    if there:
        same_run(there, record, out)
    if start or "start" in there:
        record["start"] = {"from": start.source, "sha256": start.identity} if start else there["start"]
        if there and there.get("start", {}).get("sha256") != record["start"]["sha256"]:
            raise ConfigError(f"{out}: holds a run that began with other weights.", OTHER_FOLDER)
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
    epoch_steps = mixture.batches_per_epoch / tcfg.accumulation
    if tcfg.epochs:
        tcfg = tcfg.model_copy(update={"steps": math.ceil(tcfg.epochs * epoch_steps)})
    done = (checkpoint.load(out) or {"step": 0})["step"] if there else 0
    if done > tcfg.steps:
        raise ConfigError(
            f"{out}: has {done:,} steps already, {tcfg.steps:,} were asked for.",
            f"Ask for more steps. {OTHER_FOLDER}",
        )
    if world.main:
        with atomic_file(out / RUN_FILE) as f:
            f.write((json.dumps(record, indent=1) + "\n").encode())
        with atomic_file(out / TOKENIZER_FILE) as f:
            f.write(corpus.tokenizer.to_bytes())
    look = partial(look_at_holdout, mixtures=held, world=world) if held else None
    weights = start.weights if start else None
    with threads(tcfg.threads):
        model = train(cfg, tcfg, mixture, out, resume, progress, world, look, epoch_steps, wandb, weights)
    if world.main:
        plot_training(read_log(out), out)
    return model


def read_start(path: Path) -> Start:
    """What a run begins with: the last checkpoint of another run (a folder), or a frozen model (a file).

    ``DataError`` or ``FrozenError`` for anything else, ``ConfigError`` for a model without a tokenizer.
    """
    if not path.is_dir():
        return start_from_model(path)
    model, tokenizer, _ = load_run(path)
    return Start(str(path), model.cfg, tokenizer, model.state_dict())


def load_run(out: Path) -> tuple[BitMar, Tokenizer, dict[str, Any]]:
    """The trained model of a run (eval mode), its tokenizer and its record. ``DataError`` without a run."""
    record = read_record(out / RUN_FILE)
    model, step = load_model(
        ModelConfig.parse(record["model"], str(out / RUN_FILE)),
        out,
        record["training"].get("float_twin", False),
    )
    return model, Tokenizer.from_bytes((out / TOKENIZER_FILE).read_bytes()), record | {"steps": step}


def freeze_run(out: Path) -> FrozenModel:
    """Freeze the last checkpoint of a run. ``ConfigError`` for a float twin."""
    model, tokenizer, record = load_run(out)
    kept = ("steps", "training", "pictures", "text_samples", KEY)
    return freeze(model, tokenizer.to_bytes(), {k: record[k] for k in kept if k in record})
