# SPDX-License-Identifier: Apache-2.0
"""The link between a host and firmware on a terminal: exact whatever the line does, and a sentence for
everything that goes wrong.
"""

import base64
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import zlib
from contextlib import contextmanager
from pathlib import Path

import command_line
import numpy as np
import pytest
from device.boards import FakeBoard, NetworkPort, TerminalProgram, of_version
from device.lines import NoisyLine, RestartingLine, SlowLine, ThinkingLine
from support import TINY, need

from bitmar_tiny.device import connect as connecting
from bitmar_tiny.device import link as linking
from bitmar_tiny.device import protocol
from bitmar_tiny.device.channel import LinkChannel
from bitmar_tiny.device.connect import connect, firmware_line
from bitmar_tiny.device.frames import CLOSED, DATA, Deframer, Frame, Garbage
from bitmar_tiny.device.link import PATIENCE_S, Link
from bitmar_tiny.device.record import Record, RecordingChannel, ReplayChannel
from bitmar_tiny.errors import BitmarError, ConfigError, DataError, DeviceError
from bitmar_tiny.frozen import random_model
from bitmar_tiny.golden.model import GoldenModel
from bitmar_tiny.golden.sampler import Sampler
from bitmar_tiny.memory.store import Memory
from bitmar_tiny.run.device import DeviceSession
from bitmar_tiny.run.session import SessionOptions, open_session
from bitmar_tiny.verify.compare import verify
from bitmar_tiny.verify.script import standard
from bitmar_tiny.verify.trace import possible, trace

#: A thousand takes a quarter of a minute.
EXCHANGES = int(os.environ.get("BITMAR_EXCHANGES", 150))
FUZZ = 100_000
NAMED_WITHIN_S = 5.0
BAUD = 921600


@pytest.fixture(scope="module")
def program(tiny):
    """Firmware of the tiny model on a terminal, with taps and marks."""
    need("host")
    line = firmware_line("host:", tiny, ("-DBM_TAPS", "-DBM_PROFILE"))
    connect(line)  # until it has started
    yield line
    line.close()


def board_on(line) -> DeviceSession:
    board = DeviceSession(LinkChannel(connect(line)))
    board.taps({}, 0)
    board.begin()
    return board


# -- frames --------------------------------------------------------------------------------------------


def test_frames_come_through_in_any_pieces_between_garbage():
    rng = random.Random(0)
    frames = [
        Frame(
            DATA,
            rng.randrange(1 << 16),
            rng.randrange(1 << 16),
            rng.randrange(1 << 16),
            rng.randbytes(rng.choice((0, 1, 253, 254, 255, 1024))),
        )
        for _ in range(200)
    ]
    stream = b"".join(
        f.encode() + (b"I (312) a log line\r\n" if i % 3 == 0 else b"") for i, f in enumerate(frames)
    )
    deframer, got = Deframer(), []
    while stream:
        n = rng.randrange(1, 300)
        got += deframer.feed(stream[:n])
        stream = stream[n:]
    assert [g for g in got if isinstance(g, Frame)] == frames
    assert all(g.is_text for g in got if isinstance(g, Garbage)) and any(isinstance(g, Garbage) for g in got)


def test_the_host_parser_survives_anything():
    """Random bytes, and frames that were damaged: no exception, no wrong frame, no unbounded memory."""
    rng, deframer = random.Random(1), Deframer()
    frames = [Frame(DATA, i, i, i, rng.randbytes(i)) for i in range(60)]
    good = {f.encode() for f in frames}
    for _ in range(FUZZ):
        raw = bytearray(
            rng.choice(frames).encode() if rng.random() < 0.7 else rng.randbytes(rng.randrange(80))
        )
        for _ in range(rng.randrange(3)):
            if raw:
                raw[rng.randrange(len(raw))] = rng.randrange(256)
        for piece in deframer.feed(bytes(raw)):
            assert isinstance(piece, Garbage) or piece.encode() in good
    assert sum(len(g.data) for g in deframer.feed(b"x" * 100_000)) > 90_000


