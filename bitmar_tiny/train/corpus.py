# SPDX-License-Identifier: Apache-2.0
"""The corpus of a run: what its record names, prepared below its folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..arch.config import ModelConfig
from ..data.corpora import Corpus, built_corpus, demo_corpus, file_corpus, recall_corpus
from ..data.drawn import prepare_pictures
from ..data.pictures import LIST, read_album
from ..data.show_once import Recipe
from ..data.things.find import open_all
from ..data.things.table import Things
from ..data.tokenizer import Tokenizer
from ..errors import ConfigError, DataError
from .config import TrainConfig

#: Kinds of data that a run names by paths; ``run_corpus`` says what each is.
KINDS = ("pictures", "captions", "features", "text", "sessions", "things", "corpus", "styles")


def run_corpus(
    cfg: ModelConfig,
    tcfg: TrainConfig,
    data: dict[str, Any],
    progress: Callable[[int, int], None] | None = None,
    say: Callable[[str], None] = lambda words: None,
    tokenizer: Tokenizer | None = None,
) -> Corpus:
    """The corpus that ``data`` names: its ``folder`` for what is prepared; lists of paths of ``KINDS``,
    folders of pictures and whose captions, or captions and their features, text, sessions, things to make
    sessions of, a folder of ``bitmar-tiny corpus``; ``tokenizer``: gpt2 or own.

    Without any of them but styles it is the demo's, with further styles of pictures, or that
    of the preset ``recall``. say: is told what is left out; tokenizer: the one to use.
    """
    folder = Path(data["folder"])
    pictures, captions, features, texts, sessions, things, built, styles = (
        list(map(Path, data.get(k, ()))) for k in KINDS
    )
    if built:
        return built_corpus(built[0], cfg, progress, tokenizer)
    if not (pictures or captions or texts or sessions or things):
        return (
            recall_corpus(folder, cfg, tokenizer)
            if cfg.name == "recall"
            else demo_corpus(folder, cfg, progress, styles, tokenizer)
        )
    for path in pictures:
        if not path.is_dir() and path.suffix.lower() != LIST:
            what = "a file, not a folder" if path.exists() else "does not exist"
            raise DataError(f"{path}: {what}.", "Give the folder that the pictures are in.")
    if pictures:
        made = prepare_pictures(
            read_album(pictures, captions), folder / "pictures", cfg.image_inputs, progress, say
        )
        captions, features = [made[0]], [made[1]]
    recipe = Recipe(**{f.name: getattr(tcfg, f"session_{f.name}") for f in fields(Recipe)})
    shown = open_all(things, folder, cfg.image_inputs, progress)
    changed = tcfg.augment_shift or tcfg.augment_affine or tcfg.augment_colour or tcfg.augment_symmetry > 1
    if changed and not all(table.pixels for table in shown):
        raise ConfigError(
            "--things names features of a backbone, which cannot be shifted or turned like pixels.",
            "Set augment_shift=0, augment_affine=0, augment_colour=0 and augment_symmetry=1 in the training "
            "settings.",
        )
    _one_kind(shown)
    return file_corpus(
        cfg,
        captions,
        features,
        texts,
        folder,
        sessions=sessions,
        things=shown,
        recipe=recipe,
        tokenizer=tokenizer or data.get("tokenizer", "gpt2"),
        caption_budget=tcfg.caption_tokens,
        text_budget=tcfg.text_tokens,
        hold_out=tcfg.holdout_tokens,
        progress=progress,
    )


def _one_kind(tables: Sequence[Things]) -> None:
    """``ConfigError`` for pixels beside features, and for features of two backbones."""
    for table in tables[1:]:
        a, b = tables[0].backbone, table.backbone
        if a is not b and (a is None or b is None or not a.same(b)):
            raise ConfigError(
                f"--things names pictures that are seen in two ways: {_seen(tables[0])}, and {_seen(table)}.",
                "Make all features with one backbone, or give all as pictures.",
            )


def _seen(table: Things) -> str:
    return f"{table.source} through {table.backbone.name}" if table.backbone else f"{table.source} as pixels"
