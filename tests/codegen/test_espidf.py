"""Projects for ESP-IDF, checked as far as it goes without ESP-IDF: an Xtensa compiler, Kconfig, partition rules, manifest."""

import configparser
import csv
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bitmar_tiny.config import preset
from bitmar_tiny.errors import ConfigError, ToolError
from bitmar_tiny.frozen import random_model
from codegen.boards import Board, load_board
from codegen.build import find_compiler
from codegen.emit import emit

HERE = Path(__file__).parent
HEADERS = HERE.parent / "firmware" / "idf_headers"
XTENSA = load_board("xtensa-sim").compilers["gcc"]
COMPILE_TIMEOUT_S = 120
CASES = [("esp32-s3-n16r8", "demo", "pie", "auto"), ("esp32-s3-n16r8", "paper", "pie", "auto"), ("esp32-s3-n16r2", "pocket", "pie", "auto"),
         ("esp32-s3-n16r8", "demo", "portable", "flash"), ("esp32-s3-n16r8", "paper", "pie", "sd")]
#: What main/Kconfig.projbuild lets a user choose.
STORES = ("CONFIG_BITMAR_MEMORY_SDSPI", "CONFIG_BITMAR_MEMORY_PARTITION", "CONFIG_BITMAR_MEMORY_SDMMC")


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def project(request, tmp_path_factory):
    board, model, family, memory = request.param
    return emit(random_model(preset(model)), load_board(board), tmp_path_factory.mktemp("idf") / "p", family, memory=memory)


@pytest.fixture(scope="module")
def objects(project):
    """Every C source compiled for an Xtensa, as an ESP-IDF component would be; folder of objects and stack usage."""
    if shutil.which(XTENSA.command[0]) is None:
        pytest.skip(f"no Xtensa compiler: apt-get install {XTENSA.package}")
    out = project.path / "objects"
    out.mkdir(exist_ok=True)
    flags = [*XTENSA.flags, "-std=gnu17", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-fstack-usage",
             "-fcallgraph-info=su"]
    include = ["-isystem", str(HEADERS), f"-I{project.sources}", f"-I{project.path / 'main'}"]
    for source in [*project.sources.glob("*.c"), *(project.path / "main").glob("*.c")]:
        for choice in STORES if source.stem == "espidf_store" else STORES[-1:]:
            run([XTENSA.command[0], *flags, *include, f"-D{choice}=1", "-DCONFIG_BITMAR_MEMORY_OPTIONAL=1", "-c", str(source),
                 "-o", str(out / f"{source.stem}.o")])
    return out


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S)
    assert done.returncode == 0, done.stderr[:2000]
    return done.stdout


def symbols(objects: Path, undefined: bool) -> set[str]:
    """Global symbols that the objects define, or that they leave undefined."""
    tool = XTENSA.command[0].replace("gcc", "nm")
    lines = run([tool, "--undefined-only" if undefined else "--defined-only", "--extern-only", "--no-sort", *map(str, objects.glob("*.o"))])
    return {line.split()[-1] for line in lines.splitlines() if line and not line.endswith(":")}


def test_nothing_is_undefined_but_esp_idf_libc_and_the_assembly(project, objects):
    missing = symbols(objects, True) - symbols(objects, False)
    declared = set(re.findall(r"\b(\w+)\(", "".join(p.read_text() for p in HEADERS.rglob("*.h"))))
    libc = {"memcpy", "memset", "memcmp", "strlen", "strcmp", "strcspn", "strtol", "printf", "snprintf", "fwrite", "fflush", "putchar",
            "puts", "stdout", "fputc", "open", "read", "write", "lseek", "fstat", "fsync"}
    assembly = set(re.findall(r"\.global\s+(\w+)", "".join(p.read_text() for p in project.sources.glob("*.S"))))
    rest = {m for m in missing - declared - libc - assembly if not m.startswith("__")}      # __: the compiler's own
    assert not rest
    assert ("bm_pie_gemv" in missing) == (project.family == "pie")
    model = {p.stem for p in project.sources.glob("*.c")}
    assert not {m for m in missing if m.startswith(("esp", "uart", "x", "ul", "heap"))} & set(model)