def test_damaged_answers_end_in_a_sentence(program, tmp_path):
    """A record whose answers were flipped, cut, lengthened, swapped or left out: a result or one of our
    errors, nothing else.
    """

    def use(board):
        (
            board.taps({}, 1),
            board.begin(),
            board.tokens([1, 2]),
            board.counters(),
            board.read_memory(),
            board.source(50),
            board.profile(1),
        )
        return list(board.generate([3], 4)), len(board.steps)

    record = Record(tmp_path / "r")
    assert use(DeviceSession(RecordingChannel(LinkChannel(connect(program)), record)))[1] > 1
    record.close()
    whole, rng, refused = (
        [json.loads(line) for line in (tmp_path / "r").read_text().splitlines()],
        random.Random(6),
        0,
    )
    answers = [i for i, line in enumerate(whole) if "answer" in line]
    for _ in range(300):
        lines = [dict(line) for line in whole]
        line = lines[rng.choice(answers)]
        payload = bytearray(base64.b64decode(line["payload"]))
        for _ in range(rng.randrange(3)):
            if payload:
                payload[rng.randrange(len(payload))] ^= 1 << rng.randrange(8)
        del payload[rng.choice((len(payload), rng.randrange(len(payload) + 1))) :]
        line["payload"] = base64.b64encode(payload + rng.randbytes(rng.choice((0, 0, 3)))).decode()
        line["answer"] = rng.choice(
            (line["answer"], line["answer"], rng.choice([m.number for m in protocol.MESSAGES]))
        )
        (tmp_path / "d").write_text("\n".join(json.dumps(line) for line in lines))
        try:
            use(DeviceSession(ReplayChannel(tmp_path / "d")))
        except BitmarError:
            refused += 1
    assert refused > 60


def test_c_header_and_document_are_those_of_the_table():
    root = Path(protocol.__file__).resolve().parents[2]
    assert (
        root / "firmware_templates" / "runtime" / "link" / "bm_protocol.h"
    ).read_text() == protocol.c_header()
    text = (root / "docs" / "reference" / "serial-protocol.md").read_text()
    assert text == protocol.documented(text)


# -- streams -------------------------------------------------------------------------------------------


def test_noise_costs_time_and_nothing_else(program, tiny):
    """1% of bytes dropped, doubled, flipped or inserted: every answer is right."""
    line = NoisyLine(program, 0.01, seed=3)
    board = board_on(line)
    board.taps({board.identity.taps - 8: 1})  # logits
    golden, rng = GoldenModel(tiny.config, tiny.arrays), random.Random(4)
    for i in range(EXCHANGES):
        token = rng.randrange(tiny.config.vocab_size)
        if i % 40 == 0:
            board.begin(), golden.begin_episode()
        assert [t.crc for t in board.tokens([token])] == [
            zlib.crc32(golden.step(token).astype("<i4").tobytes())
        ]
    assert line.harmed > EXCHANGES // 2 and board.channel.link.counts.damaged > EXCHANGES // 10


def test_much_noise_ends_in_a_sentence(program):
    """Whatever got through: within the time for a session and that for progress."""
    with (
        quick(connecting.OPEN_S + PATIENCE_S + 1),
        pytest.raises(DeviceError, match="no whole frame|too bad to work over"),
    ):
        board_on(NoisyLine(program, 0.2))


def test_bulk_data_uses_the_line(program):
    """At 921600 baud, framing and acknowledgements of both directions counted against the payload."""
    line, n = SlowLine(program, BAUD), 50_000
    board = board_on(line)
    for send in (
        lambda: board.source(n) == protocol.pattern(n),
        lambda: board.sink(protocol.pattern(n)) == 0,
    ):
        for _ in range(100):  # an acknowledgement that a busy machine is late with costs a repetition
            share, resent = _share(board, line, send, n)
            if not resent:
                break
        assert not resent and share >= 0.9


def _share(board, line, send, n):
    """Payload over all bytes of both directions, and how often something was sent again."""
    before = board.counters()["resent"] + board.channel.link.counts.resent
    line.sent = line.received = 0
    assert send()
    return n / (line.sent + line.received), board.counters()[
        "resent"
    ] + board.channel.link.counts.resent - before


def test_a_new_session_interrupts_the_old_one(program, tiny):
    board_on(program).channel.link.send(protocol.BY_NAME["generate"].pack(10**6, 1, 0.0, 0, 1))
    assert board_on(program).identity.model_sha256 == tiny.digest


def test_a_host_without_a_session_is_told(program):
    board = board_on(program)
    board_on(program)
    with pytest.raises(DeviceError, match="lost the session"):
        board.begin()


