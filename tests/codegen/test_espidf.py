# SPDX-License-Identifier: Apache-2.0
"""The C of projects for ESP-IDF, compiled for an Xtensa or a RISC-V as their CMake files say, against
declared headers: what it calls, what it takes of memory and stack. ``test_espidf_files.py`` has the rest of a
project.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from espidf_support import settings

from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.platform import hot_sources
from bitmar_tiny.simulate.decode import assemble
from bitmar_tiny.simulate.pie import PIE
from bitmar_tiny.simulate.xtensa import BASE

HERE = Path(__file__).parent
HEADERS = HERE.parent / "firmware" / "idf_headers"
XTENSA, RISCV = (load_board(name).compilers["gcc"] for name in ("xtensa-sim", "riscv32-virt"))
TOOL_TIMEOUT_S = 120
LIBRARY = ["-misa-spec=2.2", "--specs=picolibc.specs"]
#: In the place of each chip's compiler: one for its instructions, and what it is called with.
STAND_IN = {
    "esp32s3": (XTENSA, XTENSA.flags),
    "esp32c3": (RISCV, ["-march=rv32imc", "-mabi=ilp32", *LIBRARY]),
    "esp32c6": (RISCV, ["-march=rv32imac", "-mabi=ilp32", *LIBRARY]),
    "esp32p4": (RISCV, ["-march=rv32imafc", "-mabi=ilp32f", *LIBRARY]),
}
#: What main/Kconfig.projbuild lets a user choose, by source; the last one is what the other tests look at.
CHOICES = {
    "espidf_store": (
        "CONFIG_BITMAR_MEMORY_SDSPI",
        "CONFIG_BITMAR_MEMORY_PARTITION",
        "CONFIG_BITMAR_MEMORY_SDMMC",
    ),
    "espidf_link": ("CONFIG_BITMAR_LINK_USB", "CONFIG_BITMAR_LINK_UART"),
}
#: The same where a project has it.
BUTTON = {"espidf_main": ("CONFIG_BITMAR_LINK_USB", "CONFIG_BITMAR_BUTTON")}
#: ESP-IDF's tool chain has uint32_t = unsigned long, which matters to printf (its documentation, Migration to
#: 5.0, GCC).
INTEGERS = [
    "-U__INT32_TYPE__",
    "-D__INT32_TYPE__=long int",
    "-U__UINT32_TYPE__",
    "-D__UINT32_TYPE__=long unsigned int",
]

#: Bytes of internal memory that the linker script gives to code and variables (the least of ESP-IDF 5.0 to
#: 5.5, esp_system/ld/CHIP/memory.ld.in), and the largest piece: an ESP32-P4 below revision 3.0 has two.
LINKED = {
    "esp32-s3-n16r8": (341_760, 341_760),
    "esp32-s3-n16r2": (341_760, 341_760),
    "esp32-s3-eye": (341_760, 341_760),
    "esp32-c3-devkitm-1": (321_296, 321_296),
    "esp32-c6-devkitc-1": (451_088, 451_088),
    "esp32-p4-function-ev": (183_248 + 393_216, 393_216),
    "esp32-p4x-function-ev": (585_664, 585_664),
}
#: What ESP-IDF takes of them: an estimate from the sizes that its builds print, with PSRAM.
OF_IDF = 80 << 10
#: Bytes of a frame beside what the compiler says: the windows of registers that the ABI of the S3 spills.
WINDOWS = {"esp32s3": 48}

#: What our sources take from the C library.
LIBC = {
    "memcpy",
    "memset",
    "memcmp",
    "strlen",
    "strcmp",
    "strcspn",
    "strtol",
    "printf",
    "snprintf",
    "fwrite",
    "fflush",
    "putchar",
    "puts",
    "stdout",
    "fputc",
    "open",
    "read",
    "write",
    "lseek",
    "fstat",
    "fsync",
    "fgetc",
    "clearerr",
    "stdin",
    "memchr",
    "memmove",
    "strcpy",
    "stpcpy",
    "strcat",
    "strchr",
}


@pytest.fixture(scope="module")
def configured(idf_project, tmp_path_factory):
    """CMake's build folder of the project, with a stand-in for ESP-IDF's functions."""
    compiler = STAND_IN[idf_project.board.chip][0]
    for tool, package in (("cmake", "cmake make"), (compiler.command[0], compiler.package)):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool}: apt-get install {package}")
    out = tmp_path_factory.mktemp("cmake")
    tools = [f"-DCMAKE_{language}_COMPILER={compiler.command[0]}" for language in ("C", "ASM")]
    run(
        [
            "cmake",
            "-S",
            str(idf_project.path),
            "-B",
            str(out),
            "-DCMAKE_SYSTEM_NAME=Generic",
            "-DCMAKE_C_COMPILER_WORKS=1",
            "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON",
            *tools,
        ],
        env=os.environ | {"IDF_PATH": str(HERE / "idf")},
    )
    return out


@pytest.fixture(scope="module")
def commands(configured):
    """Source -> the arguments that it is compiled with."""
    return {
        Path(c["file"]): shlex.split(c["command"])
        for c in json.loads((configured / "compile_commands.json").read_text())
    }


@pytest.fixture(scope="module")
def objects(idf_project, commands, tmp_path_factory):
    """Every C source compiled with the flags of the project; folder of objects and stack usage."""
    out = tmp_path_factory.mktemp("objects")
    flags = [
        *STAND_IN[idf_project.board.chip][1],
        *INTEGERS,
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fstack-usage",
        "-fcallgraph-info=su",
        "-isystem",
        str(HEADERS),
        "-DCONFIG_BITMAR_MEMORY_OPTIONAL=1",
        *settings(idf_project),
    ]
    menu = (idf_project.path / "main" / "Kconfig.projbuild").read_text()
    for source, command in commands.items():
        offered = CHOICES | (BUTTON if source.with_name("espidf_button.c").is_file() else {})
        choices = offered.get(source.stem, offered["espidf_store"][-1:])
        for choice in choices if source.suffix == ".c" else ():
            if source.stem == "espidf_store" and f"config {choice.removeprefix('CONFIG_')}\n" not in menu:
                continue
            run(
                [
                    *command[: command.index("-o")],
                    *flags,
                    f"-D{choice}=1",
                    "-c",
                    str(source),
                    "-o",
                    str(out / f"{source.stem}.o"),
                ]
            )
    return out


def tool_of(project, name: str) -> str:
    return STAND_IN[project.board.chip][0].command[0].replace("gcc", name)


def run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=TOOL_TIMEOUT_S, **options)
    assert done.returncode == 0, done.stderr[:2000]
    return done.stdout


def symbols(tool: str, objects, undefined: bool) -> set[str]:
    """Global symbols that the objects define, or that they leave undefined. tool: nm."""
    lines = run(
        [
            tool,
            "--undefined-only" if undefined else "--defined-only",
            "--extern-only",
            "--no-sort",
            *map(str, objects),
        ]
    )
    return {line.split()[-1] for line in lines.splitlines() if line and not line.endswith(":")}


def assembled(project) -> set[str]:
    """Functions of the project's assembly, as the simulator's assembler reads it."""
    sources = list(project.sources.glob("*.S"))
    labels = {
        label
        for p in sources
        for label in assemble(p.read_text(), BASE | PIE, p.name, folder=p.parent).labels
    }
    return labels & set(re.findall(r"\.global\s+(\w+)", "".join(p.read_text() for p in sources)))


def test_nothing_is_undefined_but_esp_idf_libc_and_the_assembly(idf_project, objects):
    compiled, nm = sorted(objects.glob("*.o")), tool_of(idf_project, "nm")
    declared = set(re.findall(r"\b(\w+)\(", "".join(p.read_text() for p in HEADERS.rglob("*.h"))))
    assembly = assembled(idf_project)
    missing = {
        m for m in symbols(nm, compiled, True) - symbols(nm, compiled, False) if not m.startswith("__")
    }  # __: the compiler's own
    assert missing <= LIBC | declared | assembly
    assert ("bm_pie_gemv" in missing & assembly) == (idf_project.family == "pie")
    model = [o for o in compiled if not o.stem.startswith("espidf")]
    assert len(model) > 10 and not (symbols(nm, model, True) & declared), "the model calls nothing of ESP-IDF"


def test_cmake_names_every_source_with_its_flags(idf_project, configured, commands):
    assert set(commands) == {
        p for folder in (idf_project.sources, idf_project.path / "main") for p in folder.glob("*.[cS]")
    }
    hot = {"bm_step", *hot_sources(idf_project.board.platform)}
    for source, command in commands.items():
        model_c = source.parent == idf_project.sources and source.suffix == ".c"
        assert ("-ffp-contract=off" in command) == model_c, "part of the numerics contract"
        assert [part for part in command if part.startswith("-O")][-1] == (
            "-O3" if model_c and source.stem in hot else "-O2"
        )
    blob = (idf_project.path / "model.blob").resolve()
    assert (configured / "flash.txt").read_text().split("\n") == [
        f"model-flash model {blob}",
        f"flash model {blob}",
        "",
    ]


#: Objects of heads of other bits: nothing calls them, so ESP-IDF's linker (--gc-sections) leaves them out.
OTHER_HEADS = ("bm_gemv_t5", "bm_pie_five", "bm_gemv_skip", "bm_pie_skip")


def test_sections_hold_what_the_plan_says(idf_project, objects):
    """Internal memory: the arena, to the byte, and a few KB of variables. Nothing else is large, and no
    weight is linked.
    """
    size = tool_of(idf_project, "size")
    rows = [line.split() for line in run([size, *map(str, objects.glob("*.o"))]).splitlines()[1:]]
    static = {Path(r[5]).stem: int(r[1]) + int(r[2]) for r in rows}
    reason = 160  # espidf_arenas.c: a sentence
    assert (
        idf_project.plan.arenas["sram"]
        <= static["espidf_arenas"]
        <= idf_project.plan.arenas["sram"] + reason + 64
    )
    rest = sum(static.values()) - static["espidf_arenas"]
    button = "picture" in idf_project.board.components  # what is typed and said; camera, pictures, teaching
    updates = "espidf_update" in static  # a block on its way, and one of the flash
    assert rest < ((38 if button else 36) + (9 if updates else 0)) << 10
    linked, piece = LINKED[idf_project.board.name]
    assert static["espidf_arenas"] + rest + OF_IDF <= linked, "what the linker script of ESP-IDF has room for"
    assert static["espidf_arenas"] <= piece
    need = idf_project.plan.bytes_in("sram") + rest
    assert need < linked - (16 << 10), "internal memory, both stacks and all variables included"
    text = sum(int(r[0]) for r in rows if Path(r[5]).stem not in OTHER_HEADS)
    most = (80 if button else 64 + 6 * updates + 3 * idf_project.plan.streams) << 10
    assert text < idf_project.board.flash.partition("app").size // 8 and text < most
    arenas = (idf_project.path / "main" / "espidf_arenas.c").read_text()
    allocated = [int(size) for size in re.findall(r"ram\[1\]\.size = (\d+)", arenas)]
    psram = [r for r in idf_project.board.regions if r.data_lines]
    assert allocated == [idf_project.plan.arenas[r.name] for r in psram]
    assert all(a < r.size for a, r in zip(allocated, psram, strict=True))


#: What is called through a pointer, by the file of the caller, or its name.
TIER = {
    "rows_get",
    "rows_put",
    "rows_nothing",
    "tier_get",
    "tier_put",
    "tier_begin",
    "tier_commit",
    "line_cycles",
}
STREAMS = {f"{way}_{does}" for way in ("copy", "preload", "gdma") for does in ("start", "wait")}
COUNTED = TIER | {"count_get", "count_put", "count_begin", "count_commit"}
POINTED = {
    "bm_memory": COUNTED | {"write_scores", "write_weights"},
    "bm_memory_keyed": COUNTED | {"tap_slot"},
    "bm_serve_memory": TIER,
    "bm_store": {"card_read", "card_sync", "card_prefetch"},
    "bm_store_episode": {"card_write", "card_sync"},
    "bm_show": TIER,
    "bm_image": {"next_vector", "seen_patch"},
    "espidf_camera": {"set_vflip"},
    "bm_convolve": {"split"},
    "bm_block": {"split"},
    "bm_head": {"split", "feed", "keep_classes", "add_logits"},
    "bm_stream": STREAMS | {"micros"},
    "bm_update": {"device_read", "device_write", "bm_update_signed"},
    "bm_update_start": {"device_read", "device_write", "bm_update_signed", "attempt"},
    "espidf_split": {"product_part", "pick_part", "convolve_part"},
    "bm_link": {"line_read", "line_write", "line_millis", "line_idle"},
    "bm_serve": {"line_millis", "line_stack_peak", "line_reset", "set_baud"},
    "bm_serve_steps": {"line_cycles"},
    "bm_ascii": {"line_millis", "line_cycles"},
    "bm_ascii_text": {"line_write"},
    "bm_ascii_infer": {"line_cycles", "line_millis"},
}


#: A command of the text mode, which is called while a message is awaited.
IN_TEXT = POINTED | {"bm_image": {"patch"}}


def deepest_call(objects: Path, pointed: dict[str, set[str]], *names: str, window: int = 0) -> dict[str, int]:
    """Bytes of stack below a task's function, from the compiler's call graph; each frame is taken ``window``
    bytes larger.
    """
    frames, calls, home = {}, {}, {}
    for path in objects.glob("*.ci"):
        text = path.read_text()
        for name, size in re.findall(
            r'node: { title: "[^"]*?(\w+)(?:[.$]\w+)*" label: "[^"]*\\n(\d+) bytes \(static\)', text
        ):
            frames[name], home[name] = int(size) + window, path.stem
        for caller, callee in re.findall(
            r'edge: { sourcename: "[^"]*?(\w+)(?:[.$]\w+)*" targetname: "[^"]*?(\w+)(?:[.$]\w+)*"', text
        ):
            calls.setdefault(caller, set()).add(callee)
    assert not re.search("dynamic", "".join(p.read_text() for p in objects.glob("*.su")))
    depth: dict[str, int] = {}

    def below(name: str, path: tuple[str, ...] = ()) -> int:
        assert name not in path, f"{name} calls itself"
        if name not in depth:
            callees = calls.get(name, set())
            if "__indirect_call" in callees:
                known = pointed.get(name) or pointed.get(home[name])
                assert known, f"{name}: what does it call through a pointer?"
                callees = callees | known
            depth[name] = frames.get(name, 0) + max(
                (below(c, (*path, name)) for c in callees if c in frames), default=0
            )
        return depth[name]

    return {name: below(name) for name in names}


def test_the_stack_holds_any_chain_of_calls(idf_project, objects):
    window = WINDOWS.get(idf_project.board.chip, 0)
    depth = deepest_call(objects, POINTED, "app_main", "help", "bm_link_read", window=window)
    text = deepest_call(objects, IN_TEXT, "text_command", window=window)["text_command"]
    per_task = int(
        re.search(
            r"CONFIG_ESP_MAIN_TASK_STACK_SIZE=(\d+)", (idf_project.path / "sdkconfig.defaults").read_text()
        )[1]
    )
    assert per_task * idf_project.board.speed.cores == idf_project.board.stack_bytes
    assert 1500 < depth["app_main"] and depth["app_main"] + 3072 <= per_task, (
        "3 KB are left to printf of a float"
    )
    assert 1000 < text and text + depth["bm_link_read"] + 1024 <= per_task
    if idf_project.board.speed.cores > 1:
        assert (300 if window else 100) < depth["help"] <= per_task // 2
    else:
        assert not depth["help"], "there is no second core, so no task for it"
