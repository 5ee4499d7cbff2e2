# SPDX-License-Identifier: Apache-2.0
"""How fast the board `web` takes steps in wasmtime and in node, beside the same C natively, 128 bits wide.

    python -m bitmar_tiny.bench.wasm --preset paper

One thread of an x86-64 machine, pinned. The sides take turns, and each is timed by its program's own clock.
"The same C" is the source of the family `wasm128`, with SSE4.1 in the place of WebAssembly's operations
(sse41/wasm_simd128.h), built by gcc -O3.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bitmar_tiny.codegen.boards import Board, load_board
from bitmar_tiny.codegen.build import has_emulator
from bitmar_tiny.codegen.emit import emit

from ..arch.config import preset
from ..errors import BitmarError
from ..files import TemporaryFolder
from ..frozen import FrozenModel, random_model
from ..frozen.shipped import find_model
from ..run.firmware import ProgramSession
from .modules import profiled

FAMILY, TURN = "wasm128", 60  # tokens of a side in a turn
SSE41 = ["-msse4.1", "-D__wasm_simd128__", f"-I{Path(__file__).with_name('sse41')}"]


class Side:
    """A program that takes steps: the greedy choice of a token, at up to ``TURN`` tokens in the window."""

    def __init__(self, label: str, session: ProgramSession):
        self.label, self.session = label, session
        self.turns: list[float] = []  # microseconds of a step, median

    def turn(self) -> None:
        self.session.begin()
        self.session.steps.clear()
        list(self.session.generate([1], TURN))
        to_us = 1e6 / self.session.identity.cycles_hz
        self.turns.append(statistics.median(s.total * to_us for s in self.session.steps if s.decode))

    def row(self, native: Side) -> dict[str, Any]:
        """What else the machine does meets neighbours in time alike: the ratio is that of each round."""
        ratios = [theirs / ours for theirs, ours in zip(native.turns, self.turns, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        return {"label": self.label, "us": statistics.median(self.turns), "us_best": min(self.turns)} | {
            "of_native": middle,
            "of_native_quartiles": [low, high],
        }


def sides(model: FrozenModel, folder: Path, cpu: int, stack: ExitStack) -> list[Side]:
    """The same C natively, WebAssembly in the runtimes that are here, and this machine's own kernels."""
    web, host = load_board("web"), load_board("host")
    same_c = host.model_copy(update={"kernels": [FAMILY], "kernel_flags": {FAMILY: SSE41}})
    own = host.kernels[0]
    module = emit(model, web, folder / "web", FAMILY).path
    in_node = {"emulator": ["node", str(module / "node.mjs")], "emulator_package": "nodejs"}
    node = web.model_copy(update=in_node)
    made: list[tuple[str, Path, Board, str]] = [
        ("the same C, SSE4.1", emit(model, same_c, folder / "same", FAMILY).path, same_c, FAMILY),
        ("wasm128, wasmtime", module, web, FAMILY),
        *([("wasm128, node", module, node, FAMILY)] if has_emulator(node) else []),
        (f"{own}, natively", emit(model, host, folder / "own", own).path, host, own),
    ]
    return [
        Side(label, stack.enter_context(profiled(project, board, family, cpu)))
        for label, project, board, family in made
    ]


def compare(model: FrozenModel, rounds: int, cpu: int) -> list[dict[str, Any]]:
    """Rows: ``label``; ``us`` of a step, the median and the best turn; ``of_native``, the speed beside the
    same C, median and quartiles of the rounds.
    """
    with TemporaryFolder() as folder, ExitStack() as stack:
        running = sides(model, Path(folder), cpu, stack)
        for _ in range(rounds):
            for side in running:
                side.turn()
        return [side.row(running[0]) for side in running]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bitmar_tiny.bench.wasm", description=__doc__.split("\n")[0]
    )
    parser.add_argument("model", nargs="?", help="frozen model (default: random weights of --preset)")
    parser.add_argument("--preset", default="paper", help="default: paper")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each side (default: 15)")
    parser.add_argument("--cpu", type=int, default=0, help="processor that all are pinned to (default: 0)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    o = parser.parse_args()
    if platform.machine() != "x86_64":
        raise SystemExit(f"The same C natively needs SSE4.1, which {platform.machine()} lacks.")
    rows = compare(
        FrozenModel.load(find_model(o.model)) if o.model else random_model(preset(o.preset)), o.rounds, o.cpu
    )
    if o.json:
        return print(json.dumps(rows))
    print(f"{'':24}{'us':>6}{'best':>6}{'tokens/s':>10}{'of native':>11}  quartiles")
    for row in rows:
        low, high = row["of_native_quartiles"]
        print(
            f"{row['label']:24}{row['us']:6.0f}{row['us_best']:6.0f}{1e6 / row['us']:10.0f}"
            f"{row['of_native']:11.0%}  {low:.0%} to {high:.0%}"
        )


if __name__ == "__main__":
    try:
        main()
    except BitmarError as error:
        sys.exit(f"Error: {error}")
