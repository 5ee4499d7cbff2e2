"""Data goes one way: every stage of the main job is one function here.

    prepare_data -> training_data -> train -> freeze -> emit -> build -> verify -> caption
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Sequence

from .config import ModelConfig
from .data.corpus import CaptionSet, read_lines
from .data.mixture import Mixture
from .data.openmoji import load_openmoji, prepare_openmoji
from .data.text import prepare_text
from .data.tokenizer import Tokenizer
from .errors import ConfigError

#: The demo draws this much text beside its captions; more would not be seen in its few minutes.
DEMO_TEXT_BYTES = 1_000_000


@dataclass(frozen=True)
class Corpus:
    """Everything that training reads. ``held_out`` pictures are never trained on."""

    tokenizer: Tokenizer
    captions: CaptionSet | None
    train: list[int]
    held_out: list[int]
    texts: list[str]

    def mixture(self, *, batch_size: int, max_len: int, text_every: int, seed: int) -> Mixture:
        """The training batches."""
        return Mixture(self.tokenizer, self.captions, self.train, self.texts, batch_size=batch_size, max_len=max_len,
                       text_every=text_every, seed=seed)


def demo_corpus(folder: Path, cfg: ModelConfig, progress: Callable[[int, int], None] | None = None) -> Corpus:
    """The data that installs from pip: OpenMoji pictures with their names, Wikipedia and Wikibooks text."""
    captions, splits = load_openmoji(prepare_openmoji(folder, cfg.image_inputs, progress=progress))
    held_out = set(splits["holdout"])
    texts = list(read_lines(prepare_text(folder, max_bytes=DEMO_TEXT_BYTES)))
    train = [i for i in range(len(captions.captions)) if i not in held_out]
    tokenizer = Tokenizer.gpt2().prune(texts, cfg.vocab_size, keep_text=[captions.captions[i] for i in train])
    return Corpus(tokenizer, captions, train, sorted(held_out), texts)


def file_corpus(cfg: ModelConfig, pairs: Sequence[tuple[Path, Path]], texts: Sequence[Path],
                held_out_every: int = 20) -> Corpus:
    """The paper's formats: captions as a JSON list with .npy features beside it, BabyLM text files.

    Every ``held_out_every``-th picture is kept out of training. GPT-2's whole vocabulary is used
    unless the configuration asks for fewer tokens.
    """
    if len(pairs) > 1:
        raise ConfigError("Several caption files were given.", "Concatenate them, and their features, into one pair.")
    captions = CaptionSet.load(*pairs[0]) if pairs else None
    lines = [line for path in texts for line in read_lines(path)]
    n = len(captions.captions) if captions else 0
    held_out = list(range(0, n, held_out_every))
    train = sorted(set(range(n)) - set(held_out))
    tokenizer = Tokenizer.gpt2()
    if cfg.vocab_size != tokenizer.vocab_size:
        tokenizer = tokenizer.prune(lines, cfg.vocab_size, keep_text=[captions.captions[i] for i in train] if captions else None)
    if captions is not None and captions.n_vectors != cfg.image_inputs:
        raise ConfigError(f"{pairs[0][1]}: {captions.n_vectors} vectors per image, the model takes {cfg.image_inputs}.",
                          f"Set image_tokens={captions.n_vectors // cfg.image_pool**2}.")
    return Corpus(tokenizer, captions, train, held_out, lines)
