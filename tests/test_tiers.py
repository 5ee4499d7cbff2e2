# SPDX-License-Identifier: Apache-2.0
"""Every test has exactly one tier, and the table names nothing that is not there."""

from __future__ import annotations

import tiers


def test_every_test_has_exactly_one_tier(request):
    for item in request.session.items:
        assert len({m.name for m in item.iter_markers()} & set(tiers.TIERS)) == 1, item.nodeid


def test_the_table_names_what_is_there():
    for place in (*sum(tiers.FILES.values(), ()), *tiers.TORCH):
        assert (tiers.HERE / place).exists(), place
    for key, tier in tiers.TESTS.items():
        file, name = key.split("::")
        assert tier in tiers.TIERS and (name == "*" or f"def {name}(" in (tiers.HERE / file).read_text()), key


def test_places_and_parameters_decide():
    assert tiers.tier("test_config.py", "test_any") == "unit"
    assert tiers.tier("verify/test_exact.py", "test_every_target", ("host", "-O2")) == "toolchain"
    assert tiers.tier("verify/test_exact.py", "test_every_target", ("rpi-5", "-O2")) == "emulator"
    assert tiers.tier("simulate/test_portable.py", "test_any") == "emulator"
    assert tiers.tier("train/test_train.py", "test_any") == "train"
