# SPDX-License-Identifier: Apache-2.0
"""The comparison of two checkouts takes the same steps of both, one after the other."""

from __future__ import annotations

import pytest

from bitmar_tiny.bench import training


class Stub:
    """A side that takes steps of ten tokens, the older one twice as long."""

    turns: list[str] = []

    def __init__(self, checkout, *arguments):
        self.name, self.taken = "newer" if checkout == training.HERE else "older", 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def steps(self, count):
        self.turns.append(self.name)
        self.taken += count
        slow = count * (1 + (self.name == "older"))
        losses = [float(self.taken - i) for i in reversed(range(count))]
        return {"tokens": 10 * count, "seconds": slow, "processor": 2 * slow, "losses": losses}


def test_both_take_the_same_steps_in_turns(monkeypatch, tmp_path):
    monkeypatch.setattr(training, "Side", Stub)
    found = training.compare(tmp_path, "demo", tmp_path, 2, 3, {}, 1)
    assert Stub.turns == ["newer", "older"] + ["older", "newer"] + ["newer", "older"]
    assert found["ratio"] == found["processor_ratio"] == 2
    assert found["newer"]["losses"] == found["older"]["losses"] == [1.0, 2, 3, 4, 5, 6, 7]
    assert found["newer"]["tokens_per_s"] == 10 and found["older"]["tokens_per_processor_s"] == 2.5
    assert "loss of step 7" in training.table(found)


def test_a_folder_without_the_package_is_a_sentence(tmp_path):
    with pytest.raises(SystemExit, match="holds no bitmar_tiny"):
        training.Side(tmp_path, "demo", tmp_path, {}, 1)
