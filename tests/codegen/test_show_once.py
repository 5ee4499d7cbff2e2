# SPDX-License-Identifier: Apache-2.0
"""The generated program is shown a thing once, and knows it: in the words and with the memory of the Python
one, to the bit, whatever moment it is killed in.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess

import numpy as np
import pytest
from firmware.build import HERE, ROOT, SANITIZE, compile
from PIL import Image
from store.store_support import same
from support import need
from taught_support import COLOURS, knowing, picture

from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.build import build
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.codegen.resources import resource_dir
from bitmar_tiny.data.frontend.picture import decode
from bitmar_tiny.data.pixels import read_picture
from bitmar_tiny.data.show_once import (
    DETERMINERS,
    LONGEST_ANSWER,
    PROMPT,
    UNKNOWN,
    VOWELS,
    answer_of,
    name_of,
)
from bitmar_tiny.errors import BitmarError
from bitmar_tiny.memory.store import MemoryStore
from bitmar_tiny.run import teach as things
from bitmar_tiny.run.golden import GoldenSession

COMPONENT = resource_dir("firmware_templates") / "runtime" / "show_once"
WRAPPED = "-Wl,--wrap=pwrite64,--wrap=fdatasync"


def ppm(colour: str, side: int = 16) -> bytes:
    """A binary PPM of one colour."""
    out = io.BytesIO()
    Image.open(io.BytesIO(picture(colour, side))).save(out, "PPM")
    return out.getvalue()


@pytest.fixture(scope="module")
def model():
    return knowing()


def built(model, folder, board="host", **options):
    need(board, "gcc")
    profile = load_board(board)
    project = emit(model, profile, folder, "portable" if board == "host" else None, memory="sd")
    shutil.copy(HERE / "kill_at.c", project.sources)
    return project, build(project.path, profile, project.family, compiler="gcc", extra=(WRAPPED,), **options)


@pytest.fixture(scope="module")
def program(model, tmp_path_factory):
    """The project, and its program for this machine."""
    return built(model, tmp_path_factory.mktemp("show") / "p")


class Shown:
    """A program, and a store of its own."""

    def __init__(self, project, program, folder) -> None:
        self.command, self.folder = program.command, folder
        self.store = folder / "memory.store"
        shutil.copy(project.memory_store, self.store)
        for colour in COLOURS:
            (folder / f"{colour}.ppm").write_bytes(ppm(colour))

    def run(self, *words, stdin=b"", **environment):
        return subprocess.run(
            [*self.command, *(w if isinstance(w, bytes) else str(w) for w in words)],
            input=stdin,
            capture_output=True,
            cwd=self.folder,
            timeout=120,
            env=os.environ | environment,
        )

    def says(self, *words, stdin=b"") -> str:
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 0 and not done.stderr, done
        return done.stdout.decode()

    def refuses(self, *words, stdin=b"", code=2) -> str:
        """One sentence, and a store that is as it was."""
        before = self.store.read_bytes()
        done = self.run(*words, stdin=stdin)
        assert done.returncode == code and not done.stdout and done.stderr.count(b"\n") == 1, done
        assert done.stderr.startswith(b"bitmar: ") and self.store.read_bytes() == before
        return done.stderr.decode()

    def known(self) -> list[tuple[int, int, str]]:
        """Slot, episodes ago, name: what ``list`` says."""
        lines = self.says("list").splitlines()
        return [(int(a), int(b), c) for a, b, c in (line.split(None, 2) for line in lines[1:])]


@pytest.fixture
def shown(program, tmp_path):
    return Shown(*program, tmp_path)


#: More things than there is room for, a new name for one, the same name again.
DAY = (
    ("teach", "my cup", "red"),
    ("teach", "dax", "lime"),
    ("ask", "red"),
    ("teach", " an apple ", "blue"),
    ("teach", "cup", "lime"),
    ("forget", "a cup"),
    ("ask", "lime"),
    ("teach", "wug", "cyan"),
    ("teach", "dax", "yellow"),
    ("teach", "dax", "yellow"),
    ("ask", "yellow"),
    ("ask", "magenta"),
    ("teach", "nonsense", "magenta"),
    ("forget", "my cup"),
    ("forget", "dax"),
)


class Reference:
    """The same in Python: golden, with a store."""

    def __init__(self, model, store) -> None:
        self.model, self.store = model, store

    def __call__(self, command, *words):
        with GoldenSession(self.model, store=self.store) as session:
            try:
                return getattr(self, command)(session, *words)
            except BitmarError as error:
                return error.message

    def seen(self, colour):
        return read_picture(picture(colour), self.model.config.image_inputs)

    def teach(self, session, name, colour):
        return things.teach(session, self.model, name, self.seen(colour)).thing

    def ask(self, session, colour):
        return things.ask(session, self.model, self.seen(colour)).text

    def forget(self, session, name):
        return things.forget(session, self.model, name)

    def list(self, session):
        return [(t.slot, t.episodes_ago, t.name) for t in things.taught(session, self.model)]


@pytest.fixture(scope="module", params=["host", "rpi-zero2"])
def anywhere(request, model, tmp_path_factory):
    """The project, and its program, for this machine or in an emulator."""
    if request.param == "host":
        return request.getfixturevalue("program")
    return built(model, tmp_path_factory.mktemp("show") / "p", request.param)


def test_what_is_said_and_kept_is_what_python_says_and_keeps(anywhere, model, tmp_path):
    """Every command is a start anew; after each both stores hold the same bits, after as many episodes."""
    shown = Shown(*anywhere, tmp_path)
    store = shutil.copy(shown.store, tmp_path / "python.store")
    reference = Reference(model, store)
    refused = 0
    for command, *words in DAY:
        want = reference(command, *words)
        files = [f"{word}.ppm" if word in COLOURS else word for word in words]
        if command != "ask" and isinstance(want, str):
            refused += 1
            said = shown.refuses(command, *files)
            assert ("would say" in said) == ("would say" in want) and ("is known" in said) == (
                "is known" in want
            )
        elif command == "ask":
            assert shown.says(command, *files) == f"{want}\n"
        else:
            one = want if command == "teach" else want[0]
            begin = "Taught" if command == "teach" else "Forgot"
            assert shown.says(command, *files).startswith(f"{begin}: {one.name} (slot {one.slot}")
        mine, theirs = (MemoryStore.open(path, model.digest) for path in (shown.store, store))
        assert same(mine.read(), theirs.read()) and mine.sequence == theirs.sequence
        assert shown.store.read_bytes() == open(store, "rb").read()  # what is left of before, too
        assert not mine.damaged and shown.known() == reference("list")
    assert refused == 2


def test_teaching_says_what_it_replaced(shown):
    assert shown.says("teach", "my cup", "red.ppm") == "Taught: my cup (slot 1, 1 thing is known now).\n"
    assert "2 things are known now)." in shown.says("teach", "dax", "lime.ppm")
    again = shown.says("teach", "cup", "red.ppm")
    assert "It takes the place of my cup, taught 2 episodes ago: the pictures are alike." in again
    assert "It was known by this name." in shown.says("teach", "cup", "red.ppm")
    shown.says("teach", "wug", "blue.ppm")
    assert "The memory was full: it forgot dax, taught 4 episodes ago." in shown.says(
        "teach", "dax", "cyan.ppm"
    )
    assert shown.says("forget", "cup") == "Forgot: cup (slot 1).\n"


def test_it_looks_at_each_picture_of_a_stream(shown):
    """As a camera sends them, of any size; the first one is taught."""
    assert "slot 1" in shown.says("teach", "dax", "-", stdin=ppm("red", 40) + ppm("blue"))
    stream = ppm("red") + ppm("blue", 33) + ppm("red", 100)
    said = "This is a dax.\nI don't know.\nThis is a dax.\n"
    assert shown.says("ask", "-", stdin=stream) == said
    cut = shown.run("ask", "-", stdin=stream[:-1])
    assert cut.returncode == 2 and cut.stdout.decode() == said.rsplit("This", 1)[0]
    assert cut.stderr == b"bitmar: -: the picture is cut short\n"
    assert "an empty file" in shown.refuses("ask", "-")


def test_it_says_which_slots_answered_as_python_does(shown, model):
    """For people and for programs; of a picture that two slots answer, and of one that none knows."""
    for name, colour in (("my cup", "red"), ("dax", "yellow"), ("wug", "blue")):
        shown.says("teach", name, f"{colour}.ppm")
    store = MemoryStore.open(shown.store, model.digest)
    with GoldenSession(model, store=shown.store) as session:
        for colour in COLOURS:
            wanted = things.ask(session, model, read_picture(picture(colour), model.config.image_inputs))
            found = json.loads(shown.says("ask", f"{colour}.ppm", "--json"))
            assert (found["text"], found["name"]) == (wanted.text, wanted.name)
            assert [(s["slot"], s["name"], s["learned"]) for s in found["slots"]] == [
                (s.slot, s.name, s.learned) for s in wanted.slots
            ]
            shares = [s.share for s in wanted.slots]
            assert [s["share"] for s in found["slots"]] == pytest.approx(shares, abs=1e-4)
            first = wanted.slots[0]
            lines = shown.says("ask", f"{colour}.ppm", "--slots").splitlines()
            assert lines[0] == wanted.text and len(lines) == 1 + len(shares)
            assert lines[1].startswith(f"slot {first.slot}, ") and first.name in lines[1]
            assert lines[1].endswith("(learned)") == first.learned
    stream = shown.says("ask", "-", "--json", stdin=ppm("red") + ppm("lime")).splitlines()
    assert [json.loads(line)["name"] for line in stream] == ["my cup", None]
    assert store.sequence == MemoryStore.open(shown.store, model.digest).sequence


#: Names that nothing can have, and some that just can.
NAMES = (
    "",
    " \t",
    "a.b",
    "a\nb",
    "a\x1b",
    "a\x85b",
    "a\u2028b",
    "x" * 129,
    "é" * 65,
    "\udc80",
    "\udcc3(",
    "é",
    "a\u00a0b",
)


def test_it_refuses_names_in_the_words_of_python(shown, model):
    """Whatever bytes they are; Python says the fix apart."""
    for name in (*NAMES, "cup " * 20, "cup " * 12):
        try:
            things.checked_name(model, name)
            wanted = "the model cannot keep this name"
        except BitmarError as error:
            wanted = error.message.rstrip(".").split("': ")[-1][1:]
        said = shown.refuses("teach", os.fsencode(name), "red.ppm")
        assert wanted in said, (name, said)


@pytest.fixture
def on_a_pi(anywhere, tmp_path):
    """Runs the example's script, with a camera that takes pictures of these colours, and then none."""
    shown = Shown(*anywhere, tmp_path)
    (tmp_path / "bitmar").write_text(f'#!/bin/sh\nexec {shlex.join(shown.command)} "$@"\n')
    (tmp_path / "bitmar").chmod(0o755)
    camera = tmp_path / "camera"
    camera.write_text("#!/bin/sh\nset -e\nn=$(cat count)\necho $((n + 1)) > count\ncat $n.rgb\n")
    camera.chmod(0o755)
    (tmp_path / "count").write_text("0")

    def run(colours, *words, **environment):
        for number, colour in enumerate(colours):
            pixels = np.asarray(Image.open(io.BytesIO(picture(colour, 480))).convert("RGB"))
            (tmp_path / f"{number}.rgb").write_bytes(pixels.tobytes())
        environment |= {"BITMAR": "./bitmar", "CAMERA": "./camera"}
        command = ["sh", ROOT / "examples" / "pi-show-once.sh", *words]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=os.environ | environment, timeout=60
        )

    return run


