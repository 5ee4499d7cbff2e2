# SPDX-License-Identifier: Apache-2.0
"""Picks from a 2-skip head on a text: the candidates are those of the whole head, a third of which is
left out.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bitmar_tiny.bench.skip import count
from bitmar_tiny.errors import DataError
from bitmar_tiny.frozen import FrozenModel
from bitmar_tiny.frozen.shipped import find_model

TEXT = "Preheat the oven to 350 degrees. Mix the flour with two eggs, then add the sugar and the milk."


@pytest.fixture(scope="module")
def demo():
    return FrozenModel.load(find_model("demo"))


@pytest.mark.parametrize("candidates", [1, 40])
def test_every_pick_is_that_of_the_whole_head(demo, candidates):
    found = count(demo, [TEXT, TEXT.upper()], 40, candidates)
    assert found.inputs == found.same > 20
    assert found.unread > (0.3 if candidates == 1 else 0.02)


def test_the_command(tmp_path):
    text = tmp_path / "text"
    text.write_text(f"{TEXT}\n\n{TEXT}\n")
    command = [sys.executable, "-m", "bitmar_tiny.bench.skip", "demo", str(text), "--steps", "8", "--json"]
    said = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert said["label"] == "measured" and said["same"] == said["inputs"] == 8


def test_what_cannot_be_read_is_one_sentence(demo, tmp_path):
    with pytest.raises(DataError, match="no text"):
        count(demo, [], 8, 1)
    command = [sys.executable, "-m", "bitmar_tiny.bench.skip", "demo", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode and "cannot be read" in done.stderr and "Traceback" not in done.stderr
