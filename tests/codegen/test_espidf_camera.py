# SPDX-License-Identifier: Apache-2.0
"""The program of a board with a camera and a button: what it makes of a frame, and what it says and keeps,
on this computer, with stand-ins for ESP-IDF. ``test_espidf.py`` compiles it for an Xtensa.
"""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from espidf_support import settings
from firmware.build import HERE, ROOT, SANITIZE, compile
from PIL import Image
from support import need
from taught_support import knowing, picture

from bitmar_tiny.api.model import load
from bitmar_tiny.api.run import caption
from bitmar_tiny.codegen.boards import Board, load_board
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.data.pixels import read_picture
from bitmar_tiny.errors import ConfigError
from bitmar_tiny.memory.inspect import memory_of
from bitmar_tiny.memory.store import MemoryStore
from bitmar_tiny.run import teach as things
from bitmar_tiny.run.golden import GoldenSession

BOARD = "esp32-s3-eye"
PRESS, HOLD = "5 10 ", "5 80 "  # looks at the button, 20 ms apart: up, down
GREETING = "Press the button to read what it is. Hold it for a second to teach a name.\n"


def frame(png: bytes, size: tuple[int, int] = (240, 240)) -> bytes:
    """A picture as the camera would send it: width, height, pixels."""
    return packed(np.asarray(Image.open(io.BytesIO(png)).convert("RGB").resize(size)))


def packed(rgb: np.ndarray) -> bytes:
    """uint8 [H, W, 3] in 5, 6 and 5 bits, the byte with red first."""
    r, g, b = (rgb[..., c].astype(">u2") for c in range(3))
    both = (r >> 3 << 11 | g >> 2 << 5 | b >> 3).astype(">u2")
    return struct.pack("=HH", rgb.shape[1], rgb.shape[0]) + both.tobytes()


def as_file(data: bytes) -> bytes:
    """The square in the middle of a frame, as a PNG of 8 bits a channel."""
    width, height = struct.unpack("=HH", data[:4])
    both = np.frombuffer(data[4:], ">u2").reshape(height, width)
    r, g, b = both >> 11, both >> 5 & 63, both & 31
    rgb = np.stack([r << 3 | r >> 2, g << 2 | g >> 4, b << 3 | b >> 2], -1).astype(np.uint8)
    side = min(width, height)
    y, x = (height - side) // 2, (width - side) // 2
    square = rgb[y : y + side, x : x + side]
    out = io.BytesIO()
    Image.fromarray(square).save(out, "PNG")
    return out.getvalue()


def built(project, out, *flags: str) -> str:
    """The project's program, for this computer."""
    need("host", "gcc")
    main, model = project.path / "main", project.sources
    unused = ("bm_ascii", "bm_serve", "bm_link", "espidf_link")
    sources = [f for f in (*main.glob("*.c"), *model.glob("*.c")) if not f.stem.startswith(unused)]
    flags = ("-std=gnu11", "-O1", f"-I{model}", f"-I{main}", "-isystem", str(HERE / "idf_headers"), *flags)
    flags += ("-DCONFIG_BITMAR_BUTTON=1", "-DCONFIG_BITMAR_MEMORY_SDMMC=1")
    flags += ("-Dopen=host_open", "-Dfgetc=host_fgetc", *settings(project))
    return compile([*sources, HERE / "espidf_eye.c", HERE / "espidf_late.c"], flags, out)[0]


@pytest.fixture(scope="module")
def model():
    return knowing()


@pytest.fixture(scope="module")
def project(model, tmp_path_factory):
    return emit(model, load_board(BOARD), tmp_path_factory.mktemp("eye") / "p", "portable", memory="sd")


@pytest.fixture(scope="module")
def program(project, tmp_path_factory):
    return built(project, tmp_path_factory.mktemp("eye") / "eye", *SANITIZE)


