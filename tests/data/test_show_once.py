# SPDX-License-Identifier: Apache-2.0
"""Sessions made of things: what they hold, that a number gives the same one again, and that names are new."""

from __future__ import annotations

import numpy as np
import pytest
from eval_support import byte_tokenizer
from things_support import shapes

from bitmar_tiny.data.batch import session_batch
from bitmar_tiny.data.corpora import file_corpus
from bitmar_tiny.data.mixture import Mixture
from bitmar_tiny.data.sessions import NONE_OF_THEM, Sessions
from bitmar_tiny.data.show_once import (
    FIRST,
    PROMPT,
    SECOND,
    UNKNOWN,
    MadeSessions,
    Recipe,
    answer_of,
    draw_names,
    draw_spelled,
    draw_words,
    every_text,
    make_sessions,
    name_of,
    spelling,
)
from bitmar_tiny.data.things.table import TRAIN
from bitmar_tiny.data.tokenizer import Tokenizer
from bitmar_tiny.errors import ConfigError, DataError

BYTES = byte_tokenizer()
RECIPE = Recipe((2, 4), 1, 0.3, 0.3, 2)


def sessions(recipe: Recipe, count: int = 200, seed: int = 0):
    things, rng = shapes(), np.random.default_rng(seed)
    for _ in range(count):
        trial = things.trial(rng, TRAIN, things.training, 3, recipe.views)
        (session,) = make_sessions(rng, trial, recipe, BYTES)
        yield things, trial, session


def test_the_answer_is_the_last_name_that_was_said_beside_the_thing():
    kinds = {"unknown": 0, "renamed": 0, "texts": 0}
    for things, _, s in sessions(RECIPE):
        asked = s.picture(-1)
        said = [
            text
            for text, row in zip(s.told, s.pictures, strict=False)
            if row is not None and things.thing[row] == things.thing[asked]
        ]
        assert s.prompt == PROMPT and len(s.pictures) == len(s.told) + 1
        assert all(
            (row is None) == (not text.startswith(PROMPT))
            for text, row in zip(s.told, s.pictures, strict=False)
        )
        kinds["texts"] += any(row is None for row in s.pictures)
        for thing, row in zip(s.things, s.pictures, strict=False):
            assert (thing < 0) == (row is None)
        if s.answer == UNKNOWN:
            kinds["unknown"] += 1
            assert not said and s.target == NONE_OF_THEM
        else:
            assert PROMPT + s.answer == s.told[s.target]
            assert things.thing[s.pictures[s.target]] == things.thing[asked]
            assert s.things[s.target] not in s.things[s.target + 1 :]
            assert PROMPT + s.answer == said[-1] and asked not in s.pictures[:-1]
            kinds["renamed"] += len(said) > 1
    assert 35 < kinds["unknown"] < 85 and 20 < kinds["renamed"] < 65 and kinds["texts"] > 90


def test_a_batch_says_where_the_answers_are_and_what_each_episode_is_about():
    made = [s for _, _, s in sessions(RECIPE, 5)]
    encoded = Sessions.encode(BYTES, made, shapes().pictures)
    batch = session_batch(encoded, np.array([3, 1, 4]), slice(1, 3), BYTES.eos)
    episodes = len(batch.before.things) // 2
    for i, s in enumerate((made[1], made[4])):
        assert batch.target[i] == s.target
        things = batch.before.things[i * episodes :][:episodes].tolist()
        assert things == [*s.things, *[-1] * (episodes - len(s.things))]
        begins = batch.asked[i]
        assert BYTES.decode(batch.labels[i, begins : batch.lengths[i] - 1].tolist()) == s.answer


def test_questions_about_one_memory_are_told_it_once():
    """Each asks another thing, in a view in which it was not shown; recited ones have no picture."""
    things, rng = shapes(), np.random.default_rng(1)
    recipe = Recipe((3, 3), 1, 0.2, 0.2, 1, questions=3, recited=0.4)
    kinds = {"recited": 0, "unknown": 0}
    for _ in range(40):
        trial = things.trial(rng, TRAIN, things.training, 3)
        asked = make_sessions(rng, trial, recipe, BYTES)
        assert len(asked) == 3 and all(s.told is asked[0].told for s in asked)
        known = [s for s in asked if s.answer != UNKNOWN]
        assert len({s.answer for s in known}) == len(known)
        for s in known:
            assert PROMPT + s.answer == s.told[s.target]
            if (row := s.picture(-1)) is None:
                kinds["recited"] += 1
            else:
                assert things.thing[row] == things.thing[s.pictures[s.target]] and row not in s.pictures[:-1]
        kinds["unknown"] += len(asked) - len(known)
    assert all(10 < n < 80 for n in kinds.values()), kinds


