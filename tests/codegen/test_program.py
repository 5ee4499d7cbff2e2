# SPDX-License-Identifier: Apache-2.0
"""The generated Linux program at its edges: options, pictures, and an output that takes nothing."""

import os
import signal
import subprocess

import numpy as np
import pytest
from support import TINY, need

from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.build import build
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.data.pixels import load_image, picture_side, picture_vectors
from bitmar_tiny.device.frames import OPEN, Frame
from bitmar_tiny.device.protocol import VERSION

SIDE = picture_side(TINY.image_inputs)[0]
PIXELS = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
COMMANDS = ("generate", "info", "bench", "profile")


def built(model, folder, **options):
    need("host", "gcc")
    board = load_board("host")
    project = emit(model, board, folder, "portable", **options)
    return build(project.path, board, "portable", compiler="gcc").path, project


@pytest.fixture(scope="module")
def program(tiny, tmp_path_factory):
    return built(tiny, tmp_path_factory.mktemp("program") / "p")[0]


@pytest.fixture(scope="module")
def stored(tiny, tmp_path_factory):
    return built(tiny, tmp_path_factory.mktemp("stored") / "p", memory="sd")


def run(program, *words, **options):
    return subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=60, **options)


def refused(program, *words, code=2):
    """The one sentence that the program says."""
    done = run(program, *words)
    assert done.returncode == code and not done.stdout and done.stderr.count("\n") == 1, done
    assert done.stderr.startswith("bitmar: ")
    return done.stderr


# -- its output ------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [*((c,) for c in COMMANDS), ("--help",), ("generate", "--help")])
def test_an_output_that_takes_nothing_is_one_sentence_and_exit_1(program, words):
    """A full disk, at every command: nothing that was lost goes unsaid."""
    words = (*words, *(["--ids"] if words == ("generate",) else []))
    with open("/dev/full", "w") as full:
        done = subprocess.run([program, *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1 and done.stderr == "bitmar: standard output: No space left on device\n"


def test_a_full_disk_ends_the_link(program):
    opening = Frame(OPEN, 1, payload=bytes([VERSION])).encode()
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [program, "link"], input=opening, stdout=full, stderr=subprocess.PIPE, timeout=60
        )
    assert done.returncode == 1 and done.stderr == b"bitmar: standard output: No space left on device\n"


def test_a_full_disk_stops_the_episode_before_it_is_remembered(stored):
    program, project = stored
    before = project.memory_store.read_bytes()
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [program, "generate", "--ids", "--remember", "--store", project.memory_store],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1 and project.memory_store.read_bytes() == before


@pytest.mark.parametrize("ignored", [False, True], ids=["SIGPIPE", "SIGPIPE ignored"])
def test_a_reader_that_leaves_ends_the_program_quietly(program, ignored):
    """What a shell calls 141: killed by SIGPIPE, or the same status where the signal is ignored."""
    read, write = os.pipe()
    os.close(read)
    preexec = (lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN)) if ignored else None
    done = subprocess.run(
        [program, "generate", "--ids"],
        stdout=write,
        stderr=subprocess.PIPE,
        timeout=60,
        preexec_fn=preexec,
        restore_signals=not ignored,
    )
    os.close(write)
    assert done.returncode == (141 if ignored else -signal.SIGPIPE) and not done.stderr


# -- its command line ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [("--help",), ("-h",), ("help",), ("generate", "--help"), ("link", "--help")]
)
def test_help_is_usage_and_exit_0(program, stored, words):
    done = run(program, *words)
    assert done.returncode == 0 and not done.stderr and max(map(len, done.stdout.splitlines())) <= 80
    for command in (*COMMANDS, "link"):
        assert f"\n  {command} " in done.stdout
    assert "--image" in done.stdout and "--baud" in done.stdout and "--store" not in done.stdout
    assert "--store" in run(stored[0], *words).stdout


def test_every_option_of_the_usage_is_one(stored):
    """Each takes what the usage says, or says what is missing."""
    program, _ = stored
    usage = run(program, "--help").stdout
    options = [line.split() for line in usage.splitlines() if line.startswith("  --")]
    assert len(options) == 14
    for name, value, *_ in options:
        said = [run(program, c, name).stderr for c in ("generate", "link")]
        if value.isupper():
            assert any(f"bitmar: {name}: needs a value\n" == s for s in said), said
        assert not any("unknown option" in s for s in said)


