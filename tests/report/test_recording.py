# SPDX-License-Identifier: Apache-2.0
"""The profile's file: what is written is read back, and anything else is refused in one sentence."""

import json

import numpy as np
import pytest
from report.recordings import IDENTITY, PARTS, SECTIONS, changed, make

from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.errors import DataError
from bitmar_tiny.profile.difference import compare
from bitmar_tiny.profile.prediction import predict
from bitmar_tiny.profile.recording import STORE, Recording
from bitmar_tiny.report.export import to_csv, to_trace
from bitmar_tiny.report.page import to_html
from bitmar_tiny.report.profile import document, report


@pytest.mark.parametrize(
    "recording",
    [
        make(),
        make(steps=1, prefill=0, plan=None, stack_peak=None, arenas={}),
        make(label="simulated"),
        make(store=dict.fromkeys(("reads", "bytes", "stall_cycles", "writes", "written_bytes"), 3)),
    ],
)
@pytest.mark.parametrize("write", [Recording.to_json, document])
def test_roundtrip(recording, write):
    back = Recording.from_json(write(recording), "file")
    for name in ("starts", "totals", "cycles"):
        assert (
            np.array_equal(getattr(back, name), getattr(recording, name))
            and getattr(back, name).dtype == np.uint64
        )
    assert back.as_dict() == recording.as_dict()


def test_counters_of_64_bits_survive():
    recording = make()
    late = Recording(**(recording.__dict__ | {"starts": recording.starts + np.uint64((1 << 62) + 1)}))
    assert np.array_equal(Recording.from_json(late.to_json(), "f").starts, late.starts)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"schema": "bitmar-tiny/plan"}, "not a profile (it is 'bitmar-tiny/plan')"),
        ({"schema_version": 1}, "a profile of version 1"),
        ({"colour": 3}, "the key 'colour' is unknown"),
        ({"totals": None}, "the key 'totals' is missing"),
        ({"label": "guessed"}, "its label is 'guessed'"),
        ({"clock_hz": 0}, "its clock_hz is 0"),
        ({"clock_hz": True}, "its clock_hz is True"),
        ({"identity": IDENTITY | {"model_sha256": "abc"}}, "no SHA-256"),
        ({"identity": {}}, "which model"),
        ({"kinds": ["decode"] * 59 + ["warm"]}, "of the kind 'warm'"),
        ({"kinds": ["decode"] * 59}, "starts are not uint64 [59]"),
        ({"sections": ["a"] * 7}, "has no name, or one that another has"),
        ({"sections": [1, 2]}, "sections are not names"),
        ({"totals": [1.5] * 60}, "totals are not counts"),
        ({"totals": [-1] * 60}, "totals are not counts"),
        ({"totals": [1] * 60}, "in step 0 a part took"),
        ({"totals": [1 << 60] * 60}, "a counter ran wild"),
        ({"totals": [1 << 70] * 60}, "totals are not counts"),
        ({"starts": [5] * 60}, "step 1 starts before step 0 has ended"),
        ({"cycles": [[1, 2], [3]]}, "cycles are not counts"),
        ({"cycles": [[[70_000] * 6] * 7] * 60}, "in step 0 the parts together took"),
        ({"arenas": {"ram": -1}}, "arenas are not sizes"),
        ({"stack_peak": "much"}, "stack_peak is 'much'"),
        ({"store": {"reads": 1}}, "store does not have the counts"),
        ({"plan": []}, "plan is not a table"),
    ],
)
def test_what_is_no_profile_is_refused(change, words):
    with pytest.raises(DataError) as error:
        Recording.from_json(changed(make(), **change), "p.json")
    assert (
        words in error.value.message
        and error.value.message.startswith("p.json: ")
        and error.value.message.count(". ") == 0
    )
    assert error.value.hint


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "null", "[" * 100_000, '{"schema": NaN}', b"\xff\xfe\x00", "9" * 5000]
)
def test_what_is_no_json_is_refused(text):
    with pytest.raises(DataError, match="not a profile"):
        Recording.from_json(text, "p.json")


def places(value, path=()):
    """Every place inside a document, by the keys that lead there."""
    yield path
    for key, inner in (
        value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    ):
        yield from places(inner, (*path, key))


def test_whatever_a_file_says_no_exception_escapes(tiny, tmp_path):
    """Any one value replaced by anything: the file is refused in a sentence, or every report of it can be
    made.
    """
    plan = json.loads(
        (emit(tiny, load_board("esp32-s3-n16r8"), tmp_path / "p").path / "plan.json").read_text()
    )
    text = make(steps=12, prefill=3, plan=plan, store=dict.fromkeys(STORE, 3)).to_json()
    refused, odd = (
        0,
        (None, -1, 0, 1.5, 1e300, 1 << 200, True, "", "x[/]<b>", [], [[]], {}, {"a": 1}, [None], [1, "a"]),
    )
    every = sorted({p for p in places(json.loads(text)) if p}, key=str)
    for i in range(150):
        path, value = every[i * 7919 % len(every)], odd[i % len(odd)]
        values = inner = json.loads(text)
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        try:
            recording = Recording.from_json(json.dumps(values), "p.json")
            assert report(recording) and to_html(recording, predict(recording), None) and to_csv(recording)
            assert (
                json.loads(to_trace(recording))
                and json.loads(document(recording))
                and compare(recording, recording)
            )
        except DataError as error:
            assert error.message and "\n" not in error.message
            refused += 1
    assert 40 < refused < 150


def test_every_cut_of_the_file_is_refused():
    text = make(steps=2, prefill=1).to_json()
    for end in range(0, len(text) - 2, 37):
        with pytest.raises(DataError):
            Recording.from_json(text[:end], "p.json")


def test_wrong_arrays_never_become_a_recording():
    good = make()
    for change in (
        {"totals": good.totals.astype(np.int64)},
        {"cycles": good.cycles[:, :, :3]},
        {"kinds": ()},
        {"starts": list(good.starts)},
    ):
        with pytest.raises(DataError, match="cannot be used"):
            Recording(**(good.__dict__ | change))
    wraps = good.cycles.copy()
    wraps[0, 0, :2] = np.uint64(1 << 63)  # their sum is 0 in 64 bits
    with pytest.raises(DataError, match="in step 0"):
        Recording(**(good.__dict__ | {"cycles": wraps}))


def test_the_file_says_what_follows_from_it():
    values = json.loads(document(make()))
    assert (
        values["summary"]["decode"]["tokens_per_s"] > 0
        and values["energy"] is None
        and values["prediction"]["traffic"]["label"] == "estimated"
    )
    assert len(values["cycles"]) == 60 and [len(values["sections"]), len(values["parts"])] == [
        len(SECTIONS),
        len(PARTS),
    ]
