# SPDX-License-Identifier: Apache-2.0
"""The one way to talk to a model: a ``Session``, wherever it runs. ``open_session`` opens one by the name of
a target.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import ConfigError
from ..frozen import FrozenModel
from ..memory.store import Memory

SILENT, CRC, DATA = 0, 1, 2
BAUD = 115200
#: What a session can run on, for people.
TARGETS = (
    "golden, torch, host, a board of 'bitmar-tiny boards' that this machine can run or emulate, a port such "
    "as /dev/ttyUSB0, "
    "socket://HOST:PORT, rfc2217://HOST:PORT, pty:, replay:FILE, onnx[:FOLDER] or tflite[:FILE]"
)


@dataclass(frozen=True)
class TapRecord:
    """One tensor that a step passed: its id (``taps.tap_table``), CRC-32, and the tensor's bytes if they were
    asked for.
    """

    id: int
    crc: int
    data: bytes = b""


@dataclass(frozen=True)
class Scored:
    """The logits of one position, and one token's among them, without any rounding.

    best: the token with the largest logit, the lowest id of several; logit: the integer logit of the token
    that was asked for; scale: float32, a float logit is an integer one times it; values [n]: the integer
    logits that occur, ascending; counts int64 [n]: how many tokens have each. (The float twin of a model has
    float logits in their place.)
    """

    best: int
    logit: float
    scale: np.float32
    values: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, acc: np.ndarray, scale: np.float32, token: int) -> Scored:
        """From all logits [V] of a position, integers as they are or as float32."""
        best, whole = int(acc.argmax()), acc.astype(np.int32)
        if acc.dtype.kind == "f" and not np.array_equal(whole, acc):
            values, counts = np.unique(acc, return_counts=True)
            return cls(best, float(acc[token]), scale, values, counts.astype(np.int64))
        low = int(whole.min())
        return cls.counted(best, int(whole[token]), scale, low, np.bincount(whole - low))

    @classmethod
    def counted(cls, best: int, logit: int, scale: np.float32, low: int, counts: np.ndarray) -> Scored:
        """``counts``: how many tokens have the logit ``low``, ``low`` + 1, ..."""
        present = np.flatnonzero(counts)
        return cls(best, logit, scale, (low + present).astype(np.int32), counts[present].astype(np.int64))

    def log_prob(self) -> float:
        """Natural logarithm of the token's probability, in float64 from float32 logits."""
        floats = (self.values.astype(np.float32) * self.scale).astype(np.float64)
        most = floats[-1]
        total = (self.counts * np.exp(floats - most)).sum()
        return float(np.float64(np.float32(self.logit) * self.scale) - most - np.log(total))