def test_the_words_of_the_usage_stand_in_one_column(stored):
    lines = [line for line in run(stored[0], "--help").stdout.splitlines() if line.startswith("  --")]
    column = next(line.index("go on without") for line in lines if "--optional-memory" in line)
    assert all(line[column - 1] == " " and line[column] != " " for line in lines)


@pytest.mark.parametrize("what", [None, b"\x89PNG" + bytes(90), b"\x89PNG" * 5000, b"", bytes(90)])
def test_a_store_that_is_none_is_named_with_the_way_out(stored, tmp_path, what):
    path = tmp_path / "none" if what is None else file(tmp_path, "x", what)
    sentence = refused(stored[0], "generate", "--ids", "--store", path, code=4)
    said = "no such file" if what is None else "something else than a memory" if what[:1] == b"\x89" else ""
    assert said in sentence and "--store" in sentence
    assert "bitmar-tiny memory reset MODEL -o FILE" in sentence


@pytest.mark.parametrize("option", ["--store", "--optional-memory"])
@pytest.mark.parametrize("command", ["generate", "bench", "link"])
def test_a_build_without_a_store_says_so(program, command, option):
    said = refused(program, command, option, "x")
    assert f"{option}: this build has no store" in said and "--memory sd" in said


@pytest.mark.parametrize(
    "words, said",
    [
        ((), "usage: bitmar COMMAND"),
        (("generat",), "generat: unknown command; see 'bitmar --help'"),
        (("--ids",), "--ids: unknown command; see 'bitmar --help'"),
        (("generate", "--colour"), "--colour: unknown option; see 'bitmar --help'"),
        (("generate", "cat.ppm"), "cat.ppm: unknown option"),
        (("generate", "--tokens"), "--tokens: needs a value"),
        (("generate", "--ids", "--image"), "--image: needs a value"),
        (("generate", "--tokens", "0"), "--tokens: value out of range: '0' is not in 1 to 1000000"),
        (("generate", "--tokens", "many"), "value out of range"),
        (("generate", "--tokens", "1.5"), "--tokens: must be a whole number"),
        (("generate", "--temperature", "nan"), "'nan' is not in 0 to 100"),
        (("generate", "--temperature", "inf"), "'inf' is not in 0 to 100"),
        (("link", "--prompt", "x"), "--prompt: not an option of this command"),
        (("info", "--ids"), "--ids: not an option of this command"),
    ],
)
def test_a_wrong_word_is_one_sentence(program, words, said):
    assert said in refused(program, *words)


# -- pictures --------------------------------------------------------------------------------------


def tokens(program, path):
    done = run(program, "generate", "--ids", "--no-memory", "--tokens", 6, "--image", path)
    assert done.returncode == 0, done.stderr
    return done.stdout


def file(folder, name, data):
    (folder / name).write_bytes(data)
    return folder / name


@pytest.mark.parametrize(
    "header",
    [
        "P6\n# by an editor\n{0} {0}\n255\n",
        "P6 {0} {0} 255 ",
        "P6# at once\n{0}\t{0}\r\n255\n",
        "P6\n#\n#\n{0}\n# between\n# and again\n{0}\n# 1 2 3\n255\n",
        "P6\n{0} {0}\n255# at the end\n",
        "P6\n# " + 200 * "long " + "\n{0} {0} 255\n",
    ],
)
@pytest.mark.parametrize("name", ["x.ppm", "x.PNM", "x"])
def test_headers_of_every_writer_are_read(program, tmp_path, header, name):
    patches = file(tmp_path, "x.u8", picture_vectors(PIXELS, TINY.image_inputs).tobytes())
    picture = file(tmp_path, name, header.format(SIDE).encode() + PIXELS.tobytes())
    assert tokens(program, picture) == tokens(program, patches)


def test_a_picture_may_come_through_a_pipe(program, tmp_path):
    picture = file(tmp_path, "x.ppm", f"P6 {SIDE} {SIDE} 255\n".encode() + PIXELS.tobytes())
    with open(picture, "rb") as stream:
        words = ["generate", "--ids", "--no-memory", "--tokens", "6", "--image", "/dev/stdin"]
        feeding = subprocess.Popen(["cat"], stdin=stream, stdout=subprocess.PIPE)
        done = subprocess.run([program, *words], stdin=feeding.stdout, capture_output=True, timeout=60)
        feeding.communicate()
    assert done.stdout.decode() == tokens(program, picture)


