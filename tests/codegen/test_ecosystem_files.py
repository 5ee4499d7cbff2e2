# SPDX-License-Identifier: Apache-2.0
"""What --as writes, against the rules of each ecosystem: manifests, menus, layout. ``test_ecosystems.py``
compiles it.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path

import arduino_rules
import numpy as np
import pytest

import bitmar_tiny as bt
from bitmar_tiny.codegen.components import SUFFIXES
from bitmar_tiny.codegen.ecosystem import c_array, ecosystem_names, load_ecosystem, package_name
from bitmar_tiny.codegen.kernels import families
from bitmar_tiny.codegen.resources import resource_dir

ROOT = Path(__file__).resolve().parents[2]
FOLDER = resource_dir("firmware_templates") / "ecosystems"
#: What each hands over beside the runtime, the model, a README and a licence.
EXPECTED = {
    "arduino": {"library.properties", "keywords.txt", "examples/Caption/Caption.ino"},
    "cmake": {
        "CMakeLists.txt",
        "config.cmake.in",
        "examples/caption/CMakeLists.txt",
        "examples/caption/main.c",
    },
    "esp-component": {
        "CMakeLists.txt",
        "Kconfig",
        "idf_component.yml",
        "examples/caption/CMakeLists.txt",
        "examples/caption/main/idf_component.yml",
    },
    "pico-sdk": {"CMakeLists.txt", "examples/caption/CMakeLists.txt", "examples/caption/main.c"},
    "platformio": {"library.json", "examples/caption/platformio.ini", "examples/caption/src/main.c"},
    "zephyr": {
        "CMakeLists.txt",
        "Kconfig",
        "zephyr/module.yml",
        "samples/caption/CMakeLists.txt",
        "samples/caption/prj.conf",
        "samples/caption/sample.yaml",
    },
}


@pytest.fixture(scope="module", params=ecosystem_names())
def package(request, tiny, tmp_path_factory):
    return bt.write_package(tiny, request.param, tmp_path_factory.mktemp("as") / request.param)


@pytest.fixture(scope="module")
def kconfiglib():
    return pytest.importorskip(
        "esp_kconfiglib", reason="esp-idf-kconfig is not installed (pip install esp-idf-kconfig)"
    )


@pytest.fixture(scope="module")
def manifests():
    return pytest.importorskip(
        "idf_component_tools.manager",
        reason="idf-component-manager is not installed (pip install idf-component-manager)",
    )


def test_an_ecosystem_is_a_folder_with_a_class():
    for name in ecosystem_names():
        ecosystem = load_ecosystem(name)
        assert ecosystem.name == name and ecosystem.folder == FOLDER / name and ecosystem.title
        assert {p.name for p in ecosystem.folder.iterdir()} - {"__pycache__"} == {"ecosystem.py", "templates"}
    assert set(ecosystem_names()) == set(EXPECTED)


def test_it_holds_what_is_expected_and_nothing_of_a_machine(package):
    files = {str(p.relative_to(package.path)) for p in package.path.rglob("*") if p.is_file()}
    name = package.board.name
    assert EXPECTED[name] | {"README.md", "LICENSE", "model.blob", "src/bitmar.h", "src/bm_step.c"} <= files
    assert len({Path(f).name for f in files if f.endswith("caption.c")}) == 1
    assert not [f for f in files if f.endswith(".S") or "linux_" in f or Path(f).name == "Makefile"]
    text = "".join(p.read_text() for p in package.path.rglob("*") if p.suffix in (*SUFFIXES, ".txt", ".md"))
    assert str(package.path) not in text and "-Werror" not in text
    assert (package.path / "LICENSE").read_bytes() == (ROOT / "firmware_templates" / "LICENSE").read_bytes()
    manifest = json.loads((package.path / "manifest.json").read_text())
    assert manifest["as"] == name and manifest["kernels"] == "portable"


def test_the_array_is_the_blob(package):
    text = (package.path / "src" / "bm_blob.c").read_text()
    words = np.array([int(w, 16) for w in re.findall(r"0x([0-9a-f]+)u", text)], "<u4")
    blob = (package.path / "model.blob").read_bytes()
    assert words.tobytes()[: len(blob)] == blob and f"bm_blob[{len(words)}]" in text


def test_an_array_is_filled_up_with_zeros():
    assert "bm_blob[2]" in (text := c_array(b"\1\2\3\4\5")) and "{\n0x4030201u,0x5u};" in text


@pytest.mark.parametrize("name, wanted", [("demo", "demo"), ("my-Model 2", "my_Model_2"), ("ä.b", "b")])
def test_names_are_letters_and_digits(name, wanted):
    assert package_name(name) == f"bitmar_{wanted}"


def test_arduino_library_follows_the_specification(tiny, tmp_path):
    package = bt.write_package(tiny, "arduino", tmp_path / "p")
    assert arduino_rules.faults(package.path) == []
    documented = (ROOT / "docs" / "reference" / "c.md").read_text()
    words = (package.path / "keywords.txt").read_text()
    headers = "".join(p.read_text() for p in package.sources.glob("*.h"))
    for function in re.findall(r"^(\w+)\tKEYWORD2", words, re.M):
        assert f"{function}(" in headers
    assert "bm_init\tKEYWORD2" in words and "bm_state\tKEYWORD1" in words and "bm_init(" in documented


@pytest.mark.parametrize(
    "file, old, new, fault",
    [
        ("library.properties", "name=bitmar", "name=Arduino_bitmar", "name: begins"),
        ("library.properties", "version=", "version=v", "version"),
        ("library.properties", "Data Processing", "Networks", "category"),
        ("library.properties", "includes=bitmar.h", "includes=other.h", "other.h"),
        ("library.properties", "author=", "autor=", "no author"),
        ("keywords.txt", "bm_init\t", "bm_init ", "keywords.txt"),
    ],
)
def test_a_fault_of_an_arduino_library_is_found(tiny, tmp_path, file, old, new, fault):
    path = bt.write_package(tiny, "arduino", tmp_path / "p").path
    text = (path / file).read_text()
    assert old in text
    (path / file).write_text(text.replace(old, new))
    assert any(fault in found for found in arduino_rules.faults(path))


def test_platformio_library(tiny, tmp_path):
    """docs.platformio.org, library.json."""
    package = bt.write_package(tiny, "platformio", tmp_path / "p")
    library = json.loads((package.path / "library.json").read_text())
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", library["name"]) and len(library["name"]) <= 50
    assert len(library["description"]) <= 255 and re.fullmatch(r"\d+\.\d+\.\d+", library["version"])
    assert (
        library["build"]["srcFilter"] == ["+<*.c>", "+<*.S>"]
        and "-ffp-contract=off" in library["build"]["flags"]
    )
    for place in library["export"]["include"]:
        assert (package.path / place).exists(), place
    assert all((package.sources / header).is_file() for header in library["headers"])
    (example,) = library["examples"]
    base = package.path / example["base"]
    assert {str(p.relative_to(base)) for p in base.rglob("*") if p.is_file()} == set(example["files"])


@pytest.mark.skipif(
    not shutil.which("pio"), reason="no pio: pip install platformio, in an environment of its own"
)
def test_platformio_packs_the_library(tiny, tmp_path):
    package = bt.write_package(tiny, "platformio", tmp_path / "p")
    manifest = package.path / "library.json"
    values = json.loads(manifest.read_text())
    del values["license"]  # pio compares it with a list on the internet
    manifest.write_text(json.dumps(values))
    out = tmp_path / "p.tar.gz"
    settings = {"PLATFORMIO_CORE_DIR": str(tmp_path / "core"), "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no"}
    done = subprocess.run(
        ["pio", "pkg", "pack", "-o", str(out), str(package.path)],
        env=dict(PATH="/usr/bin:/bin", HOME=str(tmp_path)) | settings,
        executable=shutil.which("pio"),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0 and out.stat().st_size > 10_000, done.stdout + done.stderr


def test_zephyr_module_names_what_is_there(tiny, tmp_path, kconfiglib):
    """docs.zephyrproject.org, Modules."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed (pip install pyyaml)")
    path = bt.write_package(tiny, "zephyr", tmp_path / "p").path
    module = yaml.safe_load((path / "zephyr" / "module.yml").read_text())
    assert set(module) == {"name", "build", "samples"} and set(module["build"]) == {"cmake", "kconfig"}
    assert (path / module["build"]["cmake"] / "CMakeLists.txt").is_file() and module["name"] == "bitmar_tiny"
    assert all((path / samples / "caption" / "sample.yaml").is_file() for samples in module["samples"])
    sample = yaml.safe_load((path / "samples" / "caption" / "sample.yaml").read_text())
    assert sample["common"]["min_ram"] > 16 and set(sample["tests"]) == {"sample.bitmar.caption"}
    menu = kconfiglib.Kconfig(str(path / module["build"]["kconfig"]))
    used = set(re.findall(r"CONFIG_(BITMAR\w*)", (path / "CMakeLists.txt").read_text()))
    assert used == {"BITMAR", "BITMAR_TAPS"} and used <= {k for k, v in menu.syms.items() if v.nodes}
    assert menu.syms["BITMAR"].str_value == "n", "nothing is compiled into a program that did not ask"
    menu.load_config(str(path / "samples" / "caption" / "prj.conf"))
    assert menu.syms["BITMAR"].str_value == "y" and menu.syms["BITMAR_TAPS"].str_value == "n"


