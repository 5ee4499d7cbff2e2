# SPDX-License-Identifier: Apache-2.0
"""What a run reports, in three places: RUN/log.jsonl, TensorBoard (RUN/logs) and, if asked, Weights & Biases.

log.jsonl is what plots are made from. One JSON object a line, by ``kind``:

    step          every log_every steps: step, epoch, tokens, loss {lm, contrastive, memory}, perplexity,
                  alignment (mean cosine since the last line), alignment_average (the controller's), lr,
                  codes {zero_fraction, gaussian_baseline, changed (since the last line),
                  changed_per_1000_steps (once in 1,000)},
                  memory {written_slots, read_slots, reads [K]}, flops_per_step, tokens_per_second, bytes
    holdout       step, captions | text {perplexity, tokens}, alignment
    intervention  step, event (begin | end), action, average, best
    note          step, text

A resumed run drops the lines after its checkpoint, so that every step is there once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError, DataError
from ..files import atomic_file, parse_json

FILE = "log.jsonl"


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's log, in order; a last line that a kill cut short is left out. ``DataError`` if
    there is none.
    """
    path = folder / FILE
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        raise DataError(f"{path}: there is no training log.", "Name the folder of a run.") from None
    lines = []
    for line in text.split("\n"):
        try:
            record = parse_json(line)
        except ValueError:
            continue
        whole = isinstance(record, dict) and "kind" in record and isinstance(record.get("step"), int)
        lines += [record] if whole else []
    return lines


class Log:
    """A context manager. step: what the run resumes from; wandb: None, "offline" or "online". ``DataError``
    where the disk refuses.
    """

    def __init__(self, folder: Path, step: int, settings: dict[str, Any], wandb: str | None = None) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder = folder
        before = (
            [r for r in read_log(folder) if r["step"] <= step] if step and (folder / FILE).is_file() else []
        )
        with atomic_file(folder / FILE) as f:
            f.write("".join(json.dumps(r) + "\n" for r in before).encode())
        try:
            self.board = SummaryWriter(str(folder / "logs"), purge_step=step + 1 if step else None)
            self.lines = open(folder / FILE, "a", buffering=1)
        except OSError as error:
            raise self._refused(error) from None
        self.wandb = _weights_and_biases(folder, settings, wandb) if wandb else None

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            self.lines.close()
            self.board.close()
        except OSError as problem:
            if error[0] is None:
                raise self._refused(problem) from None
        if self.wandb:
            self.wandb.finish(exit_code=int(error[0] is not None))

    def write(self, kind: str, step: int, **values: Any) -> None:
        """One line; its numbers go to TensorBoard and W&B as well, words and lists do not."""
        numbers = dict(_numbers(values, "" if kind == "step" else f"{kind}/"))
        try:
            self.lines.write(json.dumps({"kind": kind, "step": step} | values) + "\n")
            for name, value in numbers.items():
                self.board.add_scalar(name, value, step)
            if kind in ("note", "intervention"):
                self.board.add_text(kind, json.dumps(values), step)
        except OSError as error:
            raise self._refused(error) from None
        if self.wandb:
            self.wandb.log(numbers, step=step)

    def picture(self, name: str, pixels: np.ndarray, step: int) -> None:
        """uint8 [H, W, 3]."""
        try:
            self.board.add_image(name, pixels, step, dataformats="HWC")
        except OSError as error:
            raise self._refused(error) from None
        if self.wandb:
            import wandb

            self.wandb.log({name: wandb.Image(pixels)}, step=step)

    def _refused(self, error: OSError) -> DataError:
        return DataError(
            f"{self.folder}: the log cannot be written ({error.strerror or error}).",
            "Make room; training resumes from the last checkpoint.",
        )


def _numbers(values: dict[str, Any], before: str = "") -> Iterator[tuple[str, float]]:
    """Every number in nested tables, named "loss/lm"."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{before}{name}/")
        elif isinstance(value, (int, float)):
            yield before + name, float(value)


def _weights_and_biases(folder: Path, settings: dict[str, Any], mode: str):
    try:
        import wandb
    except ImportError:
        raise ConfigError(
            "Weights & Biases is not installed.", "Run: pip install wandb, or leave --wandb out."
        ) from None
    return wandb.init(project="bitmar-tiny", name=folder.name, dir=str(folder), config=settings, mode=mode)
