"""bitmar-tiny features"""

from __future__ import annotations

from pathlib import Path

import click

from .app import notes


@click.command()
@click.argument("pictures", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--backbone", required=True, type=click.Path(path_type=Path), help="DINOv2 as an ONNX file, or a local timm/transformers folder.")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder for features.npy and features.json.")
@click.option("--pool/--no-pool", default=False, help="2x2 average pooling of the patch grid.")
def command(pictures: tuple[Path, ...], backbone: Path, out: Path, pool: bool) -> None:
    """Turn PICTURES into 768-D feature vectors with a DINOv2 backbone.

    \b
    Example: bitmar-tiny features cat.png dog.png --backbone vit_s.onnx -o features
    """
    raise NotImplementedError
