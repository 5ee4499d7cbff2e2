# SPDX-License-Identifier: Apache-2.0
"""Scripts that reach every part of an exported model in a few steps, and files with something wrong."""

from __future__ import annotations

import numpy as np

from bitmar_tiny.exchange.files import export, open_runtime
from bitmar_tiny.run.exported import ExportedSession
from bitmar_tiny.verify.compare import verify
from bitmar_tiny.verify.crosscheck import agreement
from bitmar_tiny.verify.script import Event, random_image


def short_script(cfg, tokens):
    """An episode with image and write, and another that reads what it left."""
    rng = np.random.default_rng(3)
    stream = [Event("token", int(t)) for t in rng.integers(0, cfg.vocab_size, tokens)]
    first = [
        Event("begin"),
        Event("image", image=random_image(cfg, rng)),
        *stream[: tokens // 2],
        Event("write"),
    ]
    return [*first, Event("begin"), *stream[tokens // 2 :], Event("write")]


def check_taps(model, path, format_name, script, **options):
    session = ExportedSession(model, open_runtime(format_name, path, taps=True, **options))
    verdict = verify(model, session, script)
    assert verdict.exact, verdict.difference.sentence()
    assert verdict.taps > 20 * verdict.steps


def check_shipped(model, path, format_name, script):
    result = agreement(model, open_runtime(format_name, path), script)
    assert result.exact, result
    assert result.steps == sum(e.kind == "token" for e in script) and result.integers > result.steps
    return result


def exported(model, folder, format_name, bits=2):
    path = folder / f"{model.config.name}.{format_name}"
    export(model, format_name, path, bits)
    return path