def test_a_picture_of_another_size_is_scaled_as_python_does(program, tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (70, 90, 3), np.uint8)
    picture = file(tmp_path, "x.ppm", b"P6 90 70 255\n" + pixels.tobytes())
    patches = file(tmp_path, "x.u8", load_image(picture, TINY.image_inputs).tobytes())
    assert tokens(program, picture) == tokens(program, patches)


WHOLE = f"P6 {SIDE} {SIDE} 255\n".encode() + PIXELS.tobytes()


@pytest.mark.parametrize(
    "name, data, said",
    [
        ("x.png", b"\x89PNG\r\n\x1a\n" + bytes(50000), "a file of kind PNG"),
        ("x.ppm", b"\x89PNG\r\n\x1a\n" + bytes(50000), "a file of kind PNG"),
        ("x.jpg", b"\xff\xd8\xff\xe0" + bytes(100), "a file of kind JPEG"),
        ("x.webp", b"RIFF1234WEBPVP8 ", "a file of kind WebP"),
        ("x.heic", b"\0\0\0\x18ftypheic", "a file of kind HEIF"),
        ("x.svg", b"<svg xmlns='x'/>", "a file of kind SVG"),
        ("x.pgm", f"P5 {SIDE} {SIDE} 255\n".encode() + bytes(SIDE * SIDE), "kind P5, not P6"),
        ("x.ppm", f"P3 {SIDE} {SIDE} 255\n1 2 3".encode(), "kind P3, not P6"),
        ("x.ppm", f"P6 {SIDE} {SIDE} 65535\n".encode() + bytes(1 << 15), "reach to 65535, not 255"),
        *(
            ("x.ppm", b"P6 %b 255\n" % size + bytes(300), "a number in its header is too large")
            for size in (b"4294967296 64", b"64 4294967360", b"9" * 400 + b" 64")
        ),
        ("x.ppm", b"P6 64 64 4294967551\n" + bytes(300), "a number in its header is too large"),
        ("x", b"what is this?", "neither .ppm, .u8 nor .f32"),
        ("x.ppm", b"", "an empty file"),
    ],
)
def test_another_picture_is_named_with_the_way_out(program, tmp_path, name, data, said):
    sentence = refused(program, "generate", "--ids", "--image", file(tmp_path, name, data))
    assert said in sentence and "convert FILE" in sentence and "-depth 8" in sentence


@pytest.mark.parametrize(
    "name, data, said",
    [
        ("x.ppm", WHOLE[:-1], "the picture is cut short"),
        ("x.ppm", b"P6 4000 3000 255\n" + bytes(1 << 20), "the picture is cut short"),
        ("x.ppm", b"P6 # nothing else", "its header is no PPM header"),
        ("x.ppm", b"P6 5 5", "its header is no PPM header"),
        ("x.ppm", b"P6 1 1 255x\xff\xff\xff", "its header is no PPM header"),
        ("x.ppm", b"P6 0 9 255\n" + bytes(300), "a picture of no pixels, 0 x 9"),
        ("x.ppm", b"P6 0000000000000007 123456789 255\n", "7 x 123456789 pixels, more than"),
        ("x.ppm", b"P6 16385 1 255\n" + bytes(300), "16385 x 1 pixels, more than"),
        ("x.ppm", b"P6 10000 5001 255\n" + bytes(300), "10000 x 5001 pixels, more than"),
        ("x.ppm", b"P6 -1 5 255\n", "its header is no PPM header"),
        ("x.u8", bytes(TINY.image_inputs * 768 - 1), "the patches are cut short"),
        ("x.u8", bytes(TINY.image_inputs * 768 + 1), "too many patches"),
        ("x.f32", bytes(TINY.image_inputs * 768 * 4 - 1), "the features are cut short"),
        ("x.f32", bytes(TINY.image_inputs * 768 * 4 + 1), "too many features"),
        ("x.f32", b"\xff" * (TINY.image_inputs * 768 * 4), "NaN or infinity"),
        (".", None, "Is a directory"),
        ("none.ppm", None, "No such file"),
    ],
)
def test_a_damaged_picture_is_one_sentence(program, tmp_path, name, data, said):
    path = tmp_path / name if data is None else file(tmp_path, name, data)
    assert said in refused(program, "generate", "--ids", "--image", path)