def test_sections_hold_what_the_plan_says(project, objects):
    """Internal memory: the arena, to the byte, and a few KB of variables. Nothing else is large, and no weight is linked."""
    tool = XTENSA.command[0].replace("gcc", "size")
    rows = [line.split() for line in run([tool, *map(str, objects.glob("*.o"))]).splitlines()[1:]]
    static = {Path(r[5]).stem: int(r[1]) + int(r[2]) for r in rows}
    reason = 160                                       # espidf_arenas.c: a sentence
    assert project.plan.arenas["sram"] <= static["espidf_arenas"] <= project.plan.arenas["sram"] + reason + 64
    rest = sum(static.values()) - static["espidf_arenas"]
    assert rest < 16 << 10
    need = project.plan.bytes_in("sram") + rest
    assert need < 320 << 10, "internal memory, both stacks and all variables included"
    text = sum(int(r[0]) for r in rows)
    assert text < project.board.flash.partition("app").size // 8 and text < 64 << 10
    allocated = int(re.search(r"ram\[1\]\.size = (\d+)", (project.path / "main" / "espidf_arenas.c").read_text())[1])
    assert allocated == project.plan.arenas["psram"] < 7 << 20


#: What is called through a pointer, by the file of the caller.
POINTED = {
    "bm_memory": {"rows_get", "rows_put", "rows_nothing", "tier_get", "tier_put", "tier_begin", "tier_commit", "write_scores", "write_weights"},
    "bm_store": {"card_read", "card_sync", "card_prefetch"}, "bm_store_episode": {"card_write", "card_sync"},
    "bm_block": {"split"}, "bm_head": {"split", "feed"}, "espidf_split": {"product_part", "pick_part"},
}


def deepest_call(objects: Path) -> dict[str, int]:
    """Bytes of stack below a task's function, from the compiler's call graph; each frame is taken 48 bytes larger, for the windows of
    registers that the ABI of the S3 spills."""
    frames, calls, home = {}, {}, {}
    for path in objects.glob("*.ci"):
        text = path.read_text()
        for name, size in re.findall(r'node: { title: "[^"]*?(\w+)" label: "[^"]*\\n(\d+) bytes \(static\)', text):
            frames[name], home[name] = int(size) + 48, path.stem
        for caller, callee in re.findall(r'edge: { sourcename: "[^"]*?(\w+)" targetname: "[^"]*?(\w+)"', text):
            calls.setdefault(caller, set()).add(callee)
    assert not re.search("dynamic", "".join(p.read_text() for p in objects.glob("*.su")))
    depth: dict[str, int] = {}

    def below(name: str, path: tuple[str, ...] = ()) -> int:
        assert name not in path, f"{name} calls itself"
        if name not in depth:
            callees = calls.get(name, set())
            if "__indirect_call" in callees:
                assert home[name] in POINTED, f"{name}: what does it call through a pointer?"
                callees = callees | POINTED[home[name]]
            depth[name] = frames.get(name, 0) + max((below(c, (*path, name)) for c in callees if c in frames), default=0)
        return depth[name]

    return {name: below(name) for name in ("app_main", "help")}


def test_the_stack_holds_any_chain_of_calls(project, objects):
    depth = deepest_call(objects)
    per_task = int(re.search(r"CONFIG_ESP_MAIN_TASK_STACK_SIZE=(\d+)", (project.path / "sdkconfig.defaults").read_text())[1])
    assert per_task * project.board.speed.cores == project.board.stack_bytes
    assert 1500 < depth["app_main"] and depth["app_main"] + 3072 <= per_task, "3 KB are left to printf of a float"
    assert 300 < depth["help"] <= per_task // 2


def test_settings_exist_and_are_taken(project):
    kconfiglib = pytest.importorskip("esp_kconfiglib", reason="esp-idf-kconfig is not installed (pip install esp-idf-kconfig)")
    config = kconfiglib.Kconfig(str(HERE / "idf" / "Kconfig"))
    text = (project.path / "sdkconfig.defaults").read_text()
    config.load_config(str(project.path / "sdkconfig.defaults"))
    asked = dict(re.findall(r"^CONFIG_(\w+)=(.*)$", text, re.M)) | dict.fromkeys(re.findall(r"^# CONFIG_(\w+) is not set", text, re.M), "n")
    assert len(asked) > 20
    for key, value in asked.items():
        assert key in config.syms and config.syms[key].nodes, f"ESP-IDF has no setting {key}"
        assert config.syms[key].str_value == value.strip('"'), key
    assert config.syms["SPIRAM_MODE_OCT"].str_value == ("y" if "r8" in project.board.name else "n")


def test_menu_of_the_board(project):
    kconfiglib = pytest.importorskip("esp_kconfiglib", reason="esp-idf-kconfig is not installed (pip install esp-idf-kconfig)")
    config = kconfiglib.Kconfig(str(project.path / "main" / "Kconfig.projbuild"))
    assert config.syms["BITMAR_MEMORY_SDMMC"].str_value == "y" and config.syms["BITMAR_SD_WIDTH"].str_value == "4"
    used = set(re.findall(r"CONFIG_(BITMAR_\w+)", "".join(p.read_text() for p in (project.path / "main").glob("*.c"))))
    assert used <= set(config.syms)


