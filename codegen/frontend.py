# SPDX-License-Identifier: Apache-2.0
"""The vision front end as a part of a Linux project: the backbone, its declaration, and the Python that runs
it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from bitmar_tiny.arch.config import ModelConfig
from bitmar_tiny.data import frontend
from bitmar_tiny.data.backbone_record import UNKNOWN, BackboneRecord, read_record
from bitmar_tiny.data.frontend.declaration import FILE, Declaration
from bitmar_tiny.data.frontend.vectors import FrontEndError
from bitmar_tiny.data.packages import sha256_file
from bitmar_tiny.errors import ConfigError, DataError

from .boards import Board

#: Folder of the project; also the name of the Python package that lies in it.
FOLDER = "features"


def check(
    features: Path, cfg: ModelConfig, wanted: BackboneRecord | None, board: Board, project: Path
) -> Declaration:
    """The declaration in a folder that ``bitmar-tiny features`` wrote, if this board and model can use it.
    wanted: what made the vectors that the model was trained on, if its record says so.
    """
    if not board.platform.takes_backbone:
        raise ConfigError(f"Board {board.name} cannot run a backbone file.", "Leave out --features.")
    if cfg.vision_channels:
        raise ConfigError(
            f"Model {cfg.name} takes pixels (vision_channels), not the vectors of a backbone.",
            "Leave out --features.",
        )
    if features.resolve() == (project / FOLDER).resolve():
        raise ConfigError(
            f"{features}: is the project's own copy.", "Give the folder that 'bitmar-tiny features' wrote."
        )
    try:
        declared = Declaration.read(features / FILE)
    except FrontEndError as error:
        raise DataError(error.message, error.hint) from None
    if declared.vectors != cfg.image_inputs:
        raise DataError(
            f"{features / FILE}: gives {declared.vectors} vectors a picture, the model takes "
            f"{cfg.image_inputs}.",
            "Pass --model to 'bitmar-tiny features', or choose another --size there.",
        )
    file = features / declared.file
    if not file.is_file() or sha256_file(file) != declared.sha256:
        raise DataError(
            f"{file}: missing, or not the file that {FILE} was made for.", "Run 'bitmar-tiny features' again."
        )
    found = read_record(features)
    if wanted and not wanted.same(UNKNOWN) and not wanted.same(found):
        raise ConfigError(
            f"{features}: holds {found.name}; model {cfg.name} was trained with {wanted.name}.",
            "Give the features that it was trained on, or 'bitmar-tiny features' that backbone and --model.",
        )
    return declared


def copy(features: Path | None, declared: Declaration | None, project: Path) -> None:
    """Write the folder into the project; remove an older one where none is wanted."""
    target = project / FOLDER
    shutil.rmtree(target, ignore_errors=True)
    if not features or not declared:
        return
    target.mkdir()
    for source in sorted(Path(frontend.__file__).parent.glob("*.py")):
        shutil.copyfile(source, target / source.name)
    for name in (FILE, declared.file):
        shutil.copyfile(features / name, target / name)
