# SPDX-License-Identifier: Apache-2.0
"""What --as writes compiles with nothing but its own files, and says what golden says: gcc and clang, 32 and
64 bits, the build files of each ecosystem against a stand-in for it.
"""

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import command_line
import numpy as np
import pytest

import bitmar_tiny as bt
from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.data.pixels import picture_side, picture_vectors

HERE = Path(__file__).parent
FIRMWARE = HERE.parent / "firmware"
ARM = "arm-none-eabi-gcc"
XTENSA = load_board("xtensa-sim").compilers["gcc"].command[0]
STRICT = ["-Wall", "-Wextra", "-Werror"]
#: What it compiles to is tested elsewhere; this takes the least time.
QUICK = "-O0"
TOOL_TIMEOUT_S = 600

need_gcc = pytest.mark.skipif(not shutil.which("g++"), reason="no g++: apt-get install g++")
need_cmake = pytest.mark.skipif(not shutil.which("cmake"), reason="no cmake: apt-get install cmake make")
need_arm = pytest.mark.skipif(not shutil.which(ARM), reason=f"no {ARM}: apt-get install gcc-arm-none-eabi")
need_xtensa = pytest.mark.skipif(
    not shutil.which(XTENSA), reason=f"no {XTENSA}: apt-get install gcc-xtensa-lx106"
)
need_zig = pytest.mark.skipif(not importlib.util.find_spec("ziglang"), reason="no zig: pip install ziglang")


def run(*command, **settings) -> str:
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=TOOL_TIMEOUT_S, **settings
    )
    assert done.returncode == 0, (done.stderr or done.stdout)[-2000:]
    return done.stdout


def compiled(compiler: list, sources: list[Path], out: Path) -> list[Path]:
    """Objects of the sources, each by a call of its own, as build systems do."""
    out.mkdir(exist_ok=True)

    def one(source: Path) -> Path:
        run(*compiler, "-c", source, "-o", out / f"{source.stem}.o")
        return out / f"{source.stem}.o"

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, sources))


def red_disc(n: int) -> np.ndarray:
    """The picture of caption.c as the n vectors of a model."""
    side = picture_side(n)[0]
    at = 2 * np.arange(side) + 1 - side
    inside = 16 * (at[:, None] ** 2 + at[None, :] ** 2) <= 9 * side * side
    return picture_vectors(np.where(inside[..., None], [220, 40, 40], 255).astype(np.uint8), n)


def said(model) -> str:
    """What golden says of it."""
    return bt.generate(model, image=red_disc(model.config.image_inputs), limit=24)


@pytest.fixture(scope="module")
def packages(tiny, tmp_path_factory):
    """A package by name, of the small random model."""
    made = {}

    def get(name: str) -> Path:
        if name not in made:
            made[name] = bt.write_package(tiny, name, tmp_path_factory.mktemp("as") / name).path
        return made[name]

    return get


@need_gcc
@need_cmake
def test_an_installed_cmake_package_captions_as_golden_does(tmp_path):
    made = command_line.run("codegen", "--as", "cmake", "-o", tmp_path / "package", "--json")
    assert json.loads(made.stdout)["as"] == "cmake", made.stderr
    given = ["-DCMAKE_C_COMPILER=gcc", "-DCMAKE_C_FLAGS=-Werror", f"-DCMAKE_C_FLAGS_RELEASE={QUICK}"]
    run("cmake", "-S", tmp_path / "package", "-B", tmp_path / "b", *given)
    run("cmake", "--build", tmp_path / "b", "-j", "2")
    run("cmake", "--install", tmp_path / "b", "--prefix", tmp_path / "installed")
    example = shutil.copytree(tmp_path / "package" / "examples" / "caption", tmp_path / "mine")
    shutil.rmtree(tmp_path / "package")  # what is installed stands alone
    run("cmake", "-S", example, "-B", tmp_path / "c", f"-DCMAKE_PREFIX_PATH={tmp_path / 'installed'}", *given)
    run("cmake", "--build", tmp_path / "c")
    assert run(tmp_path / "c" / "caption") == f"{said(bt.load('demo'))}\n" == "red circle\n"


