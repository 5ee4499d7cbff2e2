# SPDX-License-Identifier: Apache-2.0
"""The project's own Makefile and CMakeLists.txt, with the flags that people and distributions set."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from support import need

from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.build import Program
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.codegen.kernels import families
from bitmar_tiny.run.device import how_to_build_with
from bitmar_tiny.run.firmware import ProgramSession
from bitmar_tiny.verify.compare import verify
from bitmar_tiny.verify.script import standard

BUILD_TIMEOUT_S = 600


@pytest.fixture(scope="module")
def project(tiny, tmp_path_factory):
    need("host", "gcc")
    return emit(tiny, load_board("host"), tmp_path_factory.mktemp("make") / "p")


def do(*command, cwd, environment=None):
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def check_exact(model, project, program):
    """Every tensor of every step of the program that was built with taps."""
    with ProgramSession(Program(program, [], "cc", ""), project.board, "make") as session:
        verdict = verify(model, session, standard(model.config, 30), project.sources)
    assert verdict.exact, verdict.difference.sentence()


@pytest.mark.parametrize("given", ["CFLAGS=-O1 -ffast-math -march=native", "OPT=-O2 -flto"])
def test_make_keeps_the_contract_whatever_flags_are_set(tiny, project, tmp_path, given):
    do("make", "-j2", "-s", "CC=gcc", f"BUILD={tmp_path}", "EXTRA=-DBM_TAPS", given, cwd=project.path)
    check_exact(tiny, project, tmp_path / "bitmar")


def test_make_builds_what_a_session_misses_as_the_message_says(project):
    """Beside the program without, whose objects are older."""
    for what, flag in (("PROFILE", "profile"), ("TAPS", "taps")):
        said = how_to_build_with(what)
        command, program = re.search("'(make .*?)'.*start (.*)\\.", said).groups()
        do(*command.split(), "-j2", "-s", "CC=gcc", "OPT=-O0", "HOT_OPT=", cwd=project.path)
        built = Program(project.path / program, [], "cc", "")
        with ProgramSession(built, project.board, "make") as session:
            assert flag in session.identity.flags
        menu = list(project.board.platform.folder.parent.rglob("Kconfig.component.j2"))
        assert f"config {re.search('BITMAR_[A-Z]+', said)[0]}\n" in menu[0].read_text()


@pytest.mark.skipif(not shutil.which("cmake"), reason="no cmake: apt-get install cmake")
def test_cmake_keeps_the_contract_whatever_flags_are_set(tiny, project, tmp_path):
    given = ["-DCMAKE_C_FLAGS=-ffast-math -march=native", "-DCMAKE_INTERPROCEDURAL_OPTIMIZATION=ON"]
    kind = ["-DCMAKE_C_FLAGS_RELEASE=-O1", "-DBM_TAPS=ON", "-DCMAKE_C_COMPILER=gcc"]
    do("cmake", "-S", project.path, "-B", tmp_path, *kind, *given, cwd=".")
    do("cmake", "--build", tmp_path, "-j", "2", cwd=".")
    check_exact(tiny, project, tmp_path / "bitmar")


GIVEN = [
    (["CFLAGS=-O2"], {}),
    (["CFLAGS="], {}),
    (["OPT=-Os"], {}),
    (["EXTRA=-DX"], {}),
    ([], {"CFLAGS": "-g -O2 -fstack-protector-strong", "CPPFLAGS": "-Wdate-time", "LDFLAGS": "-Wl,-z,relro"}),
]


@pytest.mark.parametrize("arguments, environment", GIVEN, ids=str)
def test_no_variable_takes_a_flag_of_the_contract_away(project, tmp_path, arguments, environment):
    said = do(
        "make", "-n", "CC=gcc", f"BUILD={tmp_path}", *arguments, cwd=project.path, environment=environment
    )
    lines = [line.split() for line in said.splitlines() if line.startswith("gcc")]
    family = project.board.family_flags(project.family, "gcc")
    compiled = [words for words in lines if "-c" in words and words[-1].endswith(".c")]
    assert len(compiled) > 25
    for words in compiled:
        assert words.index("-ffp-contract=off") > words.index("-fno-fast-math") and "-std=c99" in words
        assert {"-pthread", "-Isrc", "-I."} <= set(words)
        hot = words[-1] in ("src/bm_kernels.c", "src/bm_step.c")
        assert set(family) <= set(words) if hot else words[-1] != "src/bm_model.c" or not {*family} & {*words}
    value = (arguments or [f"CFLAGS={environment.get('CFLAGS')}"])[0].split("=")[1].split()
    assert all(set(value) <= set(words) for words in compiled)
    assert "-fno-fast-math" in lines[-1] and set(environment.get("LDFLAGS", "").split()) <= set(lines[-1])


def test_nothing_that_ships_takes_a_warning_for_an_error(project):
    """A compiler of tomorrow warns of something new."""
    for file in project.path.rglob("*"):
        assert not file.is_file() or b"-Werror" not in file.read_bytes(), file


# -- the wrong machine -----------------------------------------------------------------------------

ARM_32 = [sys.executable, "-m", "ziglang", "cc", "-target", "arm-linux-musleabihf"]
GUARDED = [name for name, family in families().items() if family.machine]


def board_of(family):
    boards = (
        "host",
        "rpi-5",
        "mps3-an547",
        "pico",
        "pico2",
        "bpi-f3",
        "riscv32-virt",
        "esp32-s3-n16r8",
        "web",
    )
    return next(b for b in map(load_board, boards) if family in b.kernels)


@pytest.mark.parametrize("family", GUARDED)
def test_kernels_for_another_machine_are_one_error_with_the_way_out(tiny, tmp_path, family):
    """Compiled by the project's own rules, or file by file as somebody's own build system does."""
    pytest.importorskip("ziglang", reason="no zig: pip install ziglang")
    project = emit(tiny, board_of(family), tmp_path / "p", family)
    if (project.path / "Makefile").exists():
        command = ["make", "-s", f"CC={' '.join(ARM_32)}", "build/bm_kernels.o"]
    else:
        command = [*ARM_32, "-std=c99", "-c", str(project.sources / "bm_kernels.c")]
    done = subprocess.run(command, cwd=project.path, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S)
    errors = re.findall(r"\berror: .*", done.stderr)
    assert done.returncode and len(errors) == 1, done.stderr
    assert f"{family} kernels: compile " in errors[0] and "--kernels portable" in errors[0]
    for source in sorted(project.sources.glob("*.[cS]")) if family == "neon" else []:
        if source.name not in ("bm_kernels.c", "bm_blob.S"):  # and nobody else complains of the machine
            do(*ARM_32, "-std=c99", f"-I{project.sources}", "-c", source, "-o", "/dev/null", cwd=project.path)