class Session(ABC):
    """A model that runs somewhere: an episode, its tokens, its memory.

    Calls that compute return the taps that were asked for with ``taps``, in the order in which the model
    passed them. ``name``: of the target, for people; ``vocab``, ``image_inputs``: shapes of its model;
    ``memory_tier``: where it keeps its memory, ``ram``, ``flash`` (read-only) or ``sd`` (a store that
    outlives a restart); ``can_keep``: it returns to the end of a context that several continuations share;
    ``writes_text``: its model has a tokenizer.
    """

    name: str
    vocab: int
    image_inputs: int
    memory_tier: str = "ram"
    can_restart: bool = True
    can_tap: bool = True
    can_keep: bool = True
    writes_text: bool = True

    @abstractmethod
    def begin(self) -> list[TapRecord]:
        """Begin an episode: the stream and the image are forgotten, the memory stays."""

    @abstractmethod
    def image(self, vectors: np.ndarray) -> list[TapRecord]:
        """Set the image of the episode: float32 [image_inputs, 768], or uint8 patches of the same shape."""

    @abstractmethod
    def tokens(self, ids: Iterable[int]) -> list[TapRecord]:
        """Advance by tokens."""

    @abstractmethod
    def end(self) -> list[TapRecord]:
        """End the episode: write it into the memory."""

    @abstractmethod
    def memory_on(self, on: bool) -> None:
        """Read and write the memory, or leave it alone."""

    @abstractmethod
    def taps(self, modes: Mapping[int, int], others: int = SILENT) -> None:
        """Modes of taps: ``SILENT``, ``CRC`` or ``DATA``."""

    @abstractmethod
    def generate(
        self, prompt: str | Sequence[int], limit: int, temperature: float = 0.0, top_k: int = 1, seed: int = 0
    ) -> Iterator[tuple[int, bytes]]:
        """Feed EOS and the prompt, text or ids, then choose tokens until EOS or ``limit``: their ids and
        bytes of text.
        """

    @abstractmethod
    def score(self, context: Sequence[int], continuations: Sequence[Sequence[int]]) -> Iterator[list[Scored]]:
        """Advance by the context; yields, one after the other, how likely each continuation is behind it.
        Several need ``can_keep``.
        """

    @abstractmethod
    def read_memory(self) -> Memory:
        """The memory as it is now."""

    @abstractmethod
    def write_memory(self, memory: Memory) -> None:
        """Replace the memory."""

    @abstractmethod
    def restart(self) -> None:
        """Off and on: what is in RAM is lost."""

    def describe(self) -> str:
        """What runs where, in a few words."""
        return self.name

    def need_taps(self) -> None:
        """``BitmarError`` for a session that shows no tensors."""
        if not self.can_tap:
            raise ConfigError(f"{self.name} shows no tensors.", "Choose host, a board, onnx or tflite.")

    def need_writable(self, fix: str = "Choose golden, host or another board.") -> None:
        """``ConfigError`` for a memory that nothing can be written to."""
        if self.memory_tier == "flash":
            raise ConfigError(f"{self.name}: the memory of the firmware is read-only.", fix)

    def close(self) -> None:  # noqa: B027 (most sessions hold nothing that must be closed)
        """Nothing more is asked."""

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@dataclass(frozen=True)
class SessionOptions:
    """How a session is opened.

    baud: speed of a serial port; timeout_s: how long it may be silent (default: 4; 60 for what runs here);
    record: file for what is exchanged with firmware; flags: of the compiler, memory: where it lies, both for
    firmware that is built for the session; store: a memory store in the place of the memory that the model
    was trained to; taps: the session must be able to show tensors; log: gets lines that firmware prints
    beside its answers.
    """

    baud: int = BAUD
    timeout_s: float | None = None
    record: Path | None = None
    flags: tuple[str, ...] = ()
    memory: str = "auto"
    store: Path | None = None
    taps: bool = False
    log: Callable[[str], None] = field(default=lambda text: None)


def is_local(target: str) -> bool:
    """Whether a target computes in this process, without firmware."""
    return target in ("golden", "torch") or target.partition(":")[0] in ("onnx", "tflite")


def is_built(target: str) -> bool:
    """Whether firmware is built and started for a target."""
    from .firmware import port_of

    return not is_local(target) and port_of(target).startswith(("host:", "qemu:"))


def takes_store(target: str) -> bool:
    """Whether a session on a target keeps its memory in a store of this computer."""
    from .firmware import port_of

    return target == "golden" or not is_local(target) and port_of(target).startswith("host:")


def open_session(
    target: str, model: FrozenModel | None = None, options: SessionOptions | None = None
) -> Session:
    """A session with ``model`` on ``target``; a board may have its own (``model`` None).

    ``ConfigError`` for a name that is none, or a model that is missing; ``DeviceError`` for a board that is
    not as it should be.
    """
    options = options or SessionOptions()
    if not is_local(target):
        from .firmware import open_device, port_of

        return open_device(port_of(target), model, options)
    if model is None:
        raise ConfigError(f"{target}: which model shall it run?", "Name a MODEL.")
    if options.record:
        raise ConfigError(f"{target} exchanges nothing that could be recorded.", "Leave out --record.")
    kind, _, path = target.partition(":")
    if kind == "golden":
        from .golden import GoldenSession

        return GoldenSession(model, store=options.store)
    if options.store:
        raise ConfigError(f"{target} reads no store.", "Leave out --store, or choose golden or a board.")
    if kind == "torch":
        from .torch import TorchSession

        return TorchSession(model)
    from .exported import open_exported

    return open_exported(model, kind, Path(path) if path else None, options.taps)
