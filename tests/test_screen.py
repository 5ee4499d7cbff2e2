# SPDX-License-Identifier: Apache-2.0
"""Words on the screen: whole in a pipe, at most 80 columns where they are listed, in any encoding; and exit
codes that mean one thing each.
"""

import io
import json
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import command_line
import pytest
from support import TINY

from bitmar_tiny.api import doctor
from bitmar_tiny.cli import app, boards
from bitmar_tiny.cli.app import COMMANDS, INTERNAL_FAULT, NOBODY_READS
from bitmar_tiny.cli.common import Real
from bitmar_tiny.cli.screen import Screen
from bitmar_tiny.errors import ConfigError, DataError
from bitmar_tiny.frozen import random_model
from bitmar_tiny.report.words import paragraph
from bitmar_tiny.run.generate import Request
from bitmar_tiny.run.prompts import read_prompt

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "gcc-xtensa-lx106 picolibc-xtensa-lx106-elf"
LISTS = [
    ("boards",),
    ("boards", "rpi-zero2"),
    ("doctor",),
    ("codegen", "--preset", "demo", "--board", "esp32-s3-n16r8", "-o", "p"),
    ("codegen", "--preset", "paper", "--board", "rpi-zero2", "-o", "p"),
]


def program(*words, cwd=None, **options):
    """A process of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | options.pop("environment", {})
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 300} | options
    command = [sys.executable, "-m", "bitmar_tiny", *map(str, words)]
    return subprocess.run(command, env=environment, cwd=cwd, **given)


@pytest.fixture
def bare(monkeypatch):
    """A machine that has nothing but this package."""
    monkeypatch.setattr(doctor, "has_compiler", lambda compiler: False)
    monkeypatch.setattr(doctor, "installed", lambda module: False)
    monkeypatch.setattr(doctor, "mca_tool", lambda: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)


# -- width -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", ["40", "80", "200"])
@pytest.mark.parametrize("words", LISTS, ids=" ".join)
def test_lists_fit_80_columns_and_are_whole_in_a_pipe(tmp_path, monkeypatch, bare, words, columns):
    monkeypatch.setenv("COLUMNS", columns)
    said = command_line.run(*words, cwd=tmp_path).stdout
    assert said and "…" not in said
    fixes = {row["fix"] for row in doctor.examine()}
    for line in said.splitlines():
        assert len(line) <= 80 or line.strip() in fixes, line
    if words == ("doctor",):
        assert fixes - {""} <= {line.strip() for line in said.splitlines()} and PACKAGE in said


def test_nothing_is_cut_on_a_narrow_terminal(tmp_path):
    """A cell goes on in the next line; a command to copy is not broken into lines by us."""
    from rich.table import Table

    out = io.StringIO()
    screen = Screen(file=out, force_terminal=True, width=30, color_system=None)
    table = Table("a", "b")
    table.add_row("x" * 50, "y" * 50)
    screen.print(table)
    said = out.getvalue()
    assert said.count("x") == said.count("y") == 50 and "…" not in said
    assert max(map(len, said.splitlines())) <= 30
    screen.print("Fix: " + 20 * "words ")
    assert (
        out.getvalue().splitlines()[-1] == "Fix: " + (20 * "words ").rstrip()
        or "words " * 20 in out.getvalue()
    )


def test_tables_of_every_kind_are_whole_in_a_pipe(tmp_path):
    """What is printed into a pipe does not depend on a width that nobody asked for."""
    random_model(TINY).save(tmp_path / ("a-model-with-a-name-that-is-long-" * 3 + ".bitmar"))
    name = next(tmp_path.iterdir()).name
    for words in (("info", name), ("memory", "inspect", name)):
        said = command_line.run(*words, cwd=tmp_path)
        assert said.returncode == 0 and "…" not in said.stdout and "..." not in said.stdout
    assert name in said.stdout


def test_doctor_begins_with_what_works(bare):
    assert command_line.run("doctor").stdout.startswith("You can: generate text")
    assert "Missing, and how to get it\n" in command_line.run("doctor").stdout


def test_what_works_is_what_is_there(monkeypatch):
    monkeypatch.setattr(
        doctor, "has_compiler", lambda compiler: compiler.command[0] == "aarch64-linux-gnu-gcc"
    )
    monkeypatch.setattr(doctor, "installed", lambda module: module in ("torch", "tensorboard", "matplotlib"))
    monkeypatch.setattr(shutil, "which", lambda name: "x" if name == "qemu-aarch64" else None)
    monkeypatch.setattr(doctor, "names", lambda: [])
    monkeypatch.setattr(doctor, "runs_natively", lambda board: False)
    assert doctor.abilities() == [
        "generate text",
        "train",
        "build for raspi3b, rpi-5 and rpi-zero2",
        "run firmware of rpi-5 and rpi-zero2 here",
    ]


@pytest.mark.parametrize("indent, hang", [(0, 0), (4, 4)])
def test_paragraphs_break_between_words_alone(indent, hang):
    words = ["a-word", "https://" + "x" * 100, "two words", "b"] * 5
    text = paragraph(" ".join(words), indent, hang)
    assert text.split() == " ".join(words).split()
    assert all(len(line) <= 80 or "https" in line for line in text.splitlines())


# -- encodings -------------------------------------------------------------------------------------

SPEAKING = [
    ("--help",),
    ("boards",),
    ("doctor",),
    ("codegen", "--preset", "demo", "--board", "host", "-o", "naïve"),
]


@pytest.mark.parametrize("words", SPEAKING, ids=" ".join)
def test_a_terminal_of_few_letters_is_no_fault(tmp_path, words):
    done = program(*words, cwd=tmp_path, environment={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0 and b"Traceback" not in done.stderr
    (done.stdout + done.stderr).decode("ascii")


def test_a_sentence_of_other_letters_is_said_with_replacements(tmp_path):
    done = program("info", "猫.bitmar", cwd=tmp_path, environment={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 2 and b"Error: ?.bitmar: there is no such file" in done.stderr


def test_a_file_name_that_is_no_text_is_said(tmp_path):
    done = program("info", os.fsdecode(b"\xff.bitmar"), cwd=tmp_path)
    assert done.returncode == 2 and b"there is no such file" in done.stderr


# -- exit codes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [("boards",), ("--help",), ("boards", "--json"), ("generate", "--tokens", "3")]
)
def test_a_reader_that_leaves_ends_a_command_quietly(words):
    read, write = os.pipe()
    os.close(read)
    done = program(*words, stdout=write)
    os.close(write)
    assert done.returncode == NOBODY_READS == 141
    assert b"Error" not in done.stderr and b"Traceback" not in done.stderr and b"Broken" not in done.stderr


@pytest.mark.parametrize(
    "words", [("boards",), ("--help",), ("boards", "--json"), ("generate", "--tokens", "3")]
)
def test_an_output_that_takes_nothing_is_one_sentence(words):
    with open("/dev/full", "w") as full:
        done = program(*words, stdout=full)
    assert done.returncode == 2 and done.stderr.count(b"Standard output: No space left on device.") == 1
    assert done.stderr.count(b"No space left") == 1
    assert b"Traceback" not in done.stderr and b"Exception" not in done.stderr


def test_streams_that_are_closed_are_no_fault(tmp_path):
    command = f"{shlex.quote(sys.executable)} -m bitmar_tiny generate --tokens 2"
    for words, code in ((">&-", 0), ("2>&-", 0), ("--prompts - <&-", 0), ("--image none.png 2>&- >&-", 2)):
        done = subprocess.run(
            f"{command} {words}",
            shell=True,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            timeout=300,
        )
        assert done.returncode == code and b"Traceback" not in done.stderr, (words, done.stderr)


def test_a_sentence_that_cannot_be_said_changes_no_exit_code(tmp_path):
    with open("/dev/full", "w") as full:
        assert program("info", "none", cwd=tmp_path, stderr=full).returncode == 2
        assert program("verfy", cwd=tmp_path, stderr=full).returncode == 2


def deep():
    return deep()


def fail(error):
    def failing(*arguments, **options):
        raise error

    return failing


@pytest.mark.parametrize(
    "where, name, fault",
    [
        (boards, "board_names", fail(KeyError("missing"))),
        (boards, "board_names", deep),
        (boards, "board_names", fail(AssertionError())),
        (boards, "board_names", fail(ModuleNotFoundError("no module", name="no_such_module"))),
        (boards, "boards_text", lambda found: found[99]),
        (app.LazyGroup, "get_command", fail(AttributeError("x"))),
        (app.LazyGroup, "parse_args", fail(TypeError("x"))),
        (app.results, "print", fail(UnicodeError("x"))),
    ],
)
@pytest.mark.parametrize("debug", [(), ("--debug",)], ids=["", "debug"])
def test_a_fault_of_ours_is_70_wherever_it_is(monkeypatch, where, name, fault, debug):
    monkeypatch.setattr(where, name, fault)
    done = command_line.run("boards", *debug)
    assert done.returncode == INTERNAL_FAULT == 70 and "fault of bitmar-tiny itself" in done.stderr
    assert ("Traceback" in done.stderr) == bool(debug)


def test_a_terminal_gets_what_a_pipe_gets():
    """On a real terminal of 80 columns, every line of a list fits."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80", "TERM": "xterm", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "bitmar_tiny", "boards"]
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    said = b""
    try:
        while piece := os.read(ours, 4096):
            said += piece
    except OSError:  # the other end is closed
        pass
    assert process.wait(60) == 0
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;]*m", "", said.decode()).replace("\r\n", "\n")
    assert text == program("boards").stdout.decode() and max(map(len, text.splitlines())) <= 80


