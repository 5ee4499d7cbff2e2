# SPDX-License-Identifier: Apache-2.0
"""The bench command and its static counts: what they report must be consistent. How fast it is, is nobody's
test.
"""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from support import need

from bitmar_tiny.bench.cycles import count_m0, estimate_pie, inner_loop, simulate
from bitmar_tiny.bench.report import ratios
from bitmar_tiny.bench.run import add_ours
from bitmar_tiny.cli.bench import command
from bitmar_tiny.errors import BitmarError, ToolError

LISTING = """
bm_gemv:
	cbz	w3, .L9
.L3:
	ldr	q0, [x0]
	smlal	v1.8h, v0.8b, v2.8b
	smlal2	v1.8h, v0.16b, v2.16b
	cmp	x0, x4
	bne	.L3
.L5:
	add	x1, x1, 1
	smlal	v1.8h, v0.8b, v2.8b
	add	x2, x2, 1
	add	x5, x5, 1
	cbnz	x1, .L3
.L9:
	ret
	.size	bm_gemv, .-bm_gemv
"""


def test_bench_reports_every_shape_and_step(tiny, tmp_path):
    need("host")
    tiny.save(tmp_path / "tiny.bitmar")
    result = CliRunner().invoke(
        command,
        [
            str(tmp_path / "tiny.bitmar"),
            "--family",
            "portable",
            "--no-peers",
            "-o",
            str(tmp_path / "out"),
            "--json",
        ],
        standalone_mode=False,
    )
    assert result.exception is None, result.exception
    report = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert (tmp_path / "out" / "bench.png").read_bytes().startswith(b"\x89PNG")
    assert report["shapes"] == [
        "128x128",
        "512x128",
        "128x512",
        f"{tiny.config.vocab_size}x{tiny.config.d_model}",
    ]
    assert {row["label"] for row in report["kernels"]} == {"portable (plain)", "portable (native)"}
    for row in report["kernels"]:
        assert all(e["gweights_per_s"] > 0 and e["of_bandwidth"] > 0 for e in row["gemv"].values())
    for step in report["steps"]:
        assert step["us"] > 0 and set(step["parts_us"]) == {
            "other",
            "gemv",
            "attention",
            "memory",
            "head",
            "pick",
        }
        assert 0 < step["attention_share"] < 1
        assert step["ram_bytes"] is None or step["arena_bytes"] <= step["ram_bytes"] + 4096 < step[
            "arena_bytes"
        ] + (1 << 20)
    assert {s["context"] for s in report["steps"]} == {min(16, tiny.config.context), tiny.config.context}


def test_bench_times_the_step_in_webassembly(tiny, tmp_path):
    need("web")
    tiny.save(tmp_path / "tiny.bitmar")
    arguments = [str(tmp_path / "tiny.bitmar"), "--family", "wasm128", "--no-peers", "--json"]
    result = CliRunner().invoke(command, [*arguments, "-o", str(tmp_path)], standalone_mode=False)
    assert result.exception is None, result.exception
    report = json.loads((tmp_path / "bench.json").read_text())
    assert [(s["label"], s["context"]) for s in report["steps"]] == [("wasm128 (web)", tiny.config.context)]
    assert all(0 < s["prefill_us"] and 0 < s["us"] < 1e6 for s in report["steps"])


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--family", "avx3"], "kernel family 'avx3'"),
        (["--cpu", "4096"], "Processor 4096"),
        (["no-such.bitmar"], "no-such.bitmar"),
        (["--preset", "papper"], "paper"),
        (["-o", "/proc/nope"], "/proc/nope"),
    ],
)
def test_bad_input_is_a_sentence(arguments, words):
    error = CliRunner().invoke(command, [*arguments, "--no-peers"], standalone_mode=False).exception
    assert isinstance(error, BitmarError) and words in str(error)


def test_ratios_compare_with_the_best_peer():
    rows = [
        {"label": "ours", "peer": False, "gemv": {"8x8": {"gweights_per_s": 30.0}}},
        {"label": "slow", "peer": True, "gemv": {"8x8": {"gweights_per_s": 2.0}}},
        {"label": "quick", "peer": True, "gemv": {"8x8": {"gweights_per_s": 3.0}}},
        {"label": "absent", "peer": True, "missing": "not installed", "gemv": {}},
    ]
    assert ratios({"kernels": rows}) == {"ours": {"8x8": 10.0}}


def test_percentages_are_of_the_measured_limits():
    report = {"kernels": [], "steps": []}
    add_ours(
        report,
        "f",
        {
            "gemv": [
                {
                    "n": 128,
                    "k": 128,
                    "bytes": 4096,
                    "warm_ns": 100.0,
                    "cold_ns": 200.0,
                    "cache_bytes_per_s": 8.192e10,
                }
            ],
            "peak_macs_per_s": 3.2768e11,
            "clock_hz": 4e9,
            "step": [],
            "arena_bytes": 1,
            "anonymous_kib": 0,
        },
    )
    entry = report["kernels"][0]["gemv"]["128x128"]
    assert entry["gweights_per_s"] == pytest.approx(163.84) and entry["cold_gweights_per_s"] == pytest.approx(
        81.92
    )
    assert entry["of_mac_limit"] == pytest.approx(0.5) and entry["of_bandwidth"] == pytest.approx(0.5)


def test_the_densest_loop_is_counted():
    assert len(inner_loop(LISTING, "bm_gemv", "smlal")) == 5
    riscv = "f:\n.L8:\n\tlb\ta2,0(a3)\n\tmul\ta5,a5,a2\n\tbne\ta7,a1,.L8\n\t.size\tf, .-f\n"
    assert len(inner_loop(riscv, "f", "mul")) == 3
    with pytest.raises(ToolError, match="no loop"):
        inner_loop(LISTING, "bm_gemv", "sdot")


def test_the_s3_kernel_is_estimated():
    cycles = estimate_pie()
    assert [c.weights for c in cycles] == [1 << 14, 1 << 16, 1 << 16, 1 << 14]
    assert {c.label for c in cycles} == {"estimated"}
    rates = [c.weights / c.cycles for c in cycles]
    assert rates[0] >= 4.5 and rates[2] >= 6 and rates[3] >= 3.9


def test_products_of_a_pico_are_counted():
    try:
        *own, plain = count_m0()
    except ToolError as error:
        pytest.skip(str(error))
    assert {c.label for c in own} == {"simulated"} and [c.weights for c in own] == [1 << 14, 1 << 16, 1 << 16]
    assert min(c.weights / c.cycles for c in own) >= 7 * plain.weights / plain.cycles


def test_loops_are_simulated():
    need("rpi-zero2", "gcc")
    try:
        cycles = simulate()
    except ToolError as error:
        pytest.skip(str(error))
    least = {"m33": 0.6, "neon": 1, "neondot": 1, "portable": 0.1}
    assert {c.family for c in cycles} == set(least)
    assert all(c.weights / c.cycles > least[c.family] for c in cycles)
