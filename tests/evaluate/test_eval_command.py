# SPDX-License-Identifier: Apache-2.0
"""`bitmar-tiny eval` and `paper` as a user types them."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from eval_support import byte_model, write_jsonl
from support import TINY, need
from test_cli import cli

from bitmar_tiny.cli.app import app
from bitmar_tiny.cli.screen import Screen
from bitmar_tiny.errors import BitmarError
from bitmar_tiny.frozen import random_model
from bitmar_tiny.report.evaluation import render


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("eval")
    byte_model().save(folder / "m.bitmar")
    random_model(TINY).save(folder / "mute.bitmar")
    write_jsonl(
        folder / "p.jsonl",
        *({"goal": f"g{i}", "sol1": "this", "sol2": "that", "label": i % 2} for i in range(6)),
    )
    write_jsonl(
        folder / "v.jsonl",
        *(
            {"question": "q", "target_ans": "a", "distractors": ["b"], "idx_in_hf_dataset": i}
            for i in range(3)
        ),
    )
    write_jsonl(folder / "w.jsonl", *({"sentences": f"{'x' * i}y\tz", "ratio": i / 4} for i in range(4)))
    (folder / "text.dev").write_text("some text\nmore of it\n")
    np.save(folder / "f.npy", np.zeros((3, TINY.image_inputs, 768), np.float16))
    np.save(folder / "one.npy", np.zeros((3, 768), np.float16))
    (folder / "junk").mkdir()
    (folder / "old.json").write_text("{}")
    return folder


def test_tasks_by_three_ways_and_the_papers_table(folder):
    need("host", "gcc")
    report = json.loads(
        cli(
            "eval",
            "m.bitmar",
            "piqa=p.jsonl",
            "vqa=v.jsonl",
            "wug-past=w.jsonl",
            "perplexity=text.dev",
            "--features",
            "f.npy",
            "--via",
            "c",
            "--via",
            "golden",
            "--via",
            "torch",
            "--json",
            cwd=folder,
        ).stdout
    )
    assert [report["tasks"][t]["items"] for t in ("piqa", "vqa", "wug-past")] == [6, 3, 4] and report[
        "tasks"
    ]["vqa"]["images"]
    assert all(share == 1.0 for others in report["agreement_of_picks"].values() for share in others.values())
    assert [len(o) for o in report["agreement_of_picks"].values()] == [2, 2, 2] and report["tasks"][
        "perplexity"
    ]["tokens"] == 19
    assert [list(o.values()) for o in report["different_picks"].values()] == [[[], []]] * 3
    (folder / "r.json").write_text(json.dumps(report))
    table = cli("paper", "table", "2", "r.json", cwd=folder).stdout
    assert "24.9%" in table and f"{report['tasks']['vqa']['accuracy']:.1%}" in table and "with care" in table
    shown = cli(
        "evaluate", "m.bitmar", "piqa=p.jsonl", "perplexity=text.dev", "--limit", 3, cwd=folder
    ).stdout  # by its first name
    assert "chance" in shown and "majority" in shown and "bits per byte" in shown


def test_a_board_is_asked_as_its_line_needs_it_and_every_exchange_has_a_record(folder):
    """A record answers like the board it is of, for text and for sessions."""
    need("host", "gcc")
    (folder / "s.jsonl").write_text('["a is b", "c is d", ["a is", " b"]]\n' * 2)
    asked = ("eval", "m.bitmar", "perplexity=text.dev", "sessions=s.jsonl", "--json", "--on")
    live = cli(*asked, "host", "--timeout", 100, "--record", "r.jsonl", cwd=folder)
    golden = json.loads(cli(*asked, "golden", cwd=folder).stdout)
    report = json.loads(live.stdout)
    assert report["sessions"] == golden["sessions"] and report["sessions"]["items"] == 2
    assert report["tasks"]["perplexity"] == golden["tasks"]["perplexity"]
    assert {p.name for p in folder.glob("r*.jsonl")} == {"r.jsonl", "r-2.jsonl"}
    again = cli(*asked[:3], "--json", "--on", "replay:r.jsonl", cwd=folder)
    assert json.loads(again.stdout)["tasks"] == report["tasks"]


def test_what_was_interrupted_goes_on_and_items_with_another_pick_are_named(folder):
    rows = ({"goal": "g", "sol1": f"a{i}", "sol2": f"b{i}", "label": i % 2} for i in range(6))
    write_jsonl(folder / "q.jsonl", *rows)
    asked = ("eval", "m.bitmar", "piqa=q.jsonl", "--on", "golden", "--on", "torch", "--keep", "kept")
    asked += ("--json",)
    whole = json.loads(cli(*asked, cwd=folder).stdout)
    first, second = sorted((folder / "kept").iterdir())
    assert first.name.startswith("golden-") and second.name.startswith("torch-")
    rows = first.read_text().splitlines(keepends=True)
    assert len(rows) == len(second.read_text().splitlines()) == 2 * 6
    first.write_text("".join(rows[:5]) + rows[5][:20])  # killed while it wrote
    assert json.loads(cli(*asked, cwd=folder).stdout) == whole
    assert sorted(first.read_text().splitlines(keepends=True)) == sorted(rows)
    row = json.loads(rows[1 - whole["tasks"]["piqa"]["picks"][0]])  # the option that was not picked
    row["log_probs"] = [0.0] * len(row["log_probs"])
    second.write_text(second.read_text() + json.dumps(row) + "\n")  # the last line counts
    other = cli(*asked, cwd=folder, code=1)
    assert json.loads(other.stdout)["different_picks"]["piqa"] == {"torch": [0]}
    said = cli(*asked[:-1], cwd=folder, code=1).stdout
    assert (
        "torch picks another option than golden for 1 of 6 items, counted from 0: 0 [measured]"
        in " ".join(said.split())
    )


def test_golden_torch_and_c_pick_the_same_of_tens_of_items(folder):
    """With the model that comes along, whose vocabulary is of words."""
    need("host", "gcc")
    animals = ("cat", "dog", "bird", "fish", "horse", "cow", "bear", "fox", "owl", "pig", "duck", "wolf")
    pairs = [
        {"sentence_good": f"The {a} {good}.", "sentence_bad": f"The {a} {bad}.", "UID": "verb"}
        for a in animals
        for good, bad in (("sits on the table", "sit on the table"), ("has two ears", "have two ears"))
    ]
    write_jsonl(folder / "blimp.jsonl", *pairs)
    asked = ({"question": f"is a {a} blue", "passage": f"The {a} is red.", "answer": False} for a in animals)
    write_jsonl(folder / "boolq.jsonl", *asked)
    targets = ("--on", "golden", "--on", "torch", "--on", "host")
    done = cli("eval", "demo", "blimp=blimp.jsonl", "boolq=boolq.jsonl", *targets, "--json", cwd=folder)
    report = json.loads(done.stdout)
    assert [report["tasks"][t]["items"] for t in ("blimp", "boolq")] == [24, 12]
    assert [sorted(o.values()) for o in report["different_picks"].values()] == [[[], []]] * 2
    assert len(set(report["tasks"]["blimp"]["picks"])) == 2  # it does not always take the first


def test_figures(folder):
    cli("paper", "figure", "2", "m.bitmar", "mute.bitmar", "-o", "slots.svg", cwd=folder)
    assert (folder / "slots.svg").read_bytes()[:5] == b"<?xml"


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("eval", "m.bitmar", "bolq"), "There is no task 'bolq'"),
        (("eval", "m.bitmar", "hellaswag"), "Name the file or folder: hellaswag=PATH"),
        (("eval", "m.bitmar", "hellaswag="), "Name the file or folder: hellaswag=PATH"),
        (("eval", "m.bitmar", "perplexity"), "perplexity=FILE"),
        (("eval", "m.bitmar", "perplexity=none"), "none: does not exist"),
        (("eval", "m.bitmar", "piqa=none.jsonl"), "no such file"),
        (("eval", "m.bitmar", "piqa=p.jsonl", "piqa=p.jsonl"), "named twice"),
        (("eval", "mute.bitmar", "piqa=p.jsonl"), "frozen without a tokenizer"),
        (
            ("eval", "m.bitmar", "vqa=v.jsonl", "--features", "one.npy"),
            "1 vectors per image, the model takes 4",
        ),
        (("eval", "m.bitmar", "vqa=v.jsonl", "--features", "none.npy"), "none.npy: does not exist"),
        (("eval", "m.bitmar", "piqa=p.jsonl", "--via", "c", "--board", "esp32-s3-n16r8"), "idf.py build"),
        (("eval", "junk", "piqa=p.jsonl"), "no training run here"),
        (("eval", "m.bitmar", "piqa=p.jsonl", "--record", "r"), "No board was named"),
        (("eval", "m.bitmar", "retrieval", "--data", "none"), "none"),
        (("paper", "table", "1", "old.json"), "not a result of 'bitmar-tiny eval --json'"),
        (("paper", "table", "3", "r0.json"), "cannot be read"),
        (("paper", "figure", "3", "junk", "-o", "f.png"), "no training run here"),
        (("paper", "figure", "2", "m.bitmar", "-o", "f.gif"), "written as .png or .svg"),
    ],
)
def test_bad_input_is_one_sentence(folder, arguments, words, monkeypatch):
    """The command line turns every BitmarError into that sentence and exit code 2 (test_cli.py)."""
    monkeypatch.chdir(folder)
    with pytest.raises(BitmarError) as error:
        app(list(arguments), standalone_mode=False)
    assert words in str(error.value) and error.value.exit_code == 2 and "\n" not in str(error.value)


def test_tables_fit_80_columns_in_a_pipe_and_lose_no_word():
    score = {"kind": "choice", "accuracy": 0.7123, "error": 0.0123, "accuracy_norm": 0.7, "chance": 0.5}
    score |= {"majority": 0.6, "items": 12345, "cut": 1234, "picks": [0, 1], "gold": [0, 0]}
    names = ("commonsenseqa", "entity-tracking")
    report = {"model": "long/" * 9 + "model.bitmar", "on": ["golden"], "tasks": dict.fromkeys(names, score)}
    by = dict.fromkeys(("on", "off", "shuffled"), score)
    by["difference"] = dict.fromkeys(("off", "shuffled"), {"value": -0.123, "low": -0.234, "high": -0.0123})
    spent = {"window": 32, "tokens_per_second": 12345.6, "ms_per_token": 0.0812, "anonymous_kib": 123456}
    cost = {"label": "measured", "on": spent, "off": spent, "board": "host", "kernels": "avx512vnni"}
    report["ablation"] = {
        "tasks": dict.fromkeys(names, by),
        "cost": cost | {"watts": None, "memory_bytes": 12345678},
    }
    pipe = Screen(file=io.StringIO())
    for part in render(report):
        pipe.print(part)
    said = pipe.file.getvalue()
    assert max(map(len, said.splitlines())) <= 80
    for word in (*names, "12,345", "1,234", "71.2%", "shuffled"):
        assert word in said
