# SPDX-License-Identifier: Apache-2.0
"""The one table of the serial protocol: kinds of frames, messages and their fields.

``python -m bitmar_tiny.device.protocol`` writes it as C (``runtime/link/bm_protocol.h``) and into
``docs/reference/serial-protocol.md``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

VERSION = 1

#: Frames (bm_link.h): name -> (number, what it is).
FRAMES = {
    "open": (1, "host: begin the session with this number; payload: version u8"),
    "opened": (
        2,
        "device: payload: version u8, bytes that it takes before it acknowledges u16, largest payload u16, "
        "milliseconds "
        "since its start u32",
    ),
    "data": (3, "payload: the next bytes of the sender's stream; without one, an acknowledgement"),
    "closed": (4, "there is no such session, or it ends here"),
    "again": (
        5,
        "something came damaged or too early: send again what is not acknowledged, or an acknowledgement if "
        "all is",
    ),
}


@dataclass(frozen=True)
class Message:
    """One message of the stream. ``fields``: (name, struct code), little-endian, without padding; ``rest``:
    bytes that follow them.

    direction: ``>`` from the host, ``<`` from the device. A struct code with a count and ``s`` is bytes.
    """

    name: str
    number: int
    direction: str
    fields: tuple[tuple[str, str], ...]
    rest: str
    what: str

    @cached_property
    def layout(self) -> struct.Struct:
        return struct.Struct("<" + "".join(code for _, code in self.fields))

    def pack(self, *values: Any, rest: bytes = b"") -> bytes:
        """The message with its header: number u8, length u32."""
        return header(self.number, self.layout.size + len(rest)) + self.layout.pack(*values) + rest

    def unpack(self, payload: bytes) -> tuple[dict[str, Any], bytes]:
        """Fields and what follows them. ``struct.error`` if the payload is too short."""
        values = self.layout.unpack_from(payload)
        return dict(zip((name for name, _ in self.fields), values, strict=True)), payload[self.layout.size :]


HEADER = struct.Struct("<BI")


def header(number: int, length: int) -> bytes:
    return HEADER.pack(number, length)


MESSAGES = (
    Message("hello", 1, ">", (), "", "who are you; answered by `identity`"),
    Message("begin", 2, ">", (), "", "begin an episode"),
    Message(
        "image",
        3,
        ">",
        (("pixels", "B"),),
        "vectors of 768 float32, or of 768 uint8 if `pixels`, in the order in which they are pooled",
        "set the image of the episode",
    ),
    Message(
        "tokens", 4, ">", (), "ids u32", "advance by these tokens; `value` of the result: how many were taken"
    ),
    Message(
        "end",
        5,
        ">",
        (),
        "",
        "end the episode: write it into the memory; `value` of the result: cycles that took",
    ),
    Message("memory", 6, ">", (("on", "B"),), "", "read and write the memory, or leave it alone"),
    Message(
        "taps",
        7,
        ">",
        (("others", "B"),),
        "pairs of id u16, mode u8",
        "modes of these taps (0 silent, 1 CRC-32, 2 with data), and of all others",
    ),
    Message(
        "generate",
        8,
        ">",
        (("limit", "I"), ("top_k", "I"), ("temperature", "f"), ("seed", "Q"), ("ids", "B")),
        "prompt: UTF-8, or ids u32 if `ids`",
        "feed EOS and the prompt, then choose tokens until EOS or `limit`; `ids` 2: without EOS, where the "
        "stream is",
    ),
    Message(
        "profile",
        9,
        ">",
        (("how", "B"),),
        "",
        "report every step from now on: 1 where its time goes, 2 its whole time, 0 nothing",
    ),
    Message("memory_read", 10, ">", (), "", "send the memory, block by block"),
    Message(
        "memory_write",
        11,
        ">",
        (("block", "I"),),
        "rows as in `rows`",
        "replace a block of rows; blocks come in order, after the last all of them hold; "
        "`value` of the result: the block that is awaited next",
    ),
    Message("reset", 12, ">", (), "", "start the board anew; a board that can does not answer"),
    Message("sink", 13, ">", (), "bytes of the test pattern", "count wrong bytes: `value` of the result"),
    Message("source", 14, ">", (("bytes", "I"),), "", "send so many bytes of the test pattern"),
    Message(
        "baud",
        15,
        ">",
        (("baud", "I"),),
        "",
        "change the speed of the line after the answer; without a session within 3 s the old one returns",
    ),
    Message("status", 16, ">", (), "", "counters of the link, stack, memory's store; answered by `counters`"),
    Message(
        "score",
        17,
        ">",
        (("context", "I"),),
        "ids u32 [context], then continuations: their number of ids u32, ids u32; several need `keep`",
        "advance by the context; how likely is each continuation behind it? `counts` and `scored` for each "
        "of its ids; `value` of the "
        "result: how many ids were scored",
    ),
    Message("update_status", 18, ">", (), "", "what lies in the slots; answered by `updates`"),
    Message(
        "update_begin",
        19,
        ">",
        (),
        "head u8[256] of the package",
        "make room for a new model, or go on with it; `value` of this and the following results: bytes of "
        "the package that the device has",
    ),
    Message(
        "update_block",
        20,
        ">",
        (("offset", "I"), ("crc", "I")),
        "the next 4,096 bytes of the package",
        "one block; out of order, nothing happens",
    ),
    Message("update_finish", 21, ">", (), "", "compare the SHA-256 of the whole package"),
    Message("update_activate", 22, ">", (), "", "try the new model at the next start"),
    Message(
        "identity",
        64,
        "<",
        (
            ("version", "H"),
            ("flags", "H"),
            ("model_sha256", "32s"),
            ("build", "12s"),
            ("cycles_hz", "I"),
            ("vocab", "I"),
            ("width", "I"),
            ("slots", "I"),
            ("context", "I"),
            ("image_inputs", "I"),
            ("image_pool", "I"),
            ("taps", "I"),
            ("encoder_layers", "I"),
            ("decoder_layers", "I"),
            ("block_rows", "I"),
            ("arena_bytes", "I"),
            ("blob_bytes", "I"),
        ),
        "texts, each ended by a zero byte: model, board, kernels, compiler, arenas (`region=bytes`, "
        "separated by spaces), why the model did not start (empty: it did), and the ways to read the head, "
        "measured at the start (`way=kB/s`, separated by spaces, the one that is taken first; 0: it brought "
        "other bits; firmware of before does not send this text)",
        "the board, its firmware and its model",
    ),
    Message(
        "result",
        65,
        "<",
        (("status", "i"), ("value", "I")),
        "text of the status",
        "end of the answer to every request but `hello` and `status`",
    ),
    Message(
        "tap",
        66,
        "<",
        (("id", "I"), ("crc", "I")),
        "the tensor, or a piece of it, if asked for",
        "an intermediate tensor; bit 31 of `id`: it goes on with the next; `crc`: of the tensor so far",
    ),
    Message("token", 67, "<", (("id", "I"),), "its bytes of text", "a generated token"),
    Message(
        "step",
        68,
        "<",
        (("decode", "B"), ("start", "Q"), ("total", "Q")),
        "cycles u32 [section][part]",
        "where the time of one step went",
    ),
    Message(
        "rows",
        69,
        "<",
        (("block", "I"), ("count", "I")),
        "high int8 [count][width], low int8 [count][width], scales float32 [count], usage u32 [count]",
        "a block of rows of the memory",
    ),
    Message("pattern", 70, "<", (), "bytes of the test pattern", "answer to `source`, before its result"),
    Message(
        "counters",
        71,
        "<",
        (
            ("stack_peak", "I"),
            ("frames", "I"),
            ("damaged", "I"),
            ("resent", "I"),
            ("lost", "I"),
            ("reads", "I"),
            ("read_bytes", "Q"),
            ("read_cycles", "Q"),
            ("writes", "I"),
            ("written_bytes", "Q"),
            ("write_cycles", "Q"),
        ),
        "",
        "since the board's start; 0: not known",
    ),
    Message(
        "counts",
        72,
        "<",
        (("low", "i"), ("bytes", "B")),
        "unsigned numbers of `bytes` bytes: how many tokens have the integer logit `low`, `low` + 1, ...",
        "logits of a position, or a range of them; ranges ascend",
    ),
    Message(
        "scored",
        73,
        "<",
        (("best", "I"), ("logit", "i"), ("scale", "f")),
        "",
        "the token with the largest logit (the lowest id of several), the integer logit of the token that "
        "was asked for, and what makes "
        "an integer logit a float one",
    ),
    Message(
        "updates",
        74,
        "<",
        (
            ("build", "32s"),
            ("layout", "16s"),
            ("blob_bytes", "I"),
            ("slot_bytes", "I"),
            ("running", "B"),
            ("state_a", "B"),
            ("tries_a", "B"),
            ("received_a", "I"),
            ("model_a", "32s"),
            ("state_b", "B"),
            ("tries_b", "B"),
            ("received_b", "I"),
            ("model_b", "32s"),
        ),
        "",
        "answer to `update_status`, before its result. `build`: what a package must be made for; `running`: "
        "0 the model that the program was made with, 1 slot a, 2 slot b; states: 0 empty, 1 receiving, 2 "
        "complete, 3 on trial, 4 good, 5 failed; `model`: SHA-256 of the frozen model",
    ),
)

#: What a board can do: bits of ``flags``.
FLAGS = {
    "taps": 1,
    "profile": 2,
    "tokenizer": 4,
    "store": 8,
    "read_only": 16,
    "reset": 32,
    "baud": 64,
    "emulated": 128,
    "score": 256,
    "keep": 512,
    "keyed": 1024,
    "update": 2048,
}

#: Statuses of a result beside those of bm_status.h, which are negative.
STATUSES = {
    "unknown": (1, "this firmware does not know the message"),
    "malformed": (2, "the message has the wrong size or order"),
    "unable": (3, "this firmware was built without that"),
    "asleep": (4, "the model did not start"),
    "damaged": (5, "the update is damaged"),
    "other_build": (6, "the update is for another configuration, layout or size, which needs new firmware"),
    "no_room": (7, "the update is larger than a slot"),
    "storage": (8, "the storage of the updates cannot be written"),
    "unsigned": (9, "the update is not signed with the key that this firmware asks for"),
}

#: Parts of a step in `step`, and its sections: see ``sections``.
PARTS = ("other", "gemv", "attention", "memory", "head", "pick")

BY_NAME = {m.name: m for m in MESSAGES}
BY_NUMBER = {m.number: m for m in MESSAGES}


def sections(encoder_layers: int, decoder_layers: int) -> tuple[str, ...]:
    """Sections of a step, in order: the rows of `step` (BM_SECTION in bm_step.c)."""
    return (
        "embed",
        *(f"enc.{i}" for i in range(encoder_layers)),
        "fusion",
        "memory",
        *(f"dec.{i}" for i in range(decoder_layers)),
        "head",
    )


def pattern(n: int, first: int = 0) -> bytes:
    """Bytes ``first`` .. of the test pattern: byte i is the high byte of i * 40503 mod 2^16, so zeros and
    every other value come.
    """
    return bytes((i * 40503 >> 8) & 0xFF for i in range(first, first + n))


def c_header() -> str:
    """bm_protocol.h."""
    number = {m.name: m.number for m in MESSAGES}
    size = {m.name: m.layout.size for m in MESSAGES if m.fields}
    groups = (
        ("frames", "BM_FRAME", {n: v[0] for n, v in FRAMES.items()}),
        ("messages: number u8, length u32, fields, the rest", "BM_MESSAGE", number),
        ("sizes of their fields", "BM_BYTES", size),
        ("flags of the identity", "BM_FLAG", FLAGS),
        (
            "statuses of a result, beside those of bm_status.h",
            "BM_RESULT",
            {n: v[0] for n, v in STATUSES.items()},
        ),
    )
    lines = [
        "/* SPDX-License-Identifier: MIT-0 */",
        "/* Generated by `python -m bitmar_tiny.device.protocol`; docs/reference/serial-protocol.md explains "
        "it. Do not edit. */",
        "#ifndef BM_PROTOCOL_H",
        "#define BM_PROTOCOL_H",
        "",
        f"#define BM_PROTOCOL_VERSION {VERSION}u",
    ]
    for what, prefix, values in groups:
        lines += [
            "",
            f"enum {{ /* {what} */",
            *(f"    {prefix}_{name.upper()} = {value}," for name, value in values.items()),
            "};",
        ]
    return "\n".join([*lines, "", "#endif", ""])


def _c_type(code: str) -> str:
    return {"B": "u8", "H": "u16", "I": "u32", "i": "i32", "Q": "u64", "f": "f32"}.get(
        code, f"u8[{code[:-1]}]"
    )


def markdown() -> str:
    """The tables of docs/reference/serial-protocol.md."""
    lines = [
        "| frame | number | |",
        "|---|---|---|",
        *(f"| {name} | {number} | {what} |" for name, (number, what) in FRAMES.items()),
        "",
        "| message | number | from | fields | then | |",
        "|---|---|---|---|---|---|",
    ]
    for m in MESSAGES:
        fields = ", ".join(f"{name} {_c_type(code)}" for name, code in m.fields)
        lines.append(
            f"| {m.name} | {m.number} | {'host' if m.direction == '>' else 'device'} | {fields} | {m.rest} "
            f"| {m.what} |"
        )
    lines += [
        "",
        "| status of a result | | |",
        "|---|---|---|",
        "| below 0 | | `bm_status.h` |",
        "| 0 | | ok |",
        *(f"| {number} | {name} | {what} |" for name, (number, what) in STATUSES.items()),
    ]
    return "\n".join(lines)


DOCS_BEGIN, DOCS_END = "<!-- table -->\n", "\n<!-- end of table -->"


def documented(text: str) -> str:
    """The text of docs/reference/serial-protocol.md with the tables as they should be."""
    before, rest = text.split(DOCS_BEGIN)
    return before + DOCS_BEGIN + markdown() + DOCS_END + rest.split(DOCS_END)[1]


def main() -> None:
    root = Path(__file__).resolve().parents[2]
    (root / "firmware_templates" / "runtime" / "link" / "bm_protocol.h").write_text(c_header())
    docs = root / "docs" / "reference" / "serial-protocol.md"
    docs.write_text(documented(docs.read_text()))


if __name__ == "__main__":
    main()