def test_text_commands_share_the_line(program):
    """A benchmark runner's commands before, between and after frames."""

    def ask(command):
        program.write(command)
        said, until = b"", time.monotonic() + 30
        while b"m-ready" not in said and time.monotonic() < until:
            said += program.read(0.1)
        return said

    assert b"m-name-dut-[bitmar-host]\r\n" in ask(b"name%")
    assert ask(b"%").strip() == b"m-ready" and b"m-lap-us-" in ask(b"\r\n timestamp%")
    assert b"e-[Unknown command: fly]" in ask(b"fly%")
    board = board_on(program)
    program.write(Frame(CLOSED, board.channel.link.session).encode())
    assert ask(b"\r\n%").endswith(b"m-ready\r\n")


@pytest.mark.parametrize(
    "board",
    [{}, {"busy_s": 0.3}, {"boot_s": 1.2}, {"mute": True}, {"busy_s": 0.3, "boot_s": 0.7, "mute": True}],
    ids=str,
)
def test_a_board_restarts_once_however_slow_it_is(board):
    """The request is not forgotten for the next session, a clock that began long ago is no sign of an old
    one, and without an acknowledgement the lost session tells.
    """
    link = Link(RestartingLine(**board))
    link.open(30.0)
    LinkChannel(link).restart(protocol.BY_NAME["reset"].pack())
    assert link.opened and link.line.restarts == 1 and link.line.session == link.session


# -- the model over the link ---------------------------------------------------------------------------


@pytest.mark.parametrize("memory", ["auto", "sd", "flash"])
def test_verified_recorded_and_replayed(odd, tmp_path, memory):
    """Bit-exact with image, episodes and power cuts, for every place of the memory; a record gives the same
    verdict.
    """
    need("host")
    script = standard(odd.config, 40)
    for port, record in (("host:", tmp_path / "r"), (f"replay:{tmp_path / 'r'}", None)):
        options = SessionOptions(record=record, flags=("-DBM_TAPS",), memory=memory)
        board = open_session(port, odd, options)
        verdict = verify(odd, board, possible(script, board))
        board.close()
        assert verdict.exact and verdict.steps > 90 and verdict.taps > 2000
    (tmp_path / "cut").write_text("\n".join((tmp_path / "r").read_text().splitlines()[:50]))
    with pytest.raises(DataError, match="ends early|asks something else"):
        list(trace(open_session(f"replay:{tmp_path / 'cut'}", odd), odd, script, {}))
    with pytest.raises(DataError, match="asks something else"):
        open_session(f"replay:{tmp_path / 'r'}", odd).memory_on(False)


def test_generation_is_goldens(program, tiny):
    board, image = (
        board_on(program),
        np.random.default_rng(0).normal(size=(TINY.image_inputs, 768)).astype(np.float32),
    )
    board.image(image)
    golden, sampler, prompt = GoldenModel(tiny.config, tiny.arrays), Sampler(0.9, 5, 7), [3, 1, 4]
    golden.set_image(image)
    eos = token = tiny.config.vocab_size - 1
    want = []
    for i in range(len(prompt) + 20):
        acc = golden.step(token)
        token = (
            prompt[i]
            if i < len(prompt)
            else sampler.pick(acc, golden.head_scale * np.float32(tiny.arrays["head.w.scale"]))
        )
        if i >= len(prompt) and token == eos:
            break
        want += [token] * (i >= len(prompt))
    assert [t for t, _ in board.generate(prompt, 20, 0.9, 5, 7)] == want


def test_memory_goes_both_ways_and_on_where_it_was_cut(program, odd):
    board = board_on(program)
    before, rng = board.read_memory(), np.random.default_rng(5)
    other = Memory(
        rng.integers(-32000, 32000, before.codes.shape).astype(np.int16),
        rng.random(before.slots).astype(np.float32),
        rng.integers(0, 1 << 24, before.slots).astype(np.uint32),
    )
    first, rest = protocol.BY_NAME["memory_write"], protocol.BY_NAME["memory_write"].number
    board.channel.link.send(
        protocol.header(rest, 9000) + first.layout.pack(0) + bytes(500)
    )  # cut in the first block
    board = board_on(program)
    board.write_memory(other, resume=True)
    got = board.read_memory()
    assert all(np.array_equal(getattr(got, k), getattr(other, k)) for k in ("codes", "scales", "usage"))
    board.write_memory(before)


def test_what_firmware_cannot_do_is_said(tiny):
    need("host")
    board = open_session("host:", tiny)
    with pytest.raises(DeviceError, match="built without taps"):
        board.need_taps()
    with pytest.raises(DeviceError, match="refused 'taps': this firmware was built without that"):
        board.taps({0: 1})
    with pytest.raises(DeviceError, match="token id outside the vocabulary"):
        board.tokens([10**6])
    with pytest.raises(DeviceError, match="NaN or infinity"):
        board.image(np.full((TINY.image_inputs, 768), np.nan, np.float32))
    board.close()


