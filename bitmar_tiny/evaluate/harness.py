# SPDX-License-Identifier: Apache-2.0
"""BitMar as a model of lm-evaluation-harness (optional package ``lm-eval``), for its tasks and prompts.

from bitmar_tiny.evaluate.harness import BitmarLM          # registers the name "bitmar-tiny"
lm_eval.simple_evaluate(model="bitmar-tiny", model_args="model=model.bitmar,on=host", tasks=["arc_easy"])
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from ..errors import ConfigError
from ..golden.model import GoldenModel
from ..golden.sampler import Sampler
from .scoring import Query
from .suite import open_scorer, open_subject

#: Tokens that ``generate_until`` writes at most, where the task sets no limit.
MAX_NEW_TOKENS = 256


@register_model("bitmar-tiny")
class BitmarLM(LM):
    """model: a frozen model or a run's folder; on: where it runs, as of ``run.open_session``; memory: on or
    off; longest: most tokens read, the trained positions unless given. Text is cut from the left. Generation
    is greedy or sampled as asked, by the golden model, so that a run's folder can be scored but not write.
    ``ConfigError`` and ``FrozenError`` for a bad argument.
    """

    def __init__(
        self, model: str, on: str = "torch", memory: str = "on", longest: int | None = None, **ignored: Any
    ) -> None:
        """ignored: batch_size, device and what else the harness hands to every model; batches are chosen by
        length here.
        """
        super().__init__()
        if memory not in ("on", "off"):
            raise ConfigError(f"memory={memory} is not possible.", "memory is on or off.")
        self.subject = open_subject(Path(model))
        self.memory_on = memory == "on"
        self.longest = int(longest or self.subject.config.n_positions)
        self._open = contextlib.ExitStack()
        self.scorer = self._open.enter_context(open_scorer(self.subject, on, memory))

    @property
    def tokenizer_name(self) -> str:
        return self.subject.tokenizer.identity

    def _query(self, context: Sequence[int], continuation: Sequence[int]) -> Query:
        room = max(self.longest - len(continuation), 0)
        return Query(
            (self.subject.tokenizer.eos, *context[max(len(context) - room, 0) :]), tuple(continuation)
        )

    def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Ids of both; a space at the end of the context belongs to the continuation, as a GPT-2 token has
        it.
        """
        encode, bare = self.subject.tokenizer.encode, context.rstrip()
        return encode(bare), encode(context[len(bare) :] + continuation)

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """(log-probability, whether greedy writing would give it) of every (context, continuation)."""
        found = self.scorer.score([self._query(*self._encode_pair(*request.args)) for request in requests])
        return [(f.total, f.greedy) for f in found]

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Log-probability of whole texts; what is longer than ``longest`` in windows, every token once with
        as much context as fits.
        """
        eos, asked, owner = self.subject.tokenizer.eos, [], []
        for n, request in enumerate(requests):
            windows = get_rolling_token_windows(
                self.subject.tokenizer.encode(request.args[0]), eos, self.longest, 1
            )
            for context, continuation in map(make_disjoint_window, windows):
                asked.append(
                    Query(tuple(context) if context[0] == eos else (eos, *context), tuple(continuation))
                )
                owner.append(n)
        totals = [0.0] * len(requests)
        for n, f in zip(owner, self.scorer.score(asked), strict=True):
            totals[n] += f.total
        return totals

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Text written after every (context, {"until", "max_gen_toks", "temperature", "do_sample", ...}), cut
        before a stop string.
        """
        return [self._write(context, options) for context, options in (request.args for request in requests)]

    def _write(self, context: str, options: dict[str, Any]) -> str:
        until = options.get("until") or []
        until = [until] if isinstance(until, str) else until
        limit = int(options.get("max_gen_toks", MAX_NEW_TOKENS))
        temperature = float(options.get("temperature", 0.0)) if options.get("do_sample", True) else 0.0
        sampler = Sampler(temperature, int(options.get("top_k", 40)), int(options.get("seed", 0)))
        tokenizer, new = self.subject.tokenizer, []
        ids = tokenizer.encode(context)
        for token in self._tokens(ids[max(len(ids) - self.longest + 1, 0) :], sampler):
            new.append(token)
            text = tokenizer.decode(new)
            stops = [text.index(stop) for stop in until if stop and stop in text]
            if stops:
                return text[: min(stops)]
            if len(new) >= limit:
                break
        return tokenizer.decode(new)

    def _tokens(self, prompt: list[int], sampler: Sampler):
        frozen = self.subject.frozen
        if frozen is None:
            raise ConfigError(
                f"{self.subject.name}: a training run does not write text here.", "Freeze it first."
            )
        golden = GoldenModel(frozen.config, frozen.arrays, memory_on=self.memory_on)
        eos = token = self.subject.tokenizer.eos
        for token in (eos, *prompt):
            acc = golden.step(token)
        while (token := sampler.pick(acc, golden.head_scale * frozen.arrays["head.w.scale"])) != eos:
            yield token
            acc = golden.step(token)
