# SPDX-License-Identifier: Apache-2.0
"""The figure of one session: what was shown, where it was written, what was read, whose pictures they are."""

from __future__ import annotations

import dataclasses
from xml.etree import ElementTree

import numpy as np
import pytest
from eval_support import byte_tokenizer
from support import SHOWN, TINY
from things_support import shapes

from bitmar_tiny.data.things.table import TEST
from bitmar_tiny.errors import BitmarError, ConfigError
from bitmar_tiny.evaluate.one_session import told_session
from bitmar_tiny.frozen import FrozenModel, random_model
from bitmar_tiny.report.session import session_svg, write_session

SVG = "{http://www.w3.org/2000/svg}"


def session_of(cfg, things, **changed):
    model = random_model(cfg.model_copy(update=changed), 1)
    model = FrozenModel(model.config, model.arrays, byte_tokenizer().to_bytes(), {})
    return told_session(model, things, things.trials(TEST, "another view", 3, 1, 1)[0], 1)


def test_a_session_is_drawn_whole(tmp_path):
    things = dataclasses.replace(shapes(), views=["noto", "twemoji", "mine"])
    changed = {"image_tokens": 1, "vocab_size": 257, "memory_slots": 9, "match": 1.0, "window": 60}
    session = session_of(SHOWN, things, **changed)
    assert len(session.shown) == 3 and len({s.slot for s in session.shown}) == 3
    assert all(s.slot >= session.fixed and s.slot in session.weights for s in session.shown)
    assert sum(session.weights.values()) == pytest.approx(1)
    write_session(session, tmp_path / "s.svg")
    drawn = ElementTree.parse(tmp_path / "s.svg").getroot()
    words = " ".join(e.text for e in drawn.iter(f"{SVG}text"))
    assert len(list(drawn.iter(f"{SVG}image"))) == 4
    assert all(s.text in words for s in session.shown) and "This is" in words
    credits = {"Noto Emoji, Google, Apache-2.0", "Twemoji, Twitter and contributors, CC BY 4.0", "shapes"}
    assert set(session.credits) <= credits and all(c in words for c in session.credits)
    right = dataclasses.replace(session, said=session.right, shown=session.shown * 4)
    assert "(it is" not in session_svg(right)
    strange = dataclasses.replace(session, said="\x01 <&>")
    ElementTree.fromstring(session_svg(strange))
    with pytest.raises(BitmarError):
        write_session(session, tmp_path / "no" / "s.svg")


def test_only_a_keyed_memory_has_a_slot_for_a_thing():
    with pytest.raises(ConfigError, match="written to many slots"):
        session_of(TINY, shapes(), image_tokens=1)


def test_a_picture_is_drawn_as_it_was_shown():
    from bitmar_tiny.evaluate.references import whole

    things = shapes()
    assert whole(things, 0).shape == (16, 16, 3) and np.unique(whole(things, 0)).size > 1