def test_an_unknown_setting_would_be_noticed(tmp_path):
    kconfiglib = pytest.importorskip("esp_kconfiglib", reason="esp-idf-kconfig is not installed (pip install esp-idf-kconfig)")
    config = kconfiglib.Kconfig(str(HERE / "idf" / "Kconfig"))
    (tmp_path / "c").write_text("CONFIG_SPIRAM_MODE_OCTAL=y\nCONFIG_ESP32S3_DATA_CACHE_LINE_128B=y\n")
    config.load_config(str(tmp_path / "c"))
    assert not any(name in config.syms and config.syms[name].nodes for name in ("SPIRAM_MODE_OCTAL", "ESP32S3_DATA_CACHE_LINE_128B"))


def test_partitions_follow_the_rules(project):
    """docs.espressif.com, Partition Tables: order, alignment, custom types, nothing over the bootloader or the end."""
    lines = [line for line in (project.path / "partitions.csv").read_text().splitlines() if line and not line.startswith("#")]
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines)]
    flash, end = project.board.flash, 0x9000
    for name, kind, subtype, offset, size, flags in rows:
        offset, size = int(offset, 0), int(size, 0)
        assert len(name) <= 16 and not flags
        assert offset >= end and offset % (0x10000 if kind == "app" else 0x1000) == 0 and size % 0x1000 == 0
        assert kind in ("app", "data") or 0x40 <= int(kind, 0) <= 0xFE and 0 <= int(subtype, 0) <= 0xFE
        end = offset + size
    assert end <= flash.size
    model = flash.partition("model")
    assert model.offset % 0x10000 == 0, "mapped from the start of a page"
    assert project.blob.size == (project.path / "model.blob").stat().st_size <= model.size


def test_component_manifest(project):
    manager = pytest.importorskip("idf_component_tools.manager", reason="idf-component-manager is not installed (pip install idf-component-manager)")
    loaded = manager.ManifestManager(str(project.path / "components" / "bitmar"), "bitmar").load()
    assert str(loaded.version) and loaded.targets == ["esp32s3"]


def test_cmake_names_every_source_and_only_those(project):
    for folder in ("components/bitmar", "main"):
        text = (project.path / folder / "CMakeLists.txt").read_text()
        named = set(re.findall(r'"([\w/]+\.[cS])"', text))
        sources = {str(p.relative_to(project.path / folder)) for p in (project.path / folder).rglob("*.[cS]")}
        assert named == sources
        assert text.count("(") == text.count(")")
    component = (project.path / "components/bitmar/CMakeLists.txt").read_text()
    assert "-ffp-contract=off" in component
    hot = re.search(r"set_source_files_properties\((.*?) PROPERTIES", component)[1].split()
    assert "src/bm_numerics.c" in hot and "src/bm_model.c" not in hot and {*hot} <= {f"src/{p.name}" for p in project.sources.glob("*.c")}


def test_platformio_project(project):
    parsed = configparser.ConfigParser()
    parsed.read(project.path / "platformio.ini")
    values = parsed[f"env:{project.board.name}"]
    documented = {"platform", "framework", "board", "board_upload.flash_size", "board_upload.maximum_size", "board_build.flash_mode",
                  "board_build.f_cpu", "board_build.partitions", "monitor_speed", "upload_speed"}
    assert set(values) == documented and parsed["platformio"]["src_dir"] == "main"
    assert values["board_upload.flash_size"] == "16MB" and values["framework"] == "espidf"


def test_a_profile_that_cannot_be_an_esp_project(tiny, tmp_path):
    values = load_board("esp32-s3-n16r8").model_dump()
    with pytest.raises(ConfigError, match="needs .flash., .serial. and .speed."):
        emit(tiny, Board.parse(values | {"flash": None}, "test"), tmp_path / "a")
    values["flash"]["partitions"] = [p for p in values["flash"]["partitions"] if p["holds"] != "model"]
    with pytest.raises(ConfigError, match="no partition that holds the app, or the model"):
        emit(tiny, Board.parse(values, "test"), tmp_path / "b")
    assert not list(tmp_path.iterdir())


def test_building_here_is_refused_with_what_to_do_instead():
    with pytest.raises(ToolError, match="idf.py build"):
        find_compiler(load_board("esp32-s3-n16r8"))
