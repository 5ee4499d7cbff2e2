# SPDX-License-Identifier: Apache-2.0
"""The firmware's MLPerf Tiny / EEMBC mode: the published runner's behaviour against it, golden's numbers, and
garbage.
"""

from __future__ import annotations

import os
import pty
import random
import re
import select
import shutil
import subprocess
import tty
from pathlib import Path

import numpy as np
import pytest
from support import ODD, need

from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.build import build
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.device.eembc import HEADER, LABELS, MOST, input_bytes, write_dataset
from bitmar_tiny.errors import DataError
from bitmar_tiny.frozen import random_model
from bitmar_tiny.golden import numerics as nm
from bitmar_tiny.golden.model import GoldenModel

HERE = Path(__file__).parent
DRIVER = HERE.parent / "firmware" / "ascii_driver.c"
SANITIZE = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
RUN_S, START_S = 300, 60
#: Every line of every answer.
ANSWER = re.compile(
    rb"m-(ready|init-done|load-done|warmup-done|infer-done|timestamp-mode-performance|(warmup-start|infer-start|lap-us)-\d+"
    rb"|(name-dut|profile|model|help)-\[[ -~]+\]|\[Expecting \d+ bytes\]|results-\[[0-9.,]+\]"
    rb"|buffer(-[0-9a-f]{2}){1,8})|e-\[[ -~]+\]"
)


def program(model, folder: Path) -> list[str]:
    """A generated project whose main is the driver, under the sanitizers."""
    need("host", "gcc")
    board = load_board("host")
    project = emit(model, board, folder, "portable")
    shutil.copyfile(DRIVER, project.sources / "linux_main.c")
    return build(project.path, board, "portable", opt="-O1", extra=SANITIZE).command


@pytest.fixture(scope="module")
def driver(tiny, tmp_path_factory):
    return program(tiny, tmp_path_factory.mktemp("ascii") / "p")


def talk(command: list[str], sent: bytes, *arguments) -> list[bytes]:
    """Lines of the answer to everything at once; each in the form of one."""
    done = subprocess.run([*command, *map(str, arguments)], input=sent, capture_output=True, timeout=RUN_S)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-3000:]
    lines = done.stdout.split(b"\r\n")
    assert lines.pop() == b""
    for line in lines:
        assert ANSWER.fullmatch(line), line
    assert lines.count(b"m-ready") == 1 + sent.count(b"%")
    return lines


def load(data: bytes, piece: int = 126) -> bytes:
    """The commands that load an input, in pieces as long as a command may be."""
    return b"db load %d%%" % len(data) + b"".join(
        b"db %s%%" % data[at : at + piece].hex().encode() for at in range(0, len(data), piece)
    )


@pytest.fixture
def runner(driver):
    """The published runner's client on one end of a pty, the firmware on the other."""
    pytest.importorskip("serial", reason="pyserial is not installed (pip install pyserial)")
    from device.eembc_runner import Runner

    master, slave = pty.openpty()
    tty.setraw(slave)  # or what the firmware says at its start would be echoed to it
    process = subprocess.Popen(driver, stdin=master, stdout=master)
    said = b""
    while b"m-ready" not in said:  # the runner takes the first m-ready for its own command's
        assert select.select([slave], [], [], START_S)[0], "the firmware did not start"
        said += os.read(slave, 4096)
    client = Runner(os.ttyname(slave))
    yield client
    client.close()
    os.close(slave)
    os.close(master)
    process.kill()
    process.wait()


def picture(cfg, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (cfg.image_inputs, 768)).astype(np.uint8)


def golden(model, prompt, image=None) -> tuple[GoldenModel, np.ndarray]:
    """Golden after picture and prompt, and its integer logits."""
    g = GoldenModel(model.config, model.arrays)
    if image is not None:
        g.set_image(nm.pixels(image))
    for token in (model.config.vocab_size - 1, *prompt):
        acc = g.step(token)
    return g, acc


def golden_tokens(model, prompt, n: int, image=None) -> list[int]:
    g, acc = golden(model, prompt, image)
    out = [int(np.argmax(acc))]
    while len(out) < n and out[-1] != model.config.vocab_size - 1:
        out.append(int(np.argmax(g.step(out[-1]))))
    return out


