# SPDX-License-Identifier: Apache-2.0
"""Running tasks: which scorer, which items, which conditions of the memory."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.corpus import open_features, to_float
from ..data.lines import read_lines
from ..data.tokenizer import Tokenizer
from ..errors import ConfigError, DataError
from ..frozen import FrozenModel
from ..run.session import Session, open_session
from .choice import evaluate_choice
from .formats import FORMATS, Item, evenly, read_items
from .kept import KeptScorer, kept_file
from .labelled import SETS, labelled_items
from .perplexity import evaluate_perplexity
from .scoring import Progress, Scorer, SessionScorer, TorchScorer

if TYPE_CHECKING:
    from ..model.bitmar import BitMar

#: Opens a session with a model on a target.
Open = Callable[[str, FrozenModel], Session]

MEMORY = ("on", "off", "shuffled")
PERPLEXITY = "perplexity"
#: Tasks besides those of ``FORMATS``; all but the first are the command's own.
OTHER_TASKS = (PERPLEXITY, "captions", "retrieval", "sessions", "entity-memory")


@dataclass(frozen=True)
class Subject:
    """What is evaluated: a frozen model, or the network of a training run (``frozen`` is None: PyTorch
    alone).
    """

    name: str
    frozen: FrozenModel | None
    network: BitMar | None
    tokenizer: Tokenizer

    @property
    def config(self):
        return self.frozen.config if self.frozen else self.network.cfg

    @property
    def identity(self) -> str:
        """Of the weights: the frozen model's, or a hash of the network's."""
        if self.frozen:
            return self.frozen.digest
        hashed = hashlib.sha256()
        for name, weights in self.network.state_dict().items():
            hashed.update(name.encode() + weights.cpu().numpy().tobytes())
        return hashed.hexdigest()

    def torch(self, frozen: FrozenModel | None = None) -> BitMar:
        """The network in eval mode; ``frozen``: of this model instead."""
        from ..model.export import load_frozen

        return (
            self.network
            if self.network is not None and frozen is None
            else load_frozen(frozen or self.frozen)
        )


def open_subject(path: Path) -> Subject:
    """A frozen model, or the folder of a training run. ``FrozenError``, ``DataError``; ``ConfigError``
    without a tokenizer.
    """
    if path.is_dir():
        from ..train.run import load_run

        network, tokenizer, _ = load_run(path)
        return Subject(str(path), None, network, tokenizer)
    return _frozen(path, FrozenModel.load(path))


def _frozen(path: Path, frozen: FrozenModel) -> Subject:
    if not frozen.tokenizer:
        raise ConfigError(
            f"{path}: this model was frozen without a tokenizer.",
            "Freeze it with one to evaluate it on text.",
        )
    return Subject(str(path), frozen, None, Tokenizer.from_bytes(frozen.tokenizer))


def frozen_subject(path: Path) -> Subject:
    """As ``open_subject``; a training run is frozen, in memory alone."""
    if not path.is_dir():
        return open_subject(path)
    from ..train.run import freeze_run

    return _frozen(path, freeze_run(path))


def shuffle_memory(frozen: FrozenModel, seed: int = 0) -> FrozenModel:
    """The model with the codes of its memory in random order over slots and columns: the same values, no
    content.
    """
    codes = frozen.arrays["memory.m.codes"]
    mixed = np.random.default_rng(seed).permutation(codes.ravel()).reshape(codes.shape)
    return FrozenModel(
        frozen.config, frozen.arrays | {"memory.m.codes": mixed}, frozen.tokenizer, frozen.provenance
    )


@contextlib.contextmanager
def open_scorer(
    subject: Subject,
    on: str = "torch",
    memory: str = "on",
    opened: Open = open_session,
    keep: Path | None = None,
) -> Iterator[Scorer]:
    """A scorer on a target of ``open_session`` with the memory in one of the conditions ``MEMORY``.

    keep: a folder in which its scores are kept, and looked up.
    """
    if subject.frozen is None and (on != "torch" or memory == "shuffled"):
        raise ConfigError(
            f"{subject.name}: a training run is evaluated with PyTorch and the memory as it is, or off.",
            "Freeze it first: bitmar-tiny freeze RUN -o model.bitmar",
        )
    frozen = shuffle_memory(subject.frozen) if memory == "shuffled" else subject.frozen
    with contextlib.ExitStack() as stack:
        scorer: Scorer
        if on == "torch":  # in batches
            scorer = TorchScorer(subject.torch(frozen if memory == "shuffled" else None), memory != "off")
        else:
            scorer = SessionScorer(stack.enter_context(opened(on, frozen)), memory != "off")
        yield KeptScorer(scorer, kept_file(keep, subject.identity, on, memory)) if keep else scorer


@dataclass(frozen=True)
class TextTask:
    """A task that a scorer can run: ``run(scorer, progress)`` gives its figures. kind: choice, wug or
    perplexity.
    """

    name: str
    kind: str
    run: Callable[[Scorer, Progress | None], dict[str, Any]]


def is_task(spec: str) -> bool:
    """Whether TASK or TASK=PATH names a task."""
    return spec.partition("=")[0] in (*OTHER_TASKS, *FORMATS)


def text_task(
    spec: str,
    subject: Subject,
    limit: int | None = None,
    longest: int | None = None,
    features: Path | None = None,
) -> TextTask:
    """TASK or TASK=PATH -> what to run. longest: most tokens that the model reads (its trained positions).

    ``ConfigError`` for an unknown task, ``DataError`` for files that are missing or of another shape.
    """
    name, _, path = spec.partition("=")
    longest = longest or subject.config.n_positions
    if name == PERPLEXITY:
        if not path:
            raise ConfigError("perplexity needs a text.", "Name it: perplexity=FILE, one sample a line.")
        texts = evenly(list(read_lines(path, ".dev")), limit)
        return TextTask(
            name,
            PERPLEXITY,
            lambda scorer, progress: evaluate_perplexity(scorer, texts, subject.tokenizer, longest, progress),
        )
    if name not in FORMATS:
        known = (*OTHER_TASKS, *FORMATS)
        raise ConfigError(f"There is no task '{name}'.", f"Choose from: {', '.join(known)}.")
    if not path and name not in SETS:
        raise ConfigError(f"The task {name} needs its files.", f"Name the file or folder: {name}=PATH.")
    items = read_items(name, path, limit) if path else labelled_items(name, limit)
    images = load_images(features, subject, items) if features else None
    kind = "wug" if FORMATS[name].metric == "spearman" else "choice"
    return TextTask(
        name,
        kind,
        lambda scorer, progress: (
            evaluate_choice(scorer, items, subject.tokenizer, longest, images, progress).as_dict()
            | {"images": images is not None}
        ),
    )


def load_images(path: Path, subject: Subject, items: list[Item]) -> np.ndarray | None:
    """float32 [N, n, 768] of a features file, None where no item has an image."""
    if all(item.image is None for item in items):
        return None
    stored = open_features(path)
    stored = stored if stored.ndim == 3 else stored[:, None]
    if stored.shape[1] != subject.config.image_inputs:
        raise DataError(
            f"{path}: {stored.shape[1]} vectors per image, the model takes {subject.config.image_inputs}.",
            "Make the features for this model with 'bitmar-tiny features'.",
        )
    return to_float(stored)
