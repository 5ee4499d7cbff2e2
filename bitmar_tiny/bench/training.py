# SPDX-License-Identifier: Apache-2.0
"""How fast this checkout trains beside an older one, on the same machine in one run: a few steps of one, then
the same steps of the other, and so on, so that other work on the machine meets both.

    git worktree add /tmp/older COMMIT
    python -m bitmar_tiny.bench.training /tmp/older --preset paper
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("training_worker.py")
#: float16, which the preset ``paper`` asks for, is slow on processors.
SETTINGS = {"precision": "float32"}


class Side:
    """A checkout that takes training steps. A context manager: its process ends with it."""

    def __init__(self, checkout: Path, preset: str, folder: Path, changes: dict[str, Any], threads: int):
        if not (checkout / "bitmar_tiny").is_dir():
            raise SystemExit(f"{checkout}: holds no bitmar_tiny. Name a checkout: git worktree add.")
        command = [sys.executable, "-P", str(WORKER), preset, str(folder), json.dumps(changes), str(threads)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(checkout)},
        )
        self._answer()  # ready: the other one prepares no data meanwhile

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *error: Any) -> None:
        self.process.kill()
        self.process.wait()

    def steps(self, count: int) -> dict[str, Any]:
        """``count`` steps more: tokens, seconds, processor (seconds of it), losses."""
        assert self.process.stdin
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        return json.loads(self._answer())

    def _answer(self) -> str:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("A side ended before it was asked to; see above for why.")
        return line


def compare(
    older: Path, preset: str, folder: Path, rounds: int, steps: int, changes: dict[str, Any], threads: int
) -> dict[str, Any]:
    """Rounds of so many steps of both, after one step that warms up. Returns older and newer, {tokens_per_s,
    tokens_per_processor_s: medians over the rounds; losses: of every step}, and ratio and processor_ratio,
    medians of what newer did more than older in a round.
    """
    with ExitStack() as stack:
        sides = [
            stack.enter_context(Side(checkout, preset, folder, changes, threads))
            for checkout in (HERE, older)
        ]
        losses = [side.steps(1)["losses"] for side in sides]
        made: list[list[dict[str, Any]]] = [[], []]
        for number in range(rounds):
            for i in (0, 1) if number % 2 else (1, 0):
                made[i].append(sides[i].steps(steps))
                losses[i] += made[i][-1]["losses"]

    def rates(i: int, of: str) -> list[float]:
        return [part["tokens"] / part[of] for part in made[i]]

    def ratio(of: str) -> float:
        return statistics.median(a / b for a, b in zip(rates(0, of), rates(1, of), strict=True))

    newer, before = (
        {
            "tokens_per_s": statistics.median(rates(i, "seconds")),
            "tokens_per_processor_s": statistics.median(rates(i, "processor")),
            "losses": losses[i],
        }
        for i in (0, 1)
    )
    return {"older": before, "newer": newer, "ratio": ratio("seconds"), "processor_ratio": ratio("processor")}


def table(found: dict[str, Any]) -> str:
    """The figures and the losses side by side, as lines of text."""
    older, newer = found["older"], found["newer"]
    lines = [f"{'':26}{'older':>10}{'newer':>10}{'ratio':>8}"]
    for words, key, ratio in (
        ("tokens/s", "tokens_per_s", "ratio"),
        ("tokens/processor second", "tokens_per_processor_s", "processor_ratio"),
    ):
        lines.append(f"{words:26}{older[key]:10.0f}{newer[key]:10.0f}{found[ratio]:8.2f}")
    pairs = enumerate(zip(older["losses"], newer["losses"], strict=True), 1)
    lines += [f"{f'loss of step {i}':26}{a:10.4f}{b:10.4f}" for i, (a, b) in pairs]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bitmar_tiny.bench.training",
        description="Compare the training speed of an older checkout with this one's, on the demo data.",
        epilog="Example: python -m bitmar_tiny.bench.training /tmp/older --preset paper --rounds 5",
    )
    parser.add_argument("older", type=Path, help="folder of the older checkout (git worktree add)")
    parser.add_argument("--preset", default="demo", help="model preset (default: demo)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side (default: 5)")
    parser.add_argument("--steps", type=int, default=10, help="optimiser steps of a turn (default: 10)")
    parser.add_argument("--threads", type=int, default=0, help="of PyTorch; 0: as it likes (default)")
    parser.add_argument(
        "--settings", default="{}", help='training settings as JSON, such as {"recompute": false}'
    )
    parser.add_argument(
        "--data", type=Path, default=HERE / "build" / "training", help="folder for the prepared data"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    o = parser.parse_args()
    changes = SETTINGS | json.loads(o.settings)
    found = compare(
        o.older.resolve(), o.preset, o.data.resolve() / o.preset, o.rounds, o.steps, changes, o.threads
    )
    print(json.dumps(found) if o.json else table(found))


if __name__ == "__main__":
    main()