# -- commands to be pasted -------------------------------------------------------------------------


def printed(said: str) -> list[list[str]]:
    return [
        shlex.split(line.removeprefix("Next: ")) for line in said.splitlines() if line.startswith("Next: ")
    ]


@pytest.mark.parametrize("name", ["sp ace/fw", "a'b", "$HOME", "[b]x", "-o"])
def test_every_next_command_can_be_pasted(tmp_path, name):
    folder = tmp_path / name
    folder.parent.mkdir(exist_ok=True)
    preset = ("--preset", "demo")
    host = command_line.run("codegen", *preset, "--board", "host", "-o", folder / "host").stderr
    esp = command_line.run("codegen", *preset, "--board", "esp32-s3-n16r8", "-o", folder / "esp").stderr
    assert printed(host) == [["bitmar-tiny", "build", str(folder / "host")]]
    assert printed(esp) == [["cd", str(folder / "esp"), "&&", "idf.py", "build"]]
    assert f"Wrote {folder / 'esp'} (" in esp


def test_a_hint_can_be_pasted(tmp_path):
    name = tmp_path / "a model.bitmar"
    random_model(TINY).save(name)
    said = command_line.run("generate", name, "--remember").stderr
    assert f"bitmar-tiny memory reset {shlex.quote(str(name))} -o memory.store" in said


