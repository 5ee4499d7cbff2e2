# SPDX-License-Identifier: Apache-2.0
"""Published formats become the same items whatever shape they come in; a bad row is one sentence that names
it.
"""

from __future__ import annotations

import json

import pytest
from eval_support import write_jsonl

from bitmar_tiny.errors import ConfigError, DataError
from bitmar_tiny.evaluate.formats import FORMATS, evenly, read_items
from bitmar_tiny.evaluate.labelled import SETS, labelled_items

AI2 = {
    "id": "1",
    "question": {
        "stem": "What is wet?",
        "choices": [{"label": "1", "text": "fire"}, {"label": "2", "text": "water"}],
    },
    "answerKey": "2",
}
HUB = {
    "question": "What is wet?",
    "choices": {"label": ["A", "B"], "text": ["fire", "water"]},
    "answerKey": "B",
}

#: task -> rows that say the same in every shape that is published, and (context of option 1, options, gold).
SAME = {
    "arc-easy": ([AI2, HUB], "Question: What is wet?\nAnswer:", (" fire", " water"), 1),
    "commonsenseqa": ([AI2, HUB], "Question: What is wet?\nAnswer:", (" fire", " water"), 1),
    "boolq": (
        [
            {"question": "is it wet", "title": "t", "passage": "Rain.", "answer": True},
            {"question": "is it wet?", "passage": "Rain.", "label": 1},
            {"question": "is it wet", "passage": "Rain. ", "answer": "True"},
        ],
        "Rain.\nQuestion: is it wet?\nAnswer:",
        (" no", " yes"),
        1,
    ),
    "hellaswag": (
        [
            {
                "activity_label": "Rowing",
                "ctx_a": "A man sits.",
                "ctx_b": "he",
                "ctx": "x",
                "endings": ["rows.", "[step] flies."],
                "label": 0,
            },
            {
                "activity_label": "Rowing",
                "ctx": "A man sits. He",
                "endings": ["rows.", "flies."],
                "label": "0",
            },
        ],
        "Rowing: A man sits. He",
        (" rows.", " flies."),
        0,
    ),
    "winogrande": (
        [
            {
                "sentence": "The cup is in the box, so the _ is full.",
                "option1": "cup",
                "option2": "box",
                "answer": "2",
            }
        ],
        "The cup is in the box, so the box",
        (" is full.", " is full."),
        1,
    ),
    "piqa": (
        [{"goal": "Dry hands", "sol1": "use a towel", "sol2": "use rain", "label": 0}],
        "Question: Dry hands\nAnswer:",
        (" use a towel", " use rain"),
        0,
    ),
    "mmlu": (
        [{"question": "1+1?", "subject": "algebra", "choices": ["1", "2", "3", "4"], "answer": 1}],
        "Question: 1+1?\nAnswer:",
        (" 1", " 2", " 3", " 4"),
        1,
    ),
    "blimp": (
        [
            {
                "sentence_good": "Dogs bark.",
                "sentence_bad": "Dogs barks.",
                "UID": "agreement",
                "field": "syntax",
            },
            {"sentence_good": "Dogs bark.", "sentence_bad": "Dogs barks."},
        ],
        "",
        ("Dogs bark.", "Dogs barks."),
        0,
    ),
    "ewok": (
        [
            {
                "Context1": "It rains.",
                "Context2": "The sun shines.",
                "Target1": "It is wet.",
                "Target2": "It is dry.",
                "Domain": "weather",
            }
        ],
        "It rains.",
        (" It is wet.", " It is dry."),
        0,
    ),
    "entity-tracking": (
        [{"input_prefix": "Box 0 contains the", "options": [" key", " pen"], "numops": 2}],
        "Box 0 contains the",
        (" key", " pen"),
        0,
    ),
    "wug-past": ([{"sentences": "he wugged\the wug", "ratio": "0.7"}], "", ("he wugged", "he wug"), 0),
    "wug-adjective": (
        [{"sentences": "the wugness\tthe wugity", "ratio": 0.2}],
        "",
        ("the wugness", "the wugity"),
        0,
    ),
    "vqa": (
        [
            {
                "question": "What colour?",
                "target_ans": "red",
                "distractors": ["blue", "two"],
                "idx_in_hf_dataset": 3,
            }
        ],
        "What colour?",
        (" red", " blue", " two"),
        0,
    ),
    "winoground": (
        [
            {
                "caption_0": "a on b",
                "caption_1": "b on a",
                "image_idx": 4,
                "image_key": "image_1",
                "collapsed_tag": "Relation",
            }
        ],
        "",
        ("a on b", "b on a"),
        0,
    ),
}


def test_the_table_is_complete():
    assert set(SAME) == set(FORMATS)


@pytest.mark.parametrize("task", SAME)
def test_every_published_shape_gives_the_same_item(task, tmp_path):
    rows, context, options, gold = SAME[task]
    items = read_items(task, write_jsonl(tmp_path / "file.jsonl", *rows))
    assert len(items) == len(rows)
    for item in items:
        assert (item.context(1), item.options, item.gold) == (context, options, gold)