def test_the_example_for_a_pi_with_another_camera(on_a_pi):
    colours = ("red", "red", "blue")
    taught = on_a_pi(colours, "teach", "my cup")
    assert taught.returncode == 0 and "Taught: my cup (slot 1" in taught.stdout, taught
    asked = on_a_pi(colours, "ask")
    assert asked.stdout == "This is my cup.\nI don't know.\n" and "cut short" in asked.stderr
    assert on_a_pi((), "teach").returncode == 2 and "usage" in on_a_pi((), "list").stderr


def test_a_button_asks_and_teaches(on_a_pi, tmp_path):
    """Pressed, held for a second and more, pressed; it comes up once without having been down."""
    edges = ("2_3.5", "1_4.000000001", "2_4.25", "1_9.9", "0_10.900000000", "1_11.05", "2_12.049")
    (tmp_path / "button").write_text("\n".join(edges) + "\n")
    (tmp_path / "console").write_text("my cup\n")
    done = on_a_pi(("red", "red", "red"), "button", BUTTON="cat button", CONSOLE="console")
    assert done.stdout.startswith("I don't know.\nIts name: Taught: my cup (slot 1"), done
    assert done.stdout.endswith("\nThis is my cup.\n") and not done.stderr, done


@pytest.mark.parametrize(
    "words, said",
    [
        (("teach",), "teach: needs NAME PICTURE; see 'bitmar --help'"),
        (("teach", "dax"), "needs NAME PICTURE"),
        (("teach", "dax", "red.ppm", "more"), "more: unknown option"),
        (("teach", "", "red.ppm"), "the name is empty"),
        (("teach", " \t", "red.ppm"), "the name is empty"),
        (("teach", "a.b", "red.ppm"), "a full stop"),
        (("teach", "a\nb", "red.ppm"), "a line break"),
        (("teach", "x" * 129, "red.ppm"), "longer than 128 bytes"),
        (
            ("teach", "cup " * 20, "red.ppm"),
            "too long a name: saying it takes 22 tokens, and an answer has 12",
        ),
        (("forget", "cup " * 20), "too long a name: saying it takes 22 tokens, and an answer has 12"),
        (("ask", "red.ppm", "--top-k", "2"), "--top-k: not an option of this command"),
        (("teach", "dax", "red.ppm", "--slots"), "--slots: not an option of this command"),
        (("teach", "dax", "none.ppm"), "none.ppm: No such file"),
        (("teach", "zebra", "red.ppm"), "zebra: the model cannot keep this name: it would say"),
        (("ask",), "ask: needs PICTURE"),
        (("ask", "red.ppm", "--no-memory"), "--no-memory: not an option of this command"),
        (("forget",), "forget: needs NAME"),
        (("forget", "dax"), "dax: nothing is known by this name; 'bitmar list' shows what is"),
        (("list", "dax"), "dax: unknown option"),
        (("list", "--store"), "--store: needs a value"),
    ],
)
def test_what_it_refuses_changes_nothing(shown, words, said):
    assert said in shown.refuses(*words)


