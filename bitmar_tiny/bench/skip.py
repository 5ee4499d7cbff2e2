# SPDX-License-Identifier: Apache-2.0
"""What picks read of a 2-skip head on real text, counted in C, and whether they are those of the whole head.

python -m bitmar_tiny.bench.skip MODEL TEXT... [--steps 100000] [--candidates 1] [--json]
"""

from __future__ import annotations

import argparse
import itertools
import json
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bitmar_tiny.codegen.pack import pack, pack_skip
from bitmar_tiny.codegen.resources import resource_dir
from bitmar_tiny.codegen.skip import skip_order

from ..data.tokenizer import Tokenizer
from ..errors import BitmarError, DataError
from ..files import TemporaryFolder
from ..frozen import FrozenModel
from ..frozen.shipped import find_model
from ..golden.model import GoldenModel
from ..golden.sampler import MAX_TOP_K
from .c_program import compiled, result, within

BENCH_TIMEOUT_S = 3600


@dataclass(frozen=True)
class SkipCount:
    """Over ``inputs`` picks: how many had the ``same`` candidates and logits both ways, steps of tiles
    ``read`` and in ``all``, seconds of picks from the whole head and of those that skip (portable C, both).
    """

    inputs: int
    same: int
    read: int
    all: int
    whole_s: float
    skip_s: float

    @property
    def unread(self) -> float:
        """Share of the head's bytes that were not read."""
        return 1 - self.read / self.all


def count(model: FrozenModel, texts: Sequence[str], steps: int, candidates: int) -> SkipCount:
    """Pick after every token of ``texts``, up to ``steps`` of them, without an image.

    ``DataError`` without a text; ``ToolError`` without a compiler.
    """
    inputs = [*itertools.islice(_inputs(model, texts), steps)]
    if not inputs:
        raise DataError("There is no text in these files.", "Give files with a text in each line.")
    trits, order = model.arrays["head.w.trits"], skip_order(model)
    with TemporaryFolder(Path()) as work:
        file = Path(work) / "input"
        file.write_bytes(
            struct.pack("<4I", *trits.shape, len(inputs), candidates)
            + order.columns.astype("<u2").tobytes()
            + order.places.tobytes()
            + pack_skip(trits, order.columns, order.places)
            + pack(trits, "portable")
            + np.stack(inputs).tobytes()
        )
        command = [str(_compile(Path(work))), str(file)]
        return SkipCount(**result(command, BENCH_TIMEOUT_S, "The count", "Take fewer --steps.", {}))


def _compile(folder: Path) -> Path:
    templates = resource_dir("firmware_templates")
    runtime, portable = templates / "runtime" / "model", templates / "kernels" / "portable"
    sources = [
        templates / "bench" / "skip_count.c",
        *(runtime / f"bm_{name}.c" for name in ("gemv_skip", "sampler", "numerics")),
        portable / "bm_kernels.c",
    ]
    return compiled(folder / "skip_count", sources, [runtime, portable.parent], "the count")


def _inputs(model: FrozenModel, texts: Sequence[str]) -> Iterator[np.ndarray]:
    """int8 inputs of the head [d] after every token; a text is an episode."""
    tokenizer = Tokenizer.from_bytes(model.tokenizer)
    golden = GoldenModel(model.config, model.arrays, read_only=True)
    for text in texts:
        golden.begin_episode()
        for token in (tokenizer.eos, *tokenizer.encode(text)):
            yield golden.head_codes(golden.hidden(token))


def main() -> None:
    """Count what greedy and top-k picks read of a head that leaves out what cannot win."""
    parser = argparse.ArgumentParser(prog="python -m bitmar_tiny.bench.skip", description=main.__doc__)
    parser.add_argument("model", help="a frozen model, by name or path")
    parser.add_argument("texts", type=Path, nargs="+", help="files with a text in each line")
    parser.add_argument("--steps", type=within(1 << 22), default=100_000, help="tokens at most")
    parser.add_argument("--candidates", type=within(MAX_TOP_K), default=1, help="of a pick; 1 is greedy")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a sentence")
    given = parser.parse_args()
    try:
        texts = [line for path in given.texts for line in path.read_text().splitlines() if line.strip()]
        found = count(FrozenModel.load(find_model(given.model)), texts, given.steps, given.candidates)
    except OSError as error:
        sys.exit(f"Error: {error.filename}: cannot be read ({error.strerror}).")
    except UnicodeDecodeError:
        sys.exit("Error: a file of texts is not in UTF-8. Give text files.")
    except BitmarError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    if given.json:
        print(json.dumps(asdict(found) | {"unread": found.unread, "label": "measured"}, indent=2))
        return
    print(
        f"{found.inputs:,} picks of {given.candidates} candidates, {found.same:,} as from the whole head. "
        f"{100 * found.unread:.1f}% of its bytes were not read. The picks took "
        f"{found.skip_s / found.whole_s:.2f} times as long (measured, portable C)."
    )


if __name__ == "__main__":
    main()
