# SPDX-License-Identifier: Apache-2.0
"""docs/reference/compatibility.md beside the constants it speaks of."""

from __future__ import annotations

import re
from pathlib import Path

from bitmar_tiny.codegen import lower
from bitmar_tiny.device import protocol, record
from bitmar_tiny.frozen import model_file
from bitmar_tiny.memory import format as store_format
from bitmar_tiny.memory import snapshot
from bitmar_tiny.profile import prediction, recording

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "reference" / "compatibility.md").read_text()


def test_the_page_names_the_versions_of_the_code():
    table = dict(re.findall(r"^\| ([a-z ]+) \| (\d+) \|", PAGE, re.MULTILINE))
    assert table == {
        "frozen model": str(model_file.VERSION),
        "packed blob": str(lower.VERSION),
        "memory store": str(store_format.VERSION),
        "serial protocol": str(protocol.VERSION),
    }
    assert f"safetensors, version {snapshot.VERSION}" in PAGE
    schemas = f"profile {recording.VERSION}, plan {prediction.PLAN_VERSION}, exchange {record.SCHEMA_VERSION}"
    assert schemas in PAGE