# -- what goes wrong -----------------------------------------------------------------------------------


@contextmanager
def quick(limit_s):
    """The block ends within ``limit_s``, not counting how late this busy machine was meanwhile to run a
    thread that is due.
    """
    late, over = 0.0, threading.Event()

    def watch():
        nonlocal late
        before = time.monotonic()
        while not over.wait(0.01):
            late += max(0.0, time.monotonic() - before - 0.02)
            before = time.monotonic()

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.monotonic()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    assert time.monotonic() - start - late < limit_s


def refused(words, port, model=None, **options):
    with quick(NAMED_WITHIN_S), pytest.raises(DeviceError, match=words) as caught:
        open_session(port, model, SessionOptions(**options))
    assert caught.value.hint


def test_ports_that_are_none(tmp_path):
    refused("there is no such port", "/dev/ttyNONE7")
    refused("not a serial port", str(tmp_path))
    with pytest.raises(ConfigError, match="no kind of port 'usb:'"):
        open_session("usb:1")


def test_a_port_in_use(tmp_path):
    fake = FakeBoard()
    code = (
        f"import serial, time; held = serial.Serial({fake.path!r}, exclusive=True); print('x', flush=True); "
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        other.stdout.read(1)
        refused("uses the port", fake.path)
        other.kill()
    fake.close()


@pytest.mark.parametrize(
    "answer, first, words",
    [
        (of_version(9), b"", "speaks version 9 of the protocol, this program version 1"),
        (
            lambda data: b"",
            b"rst:0x1 (POWERON),boot:0x0 (DOWNLOAD(USB/UART0))\r\nwaiting for download\r\n",
            "waits in its boot loader",
        ),
        (
            lambda data: (
                b"\xc0\x01\x08\x04\x00\x07\x07\x12\x20\x00\x00\x00\x00\xc0"
                if b"\x07\x07\x12\x20UUUU" in data
                else b""
            ),
            b"",
            "waits in its boot loader",
        ),
        (lambda data: b"login: ", b"Debian GNU/Linux\r\n", "prints text there, but no firmware"),
        (lambda data: bytes(b ^ 0xA5 for b in data), b"", "no whole frame"),
        (lambda data: b"", b"", "nothing answers"),
        (lambda data: b"", b"Guru Meditation Error: Core 0 panic'ed\r\n", "crashed while it started"),
    ],
    ids=["version", "loader's text", "loader's answer", "other program", "garbage", "silence", "crash"],
)
def test_boards_that_are_not_as_they_should_be(answer, first, words):
    fake = FakeBoard(answer, first)
    refused(words, fake.path)
    fake.close()


@pytest.mark.parametrize("kind", ["socket", "rfc2217"])
def test_a_port_in_the_network(program, tiny, kind):
    """Through a terminal server: the model answers, and a lost connection is named."""
    server = NetworkPort(program, telnet=kind == "rfc2217")
    session = open_session(f"{kind}://127.0.0.1:{server.port}", tiny)
    assert session.source(3000) == protocol.pattern(3000) and session.sink(protocol.pattern(3000)) == 0
    assert [token for token, _ in session.generate([3, 1], 4)]
    server.close()
    with pytest.raises(DeviceError, match="connection was lost|stopped answering"):
        session.begin()
    session.close()
    with pytest.raises(DeviceError, match="cannot be opened"):
        open_session(f"{kind}://127.0.0.1:{server.port}", tiny)


@pytest.mark.parametrize("kind", ["socket", "rfc2217"])
def test_commands_through_a_port_in_the_network(program, tiny, tmp_path, kind):
    tiny.save(tmp_path / "m.bitmar")
    server = NetworkPort(program, telnet=kind == "rfc2217")
    url = f"{kind}://127.0.0.1:{server.port}"
    for words in (
        ("verify", "m.bitmar", "--on", url, "--tokens", 12),
        ("profile", "m.bitmar", "--on", url, "--tokens", 2, "--rounds", 1),
        ("memory", "export", "--port", url, "-o", "memory.safetensors"),
        ("link", "test", "--port", url, "--bytes", 2000),
    ):
        done = command_line.run(*words, cwd=tmp_path)
        assert done.returncode == 0, (words, done.stderr)
    done = command_line.run("generate", "m.bitmar", "--on", url, cwd=tmp_path)
    assert "this model was frozen without a tokenizer" in done.stderr  # the board was asked
    server.close()


@pytest.mark.parametrize(
    "url",
    ["rfc2217://127.0.0.1", "socket://127.0.0.1", "rfc2217://:4000", "socket://127.0.0.1:99999", "rfc2217://"]
    + ["rfc2217://127.0.0.1:1", "rfc2217://127.0.0.1:4000?what=1", "socket://127.0.0.1:4000/x"],
)
def test_an_address_that_cannot_be_used_is_one_sentence(url, tiny):
    with pytest.raises(DeviceError, match="cannot be opened"):
        open_session(url, tiny)


def test_another_speed(program, monkeypatch):
    """The board speaks 460800 baud: bytes at any other speed are garbage in both directions."""
    monkeypatch.setattr(connecting, "OTHER_S", 2.0)
    terminal = TerminalProgram(program.firmware.program)
    from bitmar_tiny.device.lines import SerialLine

    def relay(data):
        garble = (
            (lambda d: d) if fake.baud == termios_speed(460800) else (lambda d: bytes(b ^ 0x81 for b in d))
        )
        terminal.write(garble(data))
        return garble(terminal.read(0.05))

    fake = FakeBoard(relay)
    refused("speaks 460800 baud, and 115200 does not work on this line", fake.path)
    line = SerialLine(fake.path, 460800)
    assert connect(line).opened.version == protocol.VERSION
    line.close()
    fake.close()
    terminal.close()


def termios_speed(baud):
    import termios

    return getattr(termios, f"B{baud}")


def test_unplugged_in_the_middle():
    fake = FakeBoard(of_version(protocol.VERSION))
    link = connect(connecting.open_line(fake.path, None))
    fake.close()
    with quick(NAMED_WITHIN_S), pytest.raises(DeviceError, match="connection was lost in the middle"):
        DeviceSession(LinkChannel(link))


def test_a_cut_cable_is_noticed_and_nothing_is_tried_again(tiny):
    """The port stays, but nothing comes any more: while the board is to answer, and then at once."""
    need("host")
    board = open_session("host:", tiny, SessionOptions(flags=("-DBM_TAPS",), timeout_s=1.5))
    os.kill(board.channel.link.line.process.pid, signal.SIGSTOP)
    for limit_s in (7.0, 0.5):
        with quick(limit_s), pytest.raises(DeviceError, match="stopped answering: nothing came for"):
            board.begin()
    board.close()


def test_a_board_that_computes_shows_that_it_lives(monkeypatch):
    """An answer may take longer than the patience, but not for ever."""
    monkeypatch.setattr(linking, "ASK_S", 0.2)
    for think_s, stuck_s in ((5.0, 600), (None, 2.5)):
        monkeypatch.setattr(linking, "STUCK_S", stuck_s)
        link = Link(ThinkingLine(think_s), patience_s=3.0)
        link.open(30.0)
        answer = LinkChannel(link).exchange(protocol.BY_NAME["begin"].pack())
        if think_s:
            assert list(answer) == [
                (protocol.BY_NAME["result"].number, protocol.BY_NAME["result"].layout.pack(0, 7))
            ]
        else:
            with pytest.raises(DeviceError, match="stopped answering"):
                list(answer)


def test_a_program_that_dies_is_named_and_leaves_nothing(tiny):
    need("host")
    board = open_session("host:", tiny)
    line = board.channel.link.line
    line.process.kill()
    with pytest.raises(DeviceError, match="ended with status -9"):
        board.begin()
    folder, pid = line.firmware.folder.name, line.process.pid
    board.close()
    assert not os.path.exists(folder) and not os.path.exists(f"/proc/{pid}")


def test_firmware_of_another_model(tiny, odd):
    need("host")
    line = firmware_line("host:", odd)
    with pytest.raises(DeviceError, match="holds another model"):
        DeviceSession(LinkChannel(connect(line))).need(tiny)
    line.close()


def test_a_model_that_did_not_start_says_why(tmp_path):
    """A store that is not there: the firmware answers, and says so."""
    need("host")
    model = random_model(TINY, seed=1)
    line = firmware_line("host:", model, memory="sd")
    os.remove(next(Path(line.firmware.folder.name).rglob("memory.store")))
    line.restart()
    board = DeviceSession(LinkChannel(connect(line)))
    with pytest.raises(DeviceError, match="did not start on the board: the memory's store"):
        board.need(model)
    with pytest.raises(DeviceError, match="the model did not start"):
        board.begin()
    line.close()
