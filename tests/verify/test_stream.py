# SPDX-License-Identifier: Apache-2.0
"""A head that is streamed: the same bits as one that is read where it lies, by every way; who does not wait
for a block, or takes a wrong one, is found.
"""

from __future__ import annotations

import shutil
import subprocess

import pytest
from firmware.build import HERE, ROOT, SANITIZE
from support import ODD, need, need_family
from verify.test_faults import patch_source

from bitmar_tiny.codegen.boards import Board, load_board
from bitmar_tiny.codegen.build import build
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.device.protocol import BY_NAME
from bitmar_tiny.frozen import random_model
from bitmar_tiny.profile.prediction import predict
from bitmar_tiny.run.device import Identity
from bitmar_tiny.run.firmware import ProgramSession
from bitmar_tiny.run.profile import record
from bitmar_tiny.verify.compare import verify
from bitmar_tiny.verify.script import standard

#: Its last block has 11 rows of 32, and other threads begin in the middle.
VOCAB = 1003
ESPIDF = ROOT / "firmware_templates" / "platforms" / "espidf"


@pytest.fixture(scope="module")
def model():
    return random_model(ODD.model_copy(update={"vocab_size": VOCAB}))


def streaming(name: str, threads: int = 2, block: int = 1200) -> Board:
    """A board as if its weights were worth streaming."""
    values = load_board(name).model_dump() | {"threads": threads}
    home = next(r["name"] for r in values["regions"] if "weights" in r["holds"])
    values["stream"] = {"block": block, "mb_s": {home: 40}, "source": "a test"}
    return Board.parse(values, "test")


def config(project) -> str:
    return (project.sources / "bm_config.h").read_text()


def difference(model, project, tokens=16, **options):
    """What verification finds."""
    program = build(project.path, project.board, project.family, taps=True, **options)
    with ProgramSession(program, project.board, "streaming") as session:
        return verify(model, session, standard(model.config, tokens), project.sources).difference


