# SPDX-License-Identifier: Apache-2.0
"""A session with firmware, as its messages show it: one method for every request of the serial protocol."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.tokenizer import Tokenizer
from ..device.channel import Channel
from ..device.protocol import BY_NAME, BY_NUMBER, FLAGS, PARTS, sections
from ..errors import ConfigError, DeviceError
from ..frozen import FrozenModel
from ..golden import numerics as nm
from ..memory.store import Memory
from .session import SILENT, Scored, Session, TapRecord

MORE = 0x80000000
TEXT, IDS, ON = 0, 1, 2  # prompts of `generate`
MOST_PROMPT = 256  # bytes of a prompt, or tokens (BM_SERVE_PROMPT)
MOST_LAYERS = 1024


def how_to_build_with(what: str) -> str:
    """The way out where firmware lacks ``TAPS`` or ``PROFILE``: for an ESP32, and for a program."""
    return (
        f"ESP32: switch on BITMAR_{what} in 'idf.py menuconfig', build and flash again. Elsewhere: run "
        f"'make BUILD=build/{what.lower()} EXTRA=-DBM_{what}' in the project, and start "
        f"build/{what.lower()}/bitmar."
    )


@dataclass(frozen=True)
class Identity:
    """Who a board is (message ``identity``). ``flags``: names of what it can do; ``arenas``: bytes by
    region; ``why``: why its model did not start, or empty; ``head_kb_s``: 1000 bytes a second of the head by
    each way to read it, measured when the board started, the one that is taken first (0: other bits)."""

    version: int
    flags: frozenset[str]
    model_sha256: str
    build: str
    cycles_hz: int
    vocab: int
    width: int
    slots: int
    context: int
    image_inputs: int
    image_pool: int
    taps: int
    encoder_layers: int
    decoder_layers: int
    block_rows: int
    arena_bytes: int
    blob_bytes: int
    model: str
    board: str
    kernels: str
    compiler: str
    arenas: dict[str, int]
    why: str
    head_kb_s: dict[str, int]

    @classmethod
    def parse(cls, payload: bytes) -> Identity:
        fields, rest = BY_NAME["identity"].unpack(payload)
        model, board, kernels, compiler, arenas, why, ways = (  # firmware of before ends behind `why`
            t.decode(errors="replace") for t in rest.split(b"\0")[:7]
        )
        fields["flags"] = frozenset(n for n, bit in FLAGS.items() if fields["flags"] & bit)
        fields["model_sha256"], fields["build"] = (
            fields["model_sha256"].hex(),
            fields["build"].decode(errors="replace"),
        )
        if (
            not fields["cycles_hz"]
            or not fields["block_rows"]
            or max(fields["encoder_layers"], fields["decoder_layers"]) > MOST_LAYERS
        ):
            raise ValueError("no such board")
        sizes, rates = (
            {name: int(value) for name, value in (pair.split("=") for pair in text.split())}
            for text in (arenas, ways)
        )
        texts = {"model": model, "board": board, "kernels": kernels, "compiler": compiler, "why": why}
        return cls(**fields, **texts, arenas=sizes, head_kb_s=rates)

    @property
    def sections(self) -> tuple[str, ...]:
        return sections(self.encoder_layers, self.decoder_layers)


@dataclass(frozen=True)
class StepRecord:
    """Where the time of one step went: cycles uint32 [sections, parts]."""

    decode: bool
    start: int
    total: int
    cycles: np.ndarray


class DeviceSession(Session):
    """Firmware behind ``channel``. ``DeviceError`` for whatever it refuses, in the words of its firmware."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.model: FrozenModel | None = None  # where it is at hand
        self.steps: list[StepRecord] = []  # since profiling was switched on
        self.sections: Sequence[str] = ()  # of a step; not known before the board said who it is
        self.greet()

    def greet(self) -> None:
        """Ask who the board is: once, and again when it may have started another model."""
        answer = dict(self._exchange("hello"))
        try:
            self.identity = Identity.parse(answer[BY_NAME["identity"].number])
        except (struct.error, ValueError, TypeError, KeyError):
            raise DeviceError(
                f"{self.name}: the board says who it is in a way that this program does not know.",
                "Flash firmware of the same version of bitmar-tiny.",
            ) from None
        self.sections = self.identity.sections

    @property
    def name(self) -> str:
        return self.channel.about.port

    @property
    def vocab(self) -> int:
        return self.identity.vocab

    @property
    def image_inputs(self) -> int:
        return self.identity.image_inputs

    @property
    def memory_tier(self) -> str:
        flags = self.identity.flags
        return "sd" if "store" in flags else "flash" if "read_only" in flags else "ram"

    @property
    def can_tap(self) -> bool:
        return "taps" in self.identity.flags

    @property
    def writes_text(self) -> bool:
        return "tokenizer" in self.identity.flags

    @property
    def can_keep(self) -> bool:
        return "keep" in self.identity.flags

    @property
    def emulated(self) -> bool:
        return self.channel.about.emulated or "emulated" in self.identity.flags

    @property
    def plan(self) -> dict[str, Any] | None:
        """plan.json of its project, where that is at hand."""
        return self.channel.about.plan

    def need(self, model: FrozenModel) -> None:
        """``DeviceError`` unless the board runs ``model``, and runs."""
        who = self.identity
        if who.model_sha256 != model.digest:
            raise DeviceError(
                f"{self.name}: the board holds another model ({who.model}, {who.model_sha256[:12]}) than "
                f"this file ({model.config.name}, {model.digest[:12]}).",
                f"Generate, build and flash this one: bitmar-tiny codegen --board {who.board}.",
            )
        if who.why:
            raise DeviceError(
                f"{self.name}: the model did not start on the board: {who.why}.",
                "Flash model and program of one project again.",
            )
        self.model = model

    def describe(self) -> str:
        return f"{self.identity.board}/{self.identity.kernels} on {self.name}"

    def need_taps(self) -> None:
        if not self.can_tap:
            raise DeviceError(
                f"{self.name}: this firmware was built without taps, so it shows nothing to compare.",
                how_to_build_with("TAPS"),
            )

    # -- the model ---------------------------------------------------------------------------------

    def begin(self) -> list[TapRecord]:
        return self._work("begin")

    def end(self) -> list[TapRecord]:
        """Write the episode into the memory."""
        return self._work("end")

    def image(self, vectors: np.ndarray) -> list[TapRecord]:
        """Set the image: float32 [inputs, 768], or uint8 patches, in their natural order."""
        pool, n = self.identity.image_pool, len(vectors)
        order = np.arange(n)
        if pool == 2:
            side = int(n**0.5)
            order = order.reshape(side // 2, 2, side // 2, 2).transpose(0, 2, 1, 3).reshape(-1)
        pixels = vectors.dtype == np.uint8
        data = np.ascontiguousarray(vectors[order], np.uint8 if pixels else "<f4").tobytes()
        return self._work("image", int(pixels), rest=data)

    def tokens(self, ids: Iterable[int]) -> list[TapRecord]:
        """Advance by tokens."""
        return self._work("tokens", rest=np.asarray(list(ids), "<u4").tobytes())

    def memory_on(self, on: bool) -> None:
        self._work("memory", int(on))

    def taps(self, modes: Mapping[int, int], others: int = SILENT) -> None:
        """Modes of taps: 0 silent, 1 CRC-32, 2 with data. ``DeviceError`` for firmware without taps."""
        self._work("taps", others, rest=b"".join(struct.pack("<HB", *pair) for pair in modes.items()))

    def generate(
        self, prompt: str | Sequence[int], limit: int, temperature: float = 0.0, top_k: int = 1, seed: int = 0
    ) -> Iterator[tuple[int, bytes]]:
        kind = TEXT if isinstance(prompt, str) else IDS
        if kind == TEXT and len(prompt.encode()) > MOST_PROMPT and self.model and self.model.tokenizer:
            kind, prompt = IDS, Tokenizer.from_bytes(self.model.tokenizer).encode(prompt)
        if kind == IDS and len(prompt) > MOST_PROMPT:  # firmware has room for so many; the others go before
            self.tokens([self.vocab - 1, *prompt[:-1]])
            kind, prompt = ON, prompt[-1:]
        rest = prompt.encode() if kind == TEXT else np.asarray(prompt, "<u4").tobytes()
        for number, payload in self._exchange("generate", limit, top_k, temperature, seed, kind, rest=rest):
            if number == BY_NAME["token"].number:
                fields, text = BY_NAME["token"].unpack(payload)
                yield fields["id"], text

    def score(self, context: Sequence[int], continuations: Sequence[Sequence[int]]) -> Iterator[list[Scored]]:
        words = [*context, *(i for ids in continuations for i in (len(ids), *ids))]
        request = BY_NAME["score"].pack(len(context), rest=np.asarray(words, "<u4").tobytes())
        scored = self._scored(request)
        for ids in continuations:
            yield list(itertools.islice(scored, len(ids)))
        for _ in scored:  # to the end of the answer
            raise self._strange("scored")

    def _scored(self, request: bytes) -> Iterator[Scored]:
        parts: list[tuple[int, np.ndarray]] = []
        for number, payload in self._answers("score", request):
            if number == BY_NAME["counts"].number:
                fields, rest = BY_NAME["counts"].unpack(payload)
                if fields["bytes"] not in (1, 2, 4) or not rest or len(rest) % fields["bytes"]:
                    raise self._strange("counts")
                parts.append((fields["low"], np.frombuffer(rest, f"<u{fields['bytes']}")))
            elif number == BY_NAME["scored"].number:
                fields, _ = BY_NAME["scored"].unpack(payload)
                counts = np.concatenate([part for _, part in parts]) if parts else np.zeros(0, np.uint32)
                if counts.sum() != self.vocab:
                    raise self._strange("counts")
                scale = np.float32(fields["scale"])
                yield Scored.counted(fields["best"], fields["logit"], scale, parts[0][0], counts)
                parts = []

    def profile(self, how: int) -> None:
        """Collect ``steps`` from now on: 1 with where the time goes, 2 without, 0 not at all. ``DeviceError``
        for firmware without it.
        """
        self.steps.clear()
        self._work("profile", how)

    # -- the memory --------------------------------------------------------------------------------

    def read_memory(self) -> Memory:
        """The memory as the board has it now."""
        who, blocks = self.identity, []
        for number, payload in self._exchange("memory_read"):
            if number == BY_NAME["rows"].number:
                fields, rest = BY_NAME["rows"].unpack(payload)
                if len(rest) != fields["count"] * (2 * who.width + 8):
                    raise self._strange("rows")
                blocks.append(_parse_rows(rest, fields["count"], who.width))
        try:
            codes, scales, usage = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        except ValueError:
            raise DeviceError(f"{self.name}: the board sent no memory.") from None
        if len(codes) != who.slots:
            raise DeviceError(
                f"{self.name}: the board sent {len(codes)} of {who.slots} rows.", "Run the command again."
            )
        return Memory(codes, scales, usage, "keyed" in who.flags)

    def write_memory(self, memory: Memory, resume: bool = False) -> None:
        """Replace the memory; all rows hold after the last. ``resume``: go on where a lost connection
        stopped.
        """
        n, first = self.identity.block_rows, 0
        if resume:
            first = self.request("memory_write", 0)
        for block in range(first, -(-self.identity.slots // n)):
            rows = slice(block * n, (block + 1) * n)
            self.request(
                "memory_write",
                block,
                rest=_pack_rows(memory.codes[rows], memory.scales[rows], memory.usage[rows]),
            )

    # -- the board ---------------------------------------------------------------------------------

    @property
    def can_restart(self) -> bool:
        return self.channel.about.powers or "reset" in self.identity.flags

    def restart(self) -> None:
        """Off and on: what is in RAM is lost."""
        if not self.can_restart:
            raise DeviceError(
                f"{self.name}: the board cannot be restarted from here.", "Press its reset button."
            )
        self.channel.restart(BY_NAME["reset"].pack())

    def counters(self) -> dict[str, int]:
        """Counters of the link, the stack and the memory's rows, since the board's start."""
        answer = dict(self._exchange("status"))
        if (number := BY_NAME["counters"].number) not in answer:
            raise self._strange("counters")
        return BY_NAME["counters"].unpack(answer[number])[0]

    def updates(self) -> dict[str, Any]:
        """The fields of `updates`: what lies in the slots."""
        answer = dict(self._exchange("update_status"))
        if (number := BY_NAME["updates"].number) not in answer:
            raise self._strange("updates")
        return BY_NAME["updates"].unpack(answer[number])[0]

    def sink(self, data: bytes) -> int:
        """Send the test pattern; how many bytes came wrong."""
        return self.request("sink", rest=data)

    def source(self, n: int) -> bytes:
        """``n`` bytes of the test pattern."""
        return b"".join(
            payload for number, payload in self._exchange("source", n) if number == BY_NAME["pattern"].number
        )

    def close(self) -> None:
        self.channel.close()

    # -- messages ----------------------------------------------------------------------------------

    def _work(self, name: str, *values, rest: bytes = b"") -> list[TapRecord]:
        found, begun = [], b""
        for number, payload in self._exchange(name, *values, rest=rest):
            if number == BY_NAME["tap"].number:
                fields, data = BY_NAME["tap"].unpack(payload)
                begun += data
                if not fields["id"] & MORE:
                    found.append(TapRecord(fields["id"], fields["crc"], begun))
                    begun = b""
        return found

    def _step(self, payload: bytes) -> StepRecord:
        fields, rest = BY_NAME["step"].unpack(payload)
        if len(rest) != 4 * len(self.sections) * len(PARTS):
            raise self._strange("step")
        cycles = np.frombuffer(rest, "<u4").reshape(len(self.sections), len(PARTS))
        return StepRecord(bool(fields["decode"]), fields["start"], fields["total"], cycles)

    def request(self, name: str, *values, rest: bytes = b"") -> int:
        """One message of the table; returns ``value`` of its result."""
        *_, (_, payload) = self._exchange(name, *values, rest=rest)
        return BY_NAME["result"].unpack(payload)[0]["value"]

    def _exchange(self, name: str, *values, rest: bytes = b"") -> Iterator[tuple[int, bytes]]:
        return self._answers(name, BY_NAME[name].pack(*values, rest=rest))

    def _answers(self, name: str, request: bytes) -> Iterator[tuple[int, bytes]]:
        for number, payload in self.channel.exchange(request):
            if len(payload) < BY_NUMBER[number].layout.size:
                raise self._strange(BY_NUMBER[number].name)
            if number == BY_NAME["result"].number:
                fields, text = BY_NAME["result"].unpack(payload)
                if fields["status"]:
                    raise DeviceError(
                        f"{self.name}: the board refused '{name}': "
                        f"{text.decode(errors='replace') or fields['status']}.",
                        "Flash a build that has it, or leave it out." if fields["status"] == 3 else "",
                    )
            if number == BY_NAME["step"].number:
                self.steps.append(self._step(payload))
            else:
                yield number, payload

    def _strange(self, name: str) -> DeviceError:
        return DeviceError(
            f"{self.name}: the board's message '{name}' has a size that this program does not know.",
            "Flash firmware of the same version of bitmar-tiny.",
        )


def _pack_rows(codes: np.ndarray, scales: np.ndarray, usage: np.ndarray) -> bytes:
    """Rows as the message has them: high and low bytes of the codes, scales, usage."""
    high, low = nm.planes(codes)
    return high.tobytes() + low.tobytes() + scales.astype("<f4").tobytes() + usage.astype("<u4").tobytes()


def _parse_rows(data: bytes, n: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    planes = np.frombuffer(data, np.int8, 2 * n * width).reshape(2, n, width).astype(np.int32)
    at = 2 * n * width
    return (
        (256 * planes[0] + planes[1]).astype(np.int16),
        np.frombuffer(data, "<f4", n, at).astype(np.float32),
        np.frombuffer(data, "<u4", n, at + 4 * n).astype(np.uint32),
    )


def firmware_of(session: Session) -> DeviceSession:
    """A session that is with firmware; ``ConfigError`` for another one."""
    if not isinstance(session, DeviceSession):
        raise ConfigError(f"{session.name} is no firmware.", "Open a session on host, a board or a port.")
    return session
