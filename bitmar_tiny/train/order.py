# SPDX-License-Identifier: Apache-2.0
"""What is to be trained, put together from what was named and what a run that is there says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..arch.config import ModelConfig, preset
from ..data.corpora import Corpus
from ..data.tokenizer import Tokenizer
from ..errors import ConfigError
from .config import TrainConfig
from .corpus import KINDS, run_corpus
from .record import RUN_FILE, TOKENIZER_FILE, before, begun
from .run import read_start, settings_for
from .start import Start

DEFAULT_PRESET = "demo"
DEMO_DATA = "the demo data (pictures and text that ship inside pip packages)"
TOKENIZERS = ("gpt2", "own")


@dataclass(frozen=True)
class Order:
    """Model, settings, data (see ``corpus.run_corpus``), what to begin with, and a given tokenizer."""

    config: ModelConfig
    settings: TrainConfig
    data: dict[str, Any]
    start: Start | None = None
    tokenizer: Tokenizer | None = None

    @property
    def own_data(self) -> bool:
        """Whether data is named, so that the demo's is not used."""
        return any(self.data.get(kind) for kind in KINDS if kind != "styles")

    def corpus(
        self,
        progress: Callable[[int, int], None] | None = None,
        say: Callable[[str], None] = lambda words: None,
    ) -> Corpus:
        """Prepare the data. say: is told what is prepared, what is left out, and what there is."""
        if not self.own_data:
            made_up = self.config.name == "recall"
            say(f"Preparing {'made-up sessions' if made_up else DEMO_DATA} ...")
        corpus = run_corpus(self.config, self.settings, self.data, progress, say, self.tokenizer)
        say(corpus.summary)
        return corpus


def order(
    out: Path,
    own: Mapping[str, Sequence[Path | str]],
    *,
    config: ModelConfig | None = None,
    settings: Path | None = None,
    changes: Mapping[str, Any] | None = None,
    tokenizer: str | None = None,
    init: Path | None = None,
    resume: bool = True,
) -> Order:
    """What to train in ``out``. What is not named is as in the run that is there, else as in ``init``, else
    as in the demo.

    own: paths by kind (``corpus.KINDS``); changes: settings on top; tokenizer: one of ``TOKENIZERS``; init: a
    run or a frozen model to begin with. Not resume: the run that is there counts only where neither data nor
    a model is named, and what it began with is read again. ``ConfigError`` where parts do not go together.
    """
    _check(own, config, tokenizer, init)
    there = begun(out) if resume or not (config or any(own.values())) else {}
    start = read_start(init.absolute()) if init else None
    if start is None and not resume and "start" in there:
        start = _same_start(there["start"], out)
    wanted = dict(changes or {})
    if there and config is None and settings is None:
        config = start.config if start else ModelConfig.parse(there["model"], str(out / RUN_FILE))
        wanted = before(there) | ({"epochs": 0} if "steps" in wanted else {}) | wanted
        tcfg = TrainConfig.parse(wanted, str(out / RUN_FILE))
    else:
        if config is None and start is None and there and not resume:
            config = ModelConfig.parse(there["model"], str(out / RUN_FILE))
        config = config or (start.config if start else preset(DEFAULT_PRESET))
        tcfg = settings_for(config, settings, wanted)
    data: dict[str, Any] = {k: [str(Path(p).absolute()) for p in own.get(k, ())] for k in KINDS}
    if tokenizer:
        data["tokenizer"] = tokenizer
    if there.get("data") and not any(data.values()):
        data = dict(there["data"])
    given = start.tokenizer if start else None
    if start is None and "start" in there:
        given = Tokenizer.from_bytes((out / TOKENIZER_FILE).read_bytes())
    return Order(config, tcfg, data | {"folder": str((out / "data").absolute())}, start, given)


def _same_start(named: Mapping[str, Any], out: Path) -> Start:
    """What a run began with, read again."""
    start = read_start(Path(named.get("from", "")))
    if start.identity != named.get("sha256"):
        raise ConfigError(
            f"{start.source}: no longer the weights that {out} began with.",
            "Name what to begin with: --init RUN|MODEL.",
        )
    return start


def _check(
    own: Mapping[str, Sequence[Any]], config: ModelConfig | None, tokenizer: str | None, init: Path | None
) -> None:
    pictures, captions, features, *others, styles = (own.get(kind, ()) for kind in KINDS)
    if features and pictures:
        raise ConfigError("--pictures and --features both give the pictures.", "Leave out one of them.")
    if captions and not features and not pictures:
        raise ConfigError(
            "--captions need their pictures.", "Name them: --pictures FOLDER, or --features FILE.npy."
        )
    if features and not captions:
        raise ConfigError("--features need their captions.", "Name them: --captions FILE.")
    if styles and (captions or pictures or any(others)):
        raise ConfigError(
            "--style adds pictures to the demo data, which data of your own takes the place of.",
            "Leave out one of them.",
        )
    if own.get("corpus") and (tokenizer == "own" or any(p for k, p in own.items() if k != "corpus")):
        raise ConfigError(
            "--corpus brings its text and pictures, for GPT-2's vocabulary.", "Leave out the other data."
        )
    if len(own.get("corpus", ())) > 1:
        raise ConfigError("--corpus was given twice.", "Leave out one of them.")
    if own.get("sessions") and own.get("things"):
        raise ConfigError("--sessions and --things both give sessions.", "Leave out one of them.")
    if tokenizer == "own" and not (captions or pictures or any(others)):
        raise ConfigError(
            "A tokenizer of your own is trained on data of your own.", "Name some: --text, --pictures."
        )
    if init and (config or tokenizer):
        raise ConfigError(
            "A run that begins with --init has its shapes and its tokenizer.",
            f"Leave out {'--tokenizer' if tokenizer else '--preset and --config'}.",
        )