def test_without_its_store_there_is_nothing_to_say(shown, tmp_path):
    assert "no such file" in shown.refuses("ask", "red.ppm", "--store", "none", code=4)
    (tmp_path / "broken").write_bytes(b"what is this?" * 9999)
    assert "something else than a memory" in shown.refuses("list", "--store", "broken", code=4)


def test_the_first_thing_makes_the_store(shown, program):
    """The one that the project brings, to the bit, and only for a thing that is taught; nothing else does."""
    first = shown.store.read_bytes()
    assert first == program[0].memory_store.read_bytes()
    shown.says("teach", "dax", "red.ppm")
    taught = shown.store.read_bytes()
    shown.store.unlink()
    for words, code in (
        (("ask", "red.ppm"), 4),
        (("list",), 4),
        (("forget", "dax"), 4),
        (("teach", "zebra", "red.ppm"), 2),
        (("teach", "dax", "none.ppm"), 2),
        (("teach", "dax", "red.ppm", "--store", "none/m.store"), 4),
    ):
        assert shown.run(*words).returncode == code
        assert not list(shown.folder.glob("*.store*"))
    done = shown.run("teach", "dax", "red.ppm")
    assert done.stdout == b"Taught: dax (slot 1, 1 thing is known now).\n" and done.returncode == 0
    assert done.stderr == b"Made memory.store, with the memory that the model was trained to.\n"
    assert shown.store.read_bytes() == taught and not list(shown.folder.glob("*.new"))
    for moment in range(50):
        shown.store.unlink()
        done = shown.run("teach", "dax", "red.ppm", KILL_AT=str(moment))
        assert not shown.store.exists() or shown.known() in ([], [(1, 0, "dax")])
        if done.returncode == 0:
            break
        assert shown.run("teach", "dax", "red.ppm").returncode == 0 and shown.known() == [(1, 0, "dax")]
    assert moment > 8


