# SPDX-License-Identifier: Apache-2.0
"""``export --format tflite``: one file with the signatures step, image, write_episode and initial_memory."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import DataError
from ..files import atomic_file
from ..frozen import FrozenModel
from .arrays import exported_arrays
from .metadata import about, metadata
from .model import graphs
from .ports import Graph, memory_ports
from .seal import seal
from .tflite_pack import TfliteFile, pack
from .tflite_writer import add_graph

METADATA = "bitmar_tiny"


def export_tflite(frozen: FrozenModel, path: Path, bits: int = 2) -> list[Path]:
    """Write the file. ``DataError`` where it cannot be written, ``FitError`` for too large a memory."""
    frozen.validate()
    with atomic_file(path, DataError) as f:
        f.write(tflite_model(frozen, bits))
    return [path]


def tflite_model(frozen: FrozenModel, bits: int = 2) -> bytes:
    """The sealed bytes of the file."""
    file = TfliteFile(exported_arrays(frozen), bits, about(frozen, bits))
    memory = tuple(memory_ports(frozen.config))
    # LiteRT has no default values of inputs: the frozen memory is what a call without inputs returns
    start = Graph(
        "initial_memory",
        (),
        memory,
        lambda b, v: {p.name: b.array(p.name).reshape(1, *p.shape).reshape(*p.shape) for p in memory},
    )
    for graph in (*graphs(frozen.config), start):
        add_graph(file, graph)
    file.add_metadata(
        METADATA, json.dumps(metadata(frozen, "step, image, write_episode, initial_memory", bits)).encode()
    )
    return seal(pack(file.model))