@need_gcc
def test_a_sketch_captions_as_golden_does(tmp_path):
    """Compiled as an Arduino core compiles: GNU C, no flag of the library's own, the sketch as C++."""
    model = bt.load("recall")
    package = bt.write_package(model, "arduino", tmp_path / "package")
    sketch = package.path / "examples" / "Caption"
    flags = [QUICK, "-DARDUINO=10819", *STRICT, f"-I{package.sources}"]
    c = [*sorted(package.sources.glob("*.c")), sketch / "caption.c"]
    objects = compiled(["gcc", "-std=gnu11", *flags], c, tmp_path / "o")
    headers = [f"-I{FIRMWARE / 'arduino_headers'}", f"-I{sketch}"]
    main = ["-x", "c++", sketch / "Caption.ino", FIRMWARE / "arduino_main.cpp", "-x", "none"]
    run("g++", "-std=gnu++11", *flags, *headers, *main, *objects, "-o", tmp_path / "sketch")
    assert run(tmp_path / "sketch") == f"{said(model)}\n"


@need_arm
def test_arduino_never_fuses_a_multiply_with_an_add(packages, tmp_path):
    """Cortex-M33 has the instruction, GNU C takes it, and a library cannot forbid it with a flag."""
    source = packages("arduino") / "src" / "bm_numerics.c"
    flags = [
        "-mcpu=cortex-m33",
        "-mfloat-abi=hard",
        "-mfpu=fpv5-sp-d16",
        "-std=gnu11",
        "-Os",
        "-S",
        "-o",
        "-",
    ]
    fused = re.compile(r"\bvfn?m[as]\.f32")
    assert fused.search(run(ARM, *flags, source)), "else this says nothing"
    assert not fused.search(run(ARM, *flags, "-DARDUINO=10819", source))


@need_arm
@pytest.mark.parametrize("family, core", [("portable", "cortex-m0plus"), ("helium", "cortex-m55")])
def test_a_library_for_gcc_and_32_bits(tiny, tmp_path, family, core):
    path = bt.write_package(tiny, "platformio", tmp_path / "p", kernels=family).path
    flags = json.loads((path / "library.json").read_text())["build"]["flags"]
    folders = (
        (path / "src", path / "examples" / "caption" / "src") if family == "portable" else (path / "src",)
    )
    sources = [p for folder in folders for p in sorted(folder.glob("*.c"))]
    if family != "portable":
        sources = [p for p in sources if p.name == "bm_kernels.c"]  # the others are the same
    float_abi = "soft" if family == "portable" else "hard"
    compiler = [ARM, f"-mcpu={core}", "-mthumb", f"-mfloat-abi={float_abi}", "-std=gnu11", *flags, QUICK]
    compiled([*compiler, *STRICT, f"-I{path / 'src'}"], sources, tmp_path / "o")


@need_zig
@pytest.mark.parametrize(
    "target, pattern", [("arm-linux-musleabihf", "*.c"), ("x86_64-linux-musl", "bm_[mn]*.c")]
)
def test_a_library_for_clang(packages, tmp_path, target, pattern):
    path = packages("arduino")
    sketch = path / "examples" / "Caption"
    clang = [sys.executable, "-m", "ziglang"]
    flags = ["-target", target, QUICK, "-DARDUINO=10819", *STRICT, f"-I{path / 'src'}"]
    sources = [*sorted((path / "src").glob(pattern)), sketch / "caption.c"]
    compiled([*clang, "cc", "-std=gnu11", *flags], sources, tmp_path / "o")
    headers = [f"-I{FIRMWARE / 'arduino_headers'}", f"-I{sketch}"]
    cpp = shutil.copyfile(sketch / "Caption.ino", tmp_path / "Caption.cpp")
    run(*clang, "c++", "-std=gnu++11", *flags, *headers, "-c", cpp, "-o", tmp_path / "sketch.o")