def test_images_and_people_are_kept(tmp_path):
    assert read_items("winoground", write_jsonl(tmp_path / "w.jsonl", *SAME["winoground"][0]))[0].image == 9
    assert read_items("vqa", write_jsonl(tmp_path / "v.jsonl", *SAME["vqa"][0]))[0].image == 3
    assert read_items("wug-past", write_jsonl(tmp_path / "p.jsonl", *SAME["wug-past"][0]))[0].human == 0.7


def test_a_folder_of_csv_by_subject(tmp_path):
    (tmp_path / "anatomy_test.csv").write_text('"What, then?",a,b,c,d,C\n"Two\nlines?",a,b,c,d,A\n')
    (tmp_path / "algebra_test.csv").write_text("1+1?,1,2,3,4,B\n")
    items = read_items("mmlu", tmp_path)
    assert [(i.group, i.gold) for i in items] == [("algebra", 1), ("anatomy", 2), ("anatomy", 0)]
    assert items[1].contexts == ("Question: What, then?\nAnswer:",)


def test_json_and_parquet_read_like_jsonl(tmp_path):
    rows = [SAME["vqa"][0][0] | {"idx_in_hf_dataset": i} for i in range(3)]
    want = read_items("vqa", write_jsonl(tmp_path / "a.jsonl", *rows))
    (tmp_path / "b.json").write_text(json.dumps(rows))
    assert read_items("vqa", tmp_path / "b.json") == want
    pyarrow = pytest.importorskip("pyarrow", reason="pip install pyarrow to read Parquet files")
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "c.parquet")
    assert read_items("vqa", tmp_path / "c.parquet") == want
    (tmp_path / "d.parquet").write_bytes(b"PAR1 not")
    with pytest.raises(DataError, match="not a readable Parquet"):
        read_items("vqa", tmp_path / "d.parquet")


@pytest.mark.parametrize(
    "task, name, content, words",
    [
        (
            "boolq",
            "a.jsonl",
            '{"question": "q", "passage": "p", "answer": true}\n{"question": "q"\n',
            "a.jsonl, line 2: not JSON",
        ),
        (
            "boolq",
            "a.jsonl",
            '{"question": "q", "passage": "\\ud83d", "answer": true}\n',
            r"line 1 holds half a character (\ud83d",
        ),
        (
            "boolq",
            "a.jsonl",
            '{"question": "q", "answer": true}\n',
            "line 1: not a row of boolq (the field 'passage' is missing)",
        ),
        ("boolq", "a.jsonl", '{"question": "q", "passage": "p", "answer": "maybe"}\n', "'maybe'"),
        ("boolq", "a.jsonl", "[1, 2]\n", "not an object"),
        ("boolq", "a.json", '{"question": "q"}', "expected a JSON list"),
        ("boolq", "a.txt", "", "files of this kind are not read"),
        ("boolq", "a.jsonl", b"\xff\xfe{", "not UTF-8"),
        (
            "hellaswag",
            "a.jsonl",
            '{"activity_label": "a", "ctx": "c", "endings": ["x", "y"], "label": ""}\n',
            "not a row of hellaswag",
        ),
        (
            "hellaswag",
            "a.jsonl",
            '{"activity_label": "a", "ctx": "c", "endings": ["x", "y"], "label": 2}\n',
            "answer 2 of 2 options",
        ),
        (
            "winogrande",
            "a.jsonl",
            '{"sentence": "no gap", "option1": "a", "option2": "b", "answer": "1"}\n',
            "not a row of winogrande",
        ),
        (
            "winogrande",
            "a.jsonl",
            '{"sentence": "a _ gap", "option1": "a", "option2": "b", "answer": ""}\n',
            "not a row of winogrande",
        ),
        ("arc-easy", "a.jsonl", json.dumps(HUB | {"answerKey": "E"}), "not a row of arc-easy"),
        ("mmlu", "a.csv", "q,a,b,c,d\n", "5 columns, expected 6"),
        ("mmlu", "a.csv", "q,a,b,c,d,E\n", "not a row of mmlu"),
    ],
)
def test_bad_files_are_one_sentence(task, name, content, words, tmp_path):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as error:
        read_items(task, tmp_path / name)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_missing_files_and_unknown_tasks(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_items("boolq", tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="holds no"):
        read_items("boolq", tmp_path)
    with pytest.raises(ConfigError, match="no task 'bool'"):
        read_items("bool", tmp_path)


def test_a_limit_is_spread_evenly():
    assert evenly(list(range(10)), 5) == [0, 2, 4, 6, 8] and evenly([1, 2], 5) == [1, 2]


@pytest.mark.parametrize(
    "task, items, options, right",
    [("boolq", 3270, 2, 2033), ("piqa", 1500, 2, 754), ("commonsenseqa", 1221, 5, 239)],
)
def test_labelled_sets_of_the_package(task, items, options, right):
    """Counts of the published dev and validation files; right: items whose answer is yes, or the first."""
    try:
        found = labelled_items(task)
    except DataError as error:
        pytest.skip(str(error))
    assert len(found) == items and {len(i.options) for i in found} == {options}
    assert sum(i.gold == (task == "boolq") for i in found) == right
    assert all(option.strip() for item in found for option in item.options)
    assert SETS[task].file[-1] in ("dev.jsonl", "validation.jsonl")
