# SPDX-License-Identifier: Apache-2.0
"""BitMar under the real lm-evaluation-harness: its evaluator, a task of its own kind on local files, and the
three requests.
"""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from eval_support import byte_model, byte_tokenizer
from support import TINY

from bitmar_tiny.errors import ConfigError
from bitmar_tiny.evaluate.scoring import Query, SessionScorer
from bitmar_tiny.golden.model import GoldenModel
from bitmar_tiny.run.golden import GoldenSession

os.environ.setdefault("HF_HUB_OFFLINE", "1")
pytest.importorskip("lm_eval", reason="pip install lm-eval==0.4.13 to evaluate through lm-evaluation-harness")

EOS = TINY.vocab_size - 1


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("harness") / "m.bitmar"
    byte_model().save(path)
    return path


@pytest.fixture(scope="module")
def lm(path):
    from bitmar_tiny.evaluate.harness import BitmarLM

    return BitmarLM(str(path), longest=12)


def requests(kind: str, *arguments):
    from lm_eval.api.instance import Instance

    return [Instance(request_type=kind, doc={}, arguments=a, idx=i) for i, a in enumerate(arguments)]


def ids(text: str) -> list[int]:
    return byte_tokenizer().encode(text)


def test_loglikelihood(lm):
    pairs = [("the ", "cat"), ("", "dog"), ("a much longer context than fits", " x")]
    want = [
        Query((EOS, *ids("the")), tuple(ids(" cat"))),
        Query((EOS,), tuple(ids("dog"))),
        Query((EOS, *ids("a much longer context than fits"[-10:])), tuple(ids(" x"))),
    ]
    found = lm.loglikelihood(requests("loglikelihood", *pairs))
    assert found == [(f.total, f.greedy) for f in SessionScorer(GoldenSession(byte_model())).score(want)]


def test_rolling_likelihood_scores_every_token_once(lm):
    short, long = "abc", "abcdefghijklmnopqrstuvwxyz"
    found = lm.loglikelihood_rolling(requests("loglikelihood_rolling", (short,), (long,), ("",)))
    assert found[0] == lm.loglikelihood(requests("loglikelihood", ("", short)))[0][0] and found[2] == 0.0
    first = lm.loglikelihood(requests("loglikelihood", ("", long[:12])))[0][0]
    assert found[1] < first < found[0] < 0


def test_generation_stops_where_it_is_told(lm):
    golden, text, token = GoldenModel(byte_model().config, byte_model().arrays), [], EOS
    for token in (EOS, *ids("ab")):
        acc = golden.step(token)
    while len(text) < 6 and (token := int(acc.argmax())) != EOS:
        text.append(token)
        acc = golden.step(token)
    whole = byte_tokenizer().decode(text)

    def ask(**options) -> str:
        return lm.generate_until(requests("generate_until", ("ab", options)))[0]

    assert ask(until=[], max_gen_toks=6) == whole
    assert ask(until=[whole[2]], max_gen_toks=6) == whole[: whole.index(whole[2])]
    assert ask(until=whole[3:], max_gen_toks=1) == byte_tokenizer().decode(text[:1])


def test_the_evaluator_runs_a_task(path, tmp_path):
    """A multiple-choice task in the harness's own YAML, on a local file: its accuracy is ours."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    import bitmar_tiny.evaluate.harness  # noqa: F401  (registers the model)
    from bitmar_tiny.evaluate.choice import evaluate_choice
    from bitmar_tiny.evaluate.formats import Item

    rng = np.random.default_rng(0)
    rows = [
        {
            "question": f"q{i}",
            "options": [" " + chr(97 + c) for c in rng.choice(26, 3, replace=False)],
            "gold": int(rng.integers(3)),
        }
        for i in range(12)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "small.yaml").write_text(f"""
task: small
dataset_path: json
dataset_kwargs: {{data_files: {{test: {tmp_path / "rows.jsonl"}}}, cache_dir: {tmp_path / "cache"}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
target_delimiter: ""
doc_to_choice: options
doc_to_target: gold
metric_list: [{{metric: acc}}]
""")
    found = lm_eval.simple_evaluate(
        model="bitmar-tiny",
        model_args=f"model={path},on=golden,longest=12",
        tasks=["small"],
        task_manager=TaskManager(include_path=str(tmp_path), include_defaults=False),
        bootstrap_iters=0,
    )
    ours = evaluate_choice(
        SessionScorer(GoldenSession(byte_model())),
        [Item((r["question"],), tuple(r["options"]), r["gold"]) for r in rows],
        byte_tokenizer(),
        12,
    )
    assert found["results"]["small"]["acc,none"] == pytest.approx(ours.accuracy)


def test_bad_arguments_are_one_sentence(path):
    from bitmar_tiny.evaluate.harness import BitmarLM

    with pytest.raises(ConfigError, match="memory=half"):
        BitmarLM(str(path), memory="half")
    with pytest.raises(ConfigError, match="no board profile 'rust'"):
        BitmarLM(str(path), on="rust")