@pytest.mark.parametrize("family, chips", [("portable", []), ("pie", ["esp32s3"])])
def test_esp_component_is_for_the_chips_of_its_kernels(tiny, tmp_path, family, chips, manifests, kconfiglib):
    path = bt.write_package(tiny, "esp-component", tmp_path / "p", kernels=family).path
    component = manifests.ManifestManager(str(path), "bitmar").load()
    assert component.targets == chips and [(d.name, d.version) for d in component.requirements] == [
        ("idf", ">=5.0,<6.0")
    ]
    main = path / "examples" / "caption" / "main"
    (needed,) = manifests.ManifestManager(str(main), "main").load().dependencies.items()
    assert needed[0] == "bitmar_tiny" and (main / needed[1].override_path).resolve() == path.resolve()
    menu = kconfiglib.Kconfig(str(path / "Kconfig"))
    used = set(re.findall(r"CONFIG_(BITMAR\w*)", (path / "CMakeLists.txt").read_text()))
    assert used == {k for k, v in menu.syms.items() if v.nodes}
    assembly = [p.name for p in (path / "src").glob("*.S")]
    assert bool(assembly) == (family == "pie")
    assert all(f'"src/{name}"' in (path / "CMakeLists.txt").read_text() for name in assembly)


def test_kernels_that_need_flags_go_where_flags_are_passed():
    flagged = {f.name for f in families().values() if f.flags}
    for name in ecosystem_names():
        kernels = load_ecosystem(name).board().kernels
        assert kernels[0] == "portable" and set(kernels) in (set(families()), set(families()) - flagged)
    assert "avx2" in load_ecosystem("cmake").board().kernels
    assert "avx2" not in load_ecosystem("arduino").board().kernels


def test_what_cannot_be_is_refused_in_one_sentence(tiny, tmp_path):
    def refused(words, *given, error=bt.ConfigError, **options):
        with pytest.raises(error, match=words):
            bt.write_package(tiny, *given, tmp_path / "p", **options)
        assert not (tmp_path / "p").exists()

    refused("There is no ecosystem 'arduin'.*arduino", "arduin")
    refused("no kernel family 'avx2'", "arduino", kernels="avx2")
    refused("cannot keep the memory in a store", "zephyr", memory="sd")
    bt.write_package(tiny, "zephyr", tmp_path / "p", memory="flash")
    with pytest.raises(bt.ToolError, match="is not compiled here.*west build"):
        bt.build_project(tmp_path / "p")
    bt.write_package(tiny, "cmake", tmp_path / "p")  # over a folder of ours
