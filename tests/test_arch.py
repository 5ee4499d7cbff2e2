# SPDX-License-Identifier: Apache-2.0
"""The tables of the architecture: what is generated from them is current, and names agree where they meet."""

import re
from pathlib import Path

import pytest
from support import GROUPED, KEYED, ODD, SEEING, SEEING_ODD, TINY

from bitmar_tiny.arch.c_tables import c_header
from bitmar_tiny.arch.config import PRESETS
from bitmar_tiny.arch.tables import cache_table, cancelled_scales, section_table, tap_table, tensor_table

CONFIGS = [*PRESETS.values(), ODD, TINY, GROUPED, KEYED, SEEING, SEEING_ODD]


def test_the_c_header_is_the_one_of_the_parts():
    root = Path(__file__).resolve().parent.parent
    found = next((root / "firmware_templates").rglob("bm_arch.h"))
    assert found.read_text() == c_header(), "run: python -m bitmar_tiny.arch.c_tables"


@pytest.mark.parametrize("cfg", CONFIGS, ids=lambda c: c.name)
def test_every_array_is_in_one_section_but_the_scales_that_cancel(cfg):
    arrays = [name for t in tensor_table(cfg) for name, _, _ in t.arrays()]
    packed = [name for s in section_table(cfg) for name in s.arrays]
    assert len(set(packed)) == len(packed)
    assert (
        set(cancelled_scales(cfg))
        == {n for n in arrays if n not in packed}
        == {n for n in arrays if re.fullmatch(r"(enc|dec)\.\d+\.w1\.scale|vision\.\d\.w\.scale", n)}
    )
    assert set(packed) <= set(arrays)


@pytest.mark.parametrize("cfg", CONFIGS, ids=lambda c: c.name)
def test_taps_come_event_after_event_and_every_cache_is_one(cfg):
    taps = tap_table(cfg)
    events = [t.event for t in taps]
    assert events == sorted(events, key=("image", "step", "write").index)
    names = {t.name: (t.dtype, t.shape) for t in taps}
    assert len(names) == len(taps)
    assert all(names[a.name] == (a.dtype, a.shape) for c in cache_table(cfg) for a in c.arrays())
