# SPDX-License-Identifier: Apache-2.0
"""Data goes one way: every stage of the main job is one function here.

prepare_data -> training_data -> train -> freeze -> emit -> build -> verify -> caption
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..arch.config import ModelConfig
from ..errors import ConfigError, DataError
from .backbone_record import BackboneRecord
from .collect.build import HELD_OUT, STYLE_FOLDER, TRAIN, complete
from .collect.captions import with_sentences
from .corpus import CaptionSet
from .lines import read_lines
from .mixture import Mixture
from .openmoji import load_openmoji, prepare_openmoji
from .places import write_places
from .sessions import Sessions, draw_pictures, read_sessions
from .shards import build_tokens
from .show_once import MadeSessions, Recipe, every_text
from .text import prepare_text
from .things.table import Things
from .tokenizer import Tokenizer
from .tokenizer_train import train_tokenizer
from .tokens import Tokens, split

#: The demo draws this much of either text beside its captions; more would not be seen in its few minutes.
DEMO_TEXT_BYTES = 1_000_000
#: The same for a longer run with several styles: as much of the articles as there is of the recipes.
LONG_TEXT_BYTES = 2_500_000
#: Made-up sessions of the preset ``recall``: a third of what it sees, so that each is seen three times.
PLACES_SESSIONS = 32_000
#: Without a hold-out in tokens, every nth picture is kept out of training.
HELD_OUT_EVERY = 20
_ROWS, _PIECE = 1024, 1 << 20


@dataclass(frozen=True)
class Corpus:
    """Everything that training reads. ``held_out`` pictures and ``held_out_texts`` are never trained on.

    caption_tokens: of all captions, in their order; texts: samples to train on.
    """

    tokenizer: Tokenizer
    captions: CaptionSet | None
    caption_tokens: Tokens
    train: Sequence[int]
    held_out: Sequence[int]
    texts: Tokens
    held_out_texts: Tokens
    sessions: Sessions | MadeSessions | None = None

    @property
    def identity(self) -> str:
        """SHA-256 (hex) of all that is trained on: corpora that differ in a word or a pixel differ in it."""
        seal = hashlib.sha256(self.tokenizer.identity.encode())
        seal.update(np.asarray(self.train, np.int64).tobytes())
        tokens = (self.caption_tokens, self.texts)
        arrays = [a for t in tokens for a in (t.starts, t.sizes, t.flat)]
        for array in itertools.chain(arrays, self.sessions.arrays() if self.sessions else ()):
            step = _PIECE if array.ndim == 1 else _ROWS
            for start in range(0, len(array), step):
                seal.update(array[start : start + step].tobytes())
        if self.captions is not None:
            seal.update(self.captions.rows.tobytes())
            for start in range(0, len(self.captions.features), _ROWS):
                rows = np.arange(start, min(start + _ROWS, len(self.captions.features)))
                seal.update(self.captions.features[rows].tobytes())
        return seal.hexdigest()

    @property
    def backbone(self) -> BackboneRecord | None:
        """What made the vectors of the things that sessions are made of; None of pixels."""
        return self.sessions.tables[0].backbone if isinstance(self.sessions, MadeSessions) else None

    @property
    def _sessions(self) -> tuple[str, str]:
        """What ``sessions`` counts, one and more."""
        made = isinstance(self.sessions, MadeSessions)
        return ("thing to show", "things to show") if made else ("session", "sessions")

    @property
    def summary(self) -> str:
        """What there is, in one line."""
        counts = (
            (len(self.captions.features) if self.captions else 0, "picture", "pictures"),
            (len(self.train), "caption to learn from", "captions to learn from"),
            (len(self.held_out), "held out", "held out"),
            (len(self.texts), "line of text", "lines of text"),
            (len(self.sessions or ()), *self._sessions),
            (self.tokenizer.vocab_size, "token in the vocabulary", "tokens in the vocabulary"),
        )
        return ", ".join(f"{n:,} {one if n == 1 else more}" for n, one, more in counts if n) + "."

    def mixture(
        self, *, batch_size: int, max_len: int, text_every: int, session_every: int, seed: int
    ) -> Mixture:
        """The training batches."""
        return Mixture(
            self.tokenizer,
            self.captions,
            self.train,
            self.texts,
            batch_size=batch_size,
            max_len=max_len,
            text_every=text_every,
            seed=seed,
            caption_tokens=self.caption_tokens,
            sessions=self.sessions,
            session_every=session_every,
        )

    def held_out_batches(self, *, batch_size: int, max_len: int) -> list[Mixture]:
        """What was held out, captions and text apart, each to be read for one epoch."""
        return [
            Mixture(
                self.tokenizer,
                self.captions,
                self.held_out,
                self.held_out_texts,
                batch_size=min(batch_size, n),
                max_len=max_len,
                text_every=every,
                caption_tokens=self.caption_tokens,
            )
            for every, n in ((0, len(self.held_out)), (1, len(self.held_out_texts)))
            if n
        ]


def demo_corpus(
    folder: Path,
    cfg: ModelConfig,
    progress: Callable[[int, int], None] | None = None,
    styles: Sequence[Path] = (),
    tokenizer: Tokenizer | None = None,
) -> Corpus:
    """The data that installs from pip: OpenMoji pictures with their names, Wikipedia and Wikibooks text.

    styles: folders of further emoji styles (``data.iconify``), for a longer run, which reads more text, too.
    tokenizer: another than GPT-2's, pruned to the model's size.
    """
    captions, splits = load_openmoji(
        prepare_openmoji(folder, cfg.image_inputs, progress=progress, styles=styles)
    )
    held_out = set(splits["holdout"])
    texts = list(
        read_lines(prepare_text(folder, max_bytes=LONG_TEXT_BYTES if styles else DEMO_TEXT_BYTES), ".train")
    )
    train = [i for i in range(len(captions.captions)) if i not in held_out]
    tokenizer = tokenizer or Tokenizer.gpt2().prune(
        texts, cfg.vocab_size, keep_text=[captions.captions[i] for i in train]
    )
    return Corpus(
        tokenizer,
        captions,
        Tokens.encode(tokenizer, captions.captions),
        train,
        sorted(held_out),
        Tokens.encode(tokenizer, texts),
        Tokens.encode(tokenizer, read_lines(folder, ".dev")),
    )


def recall_corpus(folder: Path, cfg: ModelConfig, tokenizer: Tokenizer | None = None) -> Corpus:
    """Made-up sessions about where things are, written to ``folder``: what preset ``recall`` learns from."""
    folder.mkdir(parents=True, exist_ok=True)
    write_places(folder / "places.jsonl", PLACES_SESSIONS)
    told = (folder / "places.jsonl",)
    return file_corpus(cfg, (), (), (), folder, sessions=told, tokenizer=tokenizer or "gpt2")


def built_corpus(
    built: Path,
    cfg: ModelConfig,
    progress: Callable[[int, int], None] | None = None,
    tokenizer: Tokenizer | None = None,
) -> Corpus:
    """What ``bitmar-tiny corpus`` put together in a folder. Pictures are drawn and text is tokenised below it
    once, for all runs of one size and vocabulary. ``DataError`` where it is not whole.

    tokenizer: another than GPT-2's, whole or pruned to the model's size.
    """
    if complete(built) is None:
        raise DataError(
            f"{built}: holds no corpus, or one that is not whole.", f"Run: bitmar-tiny corpus -o {built}"
        )
    styles = sorted(path for path in (built / STYLE_FOLDER).iterdir() if path.is_dir())
    drawn = prepare_openmoji(
        built / f"pictures-{cfg.image_inputs}", cfg.image_inputs, progress=progress, styles=styles
    )
    named, splits = load_openmoji(drawn)
    captions, held_out = with_sentences(named), np.array(splits["holdout"])
    train = np.flatnonzero(~np.isin(captions.rows, held_out))
    tokenizer = tokenizer or _tokenizer(
        False, cfg.vocab_size, read_lines(built / TRAIN), [captions.captions[i] for i in train]
    )
    held_out_text = sorted((built / HELD_OUT).glob("*.dev"))
    return Corpus(
        tokenizer,
        captions,
        Tokens.encode(tokenizer, captions.captions),
        train.tolist(),
        held_out.tolist(),
        build_tokens(tokenizer, [built / TRAIN], built / "tokens", progress=progress),
        build_tokens(tokenizer, held_out_text, built / "tokens", progress=progress),
    )


def file_corpus(
    cfg: ModelConfig,
    captions: Sequence[Path],
    features: Sequence[Path],
    texts: Sequence[Path],
    folder: Path,
    *,
    sessions: Sequence[Path] = (),
    things: Sequence[Things] = (),
    recipe: Recipe | None = None,
    tokenizer: Tokenizer | str = "gpt2",
    caption_budget: int = 0,
    text_budget: int = 0,
    hold_out: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Corpus:
    """Data in files: captions with .npy features, text, both tokenised once into ``folder``; and sessions,
    of files, or made of ``things`` by a ``recipe``.

    tokenizer: one to use, "gpt2" (GPT-2's, pruned to as many tokens as the configuration asks for) or "own"
    (trained on these texts, of at most so many tokens). hold_out: tokens kept out of training, half of them
    captions where there are both (0: every 20th picture, no text); caption_budget, text_budget: then train on
    so many tokens (0: on all the rest).
    """
    for path in texts:
        if not any(read_lines(path)):
            raise DataError(f"{path}: holds no text.", "Give a file with a line of text at least.")
    pictures = CaptionSet.load_all(captions, features) if captions else None
    if pictures is not None and not hold_out and len(pictures.features) == 1:
        raise DataError(
            f"There is one picture, and the first of every {HELD_OUT_EVERY} is kept out of training.",
            "Give two pictures at least.",
        )
    if pictures is not None and pictures.n_vectors != cfg.image_inputs:
        raise ConfigError(
            f"{features[0]}: {pictures.n_vectors} vectors per image, the model takes {cfg.image_inputs}.",
            f"Set image_tokens={pictures.n_vectors // cfg.image_pool**2}.",
        )
    if pictures is not None and cfg.vision_channels and pictures.features.dtype != np.uint8:
        raise ConfigError(
            f"{features[0]}: features of a backbone, and vision_channels takes pixels.",
            "Give uint8 patches or --pictures, or leave out vision_channels.",
        )
    if cfg.vision_channels and not all(table.pixels for table in things):
        raise ConfigError(
            "--things names features of a backbone, and vision_channels takes pixels.",
            "Name the pictures themselves, or leave out vision_channels.",
        )
    told = [session for path in sessions for session in read_sessions(path)]
    told, shown = draw_pictures(told, folder / "session_pictures", cfg.image_inputs, progress)
    if isinstance(tokenizer, str):
        lines = itertools.chain(
            (line for path in texts for line in read_lines(path)),
            (text for session in told for text in session.texts),
        )
        spelled = _spelled(pictures) + (every_text() if things else [])
        tokenizer = _tokenizer(tokenizer == "own", cfg.vocab_size, lines, spelled)
    caption_tokens = build_tokens(tokenizer, captions, folder, captions=True, progress=progress)
    text_tokens = build_tokens(tokenizer, texts, folder, progress=progress)
    both = bool(len(caption_tokens) and len(text_tokens))
    share = hold_out // (1 + both)
    if hold_out:
        train, held = split(caption_tokens, share, caption_budget)
        if pictures is not None:  # no caption of a picture that training sees is held out
            held = held[~np.isin(pictures.rows[held], pictures.rows[train])]
    else:
        rows = pictures.rows if pictures is not None else np.zeros(0, np.int64)
        train, held = np.flatnonzero(rows % HELD_OUT_EVERY), np.flatnonzero(rows % HELD_OUT_EVERY == 0)
    text_train, text_held = split(text_tokens, share, text_budget)
    for what, left in (
        ("captions", len(train) or not len(caption_tokens)),
        ("text", len(text_train) or not len(text_tokens)),
    ):
        if not left:
            raise ConfigError(
                f"A hold-out of {hold_out:,} tokens leaves no {what} to train on.",
                "Set a smaller holdout_tokens.",
            )
    return Corpus(
        tokenizer,
        pictures,
        caption_tokens,
        train,
        held,
        text_tokens.take(text_train),
        text_tokens.take(text_held),
        MadeSessions(things, tokenizer, recipe or Recipe())
        if things
        else Sessions.encode(tokenizer, told, shown)
        if told
        else None,
    )


def _tokenizer(own: bool, size: int, lines: Iterable[str], captions: Sequence[str]) -> Tokenizer:
    """A tokenizer of the texts' own, or GPT-2's, pruned to ``size`` tokens by what they use."""
    if own:
        return train_tokenizer(itertools.chain(captions, lines), size)
    whole = Tokenizer.gpt2()
    return whole if size == whole.vocab_size else whole.prune(lines, size, keep_text=captions)


def _spelled(pictures: CaptionSet | None) -> list[str]:
    """Captions that a vocabulary has to spell whole: those outside the plain every-20th hold-out."""
    if pictures is None:
        return []
    return [c for c, row in zip(pictures.captions, pictures.rows, strict=True) if row % HELD_OUT_EVERY]
