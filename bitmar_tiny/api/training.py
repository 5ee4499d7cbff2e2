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
from ..frozen import FrozenModel

if TYPE_CHECKING:
    from ..data.corpora import Corpus
    from ..train.config import TrainConfig
    from ..train.distributed import World
    from ..train.measure import Cost
    from ..train.zero_fraction import ZeroFraction

__all__ = ["freeze_run", "train_model", "training_figures", "write_features"]

Paths = Sequence[str | Path]


def train_model(
    config: ModelConfig | str,
    out: str | Path,
    *,
    captions: Paths = (),
    features: Paths = (),
    text: Paths = (),
    sessions: Paths = (),
    styles: Paths = (),
    settings: str | Path | None = None,
    device: str = "auto",
    progress: bool = False,
    **changes: Any,
) -> Path:
    """Train a preset or a configuration in folder ``out``; a run that is there goes on where its last
    checkpoint left it.

    Without data of your own: the pictures and text of the preset's demo, with further ``styles`` of emoji.
    device: cpu, cuda or auto. ``changes``: training settings such as ``steps`` or ``seed``. Returns the
    folder of the run. ``ConfigError`` if the run there has other settings. Needs ``bitmar-tiny[train]``.
    """
    data = {"captions": captions, "features": features, "text": text, "sessions": sessions, "styles": styles}
    with training(config, out, data, settings, device, **changes) as run:
        run.train(progress=progress)
    return Path(out)


@dataclass(frozen=True)
class Training:
    """A run that is about to begin: its data are prepared, and the processes of torchrun have met."""

    config: ModelConfig
    settings: TrainConfig
    corpus: Corpus
    world: World
    data: dict[str, Any]
    out: Path

    def train(self, restart: bool = False, progress: bool = True, wandb: str | None = None) -> None:
        """Train, from the run's last checkpoint on unless ``restart``. wandb: offline or online."""
        from ..train.run import train_run

        train_run(
            self.config,
            self.settings,
            self.corpus,
            self.out,
            not restart,
            progress,
            self.world,
            wandb,
            self.data,
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
    config: ModelConfig | str,
    out: str | Path,
    data: dict[str, Paths],
    settings: str | Path | None = None,
    device: str = "auto",
    preparing: Callable[[int, int], None] | None = None,
    **changes: Any,
) -> Iterator[Training]:
    """Meet the other processes and prepare ``data``; in the main process ``preparing`` is told how much of it
    is done.
    """
    need("torch", "tensorboard", "matplotlib")
    from ..train.distributed import join, leave
    from ..train.run import run_corpus, settings_for

    cfg, run = preset(config) if isinstance(config, str) else config, Path(out)
    tcfg = settings_for(cfg, Path(settings) if settings else None, changes)
    paths: dict[str, Any] = {"folder": str((run / "data").absolute())}
    paths |= {kind: [str(Path(p).absolute()) for p in given] for kind, given in data.items()}
    world = join(device)
    try:
        if not world.main:
            world.wait()  # the main process prepares, the others find it done
        corpus = run_corpus(cfg, tcfg, paths, preparing if world.main else None)
        if world.main:
            world.wait()
        yield Training(cfg, tcfg, corpus, world, paths, run)
    finally:
        leave()


def write_features(
    pictures: Sequence[Path],
    out: str | Path,
    backbone: str | Path,
    *,
    blocks: Sequence[str] = (),
    architecture: str | None = None,
    size: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    **preparation: Any,
) -> None:
    """Feature vectors [N, n, 768] of pictures by a frozen backbone, with the file names as captions, into a
    folder: features.npy and captions.json.

    backbone: a .tflite or .onnx file, the folder of a transformers model, or weights of a timm
    ``architecture``; blocks: outputs to take, names or numbers; size: side of the pictures, where a file
    leaves it open; preparation: see ``data.features.Preparation``. ``ConfigError``, ``DataError``.
    """
    from ..data import backbones
    from ..data.features import Preparation
    from ..data.features import write_features as write

    path = Path(backbone)
    if path.is_dir() or architecture:
        if not blocks or not all(b.isdecimal() for b in blocks):
            raise ConfigError(
                "Which blocks of the backbone?", "Pass their numbers, for example --blocks 7 --blocks 10."
            )
        numbers = [int(b) for b in blocks]
        loaded = (
            backbones.timm_backbone(architecture, path, numbers, size=size or 224)
            if architecture
            else backbones.transformers_backbone(path, numbers, size=size or 224)
        )
    else:
        loaded = backbones.file_backbone(path, blocks, size=size)
    captions = [p.stem.replace("_", " ") for p in pictures]
    write(Path(out), loaded, list(pictures), captions, Preparation(**preparation), progress)


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