class Eye:
    """A board on this computer."""

    def __init__(self, program, project, folder) -> None:
        self.program, self.folder = program, folder
        shutil.copy(project.path / "model.blob", folder)
        if project.memory_store:
            (folder / "card").mkdir()
            self.store = Path(shutil.copy(project.memory_store, folder / "card"))

    def says(self, button: str, *frames: bytes, typed: str = "") -> str:
        """All that is on its console when the button was used so, after its greeting."""
        for old in self.folder.glob("*.565"):
            old.unlink()
        for number, data in enumerate(frames):
            (self.folder / f"{number}.565").write_bytes(data)
        (self.folder / "button").write_text(button + "5")
        (self.folder / "console").write_text(typed)
        done = subprocess.run([self.program, self.folder], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done
        return done.stdout


@pytest.fixture
def eye(program, project, tmp_path):
    return Eye(program, project, tmp_path)


RED, BLUE = frame(picture("red")), frame(picture("blue"))


def test_a_frame_is_what_bitmar_tiny_reads_of_its_pixels(project, model, tmp_path):
    """The square in its middle, whatever its size, to the bit."""
    main, sources = project.path / "main", project.sources
    driver = compile(
        [
            HERE / "espidf_frame_driver.c",
            main / "espidf_frame.c",
            *(sources / f"bm_{n}.c" for n in ("scale", "patches")),
        ],
        ["-O1", *SANITIZE, f"-I{sources}", f"-I{main}"],
        tmp_path / "driver",
    )
    rng = np.random.default_rng(0)
    sizes = [(240, 240), (240, 240), (320, 240), (240, 320), (16, 16), (1, 3), (8, 9), (241, 240), (97, 31)]
    frames = [packed(rng.integers(0, 256, (h, w, 3), np.uint8)) for w, h in sizes]
    done = subprocess.run(driver, input=b"".join(frames), capture_output=True, timeout=120, check=True)
    got = np.frombuffer(done.stdout, np.uint8).reshape(len(frames), model.config.image_inputs, 768)
    for size, data, patches in zip(sizes, frames, got, strict=True):
        assert np.array_equal(patches, read_picture(as_file(data), model.config.image_inputs)), size


def test_pressed_it_says_what_it_is_and_held_it_learns(eye, model, tmp_path):
    """The store is what Python makes of the same picture, to the bit. What is typed is echoed, and taken
    back.
    """
    typed = "my caf\u00e9\b\b\bup\n"
    said = eye.says(PRESS + HOLD + PRESS * 2, RED, RED, RED, BLUE, typed=typed)
    begin, asked, rest = said.partition("Its name: ")
    assert begin == f"{GREETING}I don't know.\n" and asked
    echo, _, rest = rest.partition("\n")
    assert echo == "my caf\u00e9\b \b\b \b\b \bup"
    assert rest == "Taught: my cup.\nThis is my cup.\nI don't know.\n"
    store = MemoryStore.create(tmp_path / "python.store", memory_of(model), model.digest)
    with GoldenSession(model, store=store.path) as session:
        things.teach(session, model, "my cup", read_picture(as_file(RED), model.config.image_inputs))
    assert eye.store.read_bytes() == store.path.read_bytes()


@pytest.mark.parametrize(
    "typed, why",
    [
        ("", "the name is empty"),
        ("a.b", "the name holds a line break, another control character or a full stop"),
        ("x" * 140, "the name is longer than 128 bytes; choose a shorter one"),
        ("cup " * 20, "too long a name; choose a shorter one"),
        ("zebra", "the model cannot keep this name: it would say '"),
    ],
)
def test_a_name_that_nothing_can_have_changes_nothing(eye, typed, why):
    before = eye.store.read_bytes()
    said = eye.says(HOLD + PRESS, RED, RED, typed=f"{typed}\n")
    assert f"\n{why}" in said and said.endswith("\nI don't know.\n") and "Taught" not in said
    assert eye.store.read_bytes() == before


def test_it_outlives_a_start_anew(eye):
    eye.says(HOLD, RED, typed="dax\n")
    assert eye.says(PRESS * 2, RED, BLUE) == f"{GREETING}This is a dax.\nI don't know.\n"


def test_without_camera_or_card_it_says_so_at_every_press(eye, tmp_path):
    (tmp_path / "no-camera").touch()
    why = "the camera does not answer; see that its cable sits well\n"
    assert eye.says(PRESS + HOLD, RED, RED) == why * 3
    (tmp_path / "no-camera").unlink()
    assert eye.says(PRESS * 2, RED).endswith("I don't know.\nthe camera gives no picture\n")
    strange = frame(picture("red"), (300, 260))
    assert eye.says(PRESS * 2, strange, RED).endswith("it was told to\nI don't know.\n")
    shutil.rmtree(tmp_path / "card")
    why = "there is no SD card, or none with a FAT file system\n"
    assert eye.says(PRESS + HOLD, RED, RED) == why * 3


def test_a_model_without_such_a_memory_writes_a_caption(tmp_path):
    """The words that Python finds for the same pixels; and nothing is asked for."""
    model = load("demo")
    project = emit(model, load_board(BOARD), tmp_path / "p", "portable")
    shown = (ROOT / "examples" / "pictures" / "house.png").read_bytes()
    data = frame(shown)
    eye = Eye(built(project, tmp_path / "eye"), project, tmp_path)
    said = eye.says(PRESS + HOLD, data, data)
    words = caption(model, read_picture(as_file(data), model.config.image_inputs), limit=24)
    begin, _, rest = said.removeprefix(GREETING).partition("\n")
    assert words and begin.strip() == words and rest.startswith("this program teaches nothing")


def test_a_profile_with_a_camera_says_at_which_pins():
    values = load_board(BOARD).model_dump()
    pins = {name: pin for name, pin in values["pins"].items() if name != "camera_d3"}
    with pytest.raises(
        ConfigError, match="it has a camera, and the profile does not say at which pins"
    ) as no:
        Board.parse(values | {"pins": pins}, "test")
    assert "camera_d3" in no.value.hint and "camera_d2" not in no.value.hint
