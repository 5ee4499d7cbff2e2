# SPDX-License-Identifier: Apache-2.0
"""On the board, in the folder of the project:

python3 -m features cat.jpg -o cat.f32                     then: build/bitmar generate --image cat.f32
python3 -m features cat.jpg -- build/bitmar generate --tokens 20    the same in one go
python3 -m features cat.jpg -o - | build/bitmar ask -                the vectors through a pipe
camera | python3 -m features - -o - | build/bitmar ask -             of each PPM picture that comes
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from .backbone import Model
from .declaration import FILE, Declaration
from .picture import decode
from .stream import pictures
from .vectors import FrontEndError, scaled, to_vectors


def main() -> int:
    parser = argparse.ArgumentParser(
        "features",
        description="A picture through the backbone of this project into vectors for build/bitmar.",
    )
    parser.add_argument("picture", type=Path, help="a file; -: each PPM picture of standard input")
    parser.add_argument("-o", "--out", type=Path, help="file.f32 for the vectors, or - for standard output")
    parser.add_argument("--threads", type=int, default=0, help="default: one for each core")
    own, program = sys.argv[1:], []
    if "--" in own:
        at = own.index("--")
        own, program = own[:at], own[at + 1 :]
    options = parser.parse_args(own)
    out, piped = options.out, str(options.out) == "-"
    if (out is None) == (not program) or out and out.suffix != ".f32" and not piped:
        parser.error("give -o FILE.f32, -o -, or -- and the program to run with the vectors")
    if str(options.picture) == "-" and not piped:
        parser.error("the pictures of standard input become a stream; give -o -")
    try:
        encoder = Encoder(Path(__file__).with_name(FILE), options.threads)
        if piped:
            return pipe(encoder, options.picture)
        vectors = encoder.encode(read(options.picture), str(options.picture))
        if out:
            out.write_bytes(vectors.astype("<f4").tobytes())
            return 0
        with tempfile.NamedTemporaryFile(suffix=".f32") as f:
            f.write(vectors.astype("<f4").tobytes())
            f.flush()
            return subprocess.run([*program, "--image", f.name]).returncode
    except FrontEndError as error:
        print(f"features: {error.message} {error.hint}".strip(), file=sys.stderr)
    except BrokenPipeError:  # nobody reads the rest
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        print(f"features: {error.filename or out}: {error.strerror}.", file=sys.stderr)
    return 2


def pipe(encoder: Encoder, picture: Path) -> int:
    """The vectors of a picture, or of each of standard input as it comes, to standard output."""
    where = str(picture)
    for raw in pictures(sys.stdin.buffer) if where == "-" else [read(picture)]:
        sys.stdout.buffer.write(encoder.encode(raw, where).astype("<f4").tobytes())
        sys.stdout.buffer.flush()
    return 0


def read(picture: Path) -> bytes:
    """A picture file."""
    try:
        return picture.read_bytes()
    except OSError as error:
        raise FrontEndError(f"{picture}: cannot be read ({error.strerror}).") from None


class Encoder:
    """The backbone that a ``backbone.json`` declares, which lies beside it."""

    def __init__(self, declaration: Path, threads: int = 0) -> None:
        self.declared = d = Declaration.read(declaration)
        file = declaration.with_name(d.file)
        if file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() != d.sha256:
            raise FrontEndError(
                f"{file}: not the file that {declaration.name} was made for.", "Copy the project again."
            )
        self.model = Model(file, d.size, d.outputs, threads)

    def encode(self, raw: bytes, where: str) -> np.ndarray:
        """float32 [vectors, 768] of an encoded picture; errors name ``where``."""
        d = self.declared
        pixels = scaled(decode(raw, d.size, where), d.mean, d.std)
        return to_vectors(self.model.run(pixels), d.normalise, d.vectors, d.project)


if __name__ == "__main__":
    sys.exit(main())
