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
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ..arch.config import ModelConfig
from ..data.corpora import Corpus, demo_corpus, file_corpus, recall_corpus
from ..data.drawn import prepare_pictures
from ..data.pictures import read_album
from ..data.tokenizer import Tokenizer
from ..errors import ConfigError, DataError
from ..files import atomic_file, only_one, parse_json
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
from .start import Start, start_from_model
from .threads import threads

RUN_FILE, TOKENIZER_FILE = "run.json", "tokenizer.bin"
OTHER_FOLDER = "Choose another folder with -o, or pass --restart to start over."
#: Kinds of data that a run names by paths; ``run_corpus`` says what each is.
KINDS = ("pictures", "captions", "features", "text", "sessions", "styles")


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
    batches of captions or of text where there are none.
    """
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
    }
    there = _read(out / RUN_FILE) if resume and (out / RUN_FILE).is_file() else {}
    if there:
        _same_run(there, record, out)
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


def _same_run(there: dict[str, Any], record: dict[str, Any], out: Path) -> None:
    """``ConfigError`` where a run's record differs; settings that it does not name did not exist then, and
    had their defaults or, where those would change the run, what it did. More steps are no other settings.
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
        if key not in ("steps", "epochs") and values.get(key) != record[part][key]
    ]
    named = {k: record.get(k) for k in ("sessions", "corpus")}  # runs did not always record these
    if different or any(
        (named | there).get(k) != record.get(k) for k in ("tokenizer", "pictures", "text_samples", *named)
    ):
        raise ConfigError(
            f"{out}: holds a run of other settings ({', '.join(different) or 'other data'}).", OTHER_FOLDER
        )


def run_corpus(
    cfg: ModelConfig,
    tcfg: TrainConfig,
    data: dict[str, Any],
    progress: Callable[[int, int], None] | None = None,
    say: Callable[[str], None] = lambda words: None,
    tokenizer: Tokenizer | None = None,
) -> Corpus:
    """The corpus that ``data`` names: its ``folder`` for what is prepared; lists of paths of ``KINDS``,
    folders of pictures and whose captions, or captions and their features, text, sessions; ``tokenizer``:
    gpt2 or own.

    Without pictures, captions, text and sessions it is the demo's, with further styles of pictures, or that
    of the preset ``recall``. say: is told what is left out; tokenizer: the one to use.
    """
    folder = Path(data["folder"])
    pictures, captions, features, texts, sessions, styles = (list(map(Path, data.get(k, ()))) for k in KINDS)
    if not (pictures or captions or texts or sessions):
        return (
            recall_corpus(folder, cfg, tokenizer)
            if cfg.name == "recall"
            else demo_corpus(folder, cfg, progress, styles, tokenizer)
        )
    if pictures:
        made = prepare_pictures(
            read_album(pictures, captions), folder / "pictures", cfg.image_inputs, progress, say
        )
        captions, features = [made[0]], [made[1]]
    return file_corpus(
        cfg,
        captions,
        features,
        texts,
        folder,
        sessions=sessions,
        tokenizer=tokenizer or data.get("tokenizer", "gpt2"),
        caption_budget=tcfg.caption_tokens,
        text_budget=tcfg.text_tokens,
        hold_out=tcfg.holdout_tokens,
        progress=progress,
    )


def before(there: dict[str, Any]) -> dict[str, Any]:
    """The settings that a run's record names, with what runs did before a setting existed."""
    return {"write_gradient": False} | there.get("training", {})


def begun(out: Path) -> dict[str, Any]:
    """The record of the run in ``out``, {} where there is none."""
    return _read(out / RUN_FILE) if (out / RUN_FILE).is_file() else {}


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
        record = parse_json(path.read_bytes())
    except OSError:
        raise DataError(
            f"{path.parent}: there is no training run here.", "Start one with 'bitmar-tiny train -o FOLDER'."
        ) from None
    except ValueError:
        record = None
    tables = {"model": None, "training": None, "data": {}, "start": {}}
    if not isinstance(record, dict) or not all(isinstance(record.get(k, v), dict) for k, v in tables.items()):
        raise DataError(f"{path}: damaged, not a run's record.", "Start the run again with --restart.")
    return record