def test_a_batch_holds_what_streams_share_once_and_says_who_reads_it():
    made = MadeSessions([shapes()], BYTES, Recipe((3, 3), 1, 0, 0, 0, questions=2))
    encoded = made.draw(0, 0, 5)
    whole = session_batch(encoded, np.arange(5), slice(None), BYTES.eos)
    assert whole.memory.tolist() == [0, 0, 1, 1, 2] and whole.block.tolist() == [0, 2, 4]
    assert len(whole.before.tokens) == 3 * 3
    part = session_batch(encoded, np.arange(5), slice(1, 3), BYTES.eos)
    assert part.memory.tolist() == [0, 1] and part.block.tolist() == [0, 2]
    assert np.array_equal(part.before.tokens, whole.before.tokens[:6])
    for i in range(5):
        at = whole.memory[i] * 3 + whole.target[i]
        told = BYTES.decode(whole.before.labels[at, : whole.before.lengths[at] - 1].tolist())
        assert told == BYTES.decode(whole.labels[i, : whole.lengths[i] - 1].tolist())
    twice = session_batch(encoded, np.array([2, 2]), slice(None), BYTES.eos)
    assert twice.block.tolist() == [0, 1], "drawn twice, it is two memories"


def test_names_and_what_is_said():
    for name, said in (("dax", " a dax."), ("apple", " an apple."), ("my cup", " my cup."), ("a b", " a b.")):
        assert answer_of(name) == said and answer_of(name_of(said)) == said
    spelled = draw_spelled(np.random.default_rng(0), 300, (["b", "sh"], ["a", "x"]))
    assert len(set(spelled)) == 300 and all(set(s) <= set("bshax myteour") for s in spelled)
    assert spelling(BYTES)[1] == [chr(c) for c in range(256) if chr(c).isascii() and chr(c).isalpha()]
    found = draw_words(np.random.default_rng(0), 300)
    assert len(set(found)) == 300 and any(" " in f for f in found) and any(" " not in f for f in found)


def test_every_thing_is_shown_in_every_view_it_is_to_be_shown_in():
    for things, trial, s in sessions(Recipe((3, 3), 2, 0, 0, 0), 20):
        assert sorted(s.pictures[:-1]) == sorted(trial.shown.ravel().tolist()) and len(s.told) == 6
        by_thing = {}
        for text, row in zip(s.told, s.pictures, strict=False):
            by_thing.setdefault(things.thing[row], set()).add(text)
        assert all(len(texts) == 1 for texts in by_thing.values())


def test_names_are_never_alike_and_no_word_twice():
    names = draw_names(np.random.default_rng(0), 500)
    assert len(set(names)) == 500 and len({a + b for a in FIRST for b in SECOND}) == len(FIRST) * len(SECOND)
    with pytest.raises(ConfigError, match="made-up names"):
        draw_names(np.random.default_rng(0), 10_000)


def test_a_name_is_two_tokens_of_gpt_2():
    try:
        gpt2 = Tokenizer.gpt2()
    except DataError as error:
        pytest.skip(str(error))
    for first in FIRST[::7]:
        for second in SECOND:
            assert gpt2.encode(f" a {first}{second}.") == [
                *gpt2.encode(" a"),
                *gpt2.encode(" " + first),
                *gpt2.encode(second),
                *gpt2.encode("."),
            ]
    assert max(map(len, gpt2.encode_batch(every_text()))) <= 10


def made(recipe: Recipe = RECIPE) -> MadeSessions:
    return MadeSessions([shapes(), shapes(4, 5)], BYTES, recipe)


def test_a_batch_is_a_pure_function_of_its_number_in_any_order():
    def mixture(seed=3):
        return Mixture(
            BYTES, sessions=made(), batch_size=4, max_len=40, text_every=1, session_every=1, seed=seed
        )

    first, again, other = mixture(), mixture(), mixture(4)
    wanted = {step: first.batch(step) for step in range(6)}
    for step in (4, 1, 5, 0, 3, 2):
        found = again.batch(step)
        assert np.array_equal(found.tokens, wanted[step].tokens)
        assert np.array_equal(found.images, wanted[step].images)
        assert np.array_equal(found.before.images, wanted[step].before.images)
        part = again.batch(step, slice(1, 3))
        assert np.array_equal(part.images, wanted[step].images[1:3]) and part.total == wanted[step].total
    assert not np.array_equal(other.batch(0).images, wanted[0].images)
    assert first.batches_per_epoch == -(-len(made()) // 4)


def test_what_cannot_be_drawn_or_would_be_cut_is_refused_before_training():
    with pytest.raises(DataError, match="too few things"):
        made(Recipe((2, 4), 3))
    with pytest.raises(ConfigError, match="not possible"):
        made(Recipe((4, 2)))
    with pytest.raises(ConfigError, match="session_every=0"):
        made().check(0, 40)
    with pytest.raises(ConfigError, match="Set max_len=34|A text of the sessions has"):
        made().check(1, 9)


def test_a_corpus_of_things_is_another_for_another_recipe_or_picture(tmp_path):
    def corpus(things, recipe=RECIPE):
        from support import TINY

        return file_corpus(TINY, (), (), (), tmp_path, things=[things], recipe=recipe, tokenizer=BYTES)

    a, b = corpus(shapes()), corpus(shapes())
    assert a.identity == b.identity and "24 things" not in a.summary and "things to show" in a.summary
    assert corpus(shapes(), Recipe()).identity != a.identity
    assert corpus(shapes(2)).identity != a.identity
