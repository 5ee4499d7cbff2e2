# SPDX-License-Identifier: Apache-2.0
"""On the board, in the folder of the project:

python3 -m features cat.jpg -o cat.f32                     then: build/bitmar generate --image cat.f32
python3 -m features cat.jpg -- build/bitmar generate --tokens 20    the same in one go
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from .backbone import Model
from .declaration import FILE, Declaration
from .picture import decode
from .vectors import FrontEndError, scaled, to_vectors


def main() -> int:
    parser = argparse.ArgumentParser(
        "features",
        description="A picture through the backbone of this project into vectors for build/bitmar.",
    )
    parser.add_argument("picture", type=Path)
    parser.add_argument("-o", "--out", type=Path, help="file for the vectors; its name must end in .f32")
    parser.add_argument("--threads", type=int, default=0, help="default: one for each core")
    own, program = sys.argv[1:], []
    if "--" in own:
        at = own.index("--")
        own, program = own[:at], own[at + 1 :]
    options = parser.parse_args(own)
    if (options.out is None) == (not program) or options.out and options.out.suffix != ".f32":
        parser.error("give -o FILE.f32, or -- and the program to run with the vectors")
    try:
        vectors = features_of(options.picture, Path(__file__).with_name(FILE), options.threads)
        if options.out:
            options.out.write_bytes(vectors.astype("<f4").tobytes())
            return 0
        with tempfile.NamedTemporaryFile(suffix=".f32") as f:
            f.write(vectors.astype("<f4").tobytes())
            f.flush()
            return subprocess.run([*program, "--image", f.name]).returncode
    except FrontEndError as error:
        print(f"features: {error.message} {error.hint}".strip(), file=sys.stderr)
    except OSError as error:
        print(f"features: {error.filename or options.out}: {error.strerror}.", file=sys.stderr)
    return 2


def features_of(picture: Path, declaration: Path, threads: int = 0) -> np.ndarray:
    """float32 [vectors, 768] of a picture file by a ``backbone.json`` and the backbone beside it."""
    d = Declaration.read(declaration)
    file = declaration.with_name(d.file)
    if file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() != d.sha256:
        raise FrontEndError(
            f"{file}: not the file that {declaration.name} was made for.", "Copy the project again."
        )
    model = Model(file, d.size, d.outputs, threads)
    try:
        raw = picture.read_bytes()
    except OSError as error:
        raise FrontEndError(f"{picture}: cannot be read ({error.strerror}).") from None
    return to_vectors(
        model.run(scaled(decode(raw, d.size, str(picture)), d.mean, d.std)), d.normalise, d.vectors, d.project
    )


if __name__ == "__main__":
    sys.exit(main())
