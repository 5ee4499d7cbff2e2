# SPDX-License-Identifier: Apache-2.0
"""A document, as every reader of a source gives it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Document:
    """title: what decides whether it is held out; parts: its sentences or paragraphs, each of which may
    turn out to be a double or contaminated. All are one line of text in the corpus.
    """

    title: str
    parts: tuple[str, ...]