def generated(program, *options) -> list[bytes]:
    """Ids of a greedy and of a drawn text."""
    return [
        subprocess.run(
            [*program.command, "generate", "--ids", "--tokens", "40", "--temperature", t, "--top-k", "200"]
            + list(options),
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for t in ("0", "3")
    ]


@pytest.mark.parametrize("head_bits", ["2", "1.6"])
@pytest.mark.parametrize(
    "board, family, block",
    [
        ("host", "portable", 1200),
        ("host", "avx2", 3000),
        ("rpi-zero2", "neon", 1200),
        ("xtensa-sim", "portable", 1200),
        ("xtensa-sim", "portable", 5000),
    ],
)
def test_every_tensor_is_the_same(model, tmp_path, board, family, block, head_bits):
    need(board)
    need_family(family)
    project = emit(model, streaming(board, block=block), tmp_path / "p", family, head_bits)
    assert project.plan.streams and "#define BM_STREAM_ROWS 0u" not in config(project)
    assert difference(model, project) is None


@pytest.mark.parametrize("head_bits", ["2", "1.6"])
def test_threads_stream_the_same_tokens(model, tmp_path, head_bits):
    need("host")
    said = []
    for board in (load_board("host"), streaming("host", 3)):
        project = emit(model, board, tmp_path / board.title, "portable", head_bits)
        said += [generated(build(project.path, board, "portable"), "--threads", n) for n in ("1", "2", "3")]
        shutil.rmtree(project.path)
    assert all(texts == said[0] for texts in said) and len(said[0][1].split()) > 5


def test_sanitizers_find_nothing(model, tmp_path):
    need("host", "gcc")
    project = emit(model, streaming("host"), tmp_path / "p", "portable", "1.6")
    assert difference(model, project, opt="-O1", extra=SANITIZE) is None


@pytest.mark.parametrize(
    "file, line, mutant",
    [
        ("bm_stream.c", "    s->stream->wait(b->thread);\n", ""),
        ("bm_stream.c", "    b->buffer ^= 1u;\n", ""),
        ("bm_stream.c", "? BM_HEAD_BYTES - skipped :", "? n * BM_HEAD_ROW - BM_HEAD_ROW :"),
        ("bm_stream.c", "bm_head_weights(s) + skipped", "bm_head_weights(s) + skipped + BM_HEAD_ROW"),
        ("bm_head.c", "p->w = bm_stream_next(", "(void)bm_stream_next("),
    ],
    ids=["does not wait", "has one buffer", "brings too little", "brings other rows", None],
)
@pytest.mark.parametrize("board", ["host", "xtensa-sim"])
def test_who_breaks_the_stream_is_found(model, tmp_path, board, file, line, mutant):
    """But for the last one, which leaves the stream and is right."""
    need(board)
    project = emit(model, streaming(board), tmp_path / "p", "portable")
    patch_source(project, file, line, mutant)
    found = difference(model, project, tokens=2, extra=("-Wno-error",))
    assert (found is None) == (file == "bm_head.c") and (found is None or found.tap == "logits")


def test_a_head_that_skips_is_not_streamed(model, tmp_path):
    project = emit(model, streaming("host"), tmp_path / "p", "portable", "2-skip")
    assert "#define BM_STREAM_ROWS 0u" in config(project) and not project.plan.streams


def test_the_board_says_how_it_reads_its_head(model, tmp_path):
    """The quickest first; a profile shows the rates, an older board none."""
    need("host")
    for streams, ways in ((streaming("host"), {"copy", "read"}), (load_board("host"), set())):
        project = emit(model, streams, tmp_path / str(len(ways)), "portable")
        program = build(project.path, streams, "portable", extra=("-DBM_PROFILE",))
        with ProgramSession(program, streams, "host") as session:
            rates = session.identity.head_kb_s
            assert set(rates) == ways and list(rates.values()) == sorted(rates.values(), reverse=True)
            recording, _ = record(session, 4, 1)
        rows = [r for r in predict(recording).rows if r.what.startswith("head by")]
        assert [r.found for r in rows] == [kb_s / 1e3 for kb_s in rates.values()]
        assert recording.identity.get("head_kb_s", {}) == rates
        assert [r.what.endswith("which is taken, at start") for r in rows] == [True, False][: len(ways)]


@pytest.mark.parametrize(
    "more, rates", [(b"", {}), (b"\0", {}), (b"gdma=103200 read=0\0", {"gdma": 103200, "read": 0})]
)
def test_firmware_of_before_says_nothing_of_it(more, rates):
    fields = (1, 0, bytes(32), b"0" * 12, *[1] * 13)
    texts = b"m\0b\0k\0c\0ram=64 sram=32\0asleep\0"
    who = Identity.parse(BY_NAME["identity"].layout.pack(*fields) + texts + more)
    assert (who.why, who.arenas, who.head_kb_s) == ("asleep", {"ram": 64, "sram": 32}, rates)


class Esp:
    """The ways of an ESP32-S3 on this computer, with stand-ins that come late."""

    def __init__(
        self, model, folder, way: str = "", change: tuple[str, str] = ("", ""), version: str = "5, 5, 5"
    ) -> None:
        """``way``: take this one, whatever is measured; ``version``: of ESP-IDF."""
        self.project = emit(model, streaming("host"), folder, "portable")
        source = (ESPIDF / "chips" / "esp32s3" / "espidf_stream.c").read_text()
        assert change[0] in source
        source = source.replace(*change, 1)
        if way:
            source = source.replace("NULL, 1000000u);", f"NULL, 1000000u);\n    s->stream = &{way};")
        (self.project.sources / "espidf_stream.c").write_text(source)
        for file in (ESPIDF / "src" / "espidf.h", HERE / "espidf_late.c"):
            shutil.copy(file, self.project.sources)
        patch_source(
            self.project,
            "linux_main.c",
            '#include "linux_bench.h"',
            '#include "espidf.h"\n#include "linux_bench.h"',
        )
        patch_source(
            self.project,
            "linux_main.c",
            "if (o->no_memory) s->memory_on",
            "espidf_stream_start(s);\n    if (o->no_memory) s->memory_on",
        )
        self.options = {
            "compiler": "gcc",
            "extra": (
                "-isystem",
                str(HERE / "idf_headers"),
                f"-DESP_IDF_VERSION=ESP_IDF_VERSION_VAL({version})",
            ),
        }


@pytest.mark.parametrize(
    "way, version", [("preload", "5, 5, 5"), ("by_gdma", "5, 5, 5"), ("by_gdma", "5, 0, 0")]
)
def test_the_ways_of_an_esp32_bring_the_same_bits(model, tmp_path, way, version):
    need("host", "gcc")
    esp = Esp(model, tmp_path / "p", way, version=version)
    assert difference(model, esp.project, tokens=4, **esp.options) is None
    plain = emit(model, load_board("host"), tmp_path / "plain", "portable")
    said = generated(build(plain.path, plain.board, "portable"))
    program = build(esp.project.path, esp.project.board, "portable", **esp.options)
    assert generated(program, "--threads", "2") == said == generated(program)


@pytest.mark.parametrize(
    "change, refused",
    [
        (("", ""), set()),
        (("while (load(&coming[thread])) {}", "(void)thread;"), {"gdma"}),
        (("store(&coming[thread], 1u);", ""), {"gdma"}),
    ],
)
def test_a_way_that_brings_other_bits_is_not_taken(model, tmp_path, change, refused):
    need("host", "gcc")
    esp = Esp(model, tmp_path / "p", change=change)
    program = build(esp.project.path, esp.project.board, "portable", **esp.options)
    with ProgramSession(program, esp.project.board, "esp") as session:
        rates = session.identity.head_kb_s
    assert set(rates) == {"read", "copy", "preload", "gdma"}
    assert {way for way, rate in rates.items() if not rate} == refused
    assert max(rates.values()) == next(iter(rates.values()))


def test_flash_is_out_of_reach_of_gdma(model, tmp_path, monkeypatch):
    need("host", "gcc")
    monkeypatch.setenv("HEAD_IN_FLASH", "1")
    esp = Esp(model, tmp_path / "p")
    program = build(esp.project.path, esp.project.board, "portable", **esp.options)
    with ProgramSession(program, esp.project.board, "esp") as session:
        assert set(session.identity.head_kb_s) == {"read", "copy", "preload"}
