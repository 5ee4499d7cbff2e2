# SPDX-License-Identifier: Apache-2.0
"""An exported model run like the golden one, on any runtime: state kept between calls, taps reported, tokens
generated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from ..arch.config import ModelConfig
from ..arch.tables import tap_table
from ..frozen import FrozenModel
from .arrays import exported_arrays
from .model import graphs
from .ports import PAST, memory_ports, past, read_ports, state_ports, write_ports

Arrays = dict[str, np.ndarray]


class Runtime(Protocol):
    """A loaded file. ``run(graph, inputs)`` gives its outputs by name and, where it was loaded with taps,
    those too.
    """

    name: str
    model_sha256: str  # of the frozen model
    graphs: Mapping[str, object]  # by name

    def run(self, graph: str, inputs: Mapping[str, np.ndarray]) -> Arrays: ...


class ExportedModel:
    """``GoldenModel``'s calls over a runtime. ``memory`` holds the four arrays of ``memory_ports``."""

    def __init__(self, frozen: FrozenModel, runtime: Runtime) -> None:
        self.cfg, self.runtime = frozen.config, runtime
        self.graphs = {g.name: g for g in graphs(self.cfg)}
        arrays = exported_arrays(frozen)
        self.memory = {p.name: arrays[p.name] for p in memory_ports(self.cfg)}
        self.memory_on = True
        self.begin_episode()

    def begin_episode(self) -> None:
        self.state: Arrays = {p.name: np.zeros(p.shape, p.dtype) for p in past(state_ports(self.cfg))}
        self.image = {p.name: np.zeros(p.shape, p.dtype) for p in self.graphs["image"].outputs}
        self.image_on = False

    def set_image(self, features: np.ndarray) -> Arrays:
        """Compress an image, float32 [image_inputs, 768]. Returns all that the runtime reports."""
        out = self.runtime.run("image", {"features": features})
        self.image, self.image_on = {name: out[name] for name in self.image}, True
        return out

    def inputs(self) -> Arrays:
        """What ``step`` and ``prefill`` take beside their tokens."""
        return (
            self.state
            | self.image
            | {
                "memory_on": np.array([self.memory_on]),
                "image_on": np.array([self.image_on]),
                **{p.name: self.memory[p.name] for p in read_ports(self.cfg)},
            }
        )

    def step(self, token: int) -> Arrays:
        """Advance by one token: ``logits`` int32 [1, V] and the rest of what the runtime reports."""
        return self._keep(self.runtime.run("step", self.inputs() | {"token": np.array([token], np.int32)}))

    def prefill(self, tokens: Sequence[int]) -> Arrays:
        """Advance by all of ``tokens`` in one call; logits are those of the last."""
        return self._keep(self.runtime.run("prefill", self.inputs() | {"tokens": np.array(tokens, np.int32)}))

    def _keep(self, out: Arrays) -> Arrays:
        self.state = {name: out[name.removeprefix(PAST)] for name in self.state}
        return out

    def end_episode(self) -> Arrays:
        """Write the episode, unless the memory is off."""
        if not self.memory_on:
            return {}
        inputs = {PAST + name: a for name, a in self.memory.items()}
        inputs |= {PAST + "pool.sum": self.state[PAST + "pool.sum"]}
        seen = self.image | {"image_on": np.array([self.image_on])}
        inputs |= {p.name: seen[p.name] for p in write_ports(self.cfg)}
        out = self.runtime.run("write_episode", inputs)
        self.memory = {name: out[name] for name in self.memory}
        return out


def reported(
    cfg: ModelConfig, kind: str, model: ExportedModel, out: Arrays
) -> Iterator[tuple[int, np.ndarray]]:
    """(tap number, tensor) of a ``step``, an ``image`` or a ``write`` in the order in which golden reports
    them; a graph computes more than golden does, never less.
    """
    # the position after the step is one further than the one that decided about the read
    read = model.memory_on and (int(model.state[PAST + "position"][0]) - 1) % cfg.read_every == 0
    each = []
    for tap, t in enumerate(tap_table(cfg)):
        if t.event != kind or t.only == "image" and not model.image_on or t.only == "read" and not read:
            continue
        array = out[t.name].astype(t.dtype)
        if t.each:
            each.append((tap, array.reshape(cfg.image_tokens, *t.shape)))
            continue
        while each:  # golden compresses one vector after the other
            yield from ((i, rows[j]) for j in range(cfg.image_tokens) for i, rows in each)
            each.clear()
        yield tap, array.reshape(t.shape)
