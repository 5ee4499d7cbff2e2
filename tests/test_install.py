# SPDX-License-Identifier: Apache-2.0
"""The base install: what works without any extra, and the one sentence of what does not; the example picture;
doctor's fixes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from compilers import CHILD, IN_CHILDREN
from support import need

from bitmar_tiny.api import doctor
from bitmar_tiny.extras import EXTRAS, lacking

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "examples" / "pictures"
#: Runs the command with the extras out of reach, and says which of them it imported nevertheless.
WITHOUT = """
import atexit, sys
EXTRAS = {extras!r}
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in EXTRAS:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Refuse())
atexit.register(lambda: print("imported:", [m for m in EXTRAS if m in sys.modules], file=sys.stderr))
from bitmar_tiny.cli.app import main
main()
"""
#: Debian packages that exist (bookworm), of those that fixes may name.
DEBIAN = {
    "gcc",
    "gcc-aarch64-linux-gnu",
    "gcc-arm-none-eabi",
    "gcc-riscv64-linux-gnu",
    "gcc-xtensa-lx106",
    "libnewlib-arm-none-eabi",
    "llvm",
    "picolibc-xtensa-lx106-elf",
    "qemu-system-arm",
    "qemu-system-misc",
    "qemu-user",
}


def base(*arguments, code=0, cwd=None) -> subprocess.CompletedProcess:
    """The command as the base install runs it."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD + WITHOUT.format(extras=sorted(EXTRAS)), *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=300,
        env={
            "PYTHONPATH": str(ROOT),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "COLUMNS": "200",
            IN_CHILDREN: os.environ[IN_CHILDREN],
        },
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr and "imported: []" in done.stderr
    return done


def test_profiling_and_the_plan_of_a_flash_need_no_extra(tmp_path):
    """What the README shows test_readme.py types where no extra is installed at all."""
    need("host", "gcc")
    profile = ("profile", "--port", "host:", "--tokens", 4, "--rounds", 1)
    base(*profile, "--html", "profile.html", cwd=tmp_path)
    base("codegen", "--board", "esp32-s3-n16r8", "-o", "esp", cwd=tmp_path)
    said = base("flash", "--board", "esp32-s3-n16r8", "esp", "--dry-run", code=2, cwd=tmp_path).stderr
    assert "idf.py build" in said


def test_text_goes_in_without_the_tokenizers_package():
    assert EXTRAS["tokenizers"] == "train"  # so it is out of reach
    said = base("generate", "--prompt", "Preheat the oven to", "--tokens", 12).stdout
    assert said == "Preheat the oven to 350°F (175°C).\n"


@pytest.mark.parametrize(
    "arguments, extra",
    [
        (("generate", "--backend", "torch"), "train"),
        (("train",), "train"),
        (("demo",), "train,images"),
        (("freeze", "run"), "train"),
        (("generate", "run"), "train"),
        (("holdout", "run"), "train"),
        (("curves", "run"), "train"),
        (("paper", "figure", "2", "m.store", "-o", "x.png"), "train"),
        (("bench", "-o", "x"), "train"),
        (("eval", "perplexity=text"), "train"),
        (("export", "--format", "onnx", "-o", "x"), "export"),
        (("export", "--format", "tflite", "-o", "x"), "export"),
        (("generate", "--image", "x.svg"), "images"),
    ],
)
def test_what_needs_an_extra_says_which(arguments, extra, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    (tmp_path / "run" / "log.jsonl").write_text('{"kind": "step", "step": 1}\n')
    (tmp_path / "text").write_text("a cat sat on the mat\n")
    (tmp_path / "x.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"/>')
    if "m.store" in arguments:
        base("memory", "reset", "recall", "-o", "m.store", cwd=tmp_path)
    said = base(*arguments, code=2, cwd=tmp_path).stderr
    assert f"pip install 'bitmar-tiny[{extra}]'" in said and said.count("\n") <= 5


def test_every_extra_is_one_of_the_package():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for module, extra in EXTRAS.items():
        names = [r.split("=")[0].split(">")[0].replace("-", "_") for r in extras[extra]]
        assert module in names, f"{module} is not in the extra {extra}"
    for name in ("bench", "cross", "device", "images"):
        assert any(name in requirement for requirement in extras["test"])


def test_the_page_on_installing_names_every_extra_and_what_it_brings():
    page = (ROOT / "docs" / "how-to" / "install.md").read_text().lower()
    shown = {"torch": "pytorch", "onnxruntime": "onnx runtime", "ai_edge_litert": "litert"}
    shown |= {
        "resvg_py": "resvg",
        "flatbuffers": "litert",
        "lm_eval": "lm-evaluation-harness",
        "ziglang": "zig",
    }
    for module, extra in EXTRAS.items():
        row = page.split(f"| `{extra}` |")[1].split("\n")[0]
        assert shown.get(module, module) in row, f"{module} is not said to be in {extra}"


def test_several_missing_packages_are_one_sentence():
    assert (
        str(lacking("torch")) == "This needs torch, which is not installed. pip install 'bitmar-tiny[train]'"
    )
    assert str(lacking("torch", "resvg_py", "some_thing")) == (
        "This needs torch, resvg-py and some-thing, which are not installed. "
        "pip install 'bitmar-tiny[train,images]' some-thing"
    )


@pytest.mark.parametrize("path", sorted(PICTURES.glob("*.png")), ids=lambda p: p.stem)
def test_the_shipped_model_names_the_pictures_of_the_examples(path):
    import bitmar_tiny as bt

    assert bt.caption(bt.load("demo"), path) == path.stem


def test_doctor_names_debian_packages_that_exist(monkeypatch):
    monkeypatch.setattr(doctor, "has_compiler", lambda compiler: False)
    monkeypatch.setattr(doctor, "has_emulator", lambda board: False)
    monkeypatch.setattr(doctor, "installed", lambda module: False)
    monkeypatch.setattr(doctor, "mca_tool", lambda: None)
    fixes = [row["fix"] for row in doctor.examine() if not row["what"].startswith("port")]
    assert all(fix.startswith(("apt-get install ", "pip install ", "see https://")) for fix in fixes), fixes
    named = {p for fix in fixes if fix.startswith("apt-get") for p in fix.split()[2:]}
    assert named and named <= DEBIAN, named - DEBIAN
    monkeypatch.undo()
    if (
        shutil.which("apt-cache")
        and not subprocess.run(["apt-cache", "show", "gcc"], capture_output=True).returncode
    ):
        for package in sorted(named):
            assert not subprocess.run(["apt-cache", "show", package], capture_output=True).returncode, package