def test_others_may_ask_while_one_asks(shown):
    shown.says("teach", "dax", "red.ppm")
    with subprocess.Popen(
        [*shown.command, "ask", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=shown.folder
    ) as stream:
        stream.stdin.write(ppm("red"))
        stream.stdin.flush()
        assert stream.stdout.readline() == b"This is a dax.\n"
        assert shown.known() == [(1, 0, "dax")]
        assert "another program has it open" in shown.refuses("teach", "dax", "red.ppm", code=4)
        stream.stdin.close()
        assert stream.wait(60) == 0


@pytest.mark.parametrize("words", [("teach", "wug", "blue.ppm"), ("forget", "dax")], ids=["teach", "forget"])
def test_killed_at_any_moment_it_holds_what_it_held_or_what_it_should(shown, model, words):
    """At every write, half of which arrives, and at every sync. What it then holds, it answers, and the same
    command goes on from there.
    """

    def holds() -> tuple[list[tuple[int, int, str]], str]:
        return shown.known(), shown.says("ask", "blue.ppm") + shown.says("ask", "lime.ppm")

    shown.says("teach", "my cup", "red.ppm")
    shown.says("teach", "dax", "lime.ppm")
    image, before = shown.store.read_bytes(), holds()
    shown.says(*words)
    after, held = holds(), []
    for moment in range(50):
        shown.store.write_bytes(image)
        done = shown.run(*words, KILL_AT=str(moment))
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        MemoryStore.open(shown.store, model.digest).read()  # nothing of it is damaged
        held.append(holds())
        if held[-1] == before:
            shown.says(*words)
            assert holds() == after
    assert len(held) >= 8 and held[0] == before != after and held[-1] == after
    assert all(now in (before, after) for now in held)


# -- words -----------------------------------------------------------------------------------------


def test_its_words_are_those_of_python(tmp_path):
    """Prompt, "I don't know", how long an answer may be, articles and names."""
    header = (COMPONENT / "bm_words.h").read_text()
    assert dict(re.findall(r'#define BM_WORDS_(PROMPT|UNKNOWN) "(.*)"', header)) == {
        "PROMPT": PROMPT,
        "UNKNOWN": UNKNOWN,
    }
    assert f"#define BM_SHOW_TOKENS {LONGEST_ANSWER}u " in (COMPONENT / "bm_show.h").read_text()
    need("host", "gcc")
    command = ["gcc", "-shared", "-fPIC", "-O1", "-o", tmp_path / "words.so", COMPONENT / "bm_words.c"]
    subprocess.run(command, check=True)
    words, out = ctypes.CDLL(str(tmp_path / "words.so")), ctypes.create_string_buffer(256)
    names = [
        *DETERMINERS,
        *(f"{d.title()} cup" for d in DETERMINERS),
        *VOWELS,
        "Apple",
        "cup",
        "Öl",
        "a",
        "an",
    ]
    names += ["and", "mystery", "My", "a cup", "an an egg", "th e", "the", "x" * 128, "a\u00a0b", "a  b"]
    for name in names:
        assert words.bm_words_check(f" {name}\t".encode(), out) == 0 and out.value.decode() == name
        words.bm_words_answer(name.encode(), out)
        assert out.value.decode() == answer_of(name)
        words.bm_words_name(out)
        assert out.value.decode() == name_of(answer_of(name))
    for text in (
        "",
        " ",
        ".",
        " a.",
        " a .",
        " an ",
        " a  .",
        "a dax",
        "an",
        "a",
        "a an",
        "..",
        " I don't know.",
    ):
        out.value = text.encode()
        words.bm_words_name(out)
        assert out.value.decode() == name_of(text), text


# -- pictures --------------------------------------------------------------------------------------

SIZES = [
    (1, 1),
    (16, 16),
    (15, 17),
    (640, 480),
    (480, 640),
    (1, 300),
    (300, 1),
    (3, 500),
    (9000, 7),
    (33, 60),
]


def test_pictures_of_every_size_are_scaled_as_python_does(program, tmp_path):
    """To the bit: the same integers are added up."""
    sources = program[0].sources
    flags = ["-O1", *SANITIZE, f"-I{sources}"]
    c = [HERE / "ppm_driver.c", sources / "linux_ppm.c", sources / "bm_scale.c"]
    driver = compile(c, flags, tmp_path / "driver")
    side, rng = 16, np.random.default_rng(0)
    stream, wanted = b"", []
    for width, height in SIZES + rng.integers(1, 120, (30, 2)).tolist():
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        if width % 3 == 0:
            pixels = 255 * (pixels >> 7)  # overshoots are cut off
        data = f"P6 {width} {height} 255\n".encode() + pixels.tobytes()
        wanted.append(decode(data, side, "picture"))
        stream += data
    done = subprocess.run([*driver, str(side)], input=stream, capture_output=True, timeout=120, check=True)
    assert np.array_equal(np.frombuffer(done.stdout, np.uint8).reshape(-1, side, side, 3), wanted)


# -- projects --------------------------------------------------------------------------------------


def test_a_project_has_the_commands_that_its_model_has_a_use_for(model, program, tiny, tmp_path):
    project, made = program
    assert "build/bitmar teach " in (project.path / "README.md").read_text()
    usage = subprocess.run([*made.command, "--help"], capture_output=True, text=True).stdout
    assert all(
        f"\n  {word} " in usage for word in ("teach NAME PICTURE", "ask PICTURE", "forget NAME", "list")
    )
    for number, (other, memory, said) in enumerate(
        (
            (model, "auto", "this build has no store; generate the project with --memory sd"),
            (tiny, "sd", "this model cannot be shown a thing once"),
        )
    ):
        board = load_board("host")
        project = emit(other, board, tmp_path / str(number), "portable", memory=memory)
        assert not list(project.sources.glob("*show*")) and not list(project.sources.glob("bm_words*"))
        assert "bitmar teach" not in (project.path / "README.md").read_text()
        plain = build(project.path, board, "portable", compiler="gcc", opt="-O0")
        assert (
            "teach" not in subprocess.run([*plain.command, "--help"], capture_output=True, text=True).stdout
        )
        done = subprocess.run([*plain.command, "teach", "a", "b"], capture_output=True, text=True)
        assert done.returncode == 2 and f"bitmar: teach: {said}" in done.stderr
