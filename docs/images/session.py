# SPDX-License-Identifier: Apache-2.0
"""Draw session.svg: the example pictures, shown once to the model `things`, and one asked by another hand.

Example: python docs/images/session.py        (needs pillow)
"""

from pathlib import Path

import numpy as np

from bitmar_tiny.data.pixels import load_image
from bitmar_tiny.data.things.table import Things, Trial, pairs_of
from bitmar_tiny.evaluate.one_session import told_session
from bitmar_tiny.frozen import FrozenModel
from bitmar_tiny.frozen.shipped import MODELS
from bitmar_tiny.report.session import session_svg

HERE = Path(__file__).parent
NAMES = ["mushroom", "house", "umbrella"]


def drawing() -> str:
    """The figure as SVG."""
    model = FrozenModel.load(MODELS / "things.bitmar")
    folder = HERE.parents[1] / "examples" / "pictures"
    files = [place / f"{name}.png" for name in NAMES for place in (folder, folder / "another")]
    pictures = np.stack([load_image(file, model.config.image_inputs) for file in files])
    n = len(NAMES)
    things = Things(
        "the example pictures",
        pictures,
        np.repeat(np.arange(n), 2),
        np.tile(np.arange(2), n),
        NAMES,
        ["one hand", "another hand"],
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
        {"another hand": pairs_of(2, lambda a, c: a != c)},
        "another hand",
        ["another hand"],
    )
    return session_svg(told_session(model, things, Trial(np.array([[0], [2], [4]]), 3, 1), 1))


if __name__ == "__main__":
    (HERE / "session.svg").write_text(drawing())
