# SPDX-License-Identifier: Apache-2.0
"""A backbone file in a process of its own: what a damaged file does to its runtime, it does not do to us.

The child is the front end's :class:`~.frontend.backbone.Model`. It tries a grey picture first and says what
it found as one line of JSON; then float32 pictures go in and outputs come back, raw, one after the other.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError

#: Time to load a backbone and try it, and to run it on one picture.
START_S, PICTURE_S = 300, 120


class Worker:
    """A loaded backbone. size: side of its pictures; outputs: names; shapes: [tokens, width] of each output.

    ``DataError`` in one sentence for a file that cannot be used, also for one that crashes or hangs its
    runtime.
    """

    def __init__(
        self, path: Path | str, size: int | None = None, outputs: Sequence[str] = (), threads: int = 0
    ) -> None:
        self.path = Path(path)
        root = str(Path(__file__).parents[2])
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        }
        order = json.dumps({"path": str(path), "size": size, "outputs": list(outputs), "threads": threads})
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bitmar_tiny.data.worker", order],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        found = json.loads(self._read(None, START_S))
        self._refused(found)
        self.size, self.outputs, self.shapes = found["size"], tuple(found["outputs"]), found["shapes"]

    def run(self, picture: np.ndarray) -> list[np.ndarray]:
        """float32 [size, size, 3], scaled -> float32 [tokens, width] for each output."""
        try:
            self.process.stdin.write(np.ascontiguousarray(picture, "<f4").tobytes())
            self.process.stdin.flush()
        except OSError:
            raise self._died() from None
        self._refused(json.loads(self._read(None, PICTURE_S)))
        return [
            np.frombuffer(self._read(4 * n * width, PICTURE_S), "<f4").reshape(n, width)
            for n, width in self.shapes
        ]

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def __del__(self) -> None:
        if getattr(self, "process", None) and self.process.returncode is None:
            self.close()

    def _read(self, size: int | None, seconds: float) -> bytes:
        """``size`` bytes, or a line; the child is killed when they do not come in time."""
        late = threading.Event()
        timer = threading.Timer(seconds, lambda: (late.set(), self.process.kill()))
        timer.start()
        try:
            data = self.process.stdout.readline() if size is None else self.process.stdout.read(size)
        finally:
            timer.cancel()
        if data.endswith(b"\n") if size is None else len(data) == size:
            return data
        if late.is_set():
            self.close()
            raise DataError(
                f"{self.path}: its runtime gave no answer for {seconds:.0f} s.",
                "The file is damaged, or far too large.",
            )
        raise self._died()

    def _died(self) -> DataError:
        code = self.process.wait()
        self.close()
        how = signal.Signals(-code).name if code < 0 else f"status {code}"
        return DataError(
            f"{self.path}: the runtime that loads it was ended by {how}.",
            "There was not enough memory for it."
            if code == -signal.SIGKILL
            else "The file is damaged, or made for another runtime.",
        )

    def _refused(self, found: dict[str, Any]) -> None:
        if "error" in found:
            self.close()
            raise DataError(found["error"], found["hint"])


def serve(order: dict[str, Any]) -> None:
    """The child's side."""
    from .frontend.backbone import Model
    from .frontend.vectors import FrontEndError

    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a runtime prints is no answer

    def say(value):
        return (out.write(json.dumps(value).encode() + b"\n"), out.flush())

    try:
        model = Model(**order)
        shapes = [list(o.shape) for o in model.run(np.zeros((model.size, model.size, 3), np.float32))]
        say({"size": model.size, "outputs": model.outputs, "shapes": shapes})
        while len(raw := sys.stdin.buffer.read(model.size**2 * 12)) == model.size**2 * 12:
            results = model.run(np.frombuffer(raw, "<f4").reshape(model.size, model.size, 3))
            if [list(o.shape) for o in results] != shapes:
                raise FrontEndError(
                    f"{order['path']}: its outputs change shape from picture to picture.",
                    "Give an image backbone.",
                )
            say({})
            out.writelines(np.ascontiguousarray(o, "<f4").tobytes() for o in results)
            out.flush()
    except FrontEndError as error:
        say({"error": error.message, "hint": error.hint})
    except MemoryError:
        say(
            {
                "error": f"{order['path']}: needs more memory than there is.",
                "hint": "The file is damaged, or too large for this machine.",
            }
        )
    except Exception as error:  # a damaged file may break a runtime's Python half anywhere
        say(
            {
                "error": f"{order['path']}: its runtime fails on it ({type(error).__name__}: "
                f"{str(error)[:150]}).",
                "hint": "The file is damaged, or made for another runtime.",
            }
        )


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
