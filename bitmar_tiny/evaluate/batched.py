# SPDX-License-Identifier: Apache-2.0
"""Many sessions of a frozen model with a keyed memory asked at once, with PyTorch: every picture is looked at
once, every episode read once, and all is bit for bit what golden computes. It only takes less time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..data.corpus import to_float
from ..data.show_once import LONGEST_ANSWER, PROMPT
from ..data.tokenizer import Tokenizer
from ..errors import ConfigError
from ..frozen import FrozenModel
from ..golden import numerics as nm
from .askers import Episode, learned_share

#: Pictures that are looked at, and episodes that are read, at once: what they need lies in a cache.
_LOOK, _READ = 16, 128


@dataclass
class _Memory:
    """A session's memory, as ``golden.keyed`` has it: keys, values int8 [K, C], scales float32 [K], usage
    uint32 [K].
    """

    keys: np.ndarray
    values: np.ndarray
    scales: np.ndarray
    usage: np.ndarray


@dataclass
class _Taught:
    """The memories of some sessions."""

    memories: list[_Memory]

    @cached_property
    def slots(self) -> Any:
        """What ``BitMar.decode`` takes, up to the last block of which a slot is in use."""
        import torch

        from ..model.memory import Slots

        last = max((int(np.flatnonzero(m.usage).max(initial=0)) for m in self.memories), default=0)
        some = slice(-(-(last + 1) // nm.READ_BLOCK) * nm.READ_BLOCK)

        def stacked(name: str) -> Any:
            return torch.from_numpy(np.stack([getattr(m, name)[some] for m in self.memories]))

        usage = stacked("usage").to(torch.int64)
        return Slots(stacked("keys").float(), stacked("scales"), stacked("values").float(), usage > 0)


class BatchedAsker:
    """A frozen model with a keyed memory. ``ConfigError`` for another memory."""

    at_once, exact = 128, True

    def __init__(self, model: FrozenModel, tokenizer: Tokenizer, pictures: np.ndarray) -> None:
        from ..model.export import load_frozen

        cfg = model.config
        if not cfg.keyed:
            raise ConfigError(
                f"{cfg.name}: PyTorch asks a frozen model only where its memory is keyed.",
                "Leave out --on, or name the run.",
            )
        self.model, self.cfg, self.tokenizer, self.pictures = load_frozen(model), cfg, tokenizer, pictures
        keys, values = nm.planes(model.arrays["memory.m.codes"])
        self.trained = _Memory(
            keys, values, model.arrays["memory.m.scales"], model.arrays["memory.m.usage"].astype(np.uint32)
        )
        self.prompt = (tokenizer.eos, *tokenizer.encode(PROMPT))
        self.seen = np.zeros((len(pictures), cfg.image_tokens, cfg.d_model), np.float32)
        self.looked = np.zeros(len(pictures), bool)

    # -- telling -----------------------------------------------------------------------------

    def teach(self, told: Sequence[Sequence[Episode]], before: _Taught | None = None) -> _Taught:
        found = self._read({episode for episodes in told for episode in episodes})
        starts = before.memories if before else [self.trained] * len(told)
        return _Taught([self._written(m, [found[e] for e in t]) for m, t in zip(starts, told, strict=True)])

    def _written(self, m: _Memory, episodes: Iterable[tuple[np.ndarray, np.float32, np.ndarray]]) -> _Memory:
        """As ``golden.keyed.write`` does it, episode after episode."""
        m, fixed = _Memory(m.keys.copy(), m.values.copy(), m.scales.copy(), m.usage), self.cfg.fixed_slots
        match, end = np.float32(self.cfg.match_from), 0
        for key, scale, value in episodes:
            end = max(end, fixed + 1, int(np.flatnonzero(m.usage).max(initial=0)) + 2)  # one empty, if any is
            slot = nm.keyed_slot(key, scale, m.keys[:end], m.scales[:end], m.usage[:end], fixed, match)
            m.keys[slot], m.values[slot], m.scales[slot] = key, value, scale
            m.usage = nm.keyed_usage(m.usage, slot, fixed)
        return m

    def _read(self, episodes: set[Episode]) -> dict[Episode, tuple[np.ndarray, np.float32, np.ndarray]]:
        """Key, its scale and value of every episode."""
        found = {}
        for there in (True, False):
            some = [e for e in episodes if (e[0] is not None) == there]
            ids = self._ids([text for _, text in some])
            order = sorted(range(len(some)), key=lambda i: len(ids[i]))
            for i in range(0, len(order), _READ):
                chosen = order[i : i + _READ]
                rows = [some[k][0] for k in chosen] if there else None
                parts = self._kept([ids[k] for k in chosen], rows)
                found |= {some[k]: part for k, part in zip(chosen, zip(*parts, strict=True), strict=True)}
        return found

    def _kept(self, ids: Sequence[Sequence[int]], rows: Any) -> tuple[np.ndarray, ...]:
        """What a slot holds of each of these texts beside these pictures (None: without one)."""
        import torch

        net, ends = self.model, torch.tensor([len(i) for i in ids])
        longest = int(ends.max())
        streams = [[self.tokenizer.eos, *i, *[0] * (longest - len(i))] for i in ids]
        with torch.no_grad():
            told = net.encode(torch.tensor(streams), image=None if rows is None else self._look(rows))
            query, source = (x[torch.arange(len(ids)), ends] for x in (told.pooled, told.source))
            keys, scales = net.key(source)
            values, _ = net.math.norm(net.linear("memory.wv", *net.math.norm(query)))
        return keys.numpy().astype(np.int8), scales[:, 0].numpy(), values.numpy().astype(np.int8)

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        return [ids.tolist() for ids in self.tokenizer.encode_batch(texts)]

    def _look(self, rows: Sequence[int]) -> Any:
        """Image tokens of pictures: float32 [B, n, d], each made once."""
        import torch

        from ..model.vision import image_tokens

        wanted = np.asarray(rows)
        new = np.unique(wanted[~self.looked[wanted]])
        for i in range(0, len(new), _LOOK):
            some = new[i : i + _LOOK]
            with torch.no_grad():
                self.seen[some] = image_tokens(self.model, torch.from_numpy(to_float(self.pictures[some])))
        self.looked[new] = True
        return torch.from_numpy(self.seen[wanted])

    # -- asking ------------------------------------------------------------------------------

    def answers(self, taught: _Taught, rows: Sequence[int], memory: bool = True) -> list[str]:
        import torch

        eos, image = self.tokenizer.eos, self._look(rows)
        streams = torch.tensor([self.prompt] * len(rows))
        going = torch.ones(len(rows), dtype=torch.bool)
        for _ in range(LONGEST_ANSWER):
            best = self._ahead(taught, streams, image, 1, memory)[0][:, 0].argmax(-1)
            streams = torch.cat([streams, best[:, None]], 1)
            going &= best != eos
            if not going.any():
                break
        written = [ids[len(self.prompt) :] for ids in streams.tolist()]
        return [self.tokenizer.decode(w[: w.index(eos)] if eos in w else w) for w in written]

    def scores(self, taught: _Taught, rows: Sequence[int], answers: Sequence[Sequence[str]]) -> np.ndarray:
        import torch

        image, found = self._look(rows), []
        for texts in zip(*answers, strict=True):  # one of each session
            ids = self._ids(texts)
            longest = max(map(len, ids))
            streams = torch.tensor([[*self.prompt, *i, *[0] * (longest - len(i))] for i in ids])
            acc, scale = self._ahead(taught, streams[:, :-1], image, longest, True)
            log = (acc * scale).double().log_softmax(-1)
            likely = log.gather(-1, streams[:, -longest:, None])[..., 0].numpy()
            found.append([float(of[: len(i)].sum()) for of, i in zip(likely, ids, strict=True)])
        return np.array(found).T

    def doubts(self, taught: _Taught, rows: Sequence[int]) -> np.ndarray | None:
        return learned_share(self.model, self._look(rows), taught.slots) if self.cfg.fixed_slots else None

    def _ahead(self, taught: _Taught, streams: Any, image: Any, last: int, memory: bool) -> tuple[Any, Any]:
        """Integer logits [B, last, V] at the last positions of every stream, and their scale."""
        import torch

        self.model.memory_on = memory
        try:
            with torch.no_grad():
                encoded = self.model.encode(streams, image=image)
                out = self.model.decode(encoded, logits=False, own=taught.slots)
            return self.model.head(*(x.unflatten(0, streams.shape)[:, -last:] for x in out.head))
        finally:
            self.model.memory_on = True
