# SPDX-License-Identifier: Apache-2.0
"""The commands as a user types them: the whole way on small files, and one sentence with exit 2 for bad
input.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import command_line
import numpy as np
import pytest
from support import TINY, need

from bitmar_tiny import __version__
from bitmar_tiny.cli.app import COMMANDS, GROUPS, INTERNAL_FAULT, app
from bitmar_tiny.frozen import FrozenModel, random_model

ROOT = Path(__file__).resolve().parents[1]


def cli(*arguments, code=0, cwd=None) -> subprocess.CompletedProcess:
    done = command_line.run(*arguments, cwd=cwd)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def program(*arguments, cwd=None) -> subprocess.CompletedProcess:
    """The same as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "bitmar_tiny", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=300,
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A little data in the paper's formats: captions JSON, features .npy, text lines; and a small
    configuration.
    """
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    (folder / "captions.json").write_text(
        json.dumps([f"a {c} {s}" for c in ("red", "blue") for s in ("cat", "dog", "fish")] * 7)
    )
    np.save(folder / "features.npy", rng.normal(size=(42, 4, 768)).astype(np.float32))
    (folder / "some.train").write_text("the cat sat on the mat\nthe dog ran away\n" * 20)
    (folder / "model.json").write_text(json.dumps(TINY.model_dump() | {"name": "small", "vocab_size": 400}))
    (folder / "settings.json").write_text(
        json.dumps({"steps": 4, "batch_size": 4, "accumulation": 1, "max_len": 12})
    )
    return folder


@pytest.fixture(scope="module")
def frozen(corpus, gpt2):
    run = corpus / "run"
    cli(
        "train",
        "--config",
        corpus / "model.json",
        "--settings",
        corpus / "settings.json",
        "--captions",
        corpus / "captions.json",
        "--features",
        corpus / "features.npy",
        "--text",
        corpus,
        "-o",
        run,
    )
    cli("freeze", run, "-o", corpus / "m.bitmar")
    return corpus / "m.bitmar"


def test_golden_torch_and_c_write_the_same(frozen, corpus):
    need("host", "gcc")
    image = corpus / "one.npy"
    np.save(image, np.load(corpus / "features.npy")[3])
    for options in (
        (),
        ("--temperature", "1.5", "--seed", "7", "--top-k", "20"),
        ("--prompt", "the cat's  naïve 猫 "),
        ("--no-memory",),
    ):
        texts = [
            json.loads(
                cli(
                    "generate", frozen, "--image", image, "--tokens", 12, "--backend", b, "--json", *options
                ).stdout
            )
            for b in ("golden", "torch", "c")
        ]
        assert texts[0]["tokens"] == texts[1]["tokens"] == texts[2]["tokens"], options


def test_a_model_frozen_smaller_generates_the_same_in_golden_and_c(frozen, corpus):
    need("host", "gcc")
    small = corpus / "small.bitmar"
    cli("freeze", corpus / "run", "--window", 5, "--vocab", 300, "--token-bits", 4, "-o", small)
    texts = [
        json.loads(
            cli("generate", small, "--prompt", "the cat", "--tokens", 12, "--backend", b, "--json").stdout
        )
        for b in ("golden", "c")
    ]
    assert texts[0]["tokens"] == texts[1]["tokens"] and max(texts[0]["tokens"]) < 300
    assert "small-pruned300" in cli("info", small).stdout


def test_verify_and_info(frozen):
    need("host", "gcc")
    report = json.loads(cli("verify", frozen, "--board", "host", "--tokens", 40, "--json").stdout)
    assert [v["exact"] for v in report["verdicts"]] == [True] * len(report["verdicts"]) and len(
        report["verdicts"]
    ) >= 2
    info = json.loads(cli("info", frozen, "--json").stdout)[0]
    assert info["sha256"] == report["model_sha256"] and info["provenance"]["steps"] == 4
    assert {"name": "vision.w1", "kind": "ternary", "shape": [TINY.vision_hidden, 768]} in info["tensors"]


def test_a_head_of_five_weights_a_byte(tmp_path):
    need("host", "gcc")
    random_model(TINY).save(tmp_path / "m.bitmar")
    options = ("--board", "host", "--kernels", "portable", "--json", "--head-bits")
    report = json.loads(cli("verify", tmp_path / "m.bitmar", *options, "1.6", "--tokens", 40).stdout)
    assert [(v["exact"], "1.6-bit head" in v["target"]) for v in report["verdicts"]] == [(True, True)]
    sizes = []
    for bits in ("2", "1.6"):
        project = json.loads(
            cli("codegen", tmp_path / "m.bitmar", *options, bits, "-o", tmp_path / bits).stdout
        )
        head = next(p["size"] for p in project["plan"]["placements"] if p["name"] == "head_w")
        sizes.append(
            (
                head,
                project["head_bits"],
                json.loads((tmp_path / bits / "manifest.json").read_text())["head_bits"],
            )
        )
    assert sizes == [(257 * 16, "2", "2"), (260 * 13, "1.6", "1.6")]


def test_training_again_resumes_and_other_settings_are_refused(frozen, corpus):
    cli(
        "train",
        "--config",
        corpus / "model.json",
        "--settings",
        corpus / "settings.json",
        "--captions",
        corpus / "captions.json",
        "--features",
        corpus / "features.npy",
        "--text",
        corpus,
        "-o",
        corpus / "run",
    )
    refused = cli(
        "train",
        "--config",
        corpus / "model.json",
        "--settings",
        corpus / "settings.json",
        "--captions",
        corpus / "captions.json",
        "--features",
        corpus / "features.npy",
        "--seed",
        5,
        "-o",
        corpus / "run",
        code=2,
    )
    assert "training.seed" in refused.stderr and "--restart" in refused.stderr


def test_a_run_says_what_it_held_out_and_draws_its_curves(frozen, corpus, tmp_path):
    run = corpus / "run"
    assert (run / "training.svg").exists() and (run / "zero_fraction.svg").exists()
    report = json.loads(cli("holdout", run, "--json").stdout)
    assert (
        report["steps"] == 4
        and report["quantised"]["captions"]["tokens"] > 6
        and abs(report["ratio"]["captions"] - 1) < 0.03
    )
    assert report["names"]["pictures"] >= 1 and 0 <= report["names"]["exact"] <= report["names"]["iou"] <= 1
    said = cli("holdout", run).stdout
    assert "quantised / float" in said and "held-out pictures" in said
    cli("curves", run, "--png", "-o", tmp_path)
    assert (tmp_path / "training.png").read_bytes()[:4] == b"\x89PNG"


def test_what_a_step_costs(frozen, corpus):
    arguments = (
        "train",
        "--config",
        corpus / "model.json",
        "--settings",
        corpus / "settings.json",
        "--captions",
        corpus / "captions.json",
        "--features",
        corpus / "features.npy",
        "--text",
        corpus,
        "--measure",
        2,
        "--json",
        "-o",
        corpus / "measured",
    )
    cost = json.loads(cli(*arguments).stdout)
    assert cost["step_s"] > cost["waiting_s"] >= 0 and cost["tokens_per_second"] > 0 and cost["input_s"] > 0
    assert cost["kernels_s"] > 0 and 0 <= cost["outside_kernels"] < 1
    assert not (corpus / "measured" / "checkpoint.pt").exists()


def test_the_generated_project_builds_by_itself(frozen, tmp_path):
    """make and the program itself, as its README says."""
    need("host", "gcc")
    cli("codegen", "--board", "host", frozen, "-o", tmp_path / "p")
    subprocess.run(["make", "-s"], cwd=tmp_path / "p", check=True, env=os.environ | {"CC": "gcc"})
    program = tmp_path / "p" / "build" / "bitmar"
    assert (
        FrozenModel.load(frozen).digest
        in subprocess.run([program, "info"], capture_output=True, text=True).stdout
    )
    ppm = tmp_path / "x.ppm"
    ppm.write_bytes(b"P6 32 32 255\n" + bytes(32 * 32 * 3))
    subprocess.run([program, "generate", "--image", ppm, "--tokens", "3"], check=True, capture_output=True)
    for arguments, words in (
        (["--image", "none.ppm"], "No such file"),
        (["--tokens", "many"], "out of range"),
        (["--colour"], "unknown option"),
        (["--prompt", "x" * 9000], "longer than"),
    ):
        done = subprocess.run([program, "generate", *arguments], capture_output=True, text=True)
        assert done.returncode == 2 and words in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_and_prints_json(name):
    said = cli(name, "--help").stdout
    assert "Example" in said and "--debug" in said
    command = app.get_command(click.Context(app), name)
    for part in command.commands.values() if isinstance(command, click.Group) else [command]:
        assert any(p.name == "as_json" for p in part.params), part.name


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("curves", "missing"), "there is no training log"),
        (("holdout", "missing"), "there is no training run"),
        (("info", "missing.bitmar"), "there is no such file"),
        (("info", "junk"), "damaged or not a frozen model"),
        (("verify", "junk"), "damaged or not a frozen model"),
        (("codegen", "--board", "rpi-zero", "m.bitmar"), "Did you mean 'rpi-zero2'"),
        (("codegen", "--board", "host", "m.bitmar", "--kernels", "sse9"), "no kernel family"),
        (("codegen", "--board", "host", "m.bitmar", "-o", "full"), "not empty and not a project"),
        (("codegen", "--board", "small.toml", "m.bitmar"), "does not fit small"),
        (
            ("codegen", "--board", "host", "m.bitmar", "--head-bits", "1.58"),
            "'1.58' is not one of '2', '1.6'",
        ),
        (("codegen", "m.bitmar"), "Nothing says what the C is for"),
        (("codegen", "--as", "zephyr", "--board", "host", "m.bitmar"), "Both --board and --as"),
        (("codegen", "--as", "arduino", "m.bitmar", "--kernels", "avx2"), "no kernel family 'avx2'"),
        (("codegen", "--as", "cmake", "m.bitmar", "--features", "full"), "cannot run a backbone file"),
        (("build", "full"), "not a generated project"),
        (("freeze", "full"), "no training run"),
        (("generate", "m.bitmar"), "without a tokenizer"),
        (("train", "--preset", "papper"), "Did you mean 'paper'"),
        (("train", "--captions", "junk"), "need their pictures"),
        (("train", "--captions", "junk", "--features", "junk"), "junk"),
        (("train", "--config", "junk"), "not a readable JSON"),
        (("train", "--settings", "junk"), "not a readable JSON"),
        (("evaluate", "junk"), "damaged or not a frozen model"),
        (("verify", "m.bitmar", "--kernels", "mmx"), "kernel family 'mmx'"),
        (("verfy",), "Did you mean 'verify'"),
        (
            ("codegen", "--board", "host", "m.bitmar", "--preset", "demo"),
            "Both a model (m.bitmar) and --preset demo",
        ),
        (("codegen", "--board", "host", "m.bitmar", "--memory", "tape"), "no place 'tape' for the memory"),
        (("verify", "m.bitmar", "--board", "esp32-s3-n16r8"), "idf.py build"),
        (("flash", "--board", "esp32-s3-n16r8", "full", "--dry-run"), "not a generated project"),
        (("flash", "--board", "host", "full", "--dry-run"), "no flash that this command writes"),
        (("memory", "verify", "junk"), "not a memory store"),
        (("memory", "inspect", "m.bitmar", "--text", "a"), "Add --model"),
        (("memory", "reset", "junk"), "damaged or not a frozen model"),
        (
            ("profile", "m.bitmar", "--port", "host:xtensa-sim"),
            "firmware for xtensa-sim cannot be started so",
        ),
        (("profile", "m.bitmar", "--port", "host:raspi3b"), "Use qemu:raspi3b"),
        (("profile", "m.bitmar", "--port", "tcp:board"), "no kind of port 'tcp:'"),
        (("verify", "m.bitmar", "--port", "replay:junk"), "not a recorded exchange"),
        (("generate", "m.bitmar", "--port", "junk"), "not a serial port"),
        (("compare", "junk", "junk"), "junk: not a profile"),
        (("compare", "m.bitmar", "missing.json"), "m.bitmar: not a profile"),
        (("features", "junk", "--backbone", "missing.onnx", "-o", "out"), "missing.onnx"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(tmp_path, arguments, words):
    random_model(TINY).save(tmp_path / "m.bitmar")
    write(tmp_path / "junk", b"this is no model" * 100)
    (tmp_path / "full").mkdir()
    write(tmp_path / "full" / "mine.txt", b"keep me")
    host = (ROOT / "board_profiles" / "host" / "x86_64.toml").read_text()
    (tmp_path / "small.toml").write_text(host.replace('"host"', '"small"').replace("1073741824", "30000"))
    done = cli(*arguments, code=2, cwd=tmp_path)
    assert words in done.stderr and len(done.stderr.strip().splitlines()) <= 5
    assert (tmp_path / "full" / "mine.txt").read_bytes() == b"keep me"


@pytest.mark.parametrize(
    "arguments, code, out, error",
    [
        (("--help",), 0, "bitmar-tiny freeze run", ""),
        (("info", "junk"), 2, "", "damaged or not a frozen model"),
        (("verfy",), 2, "", "Did you mean 'verify'"),
        (("train", "--settings", "junk"), 2, "", "not a readable JSON"),
        (("generate", "m.bitmar"), 2, "", "without a tokenizer"),
    ],
)
def test_a_process_of_its_own_says_the_same(tmp_path, arguments, code, out, error):
    """Exit code, streams, and nothing else on stderr: no traceback, no warning."""
    random_model(TINY).save(tmp_path / "m.bitmar")
    write(tmp_path / "junk", b"this is no model" * 100)
    done, inside = program(*arguments, cwd=tmp_path), command_line.run(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (inside.returncode, inside.stdout, inside.stderr)
    assert done.returncode == code and out in done.stdout and error in done.stderr
    assert "Traceback" not in done.stderr and bool(done.stderr) == bool(code)


def test_help_is_in_groups_cut_nowhere_and_imports_no_command():
    code = (
        "import sys, atexit; atexit.register(lambda: print(sorted("
        "{'numpy', 'pydantic', 'jinja2', 'torch', 'bitmar_tiny.cli.common'} & set(sys.modules)), "
        "file=sys.stderr));"
        "from bitmar_tiny.cli.app import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"},
    )
    assert done.stderr.strip() == "[]" and "..." not in done.stdout.replace("[ARGS]...", "")
    lines = done.stdout.splitlines()
    assert [x for x in lines if x in [f"{g}:" for g in GROUPS]] == [f"{g}:" for g in GROUPS]
    for commands in GROUPS.values():
        for name, words in commands.items():
            assert f"  {name:<8}  {words}" in lines and len(words) <= 68
    assert "evaluate" not in done.stdout


def test_help_of_grouped_commands_is_cut_nowhere():
    said = " ".join(cli("memory", "--help").stdout.split())
    assert "..." not in said.replace("[ARGS]...", "") and "for a frozen MODEL, with the memory" in said


def test_json_and_debug_stand_before_or_after_the_command():
    ways = (("--json", "boards"), ("boards", "--json"), ("--debug", "--json", "boards"))
    found = [json.loads(cli(*way).stdout) for way in ways]
    assert found[0] == found[1] == found[2]
    for way in (("--json", "paper"), ("paper", "--json")):
        assert json.loads(cli(*way, "table", "1").stdout)["columns"]
    for way in (
        ("--debug", "info", "none"),
        ("info", "none", "--debug"),
        ("memory", "verify", "--debug", "none"),
    ):
        said = program(*way)
        assert said.returncode == 2 and "Traceback" in said.stderr and "Error: none:" in said.stderr


def test_a_fault_of_ours_is_no_difference():
    code = "from bitmar_tiny.cli import app, boards\nboards.board_names = lambda: {}['missing']\napp.main()"
    for debug in ((), ("--debug",)):
        done = subprocess.run(
            [sys.executable, "-c", code, "boards", *debug],
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        )
        assert done.returncode == INTERNAL_FAULT and ("Traceback" in done.stderr) == bool(debug)
        assert "fault of bitmar-tiny itself (KeyError: 'missing')" in done.stderr and "--debug" in done.stderr


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "bitmar_tiny", "--version"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.stdout == f"bitmar-tiny, version {__version__}\n"
    assert (ROOT / "bitmar_tiny" / "py.typed").is_file()