def golden_choice(model, prompt, classes, image=None) -> bytes:
    """Probabilities as bm_ascii_infer.c writes them: a softmax in integers, six digits."""
    g, acc = golden(model, prompt, image)
    z = (acc[classes] - acc[classes].max()).astype(np.float32) * (
        g.head_scale * np.float32(model.arrays["head.w.scale"])
    )
    w = [int(v) for v in nm.rne(nm.exp_neg(z) * np.float32(1 << 21))]
    micro = [(v * 1_000_000 + sum(w) // 2) // sum(w) for v in w]
    return b",".join(b"%d.%06d" % divmod(p, 1_000_000) for p in micro)


def test_start_identity_and_help(driver):
    lines = talk(driver, b"\r\nname%\nprofile%timestamp%help%%")
    text = [re.sub(rb"us-\d+", b"us-N", line) for line in lines if not line.startswith(b"m-help")]
    assert text == [
        b"m-timestamp-mode-performance",
        b"m-lap-us-N",
        b"m-init-done",
        b"m-ready",
        b"m-name-dut-[bitmar-host]",
        b"m-ready",
        b"m-profile-[ULPMark for tinyML Firmware V0.0.1]",
        b"m-model-[bitmar-tiny]",
        b"m-ready",
        b"m-lap-us-N",
        b"m-ready",
        b"m-ready",
        b"m-ready",
    ]
    assert sum(line.startswith(b"m-help-[") for line in lines) == 6


def test_what_is_loaded_can_be_shown(driver):
    data = bytes(range(20))
    assert talk(driver, load(data) + b"db print%db print 3 17%db print 99 18%db print 1 20%")[6:] == [
        b"m-load-done",
        b"m-ready",
        b"m-buffer-00-01-02-03-04-05-06-07",
        b"m-buffer-08-09-0a-0b-0c-0d-0e-0f",
        b"m-buffer-10-11-12-13",
        b"m-ready",
        b"m-buffer-11-12-13",
        b"m-ready",
        b"m-buffer-12-13",
        b"m-ready",
        b"e-[No bytes are loaded there]",
        b"m-ready",
    ]


def test_tokens_are_goldens(tiny, driver):
    cases = [((), 12, None), ((5, 200, 17), 9, 3), ((256,) * 40, 30, 4), ((), 1, 5)]
    sent = b"".join(
        load(
            input_bytes(
                tiny.config, image if image is None else picture(tiny.config, image), prompt, tokens=n
            )
        )
        + b"infer 2 1%results%"
        for prompt, n, image in cases
    )
    got = [line for line in talk(driver, sent) if line.startswith(b"m-results")]
    want = [
        golden_tokens(tiny, prompt, n, None if image is None else picture(tiny.config, image))
        for prompt, n, image in cases
    ]
    assert got == [b"m-results-[%s]" % ",".join(map(str, w)).encode() for w in want for _ in (0, 1)]
    assert len({tuple(w) for w in want}) == len(want)


def test_choices_are_goldens_over_a_large_vocabulary(tmp_path):
    """Classes in different pieces of the head, and pooled pictures."""
    model = random_model(ODD.model_copy(update={"vocab_size": 5003}), seed=3)
    command, classes, rng = (
        program(model, tmp_path / "p"),
        [5002, 0, 77, 4096, 2500, 4095],
        np.random.default_rng(1),
    )
    seen = set()
    for image in (None, picture(model.config, 1)):
        for several in (classes, classes[2:4], sorted(rng.choice(5003, MOST, replace=False).tolist())):
            sent = load(input_bytes(model.config, image, (9, 4000), classes=several)) + b"infer 1 0%"
            want = golden_choice(model, (9, 4000), several, image)
            assert talk(command, sent)[-2] == b"m-results-[%s]" % want
            assert abs(sum(map(float, want.split(b","))) - 1) < 1e-3
            seen.add(want)
    assert len(seen) == 6


def test_performance_mode_as_the_runner_does_it(tiny, runner):
    """Handshake, five inputs, warm-ups, measured inferences; the board's own clock."""
    assert runner.identity() == {
        "name": "bitmar-host",
        "profile": "ULPMark for tinyML Firmware V0.0.1",
        "model": "bitmar-tiny",
    }
    for seed in range(5):
        assert (
            runner.load(input_bytes(tiny.config, picture(tiny.config, seed), (seed,), tokens=6))[0]
            == "m-load-done"
        )
        some = [runner.infer(2, 1) for _ in range(5)]  # another program may hold up one of them
        few, many = min(some, key=lambda r: r["us"]), runner.infer(60, 1)
        assert (
            few["results"] == many["results"] == golden_tokens(tiny, (seed,), 6, picture(tiny.config, seed))
        )
        assert 0 < few["us"] < many["us"] < 30e6


def test_accuracy_mode_as_the_runner_does_it(tiny, runner, tmp_path):
    cfg, items = tiny.config, []
    for i in range(10):
        classes = np.random.default_rng(100 + i).choice(cfg.vocab_size, 5, replace=False).tolist()
        _, acc = golden(tiny, (i, i + 1), picture(cfg, i))
        best = int(np.argmax(acc[classes]))
        items.append((f"{i}.bin", input_bytes(cfg, picture(cfg, i), (i, i + 1), classes=classes), 5, best))
    folder = tmp_path / "bitmar-tiny"
    assert runner.accuracy(folder, write_dataset(folder, items).name) == 100
    wrong = [
        (name, data, n, (right + 1) % 5 if i < 3 else right) for i, (name, data, n, right) in enumerate(items)
    ]
    assert runner.accuracy(folder, write_dataset(folder, wrong).name) == 70


def test_inferences_leave_nothing_behind(tiny, driver):
    """The same input gives the same result after another one, and the memory is not written."""
    one, other = (load(input_bytes(tiny.config, picture(tiny.config, i), (i, 9), tokens=20)) for i in (1, 2))
    lines = talk(driver, one + b"infer 3 2%" + other + b"infer 50 0%" + one + b"infer 1 0%")
    got = [line for line in lines if line.startswith(b"m-results")]
    assert got[0] == got[2] != got[1]


GOOD = HEADER.pack(b"BMIN", 1, 0, 1, 0, 3, 0) + bytes(4)


@pytest.mark.parametrize(
    "sent, answer",
    [
        (b"db", "Command 'db' requires a subcommand"),
        (b"db load", "Command 'db load' requires the # of bytes"),
        (b"db load 0", "Command 'db load' must be >0 bytes"),
        (b"db load -5", "Command 'db load' must be >0 bytes"),
        (b"db load 99999999999999999999", "Command 'db load' must be >0 bytes"),
        (b"db load 1000000", "Supplied buffer size exceeds maximum of 5136"),
        (b"db load 4 4", "Too many arguments"),
        (b"db 00", "Command 'db load' must come first"),
        (b"db load 2%db 001", "Insufficent number of hex digits"),
        (b"db load 2%db 0g", "Invalid hex digit '0g'"),
        (b"db load 2%db 00 01", "Too many arguments"),
        (b"db load 2%db 0001%db 02", "All bytes are loaded"),
        (b"db print", "No bytes are loaded there"),
        (b"db print x", "Command 'db print' takes the # of bytes and an offset"),
        (b"infer", "No input: load one with 'db'"),
        (b"infer 0", "Inference iterations must be >0 and at most 1000000"),
        (b"infer 1e3 1", "Inference iterations must be >0 and at most 1000000"),
        (b"infer 1 -1", "Inference warmup must be >=0 and at most 1000000"),
        (b"infer 1 1 1", "Too many arguments"),
        (load(GOOD)[:-7] + b"%infer 1 0", "The input is incomplete"),
        (load(b"BMOO" + GOOD[4:]) + b"infer 1 0", "The input is not one of this model's"),
        (load(GOOD[:8]) + b"infer 1 0", "The input is not one of this model's"),
        (
            load(HEADER.pack(b"BMIN", 2, 0, 1, 0, 3, 0) + bytes(4)) + b"infer",
            "The input is of another version",
        ),
        (
            load(HEADER.pack(b"BMIN", 1, 0, 1, 0, 0, 0) + bytes(4)) + b"infer",
            "The input must ask for tokens or for a choice",
        ),
        (
            load(HEADER.pack(b"BMIN", 1, 0, 0, 1, 0, 0) + bytes(4)) + b"infer",
            "The input asks for too many tokens or classes, or for one",
        ),
        (
            load(HEADER.pack(b"BMIN", 1, 0, 1, 0, 257, 0) + bytes(4)) + b"infer",
            "The input asks for too many tokens or classes, or for",
        ),
        (
            load(HEADER.pack(b"BMIN", 1, 1, 1, 0, 3, 0) + bytes(4)) + b"infer",
            "The input's length is not what its header says",
        ),
        (
            load(GOOD[:-4] + b"\x01\x01\x00\x00") + b"infer",
            "The input holds a token id outside the vocabulary",
        ),
        (b"results", "No inference yet"),
        (b"setup", "Unknown command: setup"),
        (b"m-ready now", "Unknown command: m?ready"),
        (b"\xff\x1b[31m]\x00x", "Unknown command: ???31m?]"),
        (b"name me", "Too many arguments"),
        (b"n" * 257, "Command longer than 256 characters"),
        (b"timestamp" + b" " * 4000, "Command longer than 256 characters"),
    ],
)
def test_what_cannot_be_done_is_said(driver, sent, answer):
    lines = talk(driver, sent + b"%name%")
    assert lines[-4].decode().startswith(f"e-[{answer}") and lines[-3:] == [
        b"m-ready",
        b"m-name-dut-[bitmar-host]",
        b"m-ready",
    ]


def test_a_refused_line_can_be_sent_again(tiny, driver):
    data = input_bytes(tiny.config, None, (7,), tokens=4)
    sent = b"db load %d%%db %s%%db zz%%db %sq%%db %s%%infer 1 0%%" % (
        len(data),
        data[:9].hex().encode(),
        data[9:].hex().encode(),
        data[9:].hex().encode(),
    )
    assert (
        talk(driver, sent)[-2].decode() == f"m-results-[{','.join(map(str, golden_tokens(tiny, (7,), 4)))}]"
    )


def test_more_digits_than_announced_are_not_looked_at(driver):
    assert talk(driver, b"db load 2%db 010203%db print%")[6:] == [
        b"m-load-done",
        b"m-ready",
        b"m-buffer-01-02",
        b"m-ready",
    ]


def test_an_input_that_was_written_over_is_refused(driver):
    assert (
        talk(driver, load(GOOD) + b"infer 1 0%", 0, "spoil")[-2]
        == b"e-[The input was written over: load it again]"
    )


def test_a_board_is_not_kept_busy_for_hours(driver):
    """On a pretended clock of 3 s a step."""
    lines = talk(driver, load(GOOD) + b"infer 1000000 0%results%infer 2 1%", 3000)
    assert (
        lines.count(b"e-[Stopped after 120 s: ask for fewer inferences]") == 1
        and b"e-[No inference yet]" in lines
    )
    assert lines[-2].startswith(b"m-results-[")


def garbage(rng: random.Random, inputs: list[bytes]) -> bytes:
    """A line, mostly wrong."""
    commands = (
        b"name",
        b"profile",
        b"timestamp",
        b"help",
        b"db load 20",
        b"db load 4294967296",
        b"db print",
        b"db print 9 3",
        b"db",
        b"infer 1 0",
        b"infer 3 2",
        b"infer 1000000 1000000",
        b"results",
        b"setup",
        b"reset",
        b"db " + rng.randbytes(rng.randrange(140)).hex().encode(),
    )
    kind = rng.randrange(40)
    if kind < 6:
        return rng.randbytes(rng.randrange(60)).replace(b"%", b"")
    if kind < 12:
        return bytes(rng.choices(range(32, 127), k=rng.randrange(400))).replace(b"%", b"")
    line = bytearray(rng.choice(commands))
    for _ in range(rng.choice((0, 0, 1, 1, 2, 5))):
        at = rng.randrange(len(line) + 1)
        line[at : at + rng.randrange(2)] = rng.choice(
            (b"", b" ", b"\0", b"-", b"9", b"\xff", b"g", bytes(line[:at]))
        )
    if kind == 12:
        data = bytearray(rng.choice(inputs))
        if rng.randrange(2):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return load(bytes(data)) + b"infer 1 %d" % rng.randrange(3)
    return bytes(line).replace(b"%", b"")


def test_200_000_lines_of_garbage_under_sanitizers(tiny, driver):
    """Every answer is one, exactly one m-ready follows each line, and inferences go on in between."""
    rng = random.Random(6)
    inputs = [
        input_bytes(tiny.config, None, (1, 2), tokens=2),
        input_bytes(tiny.config, None, (), classes=(3, 4, 5)),
        GOOD[:15],
    ]
    sent = b"".join(garbage(rng, inputs) + b"%" for _ in range(192_000))
    assert sent.count(b"%") > 200_000
    lines = talk(driver, sent, 12_000)
    kinds = {line.split(b"[")[0] if line.startswith(b"m") else line for line in lines}
    assert sum(line.startswith(b"m-results") for line in lines) > 1000 and len(kinds) > 100
    assert any(line.startswith(b"e-[Stopped") for line in lines)


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"tokens": 0}, "asks for 1 to 256 tokens, or for a choice"),
        ({"tokens": 300}, "asks for 1 to 256 tokens"),
        ({"classes": (1,)}, "among 2 to 256 classes"),
        ({"classes": (1, 2), "tokens": 3}, "or for a choice"),
        ({"prompt": (1, 257), "tokens": 1}, "hold token 257, the model has 257 tokens"),
        ({"prompt": (1,) * 257, "tokens": 1}, "hold 257 tokens, an input at most 256"),
        (
            {"picture": np.zeros((4, 768), np.float32), "tokens": 1},
            r"float32\[4, 768\], the model takes uint8\[4, 768\]",
        ),
    ],
)
def test_inputs_that_the_board_would_refuse_are_not_written(tiny, wrong, words):
    with pytest.raises(DataError, match=words):
        input_bytes(tiny.config, **wrong)


def test_labels_are_in_the_published_form(tmp_path):
    path = write_dataset(tmp_path / "d", [("a.bin", b"x", 3, 2), ("b.bin", b"yy", 3, 0)])
    assert (
        path.name == LABELS
        and path.read_text() == "a.bin,3,2\nb.bin,3,0\n"
        and (path.parent / "b.bin").read_bytes() == b"yy"
    )