@need_gcc
@need_cmake
def test_a_zephyr_sample_builds_and_starts(packages, tmp_path):
    path = packages("zephyr")
    given = [f"-DCMAKE_C_FLAGS={QUICK} -Werror", "-DCMAKE_C_COMPILER=gcc"]
    environment = os.environ | {"ZEPHYR_BASE": str(HERE / "zephyr")}
    run("cmake", "-S", path / "samples" / "caption", "-B", tmp_path / "b", *given, env=environment)
    run("cmake", "--build", tmp_path / "b", "-j", "2")
    run(tmp_path / "b" / "app")


@need_gcc
@need_cmake
def test_a_program_of_the_pico_sdk_captions_as_golden_does(tmp_path):
    model = bt.load("recall")
    path = bt.write_package(model, "pico-sdk", tmp_path / "p").path
    given = [f"-DCMAKE_C_FLAGS={QUICK} -Werror", "-DCMAKE_C_COMPILER=gcc", "-DCMAKE_CXX_COMPILER=g++"]
    environment = os.environ | {"PICO_SDK_PATH": str(HERE / "pico_sdk")}
    run("cmake", "-S", path / "examples" / "caption", "-B", tmp_path / "b", *given, env=environment)
    run("cmake", "--build", tmp_path / "b", "-j", "2")
    assert run(tmp_path / "b" / "caption") == f"{said(model)}\n"


@need_arm
@need_cmake
@pytest.mark.parametrize("family, core", [("m0", "cortex-m0plus"), ("m33", "cortex-m33")])
def test_the_quick_kernels_of_a_pico_compile_by_the_library_of_the_pico_sdk(tiny, tmp_path, family, core):
    """Assembly among them; the program itself needs the SDK's start."""
    path = bt.write_package(tiny, "pico-sdk", tmp_path / "p", kernels=family).path
    flags = f"-mcpu={core} -mthumb {QUICK}"
    given = [f"-DCMAKE_{language}_COMPILER={ARM}" for language in ("C", "CXX", "ASM")]
    given += [f"-DCMAKE_{language}_FLAGS={flags}" for language in ("C", "ASM")]
    given += ["-DCMAKE_SYSTEM_NAME=Generic", "-DCMAKE_C_COMPILER_WORKS=1", "-DCMAKE_CXX_COMPILER_WORKS=1"]
    environment = os.environ | {"PICO_SDK_PATH": str(HERE / "pico_sdk")}
    run("cmake", "-S", path / "examples" / "caption", "-B", tmp_path / "b", *given, env=environment)
    run("cmake", "--build", tmp_path / "b", "--target", "bitmar", "-j", "2")
    made = run("arm-none-eabi-nm", "--defined-only", tmp_path / "b" / "bitmar" / "libbitmar.a")
    assert "bm_gemv_t2s8" in made and ("__aeabi_fmul" in made) == (family == "m0")


@need_cmake
@need_xtensa
def test_an_esp_component_compiles_with_its_example(packages, tmp_path):
    path = packages("esp-component")
    given = [
        "-DCMAKE_SYSTEM_NAME=Generic",
        "-DCMAKE_C_COMPILER_WORKS=1",
        "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON",
    ]
    given += [f"-DCMAKE_{language}_COMPILER={XTENSA}" for language in ("C", "ASM")]
    environment = os.environ | {"IDF_PATH": str(HERE / "idf")}
    run("cmake", "-S", path / "examples" / "caption", "-B", tmp_path / "b", *given, env=environment)
    commands = json.loads((tmp_path / "b" / "compile_commands.json").read_text())
    sources = {Path(c["file"]): shlex.split(c["command"]) for c in commands}
    main = path / "examples" / "caption" / "main"
    assert set(sources) == {*(path / "src").glob("*.c"), *main.glob("*.c")}
    for source, command in sources.items():
        assert ("-ffp-contract=off" in command) == (source.parent != main)
        if source.name in ("bm_blob.c", "bm_model.c", "caption.c", "main.c"):  # test_espidf.py has the others
            run(*command[: command.index("-o")], QUICK, *STRICT, "-c", source, "-o", tmp_path / "x.o")
