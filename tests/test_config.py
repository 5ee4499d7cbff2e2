# SPDX-License-Identifier: Apache-2.0
"""Configuration: strict, with sentences that name the key."""

import json

import pytest

from bitmar_tiny.arch.config import PRESETS, ModelConfig, preset
from bitmar_tiny.arch.tables import tensor_table
from bitmar_tiny.errors import ConfigError


@pytest.mark.parametrize(
    "values, words",
    [
        ({"windoww": 3}, "Did you mean 'window'?"),
        ({"n_heads": 3}, "d_model=128 is not a multiple of n_heads=3"),
        ({"n_kv_heads": 3}, "n_heads=4 is not a multiple of n_kv_heads=3"),
        ({"window": 1030}, "reduce window"),
        ({"d_model": "wide"}, "d_model"),
        ({"write_rate": float("nan")}, "write_rate"),
        ({"image_pool": 2, "image_tokens": 8}, "square grid"),
        ({"vision_channels": [8, 8, 8]}, "vision_channels"),
        ({"vision_channels": [8, 0, 8, 8]}, "must be from 1 to 455"),
        ({"vision_channels": [8, 8, 8, 8], "image_tokens": 21}, "image_tokens=21 is none"),
        ({"vision_channels": [8, 8, 8, 8], "image_pool": 2}, "set image_pool=1"),
        ({"vision_channels": [8, 456, 8, 8]}, "must be from 1 to 455"),
        ({"vision_channels": [8, 8, 8, 4097]}, "the last to 4096"),
        ({"vision_channels": [8, 8, 8, 200], "image_tokens": 676}, "reduce the last of vision_channels"),
    ],
)
def test_bad_values_are_named(values, words):
    with pytest.raises(ConfigError) as caught:
        ModelConfig.parse(values, "model.json")
    assert words in str(caught.value) and "model.json" in str(caught.value)


def test_a_setting_that_came_later_is_written_only_where_it_is_given():
    cfg = ModelConfig(vision_channels=(4, 4, 4, 4), image_tokens=4)
    assert ModelConfig.parse(json.loads(cfg.model_dump_json()), "x") == cfg
    assert not {"vision_channels", "n_kv_heads"} & ModelConfig().model_dump().keys()


def test_unknown_preset_suggests_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'pocket'"):
        preset("poket")


def test_paper_preset_has_about_fifteen_million_parameters():
    assert 14.5e6 < sum(t.parameters for t in tensor_table(PRESETS["paper"])) < 15.5e6


def test_load_refuses_what_is_not_json(tmp_path):
    path = tmp_path / "model.json"
    path.write_text("{")
    with pytest.raises(ConfigError, match="not a readable JSON"):
        ModelConfig.load(path)
