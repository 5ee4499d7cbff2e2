"""bitmar-tiny train"""

from __future__ import annotations

from pathlib import Path

import click

from ..config import ModelConfig, preset
from ..errors import ConfigError
from .app import notes


@click.command()
@click.option("--preset", "preset_name", default="demo", show_default=True, help="Model preset: demo, pocket or paper.")
@click.option("--config", type=click.Path(path_type=Path), help="Model configuration as JSON, instead of a preset.")
@click.option("--settings", type=click.Path(path_type=Path), help="Training settings as JSON (see docs/training.md).")
@click.option("--captions", type=click.Path(path_type=Path), help="Captions, a JSON list of strings.")
@click.option("--features", type=click.Path(path_type=Path), help="Features of the pictures, .npy [N,768] or [N,P,768].")
@click.option("--text", multiple=True, type=click.Path(path_type=Path), help="BabyLM *.train file or folder; repeatable.")
@click.option("--steps", type=click.IntRange(1), help="Training steps.")
@click.option("--seed", type=click.IntRange(0), help="Seed of weights and data order.")
@click.option("--float-twin", is_flag=True, help="Same architecture in float, for comparison; cannot be frozen.")
@click.option("--restart", is_flag=True, help="Start over instead of resuming the run in OUT.")
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("run"), show_default=True, help="Folder of the run.")
def command(preset_name: str, config: Path | None, settings: Path | None, captions: Path | None, features: Path | None,
            text: tuple[Path, ...], steps: int | None, seed: int | None, float_twin: bool, restart: bool, out: Path) -> None:
    """Train a model, quantisation-aware. Without data of your own: OpenMoji pictures and simple text from pip.

    A run that was interrupted, even by kill -9, continues exactly where its last checkpoint left it.

    \b
    Examples: bitmar-tiny train -o run
              bitmar-tiny train --preset paper --captions cc.json --features cc.npy --text babylm/ -o run
    """
    from ..pipeline import demo_corpus, file_corpus
    from ..train.run import settings_for, train_run

    cfg = ModelConfig.load(config) if config else preset(preset_name)
    if bool(captions) != bool(features):
        raise ConfigError("--captions and --features belong together.", "Give both or neither.")
    changes = {"steps": steps, "seed": seed, "float_twin": float_twin or None}
    tcfg = settings_for(cfg, settings, {k: v for k, v in changes.items() if v is not None})
    if captions or text:
        corpus = file_corpus(cfg, [(captions, features)] if captions else [], text)
    else:
        notes.print("Preparing the demo data (pictures and text that ship inside pip packages) ...")
        corpus = demo_corpus(out / "data", cfg)
    train_run(cfg, tcfg, corpus, out, resume=not restart)
    notes.print(f"Next: bitmar-tiny freeze {out} -o model.bitmar")
