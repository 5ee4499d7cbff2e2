# SPDX-License-Identifier: Apache-2.0
"""Things that are shown, a power cut, and the questions: a script for every target, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping

from taught_support import seen

from bitmar_tiny.data.show_once import PROMPT, UNKNOWN, answer_of, sentence_of
from bitmar_tiny.data.tokenizer import Tokenizer
from bitmar_tiny.frozen import FrozenModel
from bitmar_tiny.golden import numerics as nm
from bitmar_tiny.golden.model import GoldenModel
from bitmar_tiny.verify.script import Event

#: Told in this order: the first colour gets another name in the end.
TOLD = (("red", "my cup"), ("blue", "dax"), ("red", "apple"))
KNOWN = {"red": "apple", "blue": "dax", "lime": None}


def episode(model: FrozenModel, colour: str, text: str) -> list[Event]:
    """A picture and a text."""
    tokenizer = Tokenizer.from_bytes(model.tokenizer)
    image = nm.as_features(seen(model, colour))
    ids = [tokenizer.eos, *tokenizer.encode(text)]
    return [Event("begin"), Event("image", image=image), *(Event("token", token=i) for i in ids)]


def show_once(model: FrozenModel, known: Mapping[str, str | None] = KNOWN) -> list[Event]:
    """Shown, and off and on before each question. The answers are fed as they must come."""
    events: list[Event] = []
    for colour, name in TOLD:
        events += [*episode(model, colour, sentence_of(name)), Event("write")]
    for colour, name in known.items():
        events.append(Event("power"))
        events += episode(model, colour, PROMPT + (answer_of(name) if name else UNKNOWN))
    return events


def show_twice(model: FrozenModel) -> list[Event]:
    """For what keeps its memory in RAM: with power cuts, which it forgets in, and without."""
    script = show_once(model)
    return script + [event for event in script if event.kind != "power"]


def answers(model: FrozenModel, script: list[Event], keeps: bool) -> list[str]:
    """What golden says behind ``PROMPT`` in each episode of a script that asks. keeps: its memory outlives
    a power cut.
    """
    tokenizer, said = Tokenizer.from_bytes(model.tokenizer), []
    prompt = len(tokenizer.encode(PROMPT)) + 1
    golden = GoldenModel(model.config, model.arrays)
    for event in script:
        if event.kind == "power" and not keeps:
            golden = GoldenModel(model.config, model.arrays)
        elif event.kind == "begin":
            golden.begin_episode()
            said.append([])
        elif event.kind == "image":
            golden.set_image(event.image)
        elif event.kind == "token":
            best = int(golden.step(event.token).argmax())
            said[-1] += [best] if golden.t >= prompt and tokenizer.eos not in said[-1] else []
        elif event.kind == "write":
            golden.end_episode()
    return [tokenizer.decode(ids[:-1] if ids[-1] == tokenizer.eos else ids) for ids in said[len(TOLD) :]]