# -- numbers ---------------------------------------------------------------------------------------


def commands(command: click.Command, path=()):
    yield path, command
    if isinstance(command, click.Group):
        names = COMMANDS if command is app.app else command.commands
        for name in names:
            yield from commands(command.get_command(None, name), (*path, name))


def test_no_option_takes_nan_or_infinity():
    """Every option that is a number, of every command."""
    floats = [
        (path, p)
        for path, command in commands(app.app)
        for p in command.params
        if isinstance(p.type, click.types.FloatParamType)
    ]
    assert len(floats) > 5
    for path, option in floats:
        assert isinstance(option.type, Real), (path, option.name)
        for value in ("nan", "inf", "-inf", "NaN", "1e999"):
            with pytest.raises(click.BadParameter):
                option.type.convert(value, option, None)


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1e999"])
def test_a_temperature_that_is_none_is_one_sentence(value):
    done = command_line.run("generate", "--temperature", value)
    assert done.returncode == 2 and "Traceback" not in done.stderr and "temperature" in done.stderr


@pytest.mark.parametrize(
    "wrong", [{"temperature": float("nan")}, {"temperature": -1.0}, {"top_k": 0}, {"top_k": 257}]
)
def test_python_programs_get_a_sentence_too(wrong):
    with pytest.raises(ConfigError, match="There is no"):
        Request("a", **wrong)


def test_a_prompt_that_is_no_text_is_one_sentence():
    with pytest.raises(DataError, match="no Unicode text"):
        Request(os.fsdecode(b"the \xff"))
    done = program("generate", "--prompt", os.fsdecode(b"\xff"))
    assert done.returncode == 2 and b"The prompt holds bytes that are no Unicode text." in done.stderr


# -- prompts line by line --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line, asked",
    [
        (b"a cat\n", ("a cat", None)),
        (b"\n", ("", None)),
        (b"\xef\xbb\xbfa cat\r\n", ("a cat", None)),
        ("naïve 猫\n".encode(), ("naïve 猫", None)),
        (b'{"prompt": "a", "image": "b.png"}\n', ("a", Path("b.png"))),
        (b' {"image": "b.png"}', ("", Path("b.png"))),
        (b"{}", ("", None)),
    ],
)
def test_a_line_is_a_prompt_or_json(line, asked):
    assert read_prompt(line) == asked


@pytest.mark.parametrize(
    "line", [b"\xff", b"{", b'{"x": 1}', b'{"prompt": 1}', b"{" + b"[" * 100_000, b'{"a"}']
)
def test_a_line_that_is_neither_is_one_sentence(line):
    with pytest.raises(DataError):
        read_prompt(line)


def test_prompts_from_standard_input_are_answered_as_they_come(tmp_path):
    """One process, one model: an answer comes before the next question is asked; a bad line costs itself."""
    picture = ROOT / "examples" / "pictures" / "mushroom.png"
    command = [sys.executable, "-m", "bitmar_tiny", "generate", "--prompts", "-", "--tokens", "4", "--json"]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
    )

    def ask(line):
        process.stdin.write(line + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    first = ask("the cat")
    assert ask(json.dumps({"image": str(picture)}))["text"].strip() == "mushroom"
    assert "no Unicode text" in ask('{"prompt": "\\ud800"}')["error"]
    assert "cannot be read" in ask('{"image": "none.png"}')["error"]
    assert ask("the cat") == first | {"line": 5} and len(first["tokens"]) <= 4
    process.stdin.close()
    assert process.wait(60) == 2 and "Line 4: none.png" in process.stderr.read()
    alone = json.loads(command_line.run("generate", "--prompt", "the cat", "--tokens", 4, "--json").stdout)
    assert alone["tokens"] == first["tokens"]


def test_an_answer_is_a_line(tmp_path):
    (tmp_path / "asked").write_text("the cat\n\nthe dog\n")
    done = command_line.run("generate", "--prompts", tmp_path / "asked", "--tokens", 3)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 3
    assert done.stdout.startswith("the cat")
    refused = command_line.run("generate", "--prompts", tmp_path / "asked", "--prompt", "x")
    assert refused.returncode == 2 and "Leave out --prompt" in refused.stderr
