# SPDX-License-Identifier: Apache-2.0
"""A model that was not trained but thought out: it sees what colour a thing has, keeps the words that it is
called by, and recites them.

    This is ── PROMPT ── a | an | my ── DET ── dax | wug | cup | apple ── NOUN ── . ── END
                 └────── I ── don ── 't ── know ── NOUN
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from bitmar_tiny.arch.config import ModelConfig
from bitmar_tiny.arch.tables import tensor_table
from bitmar_tiny.data.backbone_record import KEY, BackboneRecord
from bitmar_tiny.data.pixels import read_picture
from bitmar_tiny.data.tokenizer import EOS_TEXT, Tokenizer
from bitmar_tiny.frozen import FrozenModel
from bitmar_tiny.golden import numerics as nm

#: Word -> what may come behind it. Only the kept ones are told from each other by the memory.
AFTER = {
    "This": "",
    " is": "prompt",
    " a": "det",
    " an": "det",
    " my": "det",
    " dax": "noun",
    " wug": "noun",
    " cup": "noun",
    " apple": "noun",
    ".": "end",
    " I": "i",
    " don": "don",
    "'t": "t",
    " know": "noun",
}
#: Word -> what it comes behind.
BEHIND = {" a": "prompt", " an": "prompt", " my": "prompt", " I": "prompt", " don": "i", "'t": "don"}
BEHIND |= {" dax": "det", " wug": "det", " cup": "det", " apple": "det", " know": "t", ".": "noun"}
KEPT = (" a", " an", " my", " dax", " wug", " cup", " apple", " I")
CLASSES = ("prompt", "det", "noun", "end", "i", "don", "t")
#: Where in the width what lies: words, two dimensions of each class, kept words, colours and a constant.
WORD, CLASS, VALUE, COLOUR, CONSTANT = 0, 16, 32, 48, 51
#: Things that it can tell apart.
COLOURS = ("red", "lime", "blue", "cyan", "yellow", "magenta")
SLOTS = 4


def word_tokenizer() -> Tokenizer:
    """Every byte, and every word of ``AFTER``, letter by letter."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    tokens = [bytes([b]) for b in shown + [b for b in range(256) if b not in shown]]
    merges: list[tuple[int, int]] = []
    for word in AFTER:
        for end in range(2, len(word.encode()) + 1):
            whole = word.encode()[:end]
            if whole not in tokens:
                merges.append((tokens.index(whole[:-1]), tokens.index(whole[-1:])))
                tokens.append(whole)
    return Tokenizer([*tokens, EOS_TEXT], merges)


def knowing(slots: int = SLOTS, backbone: BackboneRecord | None = None) -> FrozenModel:
    """The model, with room for ``slots`` - 1 things; or one that sees the same through a backbone, whose
    vectors hold the colours.
    """
    tokenizer = word_tokenizer()
    cfg = ModelConfig(
        name="knowing",
        vocab_size=tokenizer.vocab_size,
        d_model=64,
        n_heads=2,
        n_encoder_layers=1,
        n_decoder_layers=1,
        d_ffn=4,
        n_sinks=2,
        window=30,
        n_positions=4,
        vision_channels=None if backbone else (3, 3, 3, 3),
        vision_hidden=4,
        image_tokens=1,
        memory_slots=slots,
        write_rule="keyed",
        read_every=1,
    )
    a = {name: _blank(name, kind, shape) for spec in tensor_table(cfg) for name, kind, shape in spec.arrays()}
    for i in () if backbone else range(4):
        a[f"vision.{i}.w.trits"][range(3), range(12, 15)] = 1  # each colour as it is
    if backbone:
        a["vision.w1.trits"][range(3), range(3)] = 1
        a["vision.w1.scale"] = np.float32(3**0.5).reshape(())
    a["vision.w2.trits"][range(COLOUR, COLOUR + 3), range(3)] = 1
    a["vision.positions.codes"][0, CONSTANT] = 127
    a["vision.positions.scales"][:] = 3**0.5 / 127
    same = range(COLOUR, CONSTANT + 1)
    a["memory.wk.trits"][same, same] = 1
    a["memory.sharpness"][:] = 30
    a["token_table.codes"][tokenizer.eos, 15] = 127
    for i, (word, then) in enumerate(AFTER.items()):
        (token,) = tokenizer.encode(word)
        a["token_table.codes"][token, WORD + i] = 127
        if then:
            a["token_table.codes"][token, _class(then)] = 127
        if word in KEPT:
            a["memory.wv.trits"][VALUE + i, WORD + i] = 1
            a["head.w.trits"][token, VALUE + i] = 1
        if word in BEHIND:
            a["head.w.trits"][token, _class(BEHIND[word])] = 1
    a["head.w.trits"][tokenizer.eos, _class("end")] = 1
    a["dec.0.wm.trits"][range(VALUE, VALUE + 16), range(VALUE, VALUE + 16)] = 1
    a["dec.0.wm.scale"] = np.float32(0.25).reshape(())
    _learn_unknown(a)
    record = {KEY: backbone.model_dump(mode="json")} if backbone else {}
    model = FrozenModel(cfg, a, tokenizer.to_bytes(), {"weights": "thought out"} | record)
    model.validate()
    return model


def _blank(name: str, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Weights of 0, scales and gains of 1."""
    return np.full(shape, 1 / 127 if name.endswith("table.scales") else dtype == "float32", dtype)


def _class(name: str) -> list[int]:
    at = CLASS + 2 * CLASSES.index(name)
    return [at, at + 1]


def _learn_unknown(a: dict[str, np.ndarray]) -> None:
    """The learned slot answers what is like no other: it says that it doesn't know."""
    key, value = np.zeros((2, 64), np.int8)
    key[CONSTANT], value[VALUE + [*AFTER].index(" I")] = 127, 127
    a["memory.m.codes"][0], a["memory.m.scales"][:] = nm.codes_of(key, value), 0
    a["memory.m.scales"][0], a["memory.m.usage"][0] = nm.rms_scale(key) * np.float32(1.3), nm.USAGE_ONE


def picture(colour: str, side: int = 16) -> bytes:
    """A PNG of one colour."""
    out = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(out, "PNG")
    return out.getvalue()


#: A backbone that nobody runs.
SOME_BACKBONE = BackboneRecord(
    label="colours",
    file="colours.onnx",
    sha256=("ab" * 32,),
    outputs=("y",),
    size=16,
    mean=(0, 0, 0),
    std=(1, 1, 1),
    normalise=False,
    vectors=1,
    project=False,
)


def seen(model: FrozenModel, colour: str) -> np.ndarray:
    """A colour as the model takes it: patches, or the vector of a backbone that finds its colours."""
    if model.config.vision_channels:
        return read_picture(picture(colour), model.config.image_inputs)
    vector = np.zeros((1, 768), np.float32)
    vector[0, :3] = np.asarray(Image.new("RGB", (1, 1), colour))[0, 0] / np.float32(255)
    return vector


def colour_backbone(path: Path, side: int = 16) -> Path:
    """An .onnx file of such a backbone: the mean of each colour, then zeros."""
    import onnx

    weights = np.zeros((768, 3, side, side), np.float32)
    weights[range(3), range(3)] = 1 / side**2
    h = onnx.helper
    graph = h.make_graph(
        [h.make_node("Conv", ["x", "w"], ["y"], strides=[side, side])],
        "colours",
        [h.make_tensor_value_info("x", 1, [1, 3, side, side])],
        [h.make_tensor_value_info("y", 1, None)],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 15)], ir_version=8), str(path))
    return path
